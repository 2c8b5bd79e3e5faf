/* See net.h. Training and evaluation: steps, layers, batches. Memory is in workspace.c, how many workers in workers.c, prediction in predict.c.
 *
 * A step is written as each of `threads` workers sees it: rows are shared out for everything that is done row by row (gather, layers, loss, input
 * gradients), weights for what sums over rows (their gradient and update). So no sum is ever split, and two barriers a block of rows are enough.
 * Where zeros are skipped in training, the first layer is shared out by its outputs in both passes, and each worker marks all rows for itself; so is
 * a hidden layer below one output (pass_columns). */

#include "net.h"

#include "pool.h"
#include "workers.h"
#include "workspace.h"

#include <math.h>
#include <string.h>

#define PREFETCH_ROWS 8 /* how far gather looks ahead */

#define WIDE_WORK 1.5e8          /* multiply-adds of a layer behind which a poll is worth its while: 5 ms at 30 in a nanosecond */
#define TURNED_AT_ONCE (1 << 22) /* weights between two polls */

#define SMALL_NET 8192 /* floats: 32 KiB */

#define HEAD_MIN_ROWS 24    /* fewer do not repay a gradient that is stored */
#define COLUMNS_INPUTS 1024 /* of wider rows each worker's own copy would cost more than hidden outputs that travel */

/* So few rows are worker 0's alone, and then the small layers above the first are, too: their weights are updated sooner than they travel. */
#define ROWS_OF_ONE 4
#define WEIGHTS_OF_ONE 8192

/* Steps that are worth it to pack the first layer's weights by workers, and to look which of its slots are zero. */
#define PACK_BATCHES 4
#define REST_BATCHES 16

void nn_layer_forward(const nn_net *net, ptrdiff_t l, const nn_activation *activation, float *a, const float *x, ptrdiff_t R) {
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

/* The loss of rows [r0, r1) of the block, whose outputs are there. train: also the gradient of the last layer. */
static void loss_of_rows(const nn_net *net, const nn_workspace *ws, nn_targets y, const float *weight, ptrdiff_t r0, ptrdiff_t r1, bool train,
                         float scale) {
    const ptrdiff_t R = r1 - r0, last = net->depth - 1, K = net->layers[last].outputs;
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

/* Whether the gradient of the hidden layer is formed where it is used (head.h). */
static bool is_headed(const nn_net *net, ptrdiff_t batch_size) {
    const nn_layer *hidden = &net->layers[0], *head = hidden + 1;
    return net->depth == 2 && !net->skip_zeros && batch_size >= HEAD_MIN_ROWS && head->dense && head->outputs == 1 && hidden->dense && hidden->bias &&
           hidden->outputs > 1 && hidden->activation->gates;
}

/* Whether several workers own columns of a hidden layer below a head: each passes all rows through them. */
static bool owns_columns(const nn_net *net, ptrdiff_t batch_size) { return is_headed(net, batch_size) && net->layers[0].inputs <= COLUMNS_INPUTS; }

/* Whether da of a layer's inputs comes from w itself: to turn dz and da costs less than to transpose w in each step, if the rows are few and w is not
 * small. */
static bool is_turned(const nn_layer *layer, ptrdiff_t batch_size) {
    const ptrdiff_t weights = layer->inputs * layer->outputs;
    /* batch_size * (inputs + outputs) < weights, without a product that could overflow */
    return weights > WEIGHTS_OF_ONE && batch_size <= (weights - 1) / (layer->inputs + layer->outputs);
}

/* One pass over data, as all its workers see it. */
typedef struct nn_pass {
    nn_net *net;
    const nn_data *data;
    const uint32_t *order;
    ptrdiff_t origin, end;             /* of the whole call */
    ptrdiff_t start, stop, batch_size; /* of this stretch of it */
    bool train;
    bool skips;         /* the first layer skips zeros */
    bool headed;        /* a hidden layer below one output, trained: its gradient is formed where it is used */
    bool columns;       /* of it are owned, if there are several workers */
    bool packed;        /* on packed weights, for this stretch */
    bool rests;         /* inputs without slots are left alone, in this stretch */
    int64_t first_step; /* updates made before */
    const double *hyper;
    double *totals;
    nn_poll poll;
    void *context;
    ptrdiff_t poll_rows; /* between two calls of poll */
    nn_barrier barrier;
    /* written by worker 0 alone; the others look at `interrupted` behind the first barrier of a block and at `halted` behind the last, at the rest
     * not at all */
    bool interrupted, halted;
    uint32_t mode;      /* of the caller, for whom it is put back during a poll */
    ptrdiff_t unpolled; /* rows since the last poll */
    int64_t batches;    /* made */
    nn_status status;
} nn_pass;

/* Asks whether to go on, in worker 0, when rows up to `place` are done. In a child that was forked meanwhile the other workers are gone, and with
 * them what they were doing. */
static bool polls_stop(nn_pass *pass, ptrdiff_t place, int threads) {
    if (!pass->poll) return false;
    nn_float_mode_leave(pass->mode);
    const bool stop = pass->poll(pass->context, place - pass->origin);
    pass->mode = nn_float_mode_enter();
    if (threads == 1 || !nn_pool_is_lost()) return stop;
    pass->status = NN_FORKED;
    return true;
}

/* Within a block of a wide net, worker 0 asks behind each layer, too. Nothing has been written then that counts. */
static bool halts(nn_pass *pass, const nn_layer *layer, ptrdiff_t R, ptrdiff_t place, int threads) {
    if (!layer->dense || (double)R * (double)layer->inputs * (double)layer->outputs < WIDE_WORK) return false;
    return pass->halted = polls_stop(pass, place, threads);
}

/* Rows [r0, r1) of the block through all layers and the loss; x: the block's first row, or NULL where the sums of the first layer are there already.
 * In training
 * also the gradient of the last layer. False if a poll stops it. */
static bool forward_rows(nn_pass *pass, const nn_workspace *ws, const float *x, nn_targets y, const float *weight, ptrdiff_t r0, ptrdiff_t r1,
                         float scale, ptrdiff_t place, int thread, int threads) {
    const nn_net *net = pass->net;
    const ptrdiff_t R = r1 - r0, last = net->depth - 1;
    const float *in = x ? x + r0 * net->layers[0].inputs : NULL;
    for (ptrdiff_t l = 0; l <= last; l++) {
        const nn_layer *layer = &net->layers[l];
        const nn_activation *activation = activation_of(net, l);
        float *out = ws->a[l] + r0 * layer->outputs;
        if (in) {
            nn_layer_forward(net, l, activation, out, in, R);
        } else if (!activation->fused) {
            activation->forward(out, R, layer->outputs, layer->parameter);
        }
        in = out;
        if (thread == 0 && halts(pass, layer, R, place, threads)) return false;
    }
    loss_of_rows(net, ws, y, weight, r0, r1, pass->train, scale);
    return true;
}

/* dz of every layer below the last, for rows [r0, r1): da = dz wT of the layer above, times the slope. False if a
 * poll stops it. */
static bool backward_rows(nn_pass *pass, const nn_workspace *ws, ptrdiff_t r0, ptrdiff_t r1, ptrdiff_t place, int thread, int threads) {
    const nn_net *net = pass->net;
    const ptrdiff_t R = r1 - r0;
    for (ptrdiff_t l = net->depth - 1; l > 0; l--) {
        const nn_layer *above = &net->layers[l], *below = &net->layers[l - 1];
        const float *dz = ws->dz[l] + r0 * above->outputs, *a = ws->a[l - 1] + r0 * below->outputs;
        float *da = ws->dz[l - 1] + r0 * below->outputs;
        if (above->dense && is_turned(above, pass->batch_size)) {
            float *scratch =
                ws->wt + above->w + r0 * (above->inputs + above->outputs); /* in the place of the transposed weights, which nobody needs */
            net->kernels->dense_dx_turned(da, scratch, dz, net->params + above->w, R, above->inputs, above->outputs, below->activation,
                                          below->parameter, a);
        } else if (above->dense) {
            net->kernels->dense_dx(da, dz, ws->wt + above->w, R, above->inputs, above->outputs, below->activation, below->parameter, a);
        } else {
            below->activation->backward(da, dz, a, R, below->outputs, below->parameter);
        }
        if (thread == 0 && halts(pass, above, R, place, threads)) return false;
    }
    return true;
}

static ptrdiff_t source_row(const nn_pass *pass, ptrdiff_t place) { return pass->order ? (ptrdiff_t)pass->order[place] : place; }

/* Rows of the block that begins at `place`; 0 at the end of the stretch. */
static ptrdiff_t block_rows(const nn_pass *pass, ptrdiff_t place) {
    if (place >= pass->stop) return 0;
    const ptrdiff_t done = (place - pass->start) % pass->batch_size, left = pass->stop - place, most = pass->net->workspace->has.rows;
    const ptrdiff_t R = pass->batch_size - done < left ? pass->batch_size - done : left;
    return R < most ? R : most;
}

/* Rows come from all over the data: asks for what is wanted soon. */
static void prefetch(const void *memory, ptrdiff_t bytes) {
    for (ptrdiff_t byte = 0; byte < bytes; byte += NN_CACHE_LINE) __builtin_prefetch((const char *)memory + byte, 0, 2);
}

/* Asks for the inputs of the rows at places [place, place + count). */
static void prefetch_rows(const nn_pass *pass, ptrdiff_t place, ptrdiff_t count) {
    const ptrdiff_t inputs = pass->net->layers[0].inputs, end = place + count < pass->end ? place + count : pass->end;
    for (; place < end; place++) prefetch(pass->data->x + source_row(pass, place) * inputs, inputs * (ptrdiff_t)sizeof(float));
}

/* The rows of a worker in a block of R: of fewer than there are workers, worker 0 has them. */
static void share_rows(ptrdiff_t R, int thread, int threads, ptrdiff_t *r0, ptrdiff_t *r1) {
    share(R, ROWS_OF_ONE, threads - 1 - thread, threads, r0, r1);
}

/* Copies the inputs of rows [r0, r1) of a block of R rows, which begins at place `first`, out of the data to x, which has place for the block. */
static void gather_inputs(const nn_pass *pass, float *x, ptrdiff_t first, ptrdiff_t R, ptrdiff_t r0, ptrdiff_t r1) {
    const nn_data *data = pass->data;
    const nn_net *net = pass->net;
    const ptrdiff_t inputs = net->layers[0].inputs;
    for (ptrdiff_t r = r0, next; r < r1; r = next) { /* some rows at a time, so that memory works on those behind them */
        next = r1 - r < PREFETCH_ROWS ? r1 : r + PREFETCH_ROWS;
        if (pass->order) {
            prefetch_rows(pass, next < r1 ? first + next : first + R + r0, PREFETCH_ROWS); /* the last ones look into the next block */
            net->kernels->gather(x + r * inputs, data->x, pass->order + first + r, next - r, inputs);
        } else {
            memcpy(x + r * inputs, data->x + (first + r) * inputs, (size_t)((next - r) * inputs) * sizeof(float));
        }
    }
}

/* The same of their targets and weights. */
static void gather_targets(const nn_pass *pass, nn_workspace *ws, ptrdiff_t first, ptrdiff_t r0, ptrdiff_t r1) {
    const nn_data *data = pass->data;
    const nn_net *net = pass->net;
    const ptrdiff_t K = net->layers[net->depth - 1].outputs, place = first + r0, rows = r1 - r0;
    const uint32_t *order = pass->order ? pass->order + place : NULL;
    if (data->y.values && order) {
        net->kernels->gather(ws->values + r0 * K, data->y.values, order, rows, K);
    } else if (data->y.values) {
        memcpy(ws->values + r0 * K, data->y.values + place * K, (size_t)(rows * K) * sizeof(float));
    } else {
        for (ptrdiff_t i = 0; i < rows; i++) ws->labels[r0 + i] = data->y.labels[source_row(pass, place + i)];
    }
    for (ptrdiff_t i = 0; data->weight && i < rows; i++) ws->weight[r0 + i] = data->weight[source_row(pass, place + i)];
}

/* Rows of one block, from its r0-th on, where they lie in the data. */
typedef struct nn_block_rows {
    ptrdiff_t r0, count;
    const float *x[NN_SPARSE_BLOCK_ROWS];
    nn_csr_row csr[NN_SPARSE_BLOCK_ROWS];
} nn_block_rows;

/* What a worker passes through the first layer of the R rows from `place` on: all, for its outputs, or without training its own, for all outputs. */
static void find_rows(nn_block_rows *rows, const nn_pass *pass, ptrdiff_t place, ptrdiff_t R, int thread, int threads) {
    const nn_data *data = pass->data;
    const ptrdiff_t inputs = pass->net->layers[0].inputs;
    ptrdiff_t r1 = R;
    rows->r0 = 0;
    if (!pass->train) share_rows(R, thread, threads, &rows->r0, &r1);
    rows->count = r1 - rows->r0;
    for (ptrdiff_t r = 0; r < rows->count; r++) {
        const ptrdiff_t row = source_row(pass, place + rows->r0 + r);
        if (data->y.labels) __builtin_prefetch(data->y.labels + row, 0, 3);
        if (data->x) {
            rows->x[r] = data->x + row * inputs;
            /* where its pages lie is looked up now, for many rows side by side; all its lines are asked for later */
            __builtin_prefetch(rows->x[r], 0, 2);
            __builtin_prefetch(rows->x[r] + inputs - 1, 0, 2);
        } else {
            rows->csr[r] = csr_row(&data->csr, row);
            prefetch(rows->csr[r].index, rows->csr[r].length * (ptrdiff_t)sizeof(int32_t));
            prefetch(rows->csr[r].value, rows->csr[r].length * (ptrdiff_t)sizeof(float));
        }
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
    uint64_t *moving; /* one bit an input: its slots are not all zero; NULL: not known */
} nn_panel;

/* Where the sums of a worker lie that owns outputs from c0 on, and later its dz. */
static float *panel_place(const nn_workspace *ws, ptrdiff_t c0, int thread) { return ws->panel + ws->has.rows * c0 + NN_APART * thread; }

static nn_panel find_panel(const nn_pass *pass, const nn_workspace *ws, int thread, int threads) {
    const nn_net *net = pass->net;
    const nn_layer *layer = &net->layers[0];
    const ptrdiff_t I = layer->inputs, O = layer->outputs;
    nn_panel panel = {.a = ws->a[0], .lda = O, .ldw = O, .moving = pass->rests ? ws->moving + thread * ws->moving_words : NULL};
    ptrdiff_t c1;
    share(O, 16, thread, threads, &panel.c0, &c1);
    panel.n = c1 - panel.c0;
    if (threads > 1) {
        panel.a = panel_place(ws, panel.c0, thread);
        panel.lda = panel.n;
    }
    if (pass->packed) {
        panel.ldw = panel.n;
        panel.w = ws->packed + I * panel.c0 + NN_APART * thread;
        for (int s = 0; s < NN_MAX_SLOTS; s++) panel.slots[s] = net->slots[s] ? panel.w + (s + 1) * ws->packed_size : NULL;
    } else {
        panel.w = net->params + layer->w + panel.c0;
        for (int s = 0; s < NN_MAX_SLOTS; s++) panel.slots[s] = net->slots[s] ? net->slots[s] + layer->w + panel.c0 : NULL;
    }
    return panel;
}

/* Whether the rule leaves a weight as it is that has no gradient and never had one: then inputs that are zero in all rows, as the rim of a picture,
 * cost nothing. Found out by trying. */
static bool rule_rests(const nn_net *net, const double *hyper) {
    float w[2] = {1.0f, -0.0f}, g[2] = {0.0f, 0.0f}, zero[NN_MAX_SLOTS][2] = {{0.0f}}, *slots[NN_MAX_SLOTS];
    const float before[2] = {1.0f, -0.0f}, none[NN_MAX_SLOTS][2] = {{0.0f}};
    nn_step step;
    for (int s = 0; s < NN_MAX_SLOTS; s++) slots[s] = zero[s];
    net->rule->prepare(&step, hyper, net->step + 1);
    net->rule->update(w, slots, g, 2, 2, 1, 2, &step, false);
    return !memcmp(w, before, sizeof w) && !memcmp(zero, none, sizeof none);
}

/* Marks the inputs of a panel whose slots are not all zero. */
static void mark_moving(const nn_pass *pass, const nn_panel *panel) {
    const nn_net *net = pass->net;
    const ptrdiff_t inputs = net->layers[0].inputs;
    memset(panel->moving, 0, (size_t)(inputs + 63) / 64 * sizeof *panel->moving);
    for (int s = 0; s < NN_MAX_SLOTS && panel->slots[s]; s++) {
        for (ptrdiff_t i = 0; i < inputs; i++) {
            const float *row = panel->slots[s] + i * panel->ldw;
            ptrdiff_t o = 0;
            while (o < panel->n && row[o] == 0.0f) o++;
            if (o < panel->n) panel->moving[i / 64] |= (uint64_t)1 << i % 64;
        }
    }
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

/* What a worker keeps of the first layer's rows from block to block. */
typedef struct nn_reader {
    nn_block_rows rows[2]; /* of this block and of the next one, in turns */
    int turn;
    nn_ahead now, later; /* of the next one's, what to ask for in the forward pass and in the update */
} nn_reader;

/* For a block that begins at `place`. */
static void begin_reading(nn_reader *reader, const nn_pass *pass, ptrdiff_t place, int thread, int threads) {
    reader->turn = 0;
    find_rows(&reader->rows[0], pass, place, block_rows(pass, place), thread, threads);
}

/* The rows of this block, and what to get ready of the R rows from `place` on, the next ones. */
static const nn_block_rows *read_rows(nn_reader *reader, const nn_pass *pass, ptrdiff_t place, ptrdiff_t R, int thread, int threads) {
    nn_sparse *s = &pass->net->workspace->sparse[thread];
    const nn_block_rows *rows = &reader->rows[reader->turn];
    nn_block_rows *next = &reader->rows[1 - reader->turn];
    s->rows = rows->count;
    s->x = pass->data->x ? rows->x : NULL;
    s->csr = rows->csr;
    if (s->x) pass->net->kernels->sparse_mark(s);
    find_rows(next, pass, place, R, thread, threads);
    reader->turn = 1 - reader->turn;
    /* of all rows half are asked for now, a single one too, the others during the update */
    const ptrdiff_t now = pass->train ? (next->count + 1) / 2 : next->count;
    reader->now = (nn_ahead){next->x, now};
    reader->later = (nn_ahead){next->x + now, next->count - now};
    return rows;
}

/* A worker's outputs of the first layer for its rows. */
static void forward_sparse(const nn_pass *pass, const nn_panel *panel, const nn_block_rows *rows, nn_sparse *s, const nn_ahead *ahead) {
    const nn_net *net = pass->net;
    const nn_layer *layer = &net->layers[0];
    net->kernels->sparse_forward(panel->a + rows->r0 * panel->lda, panel->lda, s, panel->w, panel->ldw,
                                 layer->bias ? net->params + layer->b + panel->c0 : NULL, panel->n, activation_of(net, 0), ahead);
}

/* Rows [r0, r1) of the first layer from the panels of all workers. */
static void join_panels(const nn_net *net, const nn_workspace *ws, ptrdiff_t r0, ptrdiff_t r1, int threads) {
    const ptrdiff_t O = net->layers[0].outputs;
    for (int thread = 0; thread < threads; thread++) {
        ptrdiff_t c0, c1;
        share(O, 16, thread, threads, &c0, &c1);
        for (ptrdiff_t r = r0; r < r1; r++)
            memcpy(ws->a[0] + r * O + c0, panel_place(ws, c0, thread) + r * (c1 - c0), (size_t)(c1 - c0) * sizeof(float));
    }
}

/* One block of rows of a batch, and its place there. */
typedef struct nn_part {
    ptrdiff_t R;
    bool first, last; /* of the batch */
    const nn_step *step;
    const nn_ahead *ahead; /* to be asked for during the update */
} nn_part;

/* The gradient of a worker's share of the biases of one layer, outputs [c0, c1), of which dz (R, ldz) is, and in the last block the update. */
static void update_bias(nn_net *net, nn_workspace *ws, const nn_layer *layer, const float *dz, ptrdiff_t ldz, const nn_part *part, ptrdiff_t c0,
                        ptrdiff_t c1) {
    const ptrdiff_t b = layer->b + c0, n = c1 - c0;
    const float *start = part->first ? NULL : ws->gradient + b;
    if (!part->last) {
        net->kernels->dense_db(ws->gradient + b, start, dz, part->R, n, ldz);
        return;
    }
    float *db = ws->wt + b, *slots[NN_MAX_SLOTS]; /* the place of b there is free */
    for (int s = 0; s < NN_MAX_SLOTS; s++) slots[s] = net->slots[s] ? net->slots[s] + b : NULL;
    net->kernels->dense_db(db, start, dz, part->R, n, ldz);
    net->rule->update(net->params + b, slots, db, n, n, 1, n, part->step, false);
}

/* Columns [c0, c1) of the array of `rows` rows that lies at `place`, from its gradient. */
static void update_columns(nn_net *net, ptrdiff_t place, float *gradient, const nn_step *step, ptrdiff_t ld, ptrdiff_t rows, ptrdiff_t c0,
                           ptrdiff_t c1) {
    float *slots[NN_MAX_SLOTS];
    const ptrdiff_t at = place + c0;
    for (int s = 0; s < NN_MAX_SLOTS; s++) slots[s] = net->slots[s] ? net->slots[s] + at : NULL;
    net->rule->update(net->params + at, slots, gradient + at, ld, ld, rows, c1 - c0, step, false);
}

/* The same of the first layer's weights where zeros are skipped. */
static void update_sparse(nn_net *net, nn_workspace *ws, const nn_panel *panel, const nn_part *part, int thread) {
    nn_sparse *s = &ws->sparse[thread];
    const nn_kernels *k = net->kernels;
    const nn_layer *layer = &net->layers[0];
    const ptrdiff_t I = layer->inputs, O = layer->outputs, n = panel->n;
    const float *dz = ws->dz[0] + panel->c0;
    float *packed = panel_place(ws, panel->c0, thread);
    if (layer->bias) update_bias(net, ws, layer, dz, O, part, panel->c0, panel->c0 + n);
    if (part->first && part->last) {
        float *strip = ws->strip + s->block * panel->c0 + NN_APART * thread;
        k->sparse_dw_update(panel->w, panel->ldw, panel->slots, strip, packed, dz, O, s, n, net->rule, part->step, panel->moving, part->ahead);
        return;
    }
    if (panel->moving) memset(panel->moving, 0xff, (size_t)(I + 63) / 64 * sizeof *panel->moving); /* which of them is not looked at here */
    float *gradient = ws->gradient + layer->w + I * panel->c0;
    if (part->first) memset(gradient, 0, (size_t)(I * n) * sizeof *gradient);
    k->sparse_dw(gradient, packed, dz, O, s, n, part->ahead);
    if (part->last) net->rule->update(panel->w, panel->slots, gradient, panel->ldw, n, I, n, part->step, false);
}

/* The columns of a hidden layer that a worker owns, below a head of one output: its outputs of them, and the rows that it makes them from. */
typedef struct nn_columns {
    ptrdiff_t c0, n;
    float *a; /* (R, lda) */
    ptrdiff_t lda;
    float *x; /* (R, I) */
} nn_columns;

static nn_columns find_columns(const nn_pass *pass, const nn_workspace *ws, int thread, int threads) {
    const nn_net *net = pass->net;
    const bool apart = pass->columns && threads > 1;
    const ptrdiff_t I = net->layers[0].inputs, H = net->layers[0].outputs;
    nn_columns own;
    ptrdiff_t c1;
    share(H, NN_HEAD_CHAINS, thread, threads, &own.c0, &c1);
    own.n = c1 - own.c0;
    own.lda = apart ? own.n : H;
    own.a = apart ? panel_place(ws, own.c0, thread) : ws->a[0] + own.c0;
    own.x = apart ? ws->own_x + thread * nn_own_x(ws->has.rows, I) : ws->x;
    return own;
}

/* The gradients and updates of a net of one hidden layer with a head of one output: a worker's columns. */
static void update_headed(nn_net *net, nn_workspace *ws, const nn_columns *own, const nn_part *part, int thread, int threads) {
    const nn_layer *hidden = &net->layers[0], *head = &net->layers[1];
    const ptrdiff_t I = hidden->inputs, H = hidden->outputs;
    /* the place of the transposed weights is free */
    float *gradient = part->first && part->last ? ws->wt : ws->gradient;
    const ptrdiff_t c0 = own->c0, c1 = c0 + own->n;
    net->kernels->head_gradient(gradient + hidden->w, gradient + hidden->b, gradient + head->w, !part->first, ws->dz[1], net->params + head->w,
                                own->x, own->a, own->lda, part->R, I, H, c0, c1);
    if (part->last && !hidden->frozen) {
        update_columns(net, hidden->w, gradient, part->step, H, I, c0, c1);
        update_columns(net, hidden->b, gradient, part->step, H, 1, c0, c1);
    }
    if (part->last && !head->frozen) update_columns(net, head->w, gradient, part->step, H, 1, c0, c1);
    if (head->bias && !head->frozen && thread == threads - 1) update_bias(net, ws, head, ws->dz[1], 1, part, 0, 1);
}

/* The gradient of a worker's share of all weights over one block, and in the last block of a batch the update. */
static void update_share(const nn_pass *pass, nn_workspace *ws, const nn_panel *panel, const nn_part *part, int thread, int threads) {
    nn_net *net = pass->net;
    const nn_kernels *k = net->kernels;
    for (ptrdiff_t l = 0; l < net->depth; l++) {
        const nn_layer *layer = &net->layers[l];
        if (!layer->dense || layer->frozen) continue;
        const ptrdiff_t I = layer->inputs, O = layer->outputs, R = part->R;
        const float *x = l ? ws->a[l - 1] : ws->x, *dz = ws->dz[l];
        float *w = net->params + layer->w, *slots[NN_MAX_SLOTS];
        float *scratch = ws->dw_scratch ? ws->dw_scratch + thread * k->dw_scratch : NULL;
        for (int s = 0; s < NN_MAX_SLOTS; s++) slots[s] = net->slots[s] ? net->slots[s] + layer->w : NULL;
        ptrdiff_t first, last;
        if (l == 0 && pass->skips) {
            update_sparse(net, ws, panel, part, thread);
            continue;
        }
        const bool alone = l > 0 && R <= ROWS_OF_ONE && I * O <= WEIGHTS_OF_ONE;
        if (alone) {
            first = 0, last = thread == 0 ? I : 0;
        } else {
            share(I, I < 2 * NN_ROWS_UNIT * threads ? 4 : NN_ROWS_UNIT, thread, threads, &first, &last);
        }
        const float *start = part->first ? NULL : ws->gradient + layer->w;
        if (part->last) {
            k->dense_dw_update(w, slots, start, dz, x, R, I, O, first, last, net->rule, part->step, scratch);
            if (l && !is_turned(layer, pass->batch_size)) {
                if (alone && part->first && !net->slots[0]) { /* the same update, of so few rows, costs less than to turn the weights */
                    if (thread == 0) k->dense_dw_update(ws->wt + layer->w, slots, NULL, x, dz, R, O, I, 0, O, net->rule, part->step, NULL);
                } else {
                    k->transpose(ws->wt + layer->w, w, I, O, first, last);
                }
            }
        } else {
            k->dense_dw(ws->gradient + layer->w, start, dz, x, R, I, O, first, last);
        }
        if (layer->bias && (alone ? 0 : l % threads) == thread) update_bias(net, ws, layer, dz, O, part, 0, O);
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
    const ptrdiff_t together = SMALL_NET / floats / NN_ROWS_UNIT * NN_ROWS_UNIT;
    return together < NN_ROWS_UNIT ? NN_ROWS_UNIT : together;
}

/* Where the targets of the block that begins at `place` are: what is trained on is gathered, what is only looked at is read where it lies. */
static nn_targets block_targets(const nn_pass *pass, const nn_workspace *ws, ptrdiff_t place) {
    const nn_data *data = pass->data;
    const ptrdiff_t K = pass->net->layers[pass->net->depth - 1].outputs;
    nn_targets y = {NULL, NULL};
    if (data->y.labels) {
        y.labels = pass->train ? ws->labels : data->y.labels + place;
    } else {
        y.values = pass->train ? ws->values : data->y.values + place * K;
    }
    return y;
}

/* The rows of a worker in one block, from the inputs (or the sums of the first layer) to all dz. */
static void pass_rows(nn_pass *pass, nn_workspace *ws, ptrdiff_t place, ptrdiff_t R, ptrdiff_t B, int thread, int threads) {
    const nn_net *net = pass->net;
    const nn_data *data = pass->data;
    const float *x = pass->skips ? NULL : pass->train ? ws->x : data->x + place * net->layers[0].inputs;
    const float *weight = !data->weight ? NULL : pass->train ? ws->weight : data->weight + place;
    const nn_targets y = block_targets(pass, ws, place);
    ptrdiff_t r0, r1;
    share_rows(R, thread, threads, &r0, &r1);
    const ptrdiff_t together = rows_together(net, r1 - r0);
    for (; r0 < r1; r0 += together) {
        const ptrdiff_t r2 = r1 - r0 < together ? r1 : r0 + together;
        if (pass->train && !pass->skips) gather_inputs(pass, ws->x, place, R, r0, r2);
        if (pass->train) gather_targets(pass, ws, place, r0, r2);
        if (pass->skips && pass->train && threads > 1) join_panels(net, ws, r0, r2, threads);
        if (!forward_rows(pass, ws, x, y, weight, r0, r2, 1.0f / (float)B, place, thread, threads)) return;
        if (pass->train && !pass->headed && !backward_rows(pass, ws, r0, r2, place, thread, threads)) return;
    }
}

/* A block of R rows where several workers own columns below a head: each passes all rows through its columns, so that hidden outputs, of which there
 * are most, stay where they are made and are used. What travels is the head's 16 chains of each row, from worker to worker, and dz of the last one
 * back to all. Returns with all dz there, false if interrupted. */
static bool pass_columns(nn_pass *pass, nn_workspace *ws, const nn_columns *own, ptrdiff_t place, ptrdiff_t R, ptrdiff_t B, int thread, int threads) {
    const nn_net *net = pass->net;
    const nn_layer *hidden = &net->layers[0], *head = &net->layers[1];
    const nn_kernels *k = net->kernels;
    const float *w = net->params + hidden->w, *b = net->params + hidden->b;
    float *sums = ws->sums + thread * nn_own_sums(ws->has.rows);
    const float *before = thread == 0 ? NULL : sums - nn_own_sums(ws->has.rows);
    gather_inputs(pass, own->x, place, R, 0, R);
    k->head_hidden(own->a, own->lda, own->x, w, b, R, hidden->inputs, hidden->outputs, own->c0, own->c0 + own->n, hidden->activation);
    for (int turn = 0; turn < threads; turn++) {
        if (turn == 1 && pass->interrupted) return false; /* worker 0 writes it before its first barrier of a block alone */
        if (turn == thread) {
            const bool last = thread == threads - 1;
            k->head_sums(ws->a[1], last ? NULL : sums, before, own->a, own->lda, net->params + head->w + own->c0,
                         head->bias ? net->params + head->b : NULL, R, own->n);
            if (last) {
                const nn_activation *activation = activation_of(net, 1);
                activation->forward(ws->a[1], R, 1, head->parameter);
                gather_targets(pass, ws, place, 0, R);
                loss_of_rows(net, ws, block_targets(pass, ws, place), pass->data->weight ? ws->weight : NULL, 0, R, true, 1.0f / (float)B);
            }
        }
        nn_barrier_wait(&pass->barrier, thread, threads);
    }
    return true;
}

static void pass_worker(void *context, int thread, int threads) {
    nn_pass *pass = context;
    nn_net *net = pass->net;
    nn_workspace *ws = net->workspace;
    const ptrdiff_t K = net->layers[net->depth - 1].outputs;
    const uint32_t mode = nn_float_mode_enter();
    if (thread == 0) pass->mode = mode;
    int64_t t = pass->first_step; /* not net->step, which worker 0 moves */
    const nn_data *data = pass->data;
    nn_part part = {.R = 0};
    nn_reader reader;
    nn_panel panel;
    nn_columns own;
    if (pass->headed) own = find_columns(pass, ws, thread, threads);
    if (pass->skips) {
        panel = pass->train ? find_panel(pass, ws, thread, threads) : find_panel(pass, ws, 0, 1);
        if (pass->packed) copy_panel(pass, &panel, false);
        if (panel.moving) mark_moving(pass, &panel);
        begin_reading(&reader, pass, pass->start, thread, threads);
    }
    for (ptrdiff_t first = pass->start; first < pass->stop; first += pass->batch_size) {
        const ptrdiff_t B = pass->stop - first < pass->batch_size ? pass->stop - first : pass->batch_size;
        double sums[1 + NN_MAX_METRICS] = {0.0};
        nn_step step;
        part.step = &step;
        if (pass->train) net->rule->prepare(&step, pass->hyper, ++t);
        for (ptrdiff_t done = 0; done < B; done += part.R) {
            const ptrdiff_t place = first + done, R = part.R = block_rows(pass, place);
            part.first = done == 0;
            part.last = done + R == B;
            if (thread == 0 && pass->unpolled >= pass->poll_rows) {
                pass->unpolled = 0;
                pass->interrupted = polls_stop(pass, place, threads);
            }
            if (thread == 0) pass->unpolled += R;
            if (pass->skips) {
                const nn_block_rows *rows = read_rows(&reader, pass, place + R, block_rows(pass, place + R), thread, threads);
                part.ahead = data->x ? &reader.later : NULL;
                forward_sparse(pass, &panel, rows, &ws->sparse[thread], data->x ? &reader.now : NULL);
            }
            if (pass->columns && threads > 1) {
                if (!pass_columns(pass, ws, &own, place, R, B, thread, threads)) goto leave;
            } else {
                nn_barrier_wait(&pass->barrier, thread, threads); /* all weights are new, all sums of the first layer there */
                if (pass->interrupted) goto leave;
                pass_rows(pass, ws, place, R, B, thread, threads);
                nn_barrier_wait(&pass->barrier, thread, threads); /* all dz and row losses are there */
                if (pass->halted) goto leave;
            }
            if (!add_row_losses(ws, R, &sums[0]) && pass->train) {
                if (thread == 0) pass->status = NN_NOT_FINITE;
                goto leave;
            }
            if (thread == 0) {
                for (ptrdiff_t m = 0; m < net->metrics_count; m++)
                    sums[1 + m] = net->metrics[m]->add(sums[1 + m], ws->a[net->depth - 1], block_targets(pass, ws, place), R, K);
            }
            if (pass->headed) {
                update_headed(net, ws, &own, &part, thread, threads);
            } else if (pass->train) {
                update_share(pass, ws, &panel, &part, thread, threads);
            }
        }
        if (thread != 0) continue;
        for (ptrdiff_t m = 0; m <= net->metrics_count; m++) pass->totals[m] += sums[m];
        if (pass->train) net->step++;
        pass->batches++;
    }
leave:
    if (pass->packed) copy_panel(pass, &panel, true);
    nn_float_mode_leave(thread == 0 ? pass->mode : mode);
}

static nn_status pass_status(const nn_pass *pass) {
    return pass->status == NN_OK && (pass->interrupted || pass->halted) ? NN_INTERRUPTED : pass->status;
}

/* The most rows of a block: fewer of a wide net, so that Ctrl-C does not wait for long. */
static ptrdiff_t most_rows(const nn_net *net, bool skips) {
    const ptrdiff_t most = skips ? NN_SPARSE_BLOCK_ROWS : NN_BLOCK_ROWS, soon = nn_rows_at_once(net, 3);
    return soon < most ? soon : most;
}

/* The transposed weights of all layers but the first, for input gradients. False if interrupted. */
static bool turn_weights(nn_net *net, ptrdiff_t batch_size, nn_poll poll, void *context) {
    for (ptrdiff_t l = 1; l < net->depth; l++) {
        const nn_layer *layer = &net->layers[l];
        if (!layer->dense || is_turned(layer, batch_size)) continue;
        const ptrdiff_t I = layer->inputs, O = layer->outputs, rows = (TURNED_AT_ONCE / O / NN_ROWS_UNIT + 1) * NN_ROWS_UNIT;
        for (ptrdiff_t i = 0; i < I; i += rows) {
            if (i > 0 && poll && poll(context, 0)) return false;
            net->kernels->transpose(net->workspace->wt + layer->w, net->params + layer->w, I, O, i, I - i < rows ? I : i + rows);
        }
    }
    return true;
}

/* What was measured of other steps does not count for these. */
static void keep_pace(nn_net *net, nn_shape shape) {
    const nn_shape known = net->shape;
    if (known.batch_size == shape.batch_size && known.workers == shape.workers && known.skip_zeros == shape.skip_zeros && known.csr == shape.csr)
        return;
    net->shape = shape;
    net->pace = (nn_pace){.row_ns = {0.0}};
}

nn_status nn_train(nn_net *net, const nn_data *data, const uint32_t *order, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t batch_size,
                   const double *hyper, double *totals, nn_poll poll, void *context, int64_t *batches) {
    if (batch_size > data->n) batch_size = data->n;
    if ((stop - start - 1) / batch_size >= INT64_MAX - net->step) return NN_TOO_MANY_STEPS;
    if (!data->id || net->seen != data->id) net->skip_zeros = nn_worth_skipping(net, data);
    net->seen = data->id;
    const ptrdiff_t most = most_rows(net, net->skip_zeros);
    *batches = 0;
    const int workers = nn_workers_for_step(net, batch_size);
    keep_pace(net, (nn_shape){batch_size, workers, net->skip_zeros, !data->x});
    const bool pack = net->skip_zeros && workers > 1 && (stop - start) / batch_size >= PACK_BATCHES;
    const nn_needs needs = {.rows = batch_size < most ? batch_size : most,
                            .several_blocks = batch_size > most,
                            .skips = net->skip_zeros,
                            .marks = net->skip_zeros && data->x,
                            .columns = workers > 1 && owns_columns(net, batch_size),
                            .workers = workers,
                            .pack = pack};
    if (!nn_reserve(net, needs)) return NN_NO_MEMORY;
    if (!turn_weights(net, batch_size, poll, context)) return NN_INTERRUPTED;
    nn_pass pass = {.net = net,
                    .data = data,
                    .order = order,
                    .origin = start,
                    .end = stop,
                    .stop = start,
                    .batch_size = batch_size,
                    .train = true,
                    .skips = net->skip_zeros,
                    .headed = is_headed(net, batch_size),
                    .columns = owns_columns(net, batch_size),
                    .hyper = hyper,
                    .totals = totals,
                    .poll = poll,
                    .context = context,
                    .poll_rows = nn_rows_between_polls(net, 3)};
    const bool may_rest = net->skip_zeros && net->slots[0] && rule_rests(net, hyper);
    while (pass.stop < stop && pass_status(&pass) == NN_OK) {
        const nn_way way = workers > 1 ? nn_pace_choose(net, batch_size) : NN_ALONE;
        const ptrdiff_t rows = workers > 1 ? nn_pace_rows(net, batch_size) : stop - start;
        pass.start = pass.stop;
        pass.stop = stop - pass.start <= rows ? stop : pass.start + rows;
        pass.first_step = net->step;
        pass.rests = may_rest && (pass.stop - pass.start) / batch_size >= REST_BATCHES;
        pass.packed = pack && way != NN_ALONE && (pass.stop - pass.start) / batch_size >= PACK_BATCHES;
        nn_barrier_zero(&pass.barrier, workers);
        const double begun = nn_now();
        nn_pool_run(pass_worker, &pass, way == NN_ALONE ? 1 : workers);
        if (workers > 1) nn_pace_learn(&net->pace, pass.stop - pass.start, nn_now() - begun);
    }
    *batches = pass.batches;
    return pass_status(&pass);
}

nn_status nn_evaluate(nn_net *net, const nn_data *data, double *totals, nn_poll poll, void *context) {
    nn_needs needs = {.skips = nn_forward_skips(net, data), .workers = nn_workers_for_call((double)nn_work_of_row(net, 1) * (double)data->n)};
    const bool skips = needs.skips;
    if (!skips && net->workspace) needs.skips = net->workspace->has.skips; /* it serves rows that are read where they lie as well */
    const ptrdiff_t most = most_rows(net, needs.skips);
    needs.rows = data->n < most ? data->n : most;
    needs.marks = skips && data->x;
    if (!nn_reserve(net, needs)) return NN_NO_MEMORY;
    nn_pass pass = {.net = net,
                    .data = data,
                    .end = data->n,
                    .stop = data->n,
                    .batch_size = data->n < NN_BLOCK_ROWS ? data->n : NN_BLOCK_ROWS, /* so that totals do not depend on the blocks of a workspace */
                    .skips = skips,
                    .totals = totals,
                    .poll = poll,
                    .context = context,
                    .poll_rows = nn_rows_between_polls(net, 1)};
    nn_pool_run(pass_worker, &pass, needs.workers);
    return pass_status(&pass);
}
