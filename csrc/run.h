/* Prepare once, step many: a net over some data.
 *
 * nn_run_prepare plans, and reserves memory; nn_run_step makes steps, as many as an epoch, a batch with hooks
 * or a block of a file has. A run keeps its memory and what its tuner has learned when it is prepared again,
 * for any net. */

#ifndef NN_RUN_H
#define NN_RUN_H

#include "plan.h"
#include "pool.h"
#include "tuner.h"

/* What nn_run_step is to do: steps over rows order[start:stop] (order NULL: as they lie) in batches, of which
 * the last may be smaller. */
typedef struct nn_steps {
    const uint32_t *order;
    ptrdiff_t start, stop;
    const double *hyper; /* of the rule, in its order */
    const double *rates; /* the learning rate of each step, in place of the first of hyper; or NULL */
    double *totals; /* [0] += weighted row losses, [1 + m] += metric m, of the batches whose step was made */
    float *outputs; /* (stop - start, outputs) what the net gives for each row, if the run keeps outputs */
    nn_poll poll;   /* or NULL */
    void *context;
} nn_steps;

typedef struct nn_run {
    nn_net *net;
    nn_data data;                /* its labels are the run's own: another thread may change the caller's */
    nn_plan plans[NN_SCHEDULES]; /* for one worker, and for all that a step is worth */
    nn_tuner tuner;
    float *memory;
    ptrdiff_t floats; /* of memory; only grows */
    int32_t *labels;
    ptrdiff_t labels_room;
    /* of the call in hand: */
    nn_steps steps;
    ptrdiff_t start, stop; /* of this stretch of it */
    nn_schedule schedule;
    bool packed, finds_idle;
    int64_t before, first_step; /* updates made before the call, and before the stretch */
    int64_t batches;            /* made in the call */
    ptrdiff_t unpolled;         /* rows since the last poll */
    ptrdiff_t poll_rows;        /* between two */
    bool interrupted;           /* written by worker 0 before the first barrier of a block, read after it */
    bool halted;                /* the same within the pass over rows, read in the next one */
    nn_status status;
    nn_barrier barrier;
} nn_run;

nn_run *nn_run_new(void);
void nn_run_free(nn_run *run);

typedef struct nn_purpose {
    bool train, keeps_outputs;
    ptrdiff_t batch_size;
} nn_purpose;

/* data stays the caller's, but for its labels. NN_NO_MEMORY: nothing has changed but the run. */
nn_status nn_run_prepare(nn_run *run, nn_net *net, const nn_data *data, nn_purpose purpose);
/* The same data and purpose, for ops of which others are trained than before. */
nn_status nn_run_plan_again(nn_run *run);

/* *batches: those whose step was made (or, without training, that were looked at). */
nn_status nn_run_step(nn_run *run, const nn_steps *steps, int64_t *batches);

/* Rows [place, place + R) of the order, some or all of a batch. */
typedef struct nn_block {
    ptrdiff_t place, R;
    ptrdiff_t done;   /* rows of the batch before them */
    bool first, last; /* of the batch */
    float scale;      /* 1 / rows of the batch */
    const float *x;   /* (R, inputs), or NULL where the first op has a path of its own */
    nn_targets y;
    const float *weight; /* or NULL */
} nn_block;

/* Rows of a block where they lie in the data, for a first op without zeros. */
typedef struct nn_block_rows {
    ptrdiff_t r0, count; /* from the r0-th of the block on */
    const float *x[NN_SPARSE_BLOCK_ROWS];
    nn_csr_row csr[NN_SPARSE_BLOCK_ROWS];
} nn_block_rows;

typedef struct nn_reader {
    nn_block_rows rows[2]; /* of this block and of the next one, in turns */
    int turn;
    nn_prefetch now, later; /* of the next one's: what to ask for in the forward pass and in the update */
} nn_reader;

/* One worker in one stretch of a call. */
struct nn_worker {
    nn_run *run;
    const nn_plan *plan;
    nn_net *net;
    const nn_kernels *kernels;
    int thread, threads;
    uint32_t mode; /* of floating point, the caller's */
    int64_t t;     /* the update in hand, from 1 */
    nn_block block;
    nn_step constants;
    nn_update update;
    double sums[1 + NN_MAX_METRICS]; /* of the batch so far; metrics are worker 0's */
    bool met, stopped;               /* in this block: a barrier has been passed; the worker is to leave */
    nn_slice slice; /* the columns of the first op that are its own, if workers own columns */
    float *own_x;   /* its own copy of the block's rows */
    nn_sparse sparse;
    nn_reader reader;
};

static inline float *nn_at(const nn_worker *w, nn_region region) {
    return w->run->memory + w->plan->layout.at[region];
}
static inline bool nn_has(const nn_plan *plan, nn_region region) {
    return plan->layout.at[region] != NN_ABSENT;
}

/* rows.c: where rows come from. */
static inline ptrdiff_t nn_source_row(const nn_run *run, ptrdiff_t place) {
    return run->steps.order ? (ptrdiff_t)run->steps.order[place] : place;
}
ptrdiff_t nn_block_rows_at(const nn_worker *w, ptrdiff_t place);
void nn_share_rows(const nn_worker *w, ptrdiff_t R, ptrdiff_t *r0, ptrdiff_t *r1);
void nn_gather_inputs(const nn_worker *w, float *x, ptrdiff_t r0, ptrdiff_t r1);
void nn_gather_targets(const nn_worker *w, ptrdiff_t r0, ptrdiff_t r1);
void nn_find_block_rows(const nn_worker *w, nn_block_rows *rows, ptrdiff_t place, ptrdiff_t R);

/* passes.c: the plain passes and stages. */
void nn_stage_gather(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
void nn_stage_targets(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
void nn_stage_loss(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
void nn_stage_outputs(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
void nn_stage_activation(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
void nn_pass_rows(nn_worker *w);
void nn_stage_poll(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
bool nn_poll_stops(nn_worker *w);
void nn_pass_totals(nn_worker *w);
void nn_pass_gradient(nn_worker *w);
void nn_pass_update(nn_worker *w);

/* Where the gradient of weights at an offset goes in this block: through the rule (fused), or to where it is
 * stored, on top of what is there. */
typedef struct nn_sink {
    const float *start; /* the chains so far, or NULL */
    float *stored;      /* NULL: fused */
} nn_sink;
nn_sink nn_sink_at(const nn_worker *w, ptrdiff_t offset);

/* Gradient of bias columns [c0, c1) of an op from dz (R, ldz), at its first column; and the update. */
void nn_bias_gradient(nn_worker *w, const nn_op_plan *op, const float *dz, ptrdiff_t ldz, ptrdiff_t c0,
                      ptrdiff_t c1);
void nn_bias_update(nn_worker *w, const nn_op_plan *op, ptrdiff_t c0, ptrdiff_t c1);

void nn_activation_forward(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
void nn_activation_backward(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
void nn_dense_forward(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
void nn_dense_backward(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
void nn_dense_gradient(nn_worker *w, const nn_op_plan *op);
void nn_dense_update(nn_worker *w, const nn_op_plan *op);

/* path_sparse.c */
const char *nn_skip_zeros_refuses(const nn_plan *plan, const nn_net *net);
void nn_skip_zeros_rewrite(nn_plan *plan, const nn_net *net);
bool nn_mostly_zero(const nn_net *net, const nn_data *data);

/* The masks and lists that a worker needs for up to `rows` rows, dense ones only if asked for; floats that
 * they take. base NULL: only counts. */
ptrdiff_t nn_sparse_place(nn_sparse *s, ptrdiff_t rows, ptrdiff_t inputs, bool dense, float *base);

/* path_single_output.c */
const char *nn_single_output_refuses(const nn_plan *plan, const nn_net *net);
void nn_single_output_rewrite(nn_plan *plan, const nn_net *net);

static inline nn_csr_row nn_csr_row_at(const nn_csr *csr, ptrdiff_t row) {
    const int64_t start = csr->start[row];
    return (nn_csr_row){csr->index + start, csr->value + start, (ptrdiff_t)(csr->start[row + 1] - start)};
}

/* The part of `total` that belongs to worker `thread`, in units that tiles like. */
static inline void nn_share_out(ptrdiff_t total, ptrdiff_t unit, int thread, int threads, ptrdiff_t *first,
                                ptrdiff_t *last) {
    if (threads == 1) { /* a division costs as much as a tile of a small layer */
        *first = 0;
        *last = total;
        return;
    }
    const ptrdiff_t units = (total + unit - 1) / unit;
    *first = units * thread / threads * unit;
    *last = units * (thread + 1) / threads * unit;
    if (*first > total) *first = total;
    if (*last > total) *last = total;
}

#endif
