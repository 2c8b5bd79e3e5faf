/* Prediction: rows through all layers, and nothing kept. */

#include "net.h"

#include "pool.h"
#include "workers.h"
#include "workspace.h"

#include <stdlib.h>

#define PREDICT_ROWS 96 /* rows that pass through the layers together in nn_predict; a multiple of the tiles */

/* A call of nn_predict. Each worker takes whole blocks, one after the other, as they come. */
typedef struct prediction {
    const nn_net *net;
    float *out;
    const nn_data *data;
    ptrdiff_t block, widest;
    float *buffers;   /* two of block x widest for each worker */
    bool skips;       /* zeros, for which */
    ptrdiff_t marked; /* so many floats for each worker are needed */
    float *marks;
    nn_poll poll;
    void *context;
    ptrdiff_t poll_rows;
    atomic_ptrdiff_t next;
    atomic_bool interrupted;
    bool lost; /* in a forked child, the other workers and their blocks */
} prediction;

/* The first layer from rows [first, first + R) without their zeros. */
static void predict_sparse(const prediction *p, nn_sparse *s, float *a, ptrdiff_t first, ptrdiff_t R) {
    const nn_layer *layer = &p->net->layers[0];
    const nn_kernels *k = p->net->kernels;
    const float *x[PREDICT_ROWS];
    nn_csr_row csr[PREDICT_ROWS];
    s->rows = R;
    s->x = p->data->x ? x : NULL;
    s->csr = csr;
    for (ptrdiff_t r = 0; r < R; r++) {
        if (s->x) {
            x[r] = p->data->x + (first + r) * layer->inputs;
        } else {
            csr[r] = csr_row(&p->data->csr, first + r);
        }
    }
    if (s->x) k->sparse_mark(s);
    k->sparse_forward(a, layer->outputs, s, p->net->params + layer->w, layer->outputs, layer->bias ? p->net->params + layer->b : NULL, layer->outputs,
                      layer->activation, NULL);
    if (!layer->activation->fused) layer->activation->forward(a, R, layer->outputs, layer->parameter);
}

static void predict_worker(void *context, int thread, int threads) {
    prediction *p = context;
    const nn_net *net = p->net;
    const ptrdiff_t last = net->depth - 1, size = p->block * p->widest, n = p->data->n;
    float *buffers = p->buffers + 2 * size * thread;
    uint32_t mode = nn_float_mode_enter();
    bool fits = true;
    ptrdiff_t used = 0;
    nn_sparse sparse;
    if (p->skips) nn_take_sparse(&sparse, p->block, net->layers[0].inputs, p->data->x, p->marks + p->marked * thread, &used, &fits);
    ptrdiff_t polled = 0;
    while (!atomic_load_explicit(&p->interrupted, memory_order_relaxed)) {
        const ptrdiff_t first = atomic_fetch_add_explicit(&p->next, p->block, memory_order_relaxed);
        if (first >= n) break;
        const ptrdiff_t R = n - first < p->block ? n - first : p->block;
        const float *in = p->skips ? NULL : p->data->x + first * net->layers[0].inputs;
        for (ptrdiff_t l = 0; l <= last; l++) {
            const nn_layer *layer = &net->layers[l];
            float *a = l == last ? p->out + first * layer->outputs : buffers + (l % 2) * size;
            if (in) {
                nn_layer_forward(net, l, layer->activation, a, in, R);
            } else {
                predict_sparse(p, &sparse, a, first, R);
            }
            in = a;
        }
        if (thread != 0 || !p->poll || first - polled < p->poll_rows) continue;
        polled = first;
        nn_float_mode_leave(mode); /* it is the caller's */
        const bool stop = p->poll(p->context, first + R);
        mode = nn_float_mode_enter();
        p->lost = threads > 1 && nn_pool_is_lost();
        if (stop || p->lost) atomic_store_explicit(&p->interrupted, true, memory_order_relaxed);
    }
    nn_float_mode_leave(mode);
}

nn_status nn_predict(const nn_net *net, float *out, const nn_data *data, nn_poll poll, void *context) {
    /* Memory of its own, so that any number of threads may predict with one net: two buffers a worker, which the layers fill in turn. */
    prediction p = {.net = net, .out = out, .data = data, .widest = 1, .poll = poll, .context = context, .poll_rows = nn_rows_between_polls(net, 1)};
    for (ptrdiff_t l = 0; l + 1 < net->depth; l++) {
        if (line(net->layers[l].outputs) > p.widest) p.widest = line(net->layers[l].outputs);
    }
    const int threads = nn_workers_for_call((double)nn_work_of_row(net, 1) * (double)data->n);
    const ptrdiff_t fair =
        ((data->n + threads - 1) / threads + NN_ROWS_UNIT - 1) / NN_ROWS_UNIT * NN_ROWS_UNIT; /* so that none waits for another's block */
    const ptrdiff_t soon = nn_rows_at_once(net, 1), most = soon < PREDICT_ROWS ? soon : PREDICT_ROWS;
    p.block = fair < most ? fair : most;
    ptrdiff_t floats;
    nn_status status = NN_NO_MEMORY;
    bool fits = multiply(p.widest, 2 * p.block * threads, &floats);
    if (!fits) return status;
    p.buffers = malloc((size_t)floats * sizeof(float));
    p.skips = nn_forward_skips(net, data);
    if (p.skips) {
        nn_sparse counted;
        ptrdiff_t marks;
        nn_take_sparse(&counted, p.block, net->layers[0].inputs, data->x, NULL, &p.marked, &fits);
        if (fits && multiply(p.marked, threads, &marks)) p.marks = calloc((size_t)marks, sizeof(float));
    }
    if (p.buffers && (!p.skips || p.marks)) {
        nn_pool_run(predict_worker, &p, threads);
        status = p.lost ? NN_FORKED : p.interrupted ? NN_INTERRUPTED : NN_OK;
    }
    free(p.buffers);
    free(p.marks);
    return status;
}
