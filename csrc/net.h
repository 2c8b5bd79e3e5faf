/* A dense network: ops, parameters and how it is trained. Nothing runs here: plan.h decides how a net runs
 * over some data, run.h does it.
 *
 * Parameters and each optimizer slot are flat arrays with the same offsets: per op b (O), then w (I,O), each
 * starting on a cache line; the padding between is zero. They belong to the caller, who may keep views of
 * them after the net is gone. A net is used by one thread at a time, except that nn_predict may run in many.
 */

#ifndef NN_NET_H
#define NN_NET_H

#include "op.h"

typedef enum nn_status {
    NN_OK,
    NN_NO_MEMORY,
    NN_NOT_FINITE,  /* the loss of a batch; its update was not made */
    NN_INTERRUPTED, /* the poll function said so; the current step was not made */
    NN_FORKED, /* poll returned in a child of the process, without the workers that were in the call: of the
                  step in hand parts may be missing */
    NN_TOO_MANY_STEPS, /* more than can be counted; none was made */
} nn_status;

/* Of inputs and outputs: a block of rows is counted in bytes without overflow, also of an op without weights,
 * which takes no memory itself. */
#define NN_MAX_SIZE (PTRDIFF_MAX / 4096)

/* Who works on a step: worker 0 alone, or all. */
typedef enum nn_schedule { NN_SERIAL, NN_PARALLEL, NN_SCHEDULES } nn_schedule;
extern const char *const nn_schedule_names[NN_SCHEDULES];

struct nn_net {
    const nn_kernels *kernels;
    int count;
    nn_op *ops;
    ptrdiff_t size;              /* floats of the parameters and of each slot, padding included */
    nn_weights weights;          /* the parameters, and the slots of the rule; the caller's */
    float initial[NN_MAX_SLOTS]; /* what the slots began with */
    const nn_rule *rule;
    const nn_loss *loss;
    bool linked;      /* loss and last activation are computed together, from the logits */
    bool from_logits; /* the loss applies its link to what the net gives */
    ptrdiff_t metrics_count;
    const nn_metric *metrics[NN_MAX_METRICS];
    int64_t step;        /* updates made */
    int skip_choice;     /* 1: skip zeros wherever that is possible, 0: never, -1: where they are many */
    int schedule_choice; /* an nn_schedule, for as many workers as a step is worth; -1: the fastest */
};

/* A matrix without its zeros: row r has index and value [start[r], start[r + 1]), index ascending. */
typedef struct nn_csr {
    const int64_t *start;
    const int32_t *index;
    const float *value;
} nn_csr;

/* Rows of inputs (n, inputs), as they are or (x NULL) without zeros, with their targets and weights (or
 * NULL). */
typedef struct nn_data {
    const float *x;
    nn_csr csr;
    nn_targets y;
    const float *weight;
    ptrdiff_t n;
} nn_data;

/* Called between blocks of rows (of wide nets between ops), some milliseconds apart, in the caller's
 * floating-point mode, with the rows done in this call. Not zero: stop. */
typedef int (*nn_poll)(void *context, int64_t rows_done);

/* ops is copied; inputs, w and b of each are filled in here, and size. NULL if there is no memory. The caller
 * sets weights.w. */
nn_net *nn_net_new(const nn_kernels *kernels, const nn_op *ops, int count, ptrdiff_t inputs);
void nn_net_free(nn_net *net);

/* Loss, update rule, metrics and the slots, which are the caller's, filled with `initial`; zeroes step. The
 * one place where it is decided whether loss and last activation fuse. */
typedef struct nn_compilation {
    const nn_loss *loss;
    bool from_logits;
    const nn_rule *rule;
    float *slots[NN_MAX_SLOTS], initial[NN_MAX_SLOTS];
    const nn_metric *metrics[NN_MAX_METRICS];
    ptrdiff_t metrics_count;
} nn_compilation;
void nn_net_compile(nn_net *net, const nn_compilation *compilation);

static inline ptrdiff_t nn_net_inputs(const nn_net *net) { return net->ops[0].inputs; }
static inline ptrdiff_t nn_net_outputs(const nn_net *net) { return net->ops[net->count - 1].outputs; }

/* Multiply-adds that one row makes in `passes` products an op; and the most rows that may pass through all
 * ops at once, so that the caller is polled soon, a multiple of the tiles. */
double nn_net_work(const nn_net *net, int passes);
ptrdiff_t nn_rows_at_once(const nn_net *net, int passes);

/* out (n, outputs of the last op); targets and weights of data are not looked at. Any number of threads may
 * do so at once. */
nn_status nn_predict(const nn_net *net, float *out, const nn_data *data, nn_poll poll, void *context);

/* The most workers a call may use. Results do not depend on it. Seen from outside the library, for
 * threadpoolctl. */
#define NN_EXPORT __attribute__((visibility("default")))
NN_EXPORT void nn_set_num_threads(int threads);
NN_EXPORT int nn_num_threads(void);

#endif
