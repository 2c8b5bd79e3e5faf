/* The fast path of a first layer without zeros: of CSR matrices always, of dense inputs where many are zero
 * (sparse.h has the kernels).
 *
 * In training each worker owns columns of the first layer, in both passes, and finds for itself what is not
 * zero; rows are shared out for the layers above. Slices that lie side by side in memory move between the
 * cores, because hardware prefetch runs past the end of each row; so what is written in every step lies slice
 * by slice instead, and weights and slots are packed like that for as long as a stretch of many steps lasts.
 */

#include "run.h"
#include "tune.h"

#include <string.h>

/* Whether most of what the first op multiplies with is zero, as far as some rows show, spread evenly. */
bool nn_mostly_zero(const nn_net *net, const nn_data *data) {
    const nn_op *first = &net->ops[0];
    if (!data->x || first->inputs < NN_SKIP_MIN_INPUTS) return false;
    const ptrdiff_t rows = data->n < NN_SKIP_SAMPLE ? data->n : NN_SKIP_SAMPLE;
    ptrdiff_t grouped = 0;
    for (ptrdiff_t r = 0; r < rows; r++)
        grouped += net->kernels->count_grouped(data->x + data->n / rows * r * first->inputs, first->inputs);
    return (double)grouped < NN_SKIP_DENSITY * (double)rows * (double)first->inputs;
}

ptrdiff_t nn_sparse_place(nn_sparse *s, ptrdiff_t rows, ptrdiff_t inputs, bool dense, float *base) {
    const ptrdiff_t widest = ((inputs + NN_SPARSE_MAX_BLOCKS - 1) / NN_SPARSE_MAX_BLOCKS + 63) / 64 * 64;
    ptrdiff_t used = 0;
    *s = (nn_sparse){.inputs = inputs,
                     .words = (inputs + 15) / 16,
                     .block = widest > NN_SPARSE_BLOCK ? widest : NN_SPARSE_BLOCK};
    s->touched = (uint16_t *)base;
    used += nn_line((s->words + 1) / 2);
    if (!dense) return used;
    s->height = (rows + 63) / 64 * 64;
    s->nonzero = (uint16_t *)(base ? base + used : NULL);
    used += nn_line(s->words * (s->height / 2));
    s->groups = (nn_group *)(base ? base + used : NULL);
    used += nn_line((inputs / 2 + 1) * (ptrdiff_t)(sizeof(nn_group) / sizeof(float)));
    s->pair_index = (int32_t *)(base ? base + used : NULL);
    return used + nn_line(NN_PAIR_ROWS / 2 * (inputs + NN_PAIR_MARGIN));
}

/* Where the outputs of a worker that owns columns from c0 on lie, and later its dz. */
static float *slice_place(const nn_worker *w, ptrdiff_t c0, int thread) {
    return nn_at(w, NN_REGION_SLICES) + w->plan->block_rows * c0 + NN_APART * thread;
}

static ptrdiff_t active_words(ptrdiff_t inputs) { return nn_line((inputs + 31) / 32) / 2 + NN_APART / 2; }

/* Where a worker's columns lie, packed or in the flat arrays. */
static void find_slice(nn_worker *w) {
    const nn_op_plan *op = &w->plan->ops[0];
    const ptrdiff_t I = op->dense.I, O = op->dense.O;
    const bool train = w->plan->traits.train;
    nn_slice *slice = &w->slice;
    ptrdiff_t c1 = O;
    *slice = (nn_slice){.n = O, .a = op->a, .lda = O, .ldw = O};
    if (train) nn_share_out(O, 16, w->thread, w->threads, &slice->c0, &c1);
    slice->n = c1 - slice->c0;
    if (train && w->threads > 1) {
        slice->a = slice_place(w, slice->c0, w->thread);
        slice->lda = slice->n;
    }
    slice->b = op->dense.b ? op->dense.b + slice->c0 : NULL;
    slice->w = nn_weights_at(op->weights, slice->c0);
    if (!w->run->packed) return;
    const ptrdiff_t size = nn_line(I * O) + NN_APART * w->plan->traits.workers;
    float *packed = nn_at(w, NN_REGION_PACKED) + I * slice->c0 + NN_APART * w->thread;
    slice->ldw = slice->n;
    slice->w.w = packed;
    for (int s = 0; s < NN_MAX_SLOTS; s++)
        slice->w.slots[s] = slice->w.slots[s] ? packed + (s + 1) * size : NULL;
}

/* Copies a worker's slice of weights and slots to where it is packed, or back. */
static void copy_slice(const nn_worker *w, bool back) {
    const nn_op_plan *op = &w->plan->ops[0];
    const nn_slice *slice = &w->slice;
    const nn_weights flat = nn_weights_at(op->weights, slice->c0);
    for (int s = -1; s < NN_MAX_SLOTS; s++) {
        float *rows = s < 0 ? flat.w : flat.slots[s], *packed = s < 0 ? slice->w.w : slice->w.slots[s];
        for (ptrdiff_t i = 0; rows && i < op->dense.I; i++) {
            float *row = rows + i * op->dense.O, *copy = packed + i * slice->n;
            memcpy(back ? row : copy, back ? copy : row, (size_t)slice->n * sizeof *row);
        }
    }
}

/* Marks the inputs whose slots are not all what they began with, in a worker's slice. */
static void find_active(nn_worker *w) {
    const ptrdiff_t inputs = w->plan->ops[0].dense.I;
    const nn_slice *slice = &w->slice;
    memset(slice->active, 0, (size_t)(inputs + 63) / 64 * sizeof *slice->active);
    for (int s = 0; s < NN_MAX_SLOTS && slice->w.slots[s]; s++) {
        for (ptrdiff_t i = 0; i < inputs; i++) {
            const float *row = slice->w.slots[s] + i * slice->ldw, initial = w->net->initial[s];
            ptrdiff_t o = 0;
            while (o < slice->n && row[o] == initial) o++;
            if (o < slice->n) slice->active[i / 64] |= (uint64_t)1 << i % 64;
        }
    }
}

/* Once a stretch. */
static void begin(nn_worker *w) {
    const nn_plan *plan = w->plan;
    const ptrdiff_t inputs = plan->ops[0].dense.I;
    find_slice(w);
    if (w->run->packed) copy_slice(w, false);
    if (w->run->finds_idle) {
        w->slice.active = (uint64_t *)nn_at(w, NN_REGION_ACTIVE) + w->thread * active_words(inputs);
        find_active(w);
    }
    const ptrdiff_t size = nn_sparse_place(&w->sparse, plan->block_rows, inputs, !plan->traits.csr, NULL);
    nn_sparse_place(&w->sparse, plan->block_rows, inputs, !plan->traits.csr,
                    nn_at(w, NN_REGION_NONZERO) + w->thread * (size + NN_APART));
    memset(w->sparse.touched, 0, (size_t)w->sparse.words * sizeof *w->sparse.touched);
    if (nn_has(plan, NN_REGION_STRIP)) {
        float *strip = nn_at(w, NN_REGION_STRIP) + w->sparse.block * w->slice.c0 + NN_APART * w->thread;
        memset(strip, 0, (size_t)(w->sparse.block * w->slice.n) * sizeof *strip);
    }
    w->reader.turn = 0;
    nn_find_block_rows(w, &w->reader.rows[0], w->run->start, nn_block_rows_at(w, w->run->start));
}

static void end(nn_worker *w) {
    if (w->run->packed) copy_slice(w, true);
}

/* The rows of this block, and of the next one what to ask memory for: of all its rows half now, a single one
 * too, the others during the update. */
static const nn_block_rows *read_rows(nn_worker *w) {
    nn_reader *reader = &w->reader;
    const nn_block_rows *rows = &reader->rows[reader->turn];
    nn_block_rows *next = &reader->rows[1 - reader->turn];
    const ptrdiff_t after = w->block.place + w->block.R;
    w->sparse.rows = rows->count;
    w->sparse.x = w->run->data.x ? rows->x : NULL;
    w->sparse.csr = rows->csr;
    if (w->sparse.x) w->kernels->sparse_mark(&w->sparse);
    nn_find_block_rows(w, next, after, nn_block_rows_at(w, after));
    reader->turn = 1 - reader->turn;
    const ptrdiff_t now = w->plan->traits.train ? (next->count + 1) / 2 : next->count;
    reader->now = (nn_prefetch){next->x, now};
    reader->later = (nn_prefetch){next->x + now, next->count - now};
    return rows;
}

static const nn_prefetch *if_dense(const nn_worker *w, const nn_prefetch *prefetch) {
    return w->run->data.x ? prefetch : NULL;
}

/* A worker's outputs of the first layer for its rows. */
static void pass_first(nn_worker *w) {
    const nn_block_rows *rows = read_rows(w);
    float *a = w->slice.a + rows->r0 * w->slice.lda;
    w->kernels->sparse_forward(a, &w->slice, &w->sparse, w->plan->ops[0].activation,
                               if_dense(w, &w->reader.now));
}

/* Rows of the first layer's outputs, from the slices of all workers; where the pool has lent none, they are
 * there already. */
static void stage_join(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    const ptrdiff_t O = op->dense.O;
    for (int thread = 0; thread < w->threads && w->threads > 1; thread++) {
        ptrdiff_t c0, c1;
        nn_share_out(O, 16, thread, w->threads, &c0, &c1);
        for (ptrdiff_t r = r0; r < r1; r++)
            memcpy(op->a + r * O + c0, slice_place(w, c0, thread) + r * (c1 - c0),
                   (size_t)(c1 - c0) * sizeof(float));
    }
}

/* Of a worker's columns. A gradient that is stored lies slice by slice. */
static void gradient(nn_worker *w, const nn_op_plan *op) {
    const nn_slice *slice = &w->slice;
    const ptrdiff_t I = op->dense.I, O = op->dense.O;
    const float *dz = op->dz + slice->c0;
    float *packed = slice_place(w, slice->c0, w->thread);
    if (op->op->bias) nn_bias_gradient(w, op, dz, O, slice->c0, slice->c0 + slice->n);
    const nn_prefetch *later = if_dense(w, &w->reader.later);
    if (w->block.first && w->block.last && !w->plan->stores_gradient) {
        float *strip = nn_at(w, NN_REGION_STRIP) + w->sparse.block * slice->c0 + NN_APART * w->thread;
        w->kernels->sparse_dw_update(slice, strip, packed, dz, O, &w->sparse, &w->update, later);
        return;
    }
    if (slice->active)
        memset(slice->active, 0xff,
               (size_t)(I + 63) / 64 * sizeof *slice->active); /* which of them is not looked at here */
    float *stored = nn_at(w, NN_REGION_GRADIENT) + op->op->w + I * slice->c0;
    if (w->block.first) memset(stored, 0, (size_t)(I * slice->n) * sizeof *stored);
    w->kernels->sparse_dw(stored, packed, dz, O, &w->sparse, slice->n, later);
    if (w->block.last && !w->plan->stores_gradient)
        w->net->rule->update(&slice->w, stored,
                             (nn_area){.rows = I, .n = slice->n, .ldw = slice->ldw, .ldg = slice->n},
                             &w->constants, false);
}

static void update(nn_worker *w, const nn_op_plan *op) {
    const nn_slice *slice = &w->slice;
    const ptrdiff_t I = op->dense.I;
    float *stored = nn_at(w, NN_REGION_GRADIENT) + op->op->w + I * slice->c0;
    w->net->rule->update(&slice->w, stored,
                         (nn_area){.rows = I, .n = slice->n, .ldw = slice->ldw, .ldg = slice->n},
                         &w->constants, false);
    if (op->op->bias) nn_bias_update(w, op, slice->c0, slice->c0 + slice->n);
}

const char *nn_skip_zeros_refuses(const nn_plan *plan, const nn_net *net) {
    const nn_op *first = plan->ops[0].op;
    if (plan->traits.csr) return NULL;
    if (plan->ops[0].input || !first->kind->has_weights) return "the first op is not dense";
    if (net->skip_choice == 0) return "skip_zeros is False";
    if (!plan->traits.train && plan->traits.rows < NN_SKIP_MIN_ROWS) return "too few rows";
    if (plan->traits.hides_weights) return "it would hide weights that are not finite";
    if (net->skip_choice == 1) return NULL;
    if (first->outputs < 2) return "one output";
    return plan->traits.mostly_zero ? NULL : "inputs are not mostly zero";
}

void nn_skip_zeros_rewrite(nn_plan *plan, const nn_net *net) {
    nn_op_plan *op = &plan->ops[0];
    const bool train = plan->traits.train;
    const int most = (int)(op->dense.O / NN_SKIP_MIN_OUTPUTS);
    (void)net;
    plan->skips_zeros = true;
    if (train && plan->traits.workers > most) plan->traits.workers = most > 1 ? most : 1;
    plan->begin = begin;
    plan->end = end;
    if (op->gradient) op->gradient = gradient, op->update = update;
    nn_plan_replace_stage(plan, nn_stage_gather, (nn_stage){.run = NULL});
    const bool joins = train && plan->traits.workers > 1; /* a worker joins the slices of its rows */
    const nn_stage join = {"join slices", op, stage_join}, activate = {"activation", op, nn_stage_activation};
    if (joins) nn_plan_insert_stage(plan, nn_dense_forward, join);
    nn_plan_replace_stage(plan, nn_dense_forward, op->activation->fused ? (nn_stage){.run = NULL} : activate);
    nn_plan_insert_pass(
        plan, 0,
        (nn_pass){"first layer without zeros", train ? NN_SHARE_COLUMNS : NN_SHARE_ROWS, train, pass_first});
    if (train)
        plan->passes[plan->passes_count - 1].meets =
            false; /* the next pass reads what the worker itself owns */
}
