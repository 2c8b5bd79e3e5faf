/* How many workers a call is worth, and what each of them does: a cost model that says when more than one may pay, and a pace that is measured. */

#ifndef NN_WORKERS_H
#define NN_WORKERS_H

#include "net.h"

#define NN_ROWS_UNIT 12 /* rows are shared out by a multiple of the tiles */

/* The part of `total` that belongs to worker `thread`, in units that tiles like. */
static inline void share(ptrdiff_t total, ptrdiff_t unit, int thread, int threads, ptrdiff_t *first, ptrdiff_t *last) {
    const ptrdiff_t units = (total + unit - 1) / unit;
    *first = units * thread / threads * unit;
    *last = units * (thread + 1) / threads * unit;
    if (*first > total) *first = total;
    if (*last > total) *last = total;
}

/* Multiply-adds that one row makes in `passes` products a layer. */
ptrdiff_t nn_work_of_row(const nn_net *net, int passes);

/* Workers for a call of so many multiply-adds, and for a step of B rows within a call. */
int nn_workers_for_call(double work);
int nn_workers_for_step(const nn_net *net, ptrdiff_t B);

ptrdiff_t nn_rows_between_polls(const nn_net *net, int passes);

/* The most rows that a worker may pass through all layers at once, so that it can be interrupted soon; a multiple of the tiles. */
ptrdiff_t nn_rows_at_once(const nn_net *net, int passes);

/* The way of the next rows of a pass, how many rows until that is asked again, and what they have shown. */
nn_way nn_pace_choose(nn_net *net, ptrdiff_t batch_size);
ptrdiff_t nn_pace_rows(const nn_net *net, ptrdiff_t batch_size);
void nn_pace_learn(nn_pace *pace, ptrdiff_t rows, double ns);
double nn_now(void);

#endif
