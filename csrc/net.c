/* See net.h.
 *
 * A step is written as each of `threads` workers sees it: rows are shared out for everything that is done row by row (gather, layers, loss, input
 * gradients), weights for what sums over rows (their gradient and update). So no sum is ever split, and two barriers a block of rows are enough.
 * Where zeros are skipped, the first layer is shared out by its outputs in both passes, and the lists of the next block are made while this one is
 * worked on. */

#define _GNU_SOURCE /* clock_gettime, madvise */

#include "net.h"

#include "pool.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#define CACHE_LINE 64
#define LARGE_PAGE ((size_t)2 << 20)

/* Multiply-adds between two calls of poll: 5 ms at 20 GFLOP/s, the slowest kernels on the slowest machine worth waiting for. */
#define POLL_WORK 50000000

#define PREFETCH_ROWS 8 /* how far gather looks ahead */

#define SMALL_NET 8192 /* floats: 32 KiB */
#define ROWS_UNIT 12   /* a multiple of the tiles */

#define PREDICT_ROWS 96 /* rows that pass through the layers together in nn_predict; a multiple of the tiles */

/* Zeros of the first layer are skipped where less than this part of the inputs is not zero: lists cost some 7 cycles an entry and direction where the
 * dense tiles cost 2 (docs/roofline.md). */
#define SKIP_DENSITY 0.35
#define SKIP_SAMPLE 64
#define SKIP_MIN_INPUTS 32
#define SKIP_MIN_OUTPUTS 32 /* that a worker must have for itself */
#define PACK_BATCHES 4      /* steps that are worth it to pack the first layer's weights by workers */

/* What a pass must be worth for another worker to join: two barriers and the bytes that move between cores cost some 2 us a step. In multiply-adds,
 * of which a core makes some 60 in a nanosecond. */
#define WORK_PER_WORKER 150000

#define WAKE_WORK 2e7 /* multiply-adds that take longer than to wake a worker, some 50 us */

#define STRETCH_NS 4e6  /* between two looks at the clock */
#define TRIAL_NS 2e6    /* the same, while the other choice is tried: long against the waking of a worker */
#define RECONSIDER 32   /* stretches between two trials, in the long run */
#define DOUBT 0.3       /* how much a measurement counts that is worse than what was found before: someone may have taken a core for a moment */
#define GUESSED_NS 0.03 /* of a multiply-add and its two of the backward pass, before anything is measured */

void *nn_alloc(size_t bytes) {
    const size_t alignment = bytes >= LARGE_PAGE ? LARGE_PAGE : CACHE_LINE;
    if (bytes > SIZE_MAX - alignment) return NULL;
    const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    void *memory = aligned_alloc(alignment, rounded ? rounded : alignment);
    if (!memory) return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (alignment == LARGE_PAGE) madvise(memory, rounded, MADV_HUGEPAGE); /* advice: a refusal is no error */
#endif
    memset(memory, 0, rounded ? rounded : alignment);
    return memory;
}

void nn_free(void *memory) { free(memory); }

static atomic_int num_threads = 1;

void nn_set_num_threads(int threads) { atomic_store(&num_threads, threads < 1 ? 1 : threads > NN_MAX_THREADS ? NN_MAX_THREADS : threads); }
int nn_num_threads(void) { return atomic_load(&num_threads); }

static ptrdiff_t line(ptrdiff_t floats) { return (floats + 15) / 16 * 16; }

/* product = a * b; false if that is more than memory can hold. */
static bool multiply(ptrdiff_t a, ptrdiff_t b, ptrdiff_t *product) { return !__builtin_mul_overflow(a, b, product) && *product <= PTRDIFF_MAX / 64; }

nn_net *nn_net_new(const nn_kernels *kernels, const nn_layer *layers, ptrdiff_t depth, ptrdiff_t inputs) {
    nn_net *net = calloc(1, sizeof *net);
    if (!net) return NULL;
    net->kernels = kernels;
    net->skip_choice = -1;
    net->depth = depth;
    net->layers = calloc((size_t)depth, sizeof *net->layers);
    if (!net->layers) goto no_memory;
    for (ptrdiff_t l = 0; l < depth; l++) {
        nn_layer *layer = &net->layers[l];
        *layer = layers[l];
        layer->inputs = inputs;
        inputs = layer->outputs;
        if (!layer->dense) continue;
        ptrdiff_t weights;
        if (!multiply(layer->inputs, layer->outputs, &weights)) goto no_memory;
        layer->w = net->size;
        layer->b = layer->w + line(weights);
        net->size = layer->b + (layer->bias ? line(layer->outputs) : 0);
        if (net->size > PTRDIFF_MAX / 64) goto no_memory;
    }
    net->params = nn_alloc((size_t)net->size * sizeof(float));
    if (!net->params) goto no_memory;
    return net;
no_memory:
    nn_net_free(net);
    return NULL;
}

/* What a block of rows needs between its passes. One piece of memory, laid out once, and one for the lists, of which most is never touched. */
struct nn_workspace {
    ptrdiff_t rows;
    ptrdiff_t longest;   /* entries of a row that there is room for; 0: no lists, rows are gathered into x */
    bool several_blocks; /* there is room for the gradient of a batch of many blocks */
    bool pack;           /* there is room for packed weights */
    float *x;            /* (rows, inputs) */
    nn_sparse sparse[2]; /* the lists of this block and of the next, in turns */
    float *strip;        /* (inputs of a block, outputs of the first layer): zeros between two steps */
    float *panel;        /* (rows, outputs of the first layer), panel by panel */
    float *packed;       /* w of the first layer and its slots, panel by panel, if asked for */
    float **a, **dz;     /* per layer (rows, outputs) */
    float *wt;           /* the transposed weights of all layers but the first, and bias gradients, at their offsets in params */
    float *gradient;     /* flat as params, if several_blocks */
    float *row_loss, *weight, *values, *probability;
    int32_t *labels;
    void *memory, *lists;
};

static void workspace_free(nn_workspace *ws) {
    if (!ws) return;
    nn_free(ws->memory);
    free(ws->lists);
    free(ws->a);
    free(ws->dz);
    free(ws);
}

void nn_net_free(nn_net *net) {
    if (!net) return;
    workspace_free(net->workspace);
    for (int s = 0; s < NN_MAX_SLOTS; s++) nn_free(net->slots[s]);
    nn_free(net->params);
    free(net->metrics);
    free(net->layers);
    free(net);
}

/* Gives the next rows x columns floats of the arena and moves on; before the arena exists (base NULL) only counts. */
static float *take(float *base, ptrdiff_t *used, ptrdiff_t rows, ptrdiff_t columns, bool *fits) {
    ptrdiff_t floats;
    float *piece = base ? base + *used : NULL;
    if (!multiply(rows, columns, &floats) || __builtin_add_overflow(*used, line(floats), used)) *fits = false;
    return piece;
}

/* Sizes of the lists of `rows` rows of at most `longest` entries, made in `sections` sections. */
static void size_lists(nn_sparse *s, ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t longest, int sections, bool *fits) {
    const ptrdiff_t widest = ((inputs + NN_SPARSE_MAX_BLOCKS - 1) / NN_SPARSE_MAX_BLOCKS + 15) / 16 * 16;
    s->block = widest > NN_SPARSE_BLOCK ? widest : NN_SPARSE_BLOCK;
    s->blocks = (inputs + s->block - 1) / s->block;
    s->counts = line((rows + 1) / 2 + sections * NN_SPARSE_MARGIN);
    s->words = 2 * line((inputs + 31) / 32);
    s->entries = 2 * longest < s->block ? 2 * longest : s->block;
    if (!multiply((rows + 1) / 2, s->entries, &s->room)) *fits = false;
    s->room = line(s->room + sections * NN_SPARSE_MARGIN);
}

/* The entries lie in `lists`, what describes them in the arena. */
static void take_lists(nn_sparse *s, float *base, ptrdiff_t *used, float *lists, ptrdiff_t *listed, int sections, bool *fits) {
    s->input = (int32_t *)take(lists, listed, s->blocks, s->room, fits);
    s->value[0] = take(lists, listed, s->blocks, s->room, fits);
    s->value[1] = take(lists, listed, s->blocks, s->room, fits);
    s->count = (int32_t *)take(base, used, s->blocks, s->counts, fits);
    s->touched = (uint16_t *)take(base, used, sections, s->words / 2, fits);
    s->range = (int32_t *)take(base, used, sections, NN_SPARSE_MARGIN, fits);
}

/* Two passes over the same list: the first adds up, the second hands out. */
static nn_workspace *workspace_new(const nn_net *net, ptrdiff_t rows, bool several_blocks, ptrdiff_t longest, bool pack) {
    nn_workspace *ws = calloc(1, sizeof *ws);
    if (!ws) return NULL;
    ws->rows = rows;
    ws->several_blocks = several_blocks;
    ws->longest = longest;
    ws->pack = pack;
    ws->a = calloc((size_t)net->depth, sizeof *ws->a);
    ws->dz = calloc((size_t)net->depth, sizeof *ws->dz);
    if (!ws->a || !ws->dz) goto no_memory;
    const ptrdiff_t inputs = net->layers[0].inputs, outputs = net->layers[net->depth - 1].outputs;
    for (int pass = 0; pass < 2; pass++) {
        float *base = ws->memory, *lists = ws->lists;
        ptrdiff_t used = 0, listed = 0;
        bool fits = true;
        if (longest) {
            for (int turn = 0; turn < 2; turn++) {
                size_lists(&ws->sparse[turn], rows, inputs, longest, NN_MAX_THREADS, &fits);
                take_lists(&ws->sparse[turn], base, &used, lists, &listed, NN_MAX_THREADS, &fits);
            }
            ws->strip = take(base, &used, ws->sparse[0].block, net->layers[0].outputs, &fits);
            ws->panel = take(base, &used, rows, net->layers[0].outputs, &fits);
            ptrdiff_t weights = 0;
            if (pack && !multiply(net->layers[0].inputs, net->layers[0].outputs, &weights)) fits = false;
            ws->packed = take(base, &used, 1 + NN_MAX_SLOTS, line(weights), &fits);
        } else {
            ws->x = take(base, &used, rows, inputs, &fits);
        }
        for (ptrdiff_t l = 0; l < net->depth; l++) {
            ws->a[l] = take(base, &used, rows, net->layers[l].outputs, &fits);
            ws->dz[l] = take(base, &used, rows, net->layers[l].outputs, &fits);
        }
        ws->wt = take(base, &used, net->size, 1, &fits);
        ws->gradient = several_blocks ? take(base, &used, net->size, 1, &fits) : NULL;
        ws->row_loss = take(base, &used, rows, 1, &fits);
        ws->weight = take(base, &used, rows, 1, &fits);
        ws->values = take(base, &used, rows, outputs, &fits);
        ws->probability = take(base, &used, rows, outputs, &fits);
        ws->labels = (int32_t *)take(base, &used, rows, 1, &fits);
        if (!fits) goto no_memory;
        if (pass == 0) {
            ws->memory = nn_alloc((size_t)used * sizeof(float));
            if (longest) ws->lists = aligned_alloc(CACHE_LINE, (size_t)listed * sizeof(float));
        }
        if (!ws->memory || (longest && !ws->lists)) goto no_memory;
    }
    return ws;
no_memory:
    workspace_free(ws);
    return NULL;
}

/* Makes room for blocks of `rows` rows, with lists of rows of `longest` entries (0: without lists); keeps what is large enough. */
static bool reserve(nn_net *net, ptrdiff_t rows, bool several_blocks, ptrdiff_t longest, bool pack) {
    nn_workspace *ws = net->workspace;
    if (ws && ws->rows >= rows && ws->several_blocks >= several_blocks && ws->longest >= longest && !ws->longest == !longest && ws->pack >= pack)
        return true;
    nn_workspace *larger = workspace_new(net, rows, several_blocks, longest, pack);
    if (!larger) return false;
    workspace_free(ws);
    net->workspace = larger;
    return true;
}

nn_status nn_net_compile(nn_net *net, const nn_loss *loss, bool from_logits, const nn_rule *rule, const nn_metric *const *metrics,
                         ptrdiff_t metrics_count) {
    float *slots[NN_MAX_SLOTS] = {NULL};
    const nn_metric **copy = calloc((size_t)metrics_count + 1, sizeof *copy);
    bool complete = copy != NULL;
    for (int s = 0; s < NN_MAX_SLOTS && rule->slots[s] && complete; s++) {
        slots[s] = nn_alloc((size_t)net->size * sizeof(float));
        complete = slots[s] != NULL;
    }
    if (!complete) {
        for (int s = 0; s < NN_MAX_SLOTS; s++) nn_free(slots[s]);
        free(copy);
        return NN_NO_MEMORY;
    }
    for (int s = 0; s < NN_MAX_SLOTS; s++) {
        nn_free(net->slots[s]);
        net->slots[s] = slots[s];
    }
    free(net->metrics);
    if (metrics_count) memcpy(copy, metrics, (size_t)metrics_count * sizeof *copy);
    net->metrics = copy;
    net->metrics_count = metrics_count;
    net->loss = loss;
    net->rule = rule;
    net->step = 0;
    const nn_layer *last = &net->layers[net->depth - 1];
    net->from_logits = from_logits && loss->link;
    net->linked = loss->link && !from_logits && !strcmp(loss->link, last->activation->name) && last->parameter == last->activation->parameter;
    return NN_OK;
}

/* The part of `total` that belongs to worker `thread`, in units that tiles like. */
static void share(ptrdiff_t total, ptrdiff_t unit, int thread, int threads, ptrdiff_t *first, ptrdiff_t *last) {
    const ptrdiff_t units = (total + unit - 1) / unit;
    *first = units * thread / threads * unit;
    *last = units * (thread + 1) / threads * unit;
    if (*first > total) *first = total;
    if (*last > total) *last = total;
}

/* x -> a of one layer, for R rows. */
static void layer_forward(const nn_net *net, ptrdiff_t l, const nn_activation *activation, float *a, const float *x, ptrdiff_t R) {
    const nn_layer *layer = &net->layers[l];
    if (layer->dense) {
        net->kernels->dense_forward(a, x, net->params + layer->w, layer->bias ? net->params + layer->b : NULL, R, layer->inputs, layer->outputs,
                                    activation, layer->parameter);
    } else {
        memcpy(a, x, (size_t)(R * layer->outputs) * sizeof *a);
        activation->forward(a, R, layer->outputs, layer->parameter);
    }
}

/* What layer l applies to its sums. A linked last layer stops at its logits: activations[0] is the identity. */
static const nn_activation *activation_of(const nn_net *net, ptrdiff_t l) {
    return net->linked && l == net->depth - 1 ? &net->kernels->activations[0] : net->layers[l].activation;
}

/* Rows [r0, r1) of the block through all layers and the loss; x: the block's first row, or NULL where the sums of the first layer are there already.
 * train: also the gradient of the last layer. */
static void forward_rows(const nn_net *net, const nn_workspace *ws, const float *x, nn_targets y, const float *weight, ptrdiff_t r0, ptrdiff_t r1,
                         bool train, float scale) {
    const ptrdiff_t R = r1 - r0, last = net->depth - 1, K = net->layers[last].outputs;
    const float *in = x ? x + r0 * net->layers[0].inputs : NULL;
    for (ptrdiff_t l = 0; l <= last; l++) {
        const nn_layer *layer = &net->layers[l];
        const nn_activation *activation = activation_of(net, l);
        float *out = ws->a[l] + r0 * layer->outputs;
        if (in) {
            layer_forward(net, l, activation, out, in, R);
        } else if (!activation->fused) {
            activation->forward(out, R, layer->outputs, layer->parameter);
        }
        in = out;
    }
    const nn_layer *layer = &net->layers[last];
    float *a = ws->a[last] + r0 * K, *dz = ws->dz[last] + r0 * K;
    const nn_targets rows = {y.labels ? y.labels + r0 : NULL, y.values ? y.values + r0 * K : NULL};
    if (weight) weight += r0;
    if (net->linked) {
        net->loss->from_logits(ws->row_loss + r0, train ? dz : NULL, a, rows, weight, R, K, scale);
        return;
    }
    if (net->from_logits) { /* the probabilities go to scratch: predictions and metrics see what the net gives */
        float *p = ws->probability + r0 * K;
        memcpy(p, a, (size_t)(R * K) * sizeof *a);
        net->loss->from_logits(ws->row_loss + r0, train ? dz : NULL, p, rows, weight, R, K, scale);
    } else {
        net->loss->from_outputs(ws->row_loss + r0, train ? dz : NULL, a, rows, weight, R, K, scale);
    }
    if (train) layer->activation->backward(dz, dz, a, R, K, layer->parameter);
}

/* dz of every layer below the last, for rows [r0, r1): da = dz wT of the layer above, times the slope. */
static void backward_rows(const nn_net *net, const nn_workspace *ws, ptrdiff_t r0, ptrdiff_t r1) {
    const ptrdiff_t R = r1 - r0;
    for (ptrdiff_t l = net->depth - 1; l > 0; l--) {
        const nn_layer *above = &net->layers[l], *below = &net->layers[l - 1];
        const float *dz = ws->dz[l] + r0 * above->outputs, *a = ws->a[l - 1] + r0 * below->outputs;
        float *da = ws->dz[l - 1] + r0 * below->outputs;
        if (above->dense) {
            net->kernels->dense_dx(da, dz, ws->wt + above->w, R, above->inputs, above->outputs, below->activation, below->parameter, a);
        } else {
            below->activation->backward(da, dz, a, R, below->outputs, below->parameter);
        }
    }
}

/* One pass over data, as all its workers see it. */
typedef struct nn_pass {
    nn_net *net;
    const nn_data *data;
    const uint32_t *order;
    ptrdiff_t origin, end;             /* of the whole call */
    ptrdiff_t start, stop, batch_size; /* of this stretch of it */
    bool train;
    bool listed;        /* the first layer works on lists */
    bool packed;        /* on packed weights, for this stretch */
    int64_t first_step; /* updates made before */
    const double *hyper;
    double *totals;
    nn_poll poll;
    void *context;
    ptrdiff_t poll_rows; /* between two calls of poll */
    nn_barrier barrier;
    /* written by worker 0 alone; the others look at `interrupted` behind a barrier, at the rest not at all */
    bool interrupted;
    ptrdiff_t unpolled; /* rows since the last poll */
    int64_t batches;    /* made */
    nn_status status;
} nn_pass;

static ptrdiff_t source_row(const nn_pass *pass, ptrdiff_t place) { return pass->order ? (ptrdiff_t)pass->order[place] : place; }

/* Rows of the block that begins at `place`; 0 at the end of the stretch. */
static ptrdiff_t block_rows(const nn_pass *pass, ptrdiff_t place) {
    if (place >= pass->stop) return 0;
    const ptrdiff_t done = (place - pass->start) % pass->batch_size, left = pass->stop - place, most = pass->net->workspace->rows;
    const ptrdiff_t R = pass->batch_size - done < left ? pass->batch_size - done : left;
    return R < most ? R : most;
}

/* Rows come from all over the data: asks for what is wanted soon. */
static void prefetch(const void *memory, ptrdiff_t bytes) {
    for (ptrdiff_t byte = 0; byte < bytes; byte += CACHE_LINE) __builtin_prefetch((const char *)memory + byte, 0, 2);
}

/* The last rows of a share look ahead into the next block. */
static void prefetch_row(const nn_pass *pass, ptrdiff_t place, ptrdiff_t inputs) {
    if (place < pass->end) prefetch(pass->data->x + source_row(pass, place) * inputs, inputs * (ptrdiff_t)sizeof(float));
}

/* Copies rows [r0, r1) of a block, which begins at place `first`, out of the data: inputs (unless they are listed), targets, weights. */
static void gather(const nn_pass *pass, nn_workspace *ws, ptrdiff_t first, ptrdiff_t R, ptrdiff_t r0, ptrdiff_t r1) {
    const nn_data *data = pass->data;
    const nn_net *net = pass->net;
    const ptrdiff_t inputs = net->layers[0].inputs, K = net->layers[net->depth - 1].outputs;
    for (ptrdiff_t r = r0; r < r1; r++) {
        const ptrdiff_t row = source_row(pass, first + r);
        if (!pass->listed) {
            if (pass->order) prefetch_row(pass, r + PREFETCH_ROWS < r1 ? first + r + PREFETCH_ROWS : first + R + r - r1 + PREFETCH_ROWS + r0, inputs);
            memcpy(ws->x + r * inputs, data->x + row * inputs, (size_t)inputs * sizeof(float));
        }
        if (data->y.labels) {
            ws->labels[r] = data->y.labels[row];
        } else {
            memcpy(ws->values + r * K, data->y.values + row * K, (size_t)K * sizeof(float));
        }
        if (data->weight) ws->weight[r] = data->weight[row];
    }
}

/* A worker's rows of one block, where they lie in the data: what it makes a section of the lists from. */
typedef struct nn_section {
    ptrdiff_t first, rows;
    const float *x[NN_SPARSE_BLOCK_ROWS];
    nn_csr_row csr[NN_SPARSE_BLOCK_ROWS];
} nn_section;

static nn_csr_row csr_row(const nn_csr *csr, ptrdiff_t row) {
    const int64_t start = csr->start[row];
    return (nn_csr_row){csr->index + start, csr->value + start, (ptrdiff_t)(csr->start[row + 1] - start)};
}

static void find_section(nn_section *section, const nn_pass *pass, ptrdiff_t place, ptrdiff_t R, int thread, int threads) {
    const nn_data *data = pass->data;
    const ptrdiff_t inputs = pass->net->layers[0].inputs;
    ptrdiff_t last;
    share(R, 4, thread, threads, &section->first, &last);
    section->rows = last - section->first;
    for (ptrdiff_t r = 0; r < section->rows; r++) {
        const ptrdiff_t row = source_row(pass, place + section->first + r);
        if (data->x) {
            section->x[r] = data->x + row * inputs;
        } else {
            section->csr[r] = csr_row(&data->csr, row);
            prefetch(section->csr[r].index, section->csr[r].length * (ptrdiff_t)sizeof(int32_t));
            prefetch(section->csr[r].value, section->csr[r].length * (ptrdiff_t)sizeof(float));
        }
    }
}

static void list_section(const nn_section *section, const nn_pass *pass, nn_sparse *lists, int thread) {
    const nn_kernels *k = pass->net->kernels;
    if (pass->data->x) {
        k->sparse_gather(lists, thread, section->first / 2, section->x, section->rows, pass->net->layers[0].inputs);
    } else {
        k->sparse_gather_csr(lists, thread, section->first / 2, section->csr, section->rows);
    }
}

/* Where zeros are skipped a worker owns a panel of the first layer: outputs [c0, c0 + n), of w and of what it makes from it. Panels that lie side by
 * side in memory are pulled to and fro between the cores, because a processor fetches lines ahead past the end of each row; so what is written in
 * every step lies panel by panel instead, and w and its slots are packed like that for as long as a stretch of many steps lasts. */
typedef struct nn_panel {
    ptrdiff_t c0, n;
    float *w, *slots[NN_MAX_SLOTS];
    ptrdiff_t ldw;
    float *a; /* (rows, lda) */
    ptrdiff_t lda;
} nn_panel;

static nn_panel find_panel(const nn_pass *pass, const nn_workspace *ws, int thread, int threads) {
    const nn_net *net = pass->net;
    const nn_layer *layer = &net->layers[0];
    const ptrdiff_t I = layer->inputs, O = layer->outputs;
    nn_panel panel = {.a = ws->a[0], .lda = O, .ldw = O};
    ptrdiff_t c1;
    share(O, 16, thread, threads, &panel.c0, &c1);
    panel.n = c1 - panel.c0;
    if (threads > 1) {
        panel.a = ws->panel + ws->rows * panel.c0;
        panel.lda = panel.n;
    }
    if (pass->packed) {
        panel.ldw = panel.n;
        panel.w = ws->packed + I * panel.c0;
        for (int s = 0; s < NN_MAX_SLOTS; s++) panel.slots[s] = net->slots[s] ? panel.w + (s + 1) * line(I * O) : NULL;
    } else {
        panel.w = net->params + layer->w + panel.c0;
        for (int s = 0; s < NN_MAX_SLOTS; s++) panel.slots[s] = net->slots[s] ? net->slots[s] + layer->w + panel.c0 : NULL;
    }
    return panel;
}

/* Copies a worker's panel of w and slots to where it is packed, or back. */
static void copy_panel(const nn_pass *pass, const nn_panel *panel, bool back) {
    const nn_net *net = pass->net;
    const nn_layer *layer = &net->layers[0];
    for (int s = -1; s < NN_MAX_SLOTS; s++) {
        float *flat = s < 0 ? net->params : net->slots[s], *packed = s < 0 ? panel->w : panel->slots[s];
        for (ptrdiff_t i = 0; flat && i < layer->inputs; i++) {
            float *row = flat + layer->w + i * layer->outputs + panel->c0, *copy = packed + i * panel->n;
            memcpy(back ? row : copy, back ? copy : row, (size_t)panel->n * sizeof *row);
        }
    }
}

/* The first layer's sums for all R rows of a block, of the outputs of this worker. */
static void forward_lists(const nn_pass *pass, const nn_workspace *ws, const nn_panel *panel, int turn, ptrdiff_t R, const nn_section *next,
                          int threads) {
    const nn_net *net = pass->net;
    const nn_layer *layer = &net->layers[0];
    const nn_ahead ahead = {next->x, next->rows};
    net->kernels->sparse_forward(panel->a, panel->lda, &ws->sparse[turn], threads, panel->w, panel->ldw,
                                 layer->bias ? net->params + layer->b + panel->c0 : NULL, R, layer->inputs, panel->n, activation_of(net, 0),
                                 pass->data->x ? &ahead : NULL);
}

/* Rows [r0, r1) of the first layer from the panels of all workers. */
static void join_panels(const nn_net *net, const nn_workspace *ws, ptrdiff_t r0, ptrdiff_t r1, int threads) {
    const ptrdiff_t O = net->layers[0].outputs;
    for (int thread = 0; thread < threads; thread++) {
        ptrdiff_t c0, c1;
        share(O, 16, thread, threads, &c0, &c1);
        for (ptrdiff_t r = r0; r < r1; r++)
            memcpy(ws->a[0] + r * O + c0, ws->panel + ws->rows * c0 + r * (c1 - c0), (size_t)(c1 - c0) * sizeof(float));
    }
}

/* One block of rows of a batch, and its place there. */
typedef struct nn_part {
    ptrdiff_t R;
    int turn;
    bool first, last; /* of the batch */
    const nn_step *step;
} nn_part;

/* The gradient of a worker's share of the biases of one layer, outputs [c0, c1), and in the last block the update. */
static void update_bias(nn_net *net, nn_workspace *ws, const nn_layer *layer, const float *dz, const nn_part *part, ptrdiff_t c0, ptrdiff_t c1) {
    const ptrdiff_t b = layer->b + c0, n = c1 - c0;
    const float *start = part->first ? NULL : ws->gradient + b;
    if (!part->last) {
        net->kernels->dense_db(ws->gradient + b, start, dz + c0, part->R, n, layer->outputs);
        return;
    }
    float *db = ws->wt + b, *slots[NN_MAX_SLOTS]; /* the place of b there is free */
    for (int s = 0; s < NN_MAX_SLOTS; s++) slots[s] = net->slots[s] ? net->slots[s] + b : NULL;
    net->kernels->dense_db(db, start, dz + c0, part->R, n, layer->outputs);
    net->rule->update(net->params + b, slots, db, n, n, 1, n, part->step);
}

/* The same of the first layer's weights where zeros are skipped. */
static void update_lists(nn_net *net, nn_workspace *ws, const nn_panel *panel, const nn_part *part, int threads) {
    const nn_kernels *k = net->kernels;
    const nn_layer *layer = &net->layers[0];
    const nn_sparse *lists = &ws->sparse[part->turn];
    const ptrdiff_t I = layer->inputs, O = layer->outputs, n = panel->n;
    const float *dz = ws->dz[0] + panel->c0;
    if (part->first && part->last) {
        float *strip = ws->strip + lists->block * panel->c0;
        k->sparse_dw_update(panel->w, panel->ldw, panel->slots, strip, dz, O, lists, threads, part->R, I, n, net->rule, part->step);
        return;
    }
    float *gradient = ws->gradient + layer->w + I * panel->c0;
    if (part->first) memset(gradient, 0, (size_t)(I * n) * sizeof *gradient);
    k->sparse_dw(gradient, dz, O, lists, threads, part->R, n);
    if (part->last) net->rule->update(panel->w, panel->slots, gradient, panel->ldw, n, I, n, part->step);
}

/* The gradient of a worker's share of all weights over one block, and in the last block of a batch the update. */
static void update_share(const nn_pass *pass, nn_workspace *ws, const nn_panel *panel, const nn_part *part, int thread, int threads) {
    nn_net *net = pass->net;
    const nn_kernels *k = net->kernels;
    for (ptrdiff_t l = 0; l < net->depth; l++) {
        const nn_layer *layer = &net->layers[l];
        if (!layer->dense) continue;
        const ptrdiff_t I = layer->inputs, O = layer->outputs, R = part->R;
        const float *x = l ? ws->a[l - 1] : ws->x, *dz = ws->dz[l];
        float *w = net->params + layer->w, *slots[NN_MAX_SLOTS];
        for (int s = 0; s < NN_MAX_SLOTS; s++) slots[s] = net->slots[s] ? net->slots[s] + layer->w : NULL;
        ptrdiff_t first, last;
        if (l == 0 && pass->listed) {
            update_lists(net, ws, panel, part, threads);
            if (layer->bias) update_bias(net, ws, layer, dz, part, panel->c0, panel->c0 + panel->n);
            continue;
        }
        share(I, I < 2 * ROWS_UNIT * threads ? 4 : ROWS_UNIT, thread, threads, &first, &last);
        const float *start = part->first ? NULL : ws->gradient + layer->w;
        if (part->last) {
            k->dense_dw_update(w, slots, start, dz, x, R, I, O, first, last, net->rule, part->step);
            if (l) k->transpose(ws->wt + layer->w, w, I, O, first, last);
        } else {
            k->dense_dw(ws->gradient + layer->w, start, dz, x, R, I, O, first, last);
        }
        if (layer->bias && l % threads == thread) update_bias(net, ws, layer, dz, part, 0, O);
    }
}

/* Whether the loss of the batch so far is finite; every worker finds the same. Rows are added in order. */
static bool add_row_losses(const nn_workspace *ws, ptrdiff_t R, double *loss) {
    for (ptrdiff_t r = 0; r < R; r++) *loss += ws->row_loss[r];
    return isfinite(*loss);
}

/* How many rows go through all layers before the next ones begin. If the weights are few, what a row leaves between the layers counts for more: a and
 * dz stay in the first-level cache then. */
static ptrdiff_t rows_together(const nn_net *net, ptrdiff_t rows) {
    ptrdiff_t floats = 0;
    if (net->size > SMALL_NET) return rows;
    for (ptrdiff_t l = 0; l < net->depth; l++) floats += 2 * net->layers[l].outputs;
    const ptrdiff_t together = SMALL_NET / floats / ROWS_UNIT * ROWS_UNIT;
    return together < ROWS_UNIT ? ROWS_UNIT : together;
}

/* The rows of a worker in one block, from the inputs (or the sums of the first layer) to all dz. */
static nn_targets pass_rows(const nn_pass *pass, nn_workspace *ws, ptrdiff_t place, ptrdiff_t R, ptrdiff_t B, int thread, int threads) {
    const nn_net *net = pass->net;
    const nn_data *data = pass->data;
    const ptrdiff_t inputs = net->layers[0].inputs, K = net->layers[net->depth - 1].outputs;
    /* What is trained on is gathered, what is only looked at is read where it lies. */
    const float *x = pass->listed ? NULL : pass->train ? ws->x : data->x + place * inputs;
    const float *weight = !data->weight ? NULL : pass->train ? ws->weight : data->weight + place;
    nn_targets y = {NULL, NULL};
    if (data->y.labels) {
        y.labels = pass->train ? ws->labels : data->y.labels + place;
    } else {
        y.values = pass->train ? ws->values : data->y.values + place * K;
    }
    ptrdiff_t r0, r1;
    share(R, 4, thread, threads, &r0, &r1);
    const ptrdiff_t together = rows_together(net, r1 - r0);
    for (; r0 < r1; r0 += together) {
        const ptrdiff_t r2 = r1 - r0 < together ? r1 : r0 + together;
        if (pass->train) gather(pass, ws, place, R, r0, r2);
        if (pass->listed && threads > 1) join_panels(net, ws, r0, r2, threads);
        forward_rows(net, ws, x, y, weight, r0, r2, pass->train, 1.0f / (float)B);
        if (pass->train) backward_rows(net, ws, r0, r2);
    }
    return y;
}

static void pass_worker(void *context, int thread, int threads) {
    nn_pass *pass = context;
    nn_net *net = pass->net;
    nn_workspace *ws = net->workspace;
    const ptrdiff_t K = net->layers[net->depth - 1].outputs;
    const uint32_t mode = nn_float_mode_enter();
    int64_t t = pass->first_step; /* not net->step, which worker 0 moves */
    nn_part part = {.turn = 0};
    nn_section section;
    nn_panel panel;
    if (pass->listed) {
        panel = find_panel(pass, ws, thread, threads);
        if (pass->packed) copy_panel(pass, &panel, false);
        find_section(&section, pass, pass->start, block_rows(pass, pass->start), thread, threads);
        list_section(&section, pass, &ws->sparse[0], thread);
        nn_barrier_wait(&pass->barrier, threads);
    }
    for (ptrdiff_t first = pass->start; first < pass->stop; first += pass->batch_size) {
        const ptrdiff_t B = pass->stop - first < pass->batch_size ? pass->stop - first : pass->batch_size;
        double sums[1 + NN_MAX_METRICS] = {0.0};
        nn_step step;
        part.step = &step;
        if (pass->train) net->rule->prepare(&step, pass->hyper, ++t);
        for (ptrdiff_t done = 0; done < B; done += part.R) {
            const ptrdiff_t place = first + done, R = part.R = block_rows(pass, place), next = block_rows(pass, place + R);
            part.first = done == 0;
            part.last = done + R == B;
            if (thread == 0 && pass->unpolled >= pass->poll_rows) {
                pass->unpolled = 0;
                pass->interrupted = pass->poll && pass->poll(pass->context, place - pass->origin);
            }
            if (thread == 0) pass->unpolled += R;
            if (pass->listed) {
                find_section(&section, pass, place + R, next, thread, threads);
                forward_lists(pass, ws, &panel, part.turn, R, &section, threads);
            }
            nn_barrier_wait(&pass->barrier, threads); /* all weights are new, all sums of the first layer there */
            if (pass->interrupted) goto leave;
            const nn_targets y = pass_rows(pass, ws, place, R, B, thread, threads);
            if (pass->listed) list_section(&section, pass, &ws->sparse[!part.turn], thread);
            nn_barrier_wait(&pass->barrier, threads); /* all dz, row losses and the next lists are there */
            if (!add_row_losses(ws, R, &sums[0]) && pass->train) {
                if (thread == 0) pass->status = NN_NOT_FINITE;
                goto leave;
            }
            if (thread == 0) {
                for (ptrdiff_t m = 0; m < net->metrics_count; m++) sums[1 + m] += net->metrics[m]->sum(ws->a[net->depth - 1], y, R, K);
            }
            if (pass->train) update_share(pass, ws, &panel, &part, thread, threads);
            part.turn = !part.turn;
        }
        if (thread != 0) continue;
        for (ptrdiff_t m = 0; m <= net->metrics_count; m++) pass->totals[m] += sums[m];
        if (pass->train) net->step++;
        pass->batches++;
    }
leave:
    if (pass->packed) copy_panel(pass, &panel, true);
    nn_float_mode_leave(mode);
}

/* Multiply-adds that one row makes in `passes` products a layer. */
static ptrdiff_t work_of_row(const nn_net *net, int passes) {
    ptrdiff_t work = 1;
    for (ptrdiff_t l = 0; l < net->depth; l++) work += passes * (net->layers[l].inputs + 1) * (net->layers[l].dense ? net->layers[l].outputs : 1);
    return work;
}

static int workers_for(double work) {
    const double worth = work / WORK_PER_WORKER;
    const int most = nn_num_threads();
    return worth < 2.0 ? 1 : worth < most ? (int)worth : most;
}

/* The same of a call of its own: the others sleep by then, and to wake one takes as long as this much work. */
static int workers_for_call(double work) { return work < WAKE_WORK ? 1 : workers_for(work); }

static ptrdiff_t rows_between_polls(const nn_net *net, int passes) { return POLL_WORK / work_of_row(net, passes) + 1; }

/* How many workers a step of B rows is worth. The update of a rule with slots moves each weight and slot in memory: some 30 multiply-adds' time each.
 */
static int workers_for_step(const nn_net *net, ptrdiff_t B) {
    double work = 0.0;
    for (ptrdiff_t l = 0; l < net->depth; l++) {
        const nn_layer *layer = &net->layers[l];
        const double weights = layer->dense ? (double)layer->inputs * (double)layer->outputs : 0.0;
        work += weights * (double)B * (l == 0 ? 2.0 : 3.0);
        for (int s = 0; s < NN_MAX_SLOTS && net->rule->slots[s]; s++) work += weights * 15.0;
    }
    const int workers = workers_for(work), most = (int)(net->layers[0].outputs / SKIP_MIN_OUTPUTS);
    return !net->skip_zeros || workers <= most ? workers : most > 1 ? most : 1;
}

/* Entries that a list must have room for in a row, 0 where there are no lists. */
static ptrdiff_t longest_row(const nn_net *net, const nn_data *data, bool listed) {
    if (!listed) return 0;
    return data->x ? net->layers[0].inputs : data->csr.longest > 0 ? data->csr.longest : 1;
}

/* Whether most of what the first layer multiplies with is zero. Looks at some rows, spread evenly; the answer changes the speed and nothing else. */
static bool worth_skipping(const nn_net *net, const nn_data *data) {
    const nn_layer *first = &net->layers[0];
    if (!data->x) return true;
    if (!first->dense) return false;
    if (net->skip_choice >= 0) return net->skip_choice == 1;
    if (first->inputs < SKIP_MIN_INPUTS || first->outputs < 2) return false;
    const ptrdiff_t rows = data->n < SKIP_SAMPLE ? data->n : SKIP_SAMPLE;
    ptrdiff_t nonzero = 0;
    for (ptrdiff_t r = 0; r < rows; r++) nonzero += net->kernels->count_nonzero(data->x + data->n / rows * r * first->inputs, first->inputs);
    return (double)nonzero < SKIP_DENSITY * (double)rows * (double)first->inputs;
}

/* Which of one worker and many makes a row faster is measured as training goes on, because a model of the machine cannot know who else is using it: a
 * worker that waits for its core holds up all others at each barrier. A pass is cut into stretches of some milliseconds; each is timed, and now and
 * then the choice that is not in use gets one. Results do not depend on it. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static bool choose_many(nn_pace *pace) {
    const unsigned n = pace->stretches++;
    if (n < 2) return true; /* the first one meets cold caches and new threads; it does not count */
    if (n == 2) return false;
    const bool trial = n < RECONSIDER ? (n & (n - 1)) == 0 : n % RECONSIDER == 0; /* 4, 8, 16, 32, 64, 96, ... */
    return (pace->row_ns[1] <= pace->row_ns[0]) != trial;
}

static void learn_pace(nn_pace *pace, bool many, double row_ns) {
    double *known = &pace->row_ns[many];
    const bool first = *known == 0.0 || pace->stretches <= 2;
    *known = first || row_ns < *known ? row_ns : *known + DOUBT * (row_ns - *known);
}

/* Rows of the next stretch; a trial of what is not in use is short. */
static ptrdiff_t stretch_rows(const nn_net *net, bool many, ptrdiff_t batch_size) {
    const nn_pace *pace = &net->pace;
    const double other = pace->row_ns[!many], expected = pace->row_ns[many] ? pace->row_ns[many] : (double)work_of_row(net, 1) * GUESSED_NS;
    const bool trial = other != 0.0 && (pace->row_ns[many] == 0.0 || other < pace->row_ns[many]);
    return ((ptrdiff_t)((trial ? TRIAL_NS : STRETCH_NS) / expected) / batch_size + 1) * batch_size;
}

nn_status nn_train(nn_net *net, const nn_data *data, const uint32_t *order, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t batch_size,
                   const double *hyper, double *totals, nn_poll poll, void *context, int64_t *batches) {
    const void *inputs = data->x ? (const void *)data->x : data->csr.value;
    if (net->seen_x != inputs || net->seen_n != data->n || net->seen_batch_size != batch_size) {
        /* the same array again, as in each epoch of a fit, is not looked at again */
        net->seen_x = inputs;
        net->seen_n = data->n;
        net->seen_batch_size = batch_size;
        net->skip_zeros = worth_skipping(net, data);
        net->pace = (nn_pace){.row_ns = {0.0, 0.0}};
    }
    const ptrdiff_t most = net->skip_zeros ? NN_SPARSE_BLOCK_ROWS : NN_BLOCK_ROWS;
    *batches = 0;
    const int workers = workers_for_step(net, batch_size);
    const bool pack = net->skip_zeros && workers > 1 && (stop - start) / batch_size >= PACK_BATCHES;
    if (!reserve(net, batch_size < most ? batch_size : most, batch_size > most, longest_row(net, data, net->skip_zeros), pack)) return NN_NO_MEMORY;
    for (ptrdiff_t l = 1; l < net->depth; l++) {
        const nn_layer *layer = &net->layers[l];
        if (layer->dense)
            net->kernels->transpose(net->workspace->wt + layer->w, net->params + layer->w, layer->inputs, layer->outputs, 0, layer->inputs);
    }
    nn_pass pass = {.net = net,
                    .data = data,
                    .order = order,
                    .origin = start,
                    .end = stop,
                    .stop = start,
                    .batch_size = batch_size,
                    .train = true,
                    .listed = net->skip_zeros,
                    .hyper = hyper,
                    .totals = totals,
                    .poll = poll,
                    .context = context,
                    .poll_rows = rows_between_polls(net, 3)};
    while (pass.stop < stop && pass.status == NN_OK && !pass.interrupted) {
        const bool many = workers > 1 && choose_many(&net->pace);
        const ptrdiff_t rows = workers > 1 ? stretch_rows(net, many, batch_size) : stop - start;
        pass.start = pass.stop;
        pass.stop = stop - pass.start <= rows ? stop : pass.start + rows;
        pass.first_step = net->step;
        pass.packed = pack && many && (pass.stop - pass.start) / batch_size >= PACK_BATCHES;
        const double begun = now();
        nn_pool_run(pass_worker, &pass, many ? workers : 1);
        if (workers > 1) learn_pace(&net->pace, many, (now() - begun) / (double)(pass.stop - pass.start));
    }
    *batches = pass.batches;
    return pass.interrupted ? NN_INTERRUPTED : pass.status;
}

nn_status nn_evaluate(nn_net *net, const nn_data *data, double *totals, nn_poll poll, void *context) {
    const bool listed = !data->x;
    /* A workspace with lists serves rows that are read where they lie as well. */
    const ptrdiff_t longest = !listed && net->workspace ? net->workspace->longest : longest_row(net, data, listed);
    const ptrdiff_t most = longest ? NN_SPARSE_BLOCK_ROWS : NN_BLOCK_ROWS, rows = data->n < most ? data->n : most;
    if (!reserve(net, rows, false, longest, false)) return NN_NO_MEMORY;
    nn_pass pass = {.net = net,
                    .data = data,
                    .end = data->n,
                    .stop = data->n,
                    .batch_size = rows,
                    .listed = listed,
                    .totals = totals,
                    .poll = poll,
                    .context = context,
                    .poll_rows = rows_between_polls(net, 1)};
    nn_pool_run(pass_worker, &pass, workers_for_call((double)work_of_row(net, 1) * (double)data->n));
    return pass.interrupted ? NN_INTERRUPTED : NN_OK;
}

/* A call of nn_predict. Each worker takes whole blocks, one after the other, as they come. */
typedef struct prediction {
    const nn_net *net;
    float *out;
    const nn_data *data;
    ptrdiff_t block, widest;
    float *buffers; /* two of block x widest for each worker */
    ptrdiff_t described, listed;
    float *descriptions, *lists; /* of a CSR matrix, so many floats for each worker */
    nn_poll poll;
    void *context;
    ptrdiff_t poll_rows;
    atomic_ptrdiff_t next;
    atomic_bool interrupted;
} prediction;

/* The lists of one worker; p->lists NULL: counts what they need. */
static nn_sparse prediction_lists(prediction *p, int thread, bool *fits) {
    nn_sparse s;
    ptrdiff_t described = 0, listed = 0;
    size_lists(&s, p->block, p->net->layers[0].inputs, longest_row(p->net, p->data, true), 1, fits);
    take_lists(&s, p->lists ? p->descriptions + p->described * thread : NULL, &described, p->lists ? p->lists + p->listed * thread : NULL, &listed, 1,
               fits);
    if (p->lists) return s;
    p->described = described;
    p->listed = listed;
    return s;
}

/* The first layer from rows [first, first + R) of a CSR matrix. */
static void predict_lists(const prediction *p, nn_sparse *lists, float *a, ptrdiff_t first, ptrdiff_t R) {
    const nn_layer *layer = &p->net->layers[0];
    const nn_kernels *k = p->net->kernels;
    nn_csr_row rows[PREDICT_ROWS];
    for (ptrdiff_t r = 0; r < R; r++) rows[r] = csr_row(&p->data->csr, first + r);
    k->sparse_gather_csr(lists, 0, 0, rows, R);
    k->sparse_forward(a, layer->outputs, lists, 1, p->net->params + layer->w, layer->outputs, layer->bias ? p->net->params + layer->b : NULL, R,
                      layer->inputs, layer->outputs, layer->activation, NULL);
    if (!layer->activation->fused) layer->activation->forward(a, R, layer->outputs, layer->parameter);
}

static void predict_worker(void *context, int thread, int threads) {
    prediction *p = context;
    (void)threads;
    const nn_net *net = p->net;
    const ptrdiff_t last = net->depth - 1, size = p->block * p->widest, n = p->data->n;
    float *buffers = p->buffers + 2 * size * thread;
    const uint32_t mode = nn_float_mode_enter();
    bool fits = true;
    nn_sparse lists;
    if (p->lists) lists = prediction_lists(p, thread, &fits);
    ptrdiff_t polled = 0;
    while (!atomic_load_explicit(&p->interrupted, memory_order_relaxed)) {
        const ptrdiff_t first = atomic_fetch_add_explicit(&p->next, p->block, memory_order_relaxed);
        if (first >= n) break;
        const ptrdiff_t R = n - first < p->block ? n - first : p->block;
        const float *in = p->lists ? NULL : p->data->x + first * net->layers[0].inputs;
        for (ptrdiff_t l = 0; l <= last; l++) {
            const nn_layer *layer = &net->layers[l];
            float *a = l == last ? p->out + first * layer->outputs : buffers + (l % 2) * size;
            if (in) {
                layer_forward(net, l, layer->activation, a, in, R);
            } else {
                predict_lists(p, &lists, a, first, R);
            }
            in = a;
        }
        if (thread != 0 || !p->poll || first - polled < p->poll_rows) continue;
        polled = first;
        if (p->poll(p->context, first + R)) atomic_store_explicit(&p->interrupted, true, memory_order_relaxed);
    }
    nn_float_mode_leave(mode);
}

nn_status nn_predict(const nn_net *net, float *out, const nn_data *data, nn_poll poll, void *context) {
    /* Memory of its own, so that any number of threads may predict with one net: two buffers a worker, which the layers fill in turn. */
    prediction p = {.net = net, .out = out, .data = data, .widest = 1, .poll = poll, .context = context, .poll_rows = rows_between_polls(net, 1)};
    for (ptrdiff_t l = 0; l + 1 < net->depth; l++) {
        if (line(net->layers[l].outputs) > p.widest) p.widest = line(net->layers[l].outputs);
    }
    const int threads = workers_for_call((double)work_of_row(net, 1) * (double)data->n);
    const ptrdiff_t fair = ((data->n + threads - 1) / threads + ROWS_UNIT - 1) / ROWS_UNIT * ROWS_UNIT; /* so that none waits for another's block */
    p.block = fair < PREDICT_ROWS ? fair : PREDICT_ROWS;
    ptrdiff_t floats;
    nn_status status = NN_NO_MEMORY;
    bool fits = multiply(p.widest, 2 * p.block * threads, &floats);
    if (!fits) return status;
    p.buffers = malloc((size_t)floats * sizeof(float));
    if (!data->x) {
        prediction_lists(&p, 0, &fits);
        ptrdiff_t described, listed;
        if (fits && multiply(p.described, threads, &described) && multiply(p.listed, threads, &listed)) {
            p.descriptions = malloc((size_t)described * sizeof(float));
            p.lists = malloc((size_t)listed * sizeof(float));
        }
    }
    if (p.buffers && (data->x || (p.descriptions && p.lists))) {
        nn_pool_run(predict_worker, &p, threads);
        status = p.interrupted ? NN_INTERRUPTED : NN_OK;
    }
    free(p.buffers);
    free(p.descriptions);
    free(p.lists);
    return status;
}
