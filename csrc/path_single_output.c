/* The fast path of a net with one hidden ReLU layer and a single output, as regression on a table has it
 * (single_output.h has the kernels): the gradient of the hidden layer is formed where it is used and never
 * stored.
 *
 * Several workers own columns of the hidden layer, and each passes all rows through them, so that hidden
 * outputs, of which there are most, stay where they are made and used. What travels is the output's chains of
 * each row, from worker to worker, and dz of the last one back to all. */

#include "run.h"
#include "tune.h"

/* Floats of one worker, a distance from the next one's. */
static ptrdiff_t own_x_floats(const nn_plan *plan) {
    return nn_line(plan->block_rows * plan->ops[0].dense.I) + NN_APART;
}
static ptrdiff_t chains_floats(const nn_plan *plan) { return plan->block_rows * NN_CHAINS + NN_APART; }

static void begin(nn_worker *w) {
    const nn_op_plan *hidden = &w->plan->ops[0];
    const ptrdiff_t H = hidden->dense.O;
    nn_slice *slice = &w->slice;
    ptrdiff_t c1;
    *slice = (nn_slice){.ldw = H};
    nn_share_out(H, NN_CHAINS, w->thread, w->threads, &slice->c0, &c1);
    slice->n = c1 - slice->c0;
    slice->b = hidden->dense.b + slice->c0;
    slice->w = nn_weights_at(hidden->weights, slice->c0);
    if (w->plan->owns_columns) {
        slice->lda = slice->n;
        slice->a = nn_at(w, NN_REGION_SLICES) + w->plan->block_rows * slice->c0 + NN_APART * w->thread;
        w->own_x = nn_at(w, NN_REGION_OWN_X) + w->thread * own_x_floats(w->plan);
    } else {
        slice->lda = H;
        slice->a = hidden->a + slice->c0;
        w->own_x = nn_at(w, NN_REGION_X);
    }
}

/* A worker's columns of the hidden layer, of all rows. */
static void pass_hidden(nn_worker *w) {
    const nn_op_plan *hidden = &w->plan->ops[0];
    nn_gather_inputs(w, w->own_x, 0, w->block.R);
    w->kernels->single_hidden(&w->slice, w->own_x, w->block.R, hidden->dense.I, hidden->activation);
}

/* What they give to the output, on top of what the workers before have given; the last one goes on to the
 * loss. */
static void pass_chains(nn_worker *w) {
    const nn_op_plan *out = &w->plan->ops[1];
    const ptrdiff_t R = w->block.R;
    const bool last = w->thread == w->threads - 1;
    float *chains = nn_at(w, NN_REGION_CHAINS) + w->thread * chains_floats(w->plan);
    const float *before = w->thread == 0 ? NULL : chains - chains_floats(w->plan);
    w->kernels->single_chains(out->a, last ? NULL : chains, before, &w->slice, out->dense.w + w->slice.c0,
                              out->dense.b, R);
    if (!last) return;
    out->activation->forward(out->a, R, 1, out->op->parameter);
    nn_gather_targets(w, 0, R);
    nn_stage_loss(w, out, 0, R);
    if (w->plan->traits.keeps_outputs) nn_stage_outputs(w, out, 0, R);
}

/* Columns [c0, c1) of `rows` rows of weights at an offset, from their gradient. */
static void update_columns(nn_worker *w, ptrdiff_t offset, ptrdiff_t rows) {
    const nn_slice *slice = &w->slice;
    const ptrdiff_t at = offset + slice->c0;
    const nn_weights weights = nn_weights_at(w->net->weights, at);
    w->net->rule->update(&weights, nn_at(w, NN_REGION_GRADIENT) + at,
                         (nn_area){.rows = rows, .n = slice->n, .ldw = slice->ldw, .ldg = slice->ldw},
                         &w->constants, false);
}

static void pass_columns(nn_worker *w) {
    const nn_op_plan *hidden = &w->plan->ops[0], *out = &w->plan->ops[1];
    float *gradient = nn_at(w, NN_REGION_GRADIENT);
    const nn_single_gradient g = {.dw = gradient + hidden->op->w,
                                  .db = gradient + hidden->op->b,
                                  .dout = gradient + out->op->w,
                                  .accumulate = !w->block.first,
                                  .dz = out->dz,
                                  .w = out->dense.w,
                                  .x = w->own_x,
                                  .R = w->block.R,
                                  .I = hidden->dense.I,
                                  .H = hidden->dense.O};
    w->kernels->single_gradient(&g, &w->slice);
    if (w->block.last) {
        update_columns(w, hidden->op->w, hidden->dense.I);
        update_columns(w, hidden->op->b, 1);
        update_columns(w, out->op->w, 1);
    }
    if (out->op->bias && w->thread == w->threads - 1) nn_bias_gradient(w, out, out->dz, 1, 0, 1);
}

const char *nn_single_output_refuses(const nn_plan *plan, const nn_net *net) {
    const nn_op_plan *hidden = &plan->ops[0], *out = hidden + 1;
    (void)net;
    if (!plan->traits.train) return "nothing is trained";
    if (plan->count != 2 || !hidden->op->kind->has_weights || !out->op->kind->has_weights ||
        out->dense.O != 1)
        return "not one hidden layer and one output";
    if (!hidden->gradient || !out->gradient) return "a layer is frozen";
    if (!hidden->dense.b || !hidden->activation->relu_slope) return "the hidden layer is no ReLU with biases";
    if (hidden->dense.O < 2) return "one hidden unit";
    if (plan->skips_zeros) return "zeros are skipped";
    if (plan->stores_gradient) return "gradients are stored";
    return plan->traits.batch_size < NN_SINGLE_MIN_ROWS ? "the batch is too small" : NULL;
}

void nn_single_output_rewrite(nn_plan *plan, const nn_net *net) {
    (void)net;
    plan->begin = begin;
    plan->single_output = true;
    plan->ops[1].keeps_transpose = false;
    plan->owns_columns = plan->traits.workers > 1 && plan->ops[0].dense.I <= NN_SINGLE_MAX_INPUTS;
    const nn_pass columns = {"gradient and update of own columns", NN_SHARE_COLUMNS, !plan->owns_columns,
                             pass_columns};
    plan->passes[plan->passes_count - 1] = columns;
    if (plan->owns_columns) {
        plan->passes[0] = (nn_pass){"hidden layer, own columns", NN_SHARE_COLUMNS, false, pass_hidden};
        nn_plan_insert_pass(plan, 1, (nn_pass){"output and loss", NN_IN_TURN, true, pass_chains});
        plan->stages_count = 0;
    } else {
        nn_plan_replace_stage(plan, nn_dense_backward, (nn_stage){.run = NULL});
    }
}
