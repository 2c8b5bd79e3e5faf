/* Prediction: rows through all ops, and nothing kept. */

#include "memory.h"
#include "run.h"
#include "tune.h"

#include <stdlib.h>

/* A call of nn_predict. Each worker takes whole blocks, one after the other, as they come. */
typedef struct prediction {
    const nn_net *net;
    float *out;
    const nn_data *data;
    const nn_op **ops; /* those that do something, */
    int count;         /* so many */
    ptrdiff_t block, widest;
    float *buffers;   /* two of block x widest for each worker */
    bool skips;       /* zeros, for which */
    ptrdiff_t masked; /* so many floats for each worker are needed */
    float *masks;
    nn_poll poll;
    void *context;
    ptrdiff_t poll_rows;
    atomic_ptrdiff_t next;
    atomic_bool interrupted;
    bool lost; /* in a forked child, the other workers and their blocks */
} prediction;

/* The first op from rows [first, first + R) without their zeros. */
static void predict_sparse(const prediction *p, nn_sparse *s, float *a, ptrdiff_t first, ptrdiff_t R) {
    const nn_op *op = p->ops[0];
    const nn_kernels *k = p->net->kernels;
    const float *x[NN_PREDICT_ROWS];
    nn_csr_row csr[NN_PREDICT_ROWS];
    s->rows = R;
    s->x = p->data->x ? x : NULL;
    s->csr = csr;
    for (ptrdiff_t r = 0; r < R; r++) {
        if (s->x) {
            x[r] = p->data->x + (first + r) * op->inputs;
        } else {
            csr[r] = nn_csr_row_at(&p->data->csr, first + r);
        }
    }
    if (s->x) k->sparse_mark(s);
    const nn_slice all = {.n = op->outputs,
                          .lda = op->outputs,
                          .w = {.w = p->net->weights.w + op->w},
                          .ldw = op->outputs,
                          .b = op->bias ? p->net->weights.w + op->b : NULL};
    k->sparse_forward(a, &all, s, op->activation, NULL);
    if (!op->activation->fused) op->activation->forward(a, R, op->outputs, op->parameter);
}

/* Rows [first, first + R) through all ops; buffers: two. */
static void predict_rows(const prediction *p, nn_sparse *sparse, float *buffers, ptrdiff_t first,
                         ptrdiff_t R) {
    const float *in = p->skips ? NULL : p->data->x + first * nn_net_inputs(p->net);
    for (int i = 0; i < p->count; i++) {
        const nn_op *op = p->ops[i];
        float *a = i == p->count - 1 ? p->out + first * op->outputs : buffers + i % 2 * p->block * p->widest;
        if (in) {
            op->kind->apply(p->net, op, op->activation, a, in, R);
        } else {
            predict_sparse(p, sparse, a, first, R);
        }
        in = a;
    }
}

static void predict_worker(void *context, int thread, int threads) {
    prediction *p = context;
    const ptrdiff_t n = p->data->n;
    uint32_t mode = nn_float_mode_enter();
    nn_sparse sparse;
    if (p->skips)
        nn_sparse_place(&sparse, p->block, nn_net_inputs(p->net), p->data->x, p->masks + p->masked * thread);
    ptrdiff_t polled = 0;
    while (!atomic_load_explicit(&p->interrupted, memory_order_relaxed)) {
        const ptrdiff_t first = atomic_fetch_add_explicit(&p->next, p->block, memory_order_relaxed);
        if (first >= n) break;
        const ptrdiff_t R = n - first < p->block ? n - first : p->block;
        predict_rows(p, &sparse, p->buffers + 2 * p->block * p->widest * thread, first, R);
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

/* The ops that a prediction has, and how wide what lies between them is. */
static bool find_ops(prediction *p) {
    const nn_net *net = p->net;
    p->ops = malloc((size_t)net->count * sizeof *p->ops);
    for (int i = 0; i < net->count && p->ops; i++) {
        if (net->ops[i].kind->apply) p->ops[p->count++] = &net->ops[i];
    }
    for (int i = 0; i + 1 < p->count; i++) {
        if (nn_line(p->ops[i]->outputs) > p->widest) p->widest = nn_line(p->ops[i]->outputs);
    }
    return p->ops;
}

/* As nn_skip_zeros_refuses, of a call of its own. */
static bool skips_zeros(const prediction *p) {
    const nn_net *net = p->net;
    const nn_op *first = p->ops[0];
    if (!p->data->x) return true;
    if (p->ops[0] != &net->ops[0] || !first->kind->has_weights || net->skip_choice == 0 ||
        p->data->n < NN_SKIP_MIN_ROWS)
        return false;
    const bool wanted = net->skip_choice == 1 || (first->outputs > 1 && nn_mostly_zero(net, p->data));
    return wanted && net->kernels->all_finite(net->weights.w + first->w, first->inputs * first->outputs);
}

/* Memory of its own, so that any number of threads may predict with one net. */
static bool reserve(prediction *p, int threads) {
    ptrdiff_t floats;
    if (__builtin_mul_overflow(p->widest, 2 * p->block * threads, &floats) || floats > PTRDIFF_MAX / 64)
        return false;
    p->buffers = malloc((size_t)floats * sizeof(float));
    p->skips = skips_zeros(p);
    if (!p->skips) return p->buffers;
    nn_sparse counted;
    p->masked = nn_sparse_place(&counted, p->block, nn_net_inputs(p->net), p->data->x, NULL);
    p->masks = calloc((size_t)p->masked * (size_t)threads, sizeof(float));
    return p->buffers && p->masks;
}

nn_status nn_predict(const nn_net *net, float *out, const nn_data *data, nn_poll poll, void *context) {
    prediction p = {.net = net, .out = out, .data = data, .widest = 1, .poll = poll, .context = context};
    const int threads = nn_workers_for_call(nn_net_work(net, 1) * (double)data->n);
    /* no more than its share, so that no worker waits for another's block */
    const ptrdiff_t fair =
        ((data->n + threads - 1) / threads + NN_ROWS_UNIT - 1) / NN_ROWS_UNIT * NN_ROWS_UNIT;
    const ptrdiff_t soon = nn_rows_at_once(net, 1), most = soon < NN_PREDICT_ROWS ? soon : NN_PREDICT_ROWS;
    p.block = fair < most ? fair : most;
    p.poll_rows = (ptrdiff_t)(NN_POLL_WORK / nn_net_work(net, 1)) + 1;
    nn_status status = NN_NO_MEMORY;
    if (find_ops(&p) && reserve(&p, threads)) {
        nn_pool_run(predict_worker, &p, threads);
        status = p.lost ? NN_FORKED : p.interrupted ? NN_INTERRUPTED : NN_OK;
    }
    free(p.ops);
    free(p.buffers);
    free(p.masks);
    return status;
}
