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
    float *buffers; /* two of block x widest for each worker */
    ptrdiff_t described, listed;
    float *descriptions, *lists; /* where zeros are skipped, so many floats for each worker; else NULL */
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
    nn_size_lists(&s, p->block, p->net->layers[0].inputs, nn_longest_row(p->net, p->data, true), fits);
    nn_take_lists(&s, p->lists ? p->descriptions + p->described * thread : NULL, &described, p->lists ? p->lists + p->listed * thread : NULL, &listed,
                  fits);
    if (p->lists) return s;
    p->described = described;
    p->listed = listed;
    return s;
}

/* The first layer from rows [first, first + R) without their zeros. */
static void predict_lists(const prediction *p, nn_sparse *lists, float *a, ptrdiff_t first, ptrdiff_t R) {
    const nn_layer *layer = &p->net->layers[0];
    const nn_kernels *k = p->net->kernels;
    if (p->data->x) {
        const float *rows[PREDICT_ROWS];
        for (ptrdiff_t r = 0; r < R; r++) rows[r] = p->data->x + (first + r) * layer->inputs;
        k->sparse_gather(lists, rows, R);
    } else {
        nn_csr_row rows[PREDICT_ROWS];
        for (ptrdiff_t r = 0; r < R; r++) rows[r] = csr_row(&p->data->csr, first + r);
        k->sparse_gather_csr(lists, rows, R);
    }
    k->sparse_forward(a, layer->outputs, lists, 1, p->net->params + layer->w, layer->outputs, layer->bias ? p->net->params + layer->b : NULL,
                      layer->outputs, layer->activation, NULL);
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
                nn_layer_forward(net, l, layer->activation, a, in, R);
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
    prediction p = {.net = net, .out = out, .data = data, .widest = 1, .poll = poll, .context = context, .poll_rows = nn_rows_between_polls(net, 1)};
    for (ptrdiff_t l = 0; l + 1 < net->depth; l++) {
        if (line(net->layers[l].outputs) > p.widest) p.widest = line(net->layers[l].outputs);
    }
    const int threads = nn_workers_for_call((double)nn_work_of_row(net, 1) * (double)data->n);
    const ptrdiff_t fair =
        ((data->n + threads - 1) / threads + NN_ROWS_UNIT - 1) / NN_ROWS_UNIT * NN_ROWS_UNIT; /* so that none waits for another's block */
    p.block = fair < PREDICT_ROWS ? fair : PREDICT_ROWS;
    ptrdiff_t floats;
    nn_status status = NN_NO_MEMORY;
    bool fits = multiply(p.widest, 2 * p.block * threads, &floats);
    if (!fits) return status;
    p.buffers = malloc((size_t)floats * sizeof(float));
    const bool listed = nn_forward_skips(net, data);
    if (listed) {
        prediction_lists(&p, 0, &fits);
        ptrdiff_t described, entries;
        if (fits && multiply(p.described, threads, &described) && multiply(p.listed, threads, &entries)) {
            p.descriptions = malloc((size_t)described * sizeof(float));
            p.lists = malloc((size_t)entries * sizeof(float));
        }
    }
    if (p.buffers && (!listed || (p.descriptions && p.lists))) {
        nn_pool_run(predict_worker, &p, threads);
        status = p.interrupted ? NN_INTERRUPTED : NN_OK;
    }
    free(p.buffers);
    free(p.descriptions);
    free(p.lists);
    return status;
}
