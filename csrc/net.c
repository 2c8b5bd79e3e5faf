/* See net.h.
 *
 * A step is written as each of `threads` workers sees it: rows are shared out for everything that is done row by row (gather, forward, loss, input
 * gradients), weights for what sums over rows (their gradient and update). So no sum is ever split, and two barriers a step are enough. */

#include "net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#define CACHE_LINE 64
#define LARGE_PAGE ((size_t)2 << 20)

/* Multiply-adds between two calls of poll: 5 ms at 20 GFLOP/s, the slowest kernels on the slowest machine worth waiting for. */
#define POLL_WORK 50000000

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

static ptrdiff_t line(ptrdiff_t floats) { return (floats + 15) / 16 * 16; }

/* product = a * b; false if that is more than memory can hold. */
static bool multiply(ptrdiff_t a, ptrdiff_t b, ptrdiff_t *product) {
    return !__builtin_mul_overflow(a, b, product) && *product <= PTRDIFF_MAX / 64;
}

nn_net *nn_net_new(const nn_kernels *kernels, const nn_layer *layers, ptrdiff_t depth, ptrdiff_t inputs) {
    nn_net *net = calloc(1, sizeof *net);
    if (!net) return NULL;
    net->kernels = kernels;
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
    float *x;            /* (rows, inputs) */
    float **a, **dz;     /* per layer (rows, outputs) */
    float *wt;           /* the transposed weights of all layers but the first, and bias gradients, at their offsets in params */
    float *gradient;     /* flat as params, if several_blocks */
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
static nn_workspace *workspace_new(const nn_net *net, ptrdiff_t rows, bool several_blocks) {
    nn_workspace *ws = calloc(1, sizeof *ws);
    if (!ws) return NULL;
    ws->rows = rows;
    ws->several_blocks = several_blocks;
    ws->a = calloc((size_t)net->depth, sizeof *ws->a);
    ws->dz = calloc((size_t)net->depth, sizeof *ws->dz);
    if (!ws->a || !ws->dz) goto no_memory;
    const ptrdiff_t outputs = net->layers[net->depth - 1].outputs;
    for (int pass = 0; pass < 2; pass++) {
        float *base = ws->memory;
        ptrdiff_t used = 0;
        bool fits = true;
        ws->x = take(base, &used, rows, net->layers[0].inputs, &fits);
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
static bool reserve(nn_net *net, ptrdiff_t rows, bool several_blocks) {
    nn_workspace *ws = net->workspace;
    if (ws && ws->rows >= rows && (ws->several_blocks || !several_blocks)) return true;
    nn_workspace *larger = workspace_new(net, rows, several_blocks);
    if (!larger) return false;
    workspace_free(ws);
    net->workspace = larger;
    return true;
}

nn_status nn_net_compile(nn_net *net, const nn_loss *loss, bool from_logits, const nn_rule *rule, const nn_metric *const *metrics, ptrdiff_t metrics_count) {
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

/* Rows [r0, r1) of the block through all layers and the loss, x being the block's first row. dz: also the gradient of the last layer. */
static void forward_rows(const nn_net *net, const nn_workspace *ws, const float *x, nn_targets y, const float *weight, ptrdiff_t r0, ptrdiff_t r1,
                         bool train, float scale) {
    const ptrdiff_t R = r1 - r0, last = net->depth - 1, K = net->layers[last].outputs;
    const float *in = x + r0 * net->layers[0].inputs;
    for (ptrdiff_t l = 0; l <= last; l++) {
        float *a = ws->a[l] + r0 * net->layers[l].outputs;
        /* a linked last layer stops at its logits: activations[0] is the identity */
        layer_forward(net, l, net->linked && l == last ? &net->kernels->activations[0] : net->layers[l].activation, a, in, R);
        in = a;
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

/* One call of nn_train, as all its workers see it. */
typedef struct training {
    nn_net *net;
    const nn_data *data;
    const uint32_t *order;
    ptrdiff_t start, stop, batch_size;
    const double *hyper;
    double *totals;
    nn_poll poll;
    void *context;
    int64_t batches;     /* made */
    nn_status status;    /* written by worker 0 only */
    ptrdiff_t poll_rows; /* between two calls of poll */
    int threads;
} training;

/* Copies the rows of a block that belong to one worker out of the data. */
static void gather(const training *job, const nn_workspace *ws, ptrdiff_t first, ptrdiff_t r0, ptrdiff_t r1) {
    const nn_data *data = job->data;
    const nn_net *net = job->net;
    const ptrdiff_t inputs = net->layers[0].inputs, K = net->layers[net->depth - 1].outputs;
    for (ptrdiff_t r = r0; r < r1; r++) {
        const ptrdiff_t row = job->order ? (ptrdiff_t)job->order[first + r] : first + r;
        memcpy(ws->x + r * inputs, data->x + row * inputs, (size_t)inputs * sizeof(float));
        if (data->y.labels) {
            ws->labels[r] = data->y.labels[row];
        } else {
            memcpy(ws->values + r * K, data->y.values + row * K, (size_t)K * sizeof(float));
        }
        if (data->weight) ws->weight[r] = data->weight[row];
    }
}

/* The gradient of a worker's share of the weights over one block, and in the last block of a batch the update. */
static void update_share(const training *job, const nn_workspace *ws, ptrdiff_t R, bool first_block, bool last_block, const nn_step *step, int thread) {
    nn_net *net = job->net;
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
        share(I, 48, thread, job->threads, &i0, &i1);
        const float *start_w = first_block ? NULL : ws->gradient + w;
        if (last_block) {
            k->dense_dw_update(net->params + w, slot_w, start_w, dz, x, R, I, O, i0, i1, net->rule, step);
            if (l) k->transpose(ws->wt + w, net->params + w, I, O, i0, i1);
        } else {
            k->dense_dw(ws->gradient + w, start_w, dz, x, R, I, O, i0, i1);
        }
        if (!layer->bias || l % job->threads != thread) continue;
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

static void train_worker(training *job, int thread) {
    nn_net *net = job->net;
    const nn_workspace *ws = net->workspace;
    const ptrdiff_t K = net->layers[net->depth - 1].outputs;
    const nn_targets y = {job->data->y.labels ? ws->labels : NULL, job->data->y.labels ? NULL : ws->values};
    ptrdiff_t unpolled = 0;
    for (ptrdiff_t first = job->start; first < job->stop; first += job->batch_size) {
        const ptrdiff_t B = job->stop - first < job->batch_size ? job->stop - first : job->batch_size;
        double sums[1 + NN_MAX_METRICS] = {0.0};
        nn_step step;
        net->rule->prepare(&step, job->hyper, net->step + 1);
        for (ptrdiff_t done = 0; done < B; done += ws->rows) {
            const ptrdiff_t R = B - done < ws->rows ? B - done : ws->rows;
            if (unpolled >= job->poll_rows) {
                unpolled = 0;
                if (job->poll && job->poll(job->context, first + done - job->start)) {
                    job->status = NN_INTERRUPTED;
                    return;
                }
            }
            unpolled += R;
            ptrdiff_t r0, r1;
            share(R, 4, thread, job->threads, &r0, &r1);
            gather(job, ws, first + done, r0, r1);
            forward_rows(net, ws, ws->x, y, job->data->weight ? ws->weight : NULL, r0, r1, true, 1.0f / (float)B);
            backward_rows(net, ws, r0, r1);
            if (!add_row_losses(ws, R, &sums[0])) {
                job->status = NN_NOT_FINITE;
                return;
            }
            for (ptrdiff_t m = 0; m < net->metrics_count; m++) sums[1 + m] += net->metrics[m]->sum(ws->a[net->depth - 1], y, R, K);
            update_share(job, ws, R, done == 0, done + R == B, &step, thread);
        }
        for (ptrdiff_t m = 0; m <= net->metrics_count; m++) job->totals[m] += sums[m];
        net->step++;
        job->batches++;
    }
}

/* Rows between two calls of poll, from the work that one row makes. */
static ptrdiff_t rows_between_polls(const nn_net *net, int passes) {
    ptrdiff_t work = 1;
    for (ptrdiff_t l = 0; l < net->depth; l++) work += passes * (net->layers[l].inputs + 1) * (net->layers[l].dense ? net->layers[l].outputs : 1);
    return POLL_WORK / work + 1;
}

nn_status nn_train(nn_net *net, const nn_data *data, const uint32_t *order, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t batch_size, const double *hyper,
                   double *totals, nn_poll poll, void *context, int64_t *batches) {
    const ptrdiff_t rows = batch_size < NN_BLOCK_ROWS ? batch_size : NN_BLOCK_ROWS;
    *batches = 0;
    if (!reserve(net, rows, batch_size > NN_BLOCK_ROWS)) return NN_NO_MEMORY;
    const uint32_t mode = nn_float_mode_enter();
    for (ptrdiff_t l = 1; l < net->depth; l++) {
        const nn_layer *layer = &net->layers[l];
        if (layer->dense) net->kernels->transpose(net->workspace->wt + layer->w, net->params + layer->w, layer->inputs, layer->outputs, 0, layer->inputs);
    }
    training job = {.net = net, .data = data, .order = order, .start = start, .stop = stop, .batch_size = batch_size, .hyper = hyper, .totals = totals,
               .poll = poll, .context = context, .poll_rows = rows_between_polls(net, 3), .threads = 1};
    train_worker(&job, 0);
    nn_float_mode_leave(mode);
    *batches = job.batches;
    return job.status;
}

nn_status nn_evaluate(nn_net *net, const nn_data *data, double *totals, nn_poll poll, void *context) {
    const ptrdiff_t rows = data->n < NN_BLOCK_ROWS ? data->n : NN_BLOCK_ROWS;
    if (!reserve(net, rows, false)) return NN_NO_MEMORY;
    const nn_workspace *ws = net->workspace;
    const ptrdiff_t inputs = net->layers[0].inputs, K = net->layers[net->depth - 1].outputs, poll_rows = rows_between_polls(net, 1);
    const uint32_t mode = nn_float_mode_enter();
    nn_status status = NN_OK;
    ptrdiff_t unpolled = 0;
    for (ptrdiff_t first = 0; first < data->n && status == NN_OK; first += rows) {
        const ptrdiff_t R = data->n - first < rows ? data->n - first : rows;
        const nn_targets y = {data->y.labels ? data->y.labels + first : NULL, data->y.labels ? NULL : data->y.values + first * K};
        forward_rows(net, ws, data->x + first * inputs, y, data->weight ? data->weight + first : NULL, 0, R, false, 1.0f);
        for (ptrdiff_t r = 0; r < R; r++) totals[0] += ws->row_loss[r];
        for (ptrdiff_t m = 0; m < net->metrics_count; m++) totals[1 + m] += net->metrics[m]->sum(ws->a[net->depth - 1], y, R, K);
        unpolled += R;
        if (unpolled >= poll_rows) {
            unpolled = 0;
            if (poll && poll(context, first + R)) status = NN_INTERRUPTED;
        }
    }
    nn_float_mode_leave(mode);
    return status;
}

nn_status nn_predict(const nn_net *net, float *out, const float *x, ptrdiff_t n, nn_poll poll, void *context) {
    /* Memory of its own, so that any number of threads may predict with one net: two buffers that the layers fill in turn. */
    const ptrdiff_t block = n < NN_BLOCK_ROWS ? n : NN_BLOCK_ROWS, last = net->depth - 1, poll_rows = rows_between_polls(net, 1);
    ptrdiff_t widest = 1, floats;
    for (ptrdiff_t l = 0; l < last; l++) widest = net->layers[l].outputs > widest ? net->layers[l].outputs : widest;
    if (!multiply(line(widest), 2 * block, &floats)) return NN_NO_MEMORY;
    float *buffer = nn_alloc((size_t)floats * sizeof(float));
    if (!buffer) return NN_NO_MEMORY;
    const uint32_t mode = nn_float_mode_enter();
    nn_status status = NN_OK;
    ptrdiff_t unpolled = 0;
    for (ptrdiff_t first = 0; first < n && status == NN_OK; first += block) {
        const ptrdiff_t R = n - first < block ? n - first : block;
        const float *in = x + first * net->layers[0].inputs;
        for (ptrdiff_t l = 0; l <= last; l++) {
            const nn_layer *layer = &net->layers[l];
            float *a = l == last ? out + first * layer->outputs : buffer + (l % 2) * line(widest) * block;
            layer_forward(net, l, layer->activation, a, in, R);
            in = a;
        }
        unpolled += R;
        if (unpolled >= poll_rows) {
            unpolled = 0;
            if (poll && poll(context, first + R)) status = NN_INTERRUPTED;
        }
    }
    nn_float_mode_leave(mode);
    nn_free(buffer);
    return status;
}
