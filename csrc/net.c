/* See net.h.
 *
 * A step is written as each of `threads` workers sees it: rows are shared out for everything that is done row by row (gather, forward, loss, input
 * gradients), weights for what sums over rows (their gradient and update). So no sum is ever split, and two barriers a step are enough. */

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

#define PREDICT_ROWS 96 /* rows that pass through the layers together in nn_predict; a multiple of the tiles */

/* Zeros of the first layer are skipped where less than this part of the inputs is not zero: lists cost some 7 cycles an entry and direction where the
 * dense tiles cost 2 (docs/roofline.md). */
#define SKIP_DENSITY 0.35
#define SKIP_SAMPLE 64
#define SKIP_MIN_INPUTS 32

/* What a pass must be worth for another worker to join: two barriers and the bytes that move between cores cost some 2 us a step. In multiply-adds,
 * of which a core makes some 60 in a nanosecond. */
#define WORK_PER_WORKER 150000

#define STRETCH_NS 4e6  /* between two looks at the clock */
#define TRIAL_NS 1e6    /* the same, while the other choice is tried */
#define RECONSIDER 32   /* stretches between two trials */
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

/* What a block of rows needs between its passes. One piece of memory, laid out once. */
struct nn_workspace {
    ptrdiff_t rows;
    bool several_blocks; /* there is room for the gradient of a batch of many blocks */
    bool skip_zeros;     /* rows are gathered into `sparse`, else into x (rows, inputs) */
    float *x;
    nn_sparse sparse;
    float **a, **dz; /* per layer (rows, outputs) */
    float *wt;       /* the transposed weights of all layers but the first, and bias gradients, at their offsets in params */
    float *gradient; /* flat as params, if several_blocks */
    float *row_loss, *weight, *values, *probability;
    int32_t *labels;
    void *memory;
};

static void workspace_free(nn_workspace *ws) {
    if (!ws) return;
    nn_free(ws->memory);
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

/* Gives the next `floats` of the arena and moves on; before the arena exists (base NULL) only counts. */
static float *take(float *base, ptrdiff_t *used, ptrdiff_t rows, ptrdiff_t columns, bool *fits) {
    ptrdiff_t floats;
    float *piece = base ? base + *used : NULL;
    if (!multiply(rows, columns, &floats) || __builtin_add_overflow(*used, line(floats), used)) *fits = false;
    return piece;
}

/* Two passes over the same list: the first adds up, the second hands out. */
static nn_workspace *workspace_new(const nn_net *net, ptrdiff_t rows, bool several_blocks, bool skip_zeros) {
    nn_workspace *ws = calloc(1, sizeof *ws);
    if (!ws) return NULL;
    ws->rows = rows;
    ws->several_blocks = several_blocks;
    ws->skip_zeros = skip_zeros;
    ws->a = calloc((size_t)net->depth, sizeof *ws->a);
    ws->dz = calloc((size_t)net->depth, sizeof *ws->dz);
    if (!ws->a || !ws->dz) goto no_memory;
    const ptrdiff_t inputs = net->layers[0].inputs, outputs = net->layers[net->depth - 1].outputs;
    for (int pass = 0; pass < 2; pass++) {
        float *base = ws->memory;
        ptrdiff_t used = 0;
        bool fits = true;
        if (skip_zeros) {
            const ptrdiff_t pairs = (rows + 1) / 2, stride = line(inputs) + NN_SPARSE_MARGIN;
            ws->sparse.rows = rows;
            ws->sparse.stride = stride;
            ws->sparse.index = (int32_t *)take(base, &used, pairs, stride, &fits);
            ws->sparse.value = take(base, &used, 2 * pairs, stride, &fits);
            ws->sparse.count = (int32_t *)take(base, &used, pairs, 1, &fits);
            ws->sparse.column = (nn_entry *)take(base, &used, 2 * (rows + 1), inputs, &fits);
            ws->sparse.column_count = (int32_t *)take(base, &used, inputs, 1, &fits);
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
        if (pass == 0) ws->memory = nn_alloc((size_t)used * sizeof(float));
        if (!ws->memory) goto no_memory;
    }
    return ws;
no_memory:
    workspace_free(ws);
    return NULL;
}

/* Makes room for blocks of `rows` rows; keeps what is large enough. */
static bool reserve(nn_net *net, ptrdiff_t rows, bool several_blocks, bool skip_zeros) {
    nn_workspace *ws = net->workspace;
    if (ws && ws->rows >= rows && (ws->several_blocks || !several_blocks) && ws->skip_zeros == skip_zeros) return true;
    nn_workspace *larger = workspace_new(net, rows, several_blocks, skip_zeros);
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

/* Rows [r0, r1) of the block through all layers and the loss; x: the block's first row, or NULL where it lies in ws->sparse. train: also the gradient
 * of the last layer. */
static void forward_rows(const nn_net *net, const nn_workspace *ws, const float *x, nn_targets y, const float *weight, ptrdiff_t r0, ptrdiff_t r1,
                         bool train, float scale) {
    const ptrdiff_t R = r1 - r0, last = net->depth - 1, K = net->layers[last].outputs;
    const float *in = x ? x + r0 * net->layers[0].inputs : NULL;
    for (ptrdiff_t l = 0; l <= last; l++) {
        float *out = ws->a[l] + r0 * net->layers[l].outputs;
        /* a linked last layer stops at its logits: activations[0] is the identity */
        const nn_activation *activation = net->linked && l == last ? &net->kernels->activations[0] : net->layers[l].activation;
        if (in) {
            layer_forward(net, l, activation, out, in, R);
        } else {
            const nn_layer *layer = &net->layers[0];
            net->kernels->sparse_forward(ws->a[0], &ws->sparse, r0 / 2, (r1 + 1) / 2, net->params + layer->w,
                                         layer->bias ? net->params + layer->b : NULL, r1, layer->outputs, activation, layer->parameter);
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
        const float *dz = ws->dz[l] + r0 * above->outputs;
        float *da = ws->dz[l - 1] + r0 * below->outputs;
        if (above->dense) {
            net->kernels->dense_dx(da, dz, ws->wt + above->w, R, above->inputs, above->outputs);
        } else {
            memcpy(da, dz, (size_t)(R * above->outputs) * sizeof *da);
        }
        below->activation->backward(da, da, ws->a[l - 1] + r0 * below->outputs, R, below->outputs, below->parameter);
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

/* Rows come from all over the data: asks for one that is wanted soon. The last rows of a share look ahead into the next block. */
static void prefetch_row(const nn_pass *pass, ptrdiff_t place, ptrdiff_t inputs) {
    if (place >= pass->end) return;
    const char *x = (const char *)(pass->data->x + source_row(pass, place) * inputs);
    for (ptrdiff_t byte = 0; byte < inputs * (ptrdiff_t)sizeof(float); byte += CACHE_LINE) __builtin_prefetch(x + byte, 0, 2);
}

/* Copies rows [r0, r1) of a block, which begins at place `first`, out of the data. */
static void gather(const nn_pass *pass, nn_workspace *ws, ptrdiff_t first, ptrdiff_t R, ptrdiff_t r0, ptrdiff_t r1) {
    const nn_data *data = pass->data;
    const nn_net *net = pass->net;
    const ptrdiff_t inputs = net->layers[0].inputs, K = net->layers[net->depth - 1].outputs;
    for (ptrdiff_t r = r0; r < r1; r++) {
        const ptrdiff_t row = source_row(pass, first + r);
        const float *x = data->x + row * inputs;
        if (pass->order) prefetch_row(pass, r + PREFETCH_ROWS < r1 ? first + r + PREFETCH_ROWS : first + R + r - r1 + PREFETCH_ROWS + r0, inputs);
        if (!ws->skip_zeros) {
            memcpy(ws->x + r * inputs, x, (size_t)inputs * sizeof(float));
        } else if ((r - r0) % 2 == 0) { /* r0 is even: shares are multiples of 4 */
            net->kernels->sparse_pair(&ws->sparse, r / 2, x, r + 1 < r1 ? data->x + source_row(pass, first + r + 1) * inputs : NULL, inputs);
        }
        if (data->y.labels) {
            ws->labels[r] = data->y.labels[row];
        } else {
            memcpy(ws->values + r * K, data->y.values + row * K, (size_t)K * sizeof(float));
        }
        if (data->weight) ws->weight[r] = data->weight[row];
    }
}

/* The gradient of a worker's share of the weights over one block, and in the last block of a batch the update. */
static void update_share(const nn_pass *pass, nn_workspace *ws, ptrdiff_t R, bool first_block, bool last_block, const nn_step *step, int thread,
                         int threads) {
    nn_net *net = pass->net;
    const nn_kernels *k = net->kernels;
    for (ptrdiff_t l = 0; l < net->depth; l++) {
        const nn_layer *layer = &net->layers[l];
        if (!layer->dense) continue;
        const ptrdiff_t I = layer->inputs, O = layer->outputs, w = layer->w, b = layer->b;
        const float *x = l ? ws->a[l - 1] : ws->x, *dz = ws->dz[l];
        float *slot_w[NN_MAX_SLOTS], *slot_b[NN_MAX_SLOTS];
        for (int s = 0; s < NN_MAX_SLOTS; s++) {
            slot_w[s] = net->slots[s] ? net->slots[s] + w : NULL;
            slot_b[s] = net->slots[s] ? net->slots[s] + b : NULL;
        }
        ptrdiff_t i0, i1;
        share(I, 12, thread, threads, &i0, &i1);
        const float *start_w = first_block ? NULL : ws->gradient + w;
        if (l == 0 && ws->skip_zeros) {
            k->sparse_columns(&ws->sparse, R, i0, i1);
            if (last_block) {
                k->sparse_dw_update(net->params + w, slot_w, start_w, dz, &ws->sparse, O, i0, i1, net->rule, step);
            } else {
                k->sparse_dw(ws->gradient + w, start_w, dz, &ws->sparse, O, i0, i1);
            }
        } else if (last_block) {
            k->dense_dw_update(net->params + w, slot_w, start_w, dz, x, R, I, O, i0, i1, net->rule, step);
            if (l) k->transpose(ws->wt + w, net->params + w, I, O, i0, i1);
        } else {
            k->dense_dw(ws->gradient + w, start_w, dz, x, R, I, O, i0, i1);
        }
        if (!layer->bias || l % threads != thread) continue;
        float *db = ws->wt; /* the place of b there is free */
        if (last_block) {
            k->dense_db(db + b, first_block ? NULL : ws->gradient + b, dz, R, O);
            net->rule->update(net->params + b, slot_b, db + b, O, O, 1, O, step);
        } else {
            k->dense_db(ws->gradient + b, first_block ? NULL : ws->gradient + b, dz, R, O);
        }
    }
}

/* Whether the loss of the batch so far is finite; every worker finds the same. Rows are added in order. */
static bool add_row_losses(const nn_workspace *ws, ptrdiff_t R, double *loss) {
    for (ptrdiff_t r = 0; r < R; r++) *loss += ws->row_loss[r];
    return isfinite(*loss);
}

static void pass_worker(void *context, int thread, int threads) {
    nn_pass *pass = context;
    nn_net *net = pass->net;
    nn_workspace *ws = net->workspace;
    const nn_data *data = pass->data;
    const ptrdiff_t inputs = net->layers[0].inputs, K = net->layers[net->depth - 1].outputs;
    const uint32_t mode = nn_float_mode_enter();
    int64_t t = pass->first_step; /* not net->step, which worker 0 moves */
    for (ptrdiff_t first = pass->start; first < pass->stop; first += pass->batch_size) {
        const ptrdiff_t B = pass->stop - first < pass->batch_size ? pass->stop - first : pass->batch_size;
        double sums[1 + NN_MAX_METRICS] = {0.0};
        nn_step step;
        if (pass->train) net->rule->prepare(&step, pass->hyper, ++t);
        for (ptrdiff_t done = 0; done < B; done += ws->rows) {
            const ptrdiff_t R = B - done < ws->rows ? B - done : ws->rows, place = first + done;
            if (thread == 0 && pass->unpolled >= pass->poll_rows) {
                pass->unpolled = 0;
                pass->interrupted = pass->poll && pass->poll(pass->context, place - pass->origin);
            }
            if (thread == 0) pass->unpolled += R;
            /* What is trained on is gathered, what is only looked at is read where it lies. */
            const float *x = pass->train ? (ws->skip_zeros ? NULL : ws->x) : data->x + place * inputs;
            const float *weight = !data->weight ? NULL : pass->train ? ws->weight : data->weight + place;
            nn_targets y = {NULL, NULL};
            if (data->y.labels) {
                y.labels = pass->train ? ws->labels : data->y.labels + place;
            } else {
                y.values = pass->train ? ws->values : data->y.values + place * K;
            }
            ptrdiff_t r0, r1;
            share(R, 4, thread, threads, &r0, &r1);
            if (r0 < r1) {
                if (pass->train) gather(pass, ws, place, R, r0, r1);
                forward_rows(net, ws, x, y, weight, r0, r1, pass->train, 1.0f / (float)B);
                if (pass->train) backward_rows(net, ws, r0, r1);
            }
            nn_barrier_wait(&pass->barrier, threads);
            bool leave = pass->interrupted;
            if (!add_row_losses(ws, R, &sums[0]) && pass->train && !leave) {
                leave = true;
                if (thread == 0) pass->status = NN_NOT_FINITE;
            }
            if (leave) {
                nn_float_mode_leave(mode);
                return;
            }
            if (thread == 0) {
                for (ptrdiff_t m = 0; m < net->metrics_count; m++) sums[1 + m] += net->metrics[m]->sum(ws->a[net->depth - 1], y, R, K);
            }
            if (pass->train) update_share(pass, ws, R, done == 0, done + R == B, &step, thread, threads);
            nn_barrier_wait(&pass->barrier, threads);
        }
        if (thread != 0) continue;
        for (ptrdiff_t m = 0; m <= net->metrics_count; m++) pass->totals[m] += sums[m];
        if (pass->train) net->step++;
        pass->batches++;
    }
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
    return workers_for(work);
}

/* Whether most of what the first layer multiplies with is zero. Looks at some rows, spread evenly; the answer changes the speed and nothing else. */
static bool worth_skipping(const nn_net *net, const nn_data *data) {
    const nn_layer *first = &net->layers[0];
    if (!first->dense || first->outputs < 2 || first->outputs > NN_SPARSE_MAX_OUTPUTS) return false;
    if (net->skip_choice >= 0) return net->skip_choice == 1;
    if (first->inputs < SKIP_MIN_INPUTS) return false;
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
    if (n < 2) return true; /* the first one meets cold caches and new threads; it counts for little */
    if (n == 2) return false;
    return (pace->row_ns[1] <= pace->row_ns[0]) != (n % RECONSIDER == 0);
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
    if (net->seen_x != data->x || net->seen_n != data->n || net->seen_batch_size != batch_size) {
        /* the same array again, as in each epoch of a fit, is not looked at again */
        net->seen_x = data->x;
        net->seen_n = data->n;
        net->seen_batch_size = batch_size;
        net->skip_zeros = worth_skipping(net, data);
        net->pace = (nn_pace){.row_ns = {0.0, 0.0}};
    }
    const ptrdiff_t most = net->skip_zeros ? NN_SPARSE_BLOCK_ROWS : NN_BLOCK_ROWS;
    *batches = 0;
    if (!reserve(net, batch_size < most ? batch_size : most, batch_size > most, net->skip_zeros)) return NN_NO_MEMORY;
    for (ptrdiff_t l = 1; l < net->depth; l++) {
        const nn_layer *layer = &net->layers[l];
        if (layer->dense)
            net->kernels->transpose(net->workspace->wt + layer->w, net->params + layer->w, layer->inputs, layer->outputs, 0, layer->inputs);
    }
    const int workers = workers_for_step(net, batch_size);
    nn_pass pass = {.net = net,
                    .data = data,
                    .order = order,
                    .origin = start,
                    .end = stop,
                    .stop = start,
                    .batch_size = batch_size,
                    .train = true,
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
        const double begun = now();
        nn_pool_run(pass_worker, &pass, many ? workers : 1);
        net->pace.row_ns[many] = (now() - begun) / (double)(pass.stop - pass.start);
    }
    *batches = pass.batches;
    return pass.interrupted ? NN_INTERRUPTED : pass.status;
}

nn_status nn_evaluate(nn_net *net, const nn_data *data, double *totals, nn_poll poll, void *context) {
    const ptrdiff_t rows = data->n < NN_BLOCK_ROWS ? data->n : NN_BLOCK_ROWS;
    if (!reserve(net, rows, false, net->workspace && net->workspace->skip_zeros)) return NN_NO_MEMORY;
    nn_pass pass = {.net = net,
                    .data = data,
                    .end = data->n,
                    .stop = data->n,
                    .batch_size = net->workspace->rows,
                    .totals = totals,
                    .poll = poll,
                    .context = context,
                    .poll_rows = rows_between_polls(net, 1)};
    nn_pool_run(pass_worker, &pass, workers_for((double)work_of_row(net, 1) * (double)rows));
    return pass.interrupted ? NN_INTERRUPTED : NN_OK;
}

/* A call of nn_predict. Each worker takes whole blocks, one after the other, as they come. */
typedef struct prediction {
    const nn_net *net;
    float *out;
    const float *x;
    ptrdiff_t n, block, widest;
    float *buffers; /* two of block x widest for each worker */
    nn_poll poll;
    void *context;
    ptrdiff_t poll_rows;
    atomic_ptrdiff_t next;
    atomic_bool interrupted;
} prediction;

static void predict_worker(void *context, int thread, int threads) {
    prediction *p = context;
    (void)threads;
    const nn_net *net = p->net;
    const ptrdiff_t last = net->depth - 1, size = p->block * p->widest;
    float *buffers = p->buffers + 2 * size * thread;
    const uint32_t mode = nn_float_mode_enter();
    ptrdiff_t polled = 0;
    while (!atomic_load_explicit(&p->interrupted, memory_order_relaxed)) {
        const ptrdiff_t first = atomic_fetch_add_explicit(&p->next, p->block, memory_order_relaxed);
        if (first >= p->n) break;
        const ptrdiff_t R = p->n - first < p->block ? p->n - first : p->block;
        const float *in = p->x + first * net->layers[0].inputs;
        for (ptrdiff_t l = 0; l <= last; l++) {
            const nn_layer *layer = &net->layers[l];
            float *a = l == last ? p->out + first * layer->outputs : buffers + (l % 2) * size;
            layer_forward(net, l, layer->activation, a, in, R);
            in = a;
        }
        if (thread != 0 || !p->poll || first - polled < p->poll_rows) continue;
        polled = first;
        if (p->poll(p->context, first + R)) atomic_store_explicit(&p->interrupted, true, memory_order_relaxed);
    }
    nn_float_mode_leave(mode);
}

nn_status nn_predict(const nn_net *net, float *out, const float *x, ptrdiff_t n, nn_poll poll, void *context) {
    /* Memory of its own, so that any number of threads may predict with one net: two buffers a worker, which the layers fill in turn. */
    prediction p = {.net = net,
                    .out = out,
                    .x = x,
                    .n = n,
                    .block = n < PREDICT_ROWS ? n : PREDICT_ROWS,
                    .widest = 1,
                    .poll = poll,
                    .context = context,
                    .poll_rows = rows_between_polls(net, 1)};
    for (ptrdiff_t l = 0; l + 1 < net->depth; l++) {
        if (line(net->layers[l].outputs) > p.widest) p.widest = line(net->layers[l].outputs);
    }
    const int threads = n <= p.block ? 1 : workers_for((double)work_of_row(net, 1) * (double)n);
    ptrdiff_t floats;
    if (!multiply(p.widest, 2 * p.block * threads, &floats)) return NN_NO_MEMORY;
    p.buffers = malloc((size_t)floats * sizeof(float));
    if (!p.buffers) return NN_NO_MEMORY;
    nn_pool_run(predict_worker, &p, threads);
    free(p.buffers);
    return p.interrupted ? NN_INTERRUPTED : NN_OK;
}
