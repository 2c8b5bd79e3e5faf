/* Where rows come from: the order of the call, what is copied of them, and what memory is asked for before it
 * is needed. See run.h. */

#include "run.h"
#include "tune.h"

#include <string.h>

/* Rows of the block that begins at `place`; 0 at the end of the stretch. */
ptrdiff_t nn_block_rows_at(const nn_worker *w, ptrdiff_t place) {
    const nn_run *run = w->run;
    if (place >= run->stop) return 0;
    const ptrdiff_t batch_size = w->plan->traits.batch_size, done = (place - run->start) % batch_size,
                    left = run->stop - place;
    const ptrdiff_t R = batch_size - done < left ? batch_size - done : left;
    return R < w->plan->block_rows ? R : w->plan->block_rows;
}

/* The rows of a worker in a block of R: of fewer than there are workers, worker 0 has them. */
void nn_share_rows(const nn_worker *w, ptrdiff_t R, ptrdiff_t *r0, ptrdiff_t *r1) {
    nn_share_out(R, NN_SERIAL_ROWS, w->threads - 1 - w->thread, w->threads, r0, r1);
}

/* Rows come from all over the data: asks for what is wanted soon. */
static void prefetch(const void *memory, ptrdiff_t bytes) {
    for (ptrdiff_t byte = 0; byte < bytes; byte += NN_CACHE_LINE)
        __builtin_prefetch((const char *)memory + byte, 0, 2);
}

/* Asks for the inputs of the rows at places [place, place + count). */
static void prefetch_rows(const nn_run *run, ptrdiff_t place, ptrdiff_t count) {
    const ptrdiff_t inputs = nn_net_inputs(run->net),
                    end = place + count < run->steps.stop ? place + count : run->steps.stop;
    for (; place < end; place++)
        prefetch(run->data.x + nn_source_row(run, place) * inputs, inputs * (ptrdiff_t)sizeof(float));
}

/* Copies the inputs of rows [r0, r1) of the block out of the data to x, which has place for the block. */
void nn_gather_inputs(const nn_worker *w, float *x, ptrdiff_t r0, ptrdiff_t r1) {
    const nn_run *run = w->run;
    const ptrdiff_t inputs = nn_net_inputs(run->net), first = w->block.place;
    const uint32_t *order = run->steps.order;
    for (ptrdiff_t r = r0, next; r < r1;
         r = next) { /* some rows at a time, so that memory works on those behind them */
        next = r1 - r < NN_GATHER_AHEAD ? r1 : r + NN_GATHER_AHEAD;
        if (order) {
            prefetch_rows(run, next < r1 ? first + next : first + w->block.R + r0,
                          NN_GATHER_AHEAD); /* the last ones look into the next block */
            w->kernels->gather(x + r * inputs, run->data.x, order + first + r, next - r, inputs);
        } else {
            memcpy(x + r * inputs, run->data.x + (first + r) * inputs,
                   (size_t)((next - r) * inputs) * sizeof(float));
        }
    }
}

/* The same of their targets and weights. */
void nn_gather_targets(const nn_worker *w, ptrdiff_t r0, ptrdiff_t r1) {
    const nn_run *run = w->run;
    const nn_data *data = &run->data;
    const ptrdiff_t K = nn_net_outputs(run->net), place = w->block.place + r0, rows = r1 - r0;
    const uint32_t *order = run->steps.order ? run->steps.order + place : NULL;
    if (data->y.labels) {
        int32_t *labels = (int32_t *)nn_at(w, NN_REGION_LABELS) + r0;
        for (ptrdiff_t i = 0; i < rows; i++) labels[i] = data->y.labels[nn_source_row(run, place + i)];
    } else if (order) {
        w->kernels->gather(nn_at(w, NN_REGION_VALUES) + r0 * K, data->y.values, order, rows, K);
    } else {
        memcpy(nn_at(w, NN_REGION_VALUES) + r0 * K, data->y.values + place * K,
               (size_t)(rows * K) * sizeof(float));
    }
    if (!data->weight) return;
    float *weight = nn_at(w, NN_REGION_ROW_WEIGHT) + r0;
    for (ptrdiff_t i = 0; i < rows; i++) weight[i] = data->weight[nn_source_row(run, place + i)];
}

/* What a worker passes through a first op without zeros of the R rows from `place` on: in training all of
 * them, for its own columns, else its share of them, for all columns. */
void nn_find_block_rows(const nn_worker *w, nn_block_rows *rows, ptrdiff_t place, ptrdiff_t R) {
    const nn_run *run = w->run;
    const nn_data *data = &run->data;
    const ptrdiff_t inputs = nn_net_inputs(run->net);
    ptrdiff_t r1 = R;
    rows->r0 = 0;
    if (!w->plan->traits.train) nn_share_rows(w, R, &rows->r0, &r1);
    rows->count = r1 - rows->r0;
    for (ptrdiff_t r = 0; r < rows->count; r++) {
        const ptrdiff_t row = nn_source_row(run, place + rows->r0 + r);
        if (data->y.labels) __builtin_prefetch(data->y.labels + row, 0, 3);
        if (data->x) {
            rows->x[r] = data->x + row * inputs;
            /* the pages of many rows are looked up now, side by side; all their lines are asked for later */
            __builtin_prefetch(rows->x[r], 0, 2);
            __builtin_prefetch(rows->x[r] + inputs - 1, 0, 2);
        } else {
            rows->csr[r] = nn_csr_row_at(&data->csr, row);
            prefetch(rows->csr[r].index, rows->csr[r].length * (ptrdiff_t)sizeof(int32_t));
            prefetch(rows->csr[r].value, rows->csr[r].length * (ptrdiff_t)sizeof(float));
        }
    }
}
