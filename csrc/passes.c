/* The plain passes of a block of rows, and the stages of the pass over rows. See run.h. */

#include "run.h"
#include "tune.h"

#include <math.h>
#include <string.h>

/* Rows from r on of what an op reads. */
static const float *input_rows(const nn_worker *w, const nn_op_plan *op, ptrdiff_t r) {
    return (op->input ? op->input->a : w->block.x) + r * op->op->inputs;
}

/* The slope that a gradient with respect to the output of `below` still has to be multiplied with, for rows
 * from r on. */
static nn_slope slope_of(const nn_worker *w, const nn_op_plan *below, ptrdiff_t r) {
    const bool linear = below->activation == &w->kernels->activations[0];
    return (nn_slope){linear ? NULL : below->activation, below->op->parameter,
                      below->a + r * below->op->outputs};
}

/* Stages */

void nn_stage_gather(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    (void)op;
    nn_gather_inputs(w, nn_at(w, NN_REGION_X), r0, r1);
}

void nn_stage_targets(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    (void)op;
    nn_gather_targets(w, r0, r1);
}

void nn_dense_forward(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    w->kernels->dense_forward(op->a + r0 * op->dense.O, input_rows(w, op, r0), &op->dense, r1 - r0);
}

/* The activation of an op whose sums are there already. */
void nn_stage_activation(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    (void)w;
    op->activation->forward(op->a + r0 * op->op->outputs, r1 - r0, op->op->outputs, op->op->parameter);
}

void nn_activation_forward(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    const ptrdiff_t n = op->op->outputs;
    memcpy(op->a + r0 * n, input_rows(w, op, r0), (size_t)((r1 - r0) * n) * sizeof(float));
    nn_stage_activation(w, op, r0, r1);
}

/* Row losses and, in training, dz of the last op. */
void nn_stage_loss(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    const nn_net *net = w->net;
    const bool train = w->plan->traits.train;
    const ptrdiff_t R = r1 - r0, K = op->op->outputs;
    const float *weight = w->block.weight ? w->block.weight + r0 : NULL;
    const nn_targets y = {w->block.y.labels ? w->block.y.labels + r0 : NULL,
                          w->block.y.values ? w->block.y.values + r0 * K : NULL};
    float *a = op->a + r0 * K, *dz = train ? op->dz + r0 * K : NULL,
          *row_loss = nn_at(w, NN_REGION_ROW_LOSS) + r0;
    if (net->linked) {
        net->loss->from_logits(row_loss, dz, a, y, weight, R, K, w->block.scale);
        return;
    }
    if (net->from_logits) { /* the probabilities go to scratch: predictions and metrics see what the net gives
                             */
        float *p = nn_at(w, NN_REGION_LINKED) + r0 * K;
        memcpy(p, a, (size_t)(R * K) * sizeof *a);
        net->loss->from_logits(row_loss, dz, p, y, weight, R, K, w->block.scale);
    } else {
        net->loss->from_outputs(row_loss, dz, a, y, weight, R, K, w->block.scale);
    }
    if (train) op->activation->backward(dz, dz, a, R, K, op->op->parameter);
}

void nn_stage_outputs(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    const nn_steps *steps = &w->run->steps;
    const ptrdiff_t K = op->op->outputs, row = w->block.place - steps->start + r0;
    if (steps->outputs)
        memcpy(steps->outputs + row * K, op->a + r0 * K, (size_t)((r1 - r0) * K) * sizeof(float));
}

/* Behind a large op of a wide net. */
void nn_stage_poll(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    (void)op;
    (void)r0;
    (void)r1;
    if (w->thread == 0 && nn_poll_stops(w)) w->run->halted = w->stopped = true;
}

void nn_dense_backward(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    const ptrdiff_t I = op->dense.I, O = op->dense.O, R = r1 - r0;
    const nn_slope slope = slope_of(w, op->input, r0);
    float *dx = op->input->dz + r0 * I;
    const float *dz = op->dz + r0 * O;
    if (op->dx_from_w) {
        float *scratch = nn_at(w, NN_REGION_DX) + r0 * w->plan->dx_row;
        w->kernels->dense_dx_from_w(dx, scratch, dz, op->dense.w, &slope, R, I, O);
    } else {
        w->kernels->dense_dx(dx, dz, op->transposed, &slope, R, I, O);
    }
}

void nn_activation_backward(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    (void)w;
    const nn_op_plan *below = op->input;
    const ptrdiff_t n = op->op->outputs, at = r0 * n;
    below->activation->backward(below->dz + at, op->dz + at, below->a + at, r1 - r0, n, below->op->parameter);
}

/* Passes */

/* A worker's rows, from the inputs to all dz: some go through all stages before the next ones, as long as
 * what they leave stays in the cache. */
void nn_pass_rows(nn_worker *w) {
    const nn_plan *plan = w->plan;
    ptrdiff_t r0, r1;
    nn_share_rows(w, w->block.R, &r0, &r1);
    for (ptrdiff_t r = r0; r < r1; r += plan->chunk_rows) {
        const ptrdiff_t end = r1 - r < plan->chunk_rows ? r1 : r + plan->chunk_rows;
        for (int s = 0; s < plan->stages_count; s++) {
            plan->stages[s].run(w, plan->stages[s].op, r, end);
            if (w->stopped) return;
        }
        if (end == r1) break;
    }
}

/* The loss of the batch so far, whose rows are added in order; every worker finds the same, and leaves if it
 * is not finite. Metrics are worker 0's. */
void nn_pass_totals(nn_worker *w) {
    const nn_net *net = w->net;
    const nn_op_plan *last = &w->plan->ops[w->plan->count - 1];
    const float *row_loss = nn_at(w, NN_REGION_ROW_LOSS);
    const ptrdiff_t R = w->block.R;
    if (w->run->halted) { /* in the pass before */
        w->stopped = true;
        return;
    }
    for (ptrdiff_t r = 0; r < R; r++) w->sums[0] += row_loss[r];
    if (w->plan->traits.train && !isfinite(w->sums[0])) {
        if (w->thread == 0) w->run->status = NN_NOT_FINITE;
        w->stopped = true;
        return;
    }
    if (w->thread != 0) return;
    for (ptrdiff_t m = 0; m < net->metrics_count; m++)
        w->sums[1 + m] = net->metrics[m]->add(w->sums[1 + m], last->a, w->block.y, R, last->op->outputs);
}

void nn_pass_gradient(nn_worker *w) {
    for (int i = 0; i < w->plan->count; i++) {
        const nn_op_plan *op = &w->plan->ops[i];
        if (op->gradient) op->gradient(w, op);
    }
}

/* From gradients that are stored. */
void nn_pass_update(nn_worker *w) {
    for (int i = 0; i < w->plan->count && w->block.last; i++) {
        const nn_op_plan *op = &w->plan->ops[i];
        if (op->update) op->update(w, op);
    }
}

/* Gradients of a dense op */

nn_sink nn_sink_at(const nn_worker *w, ptrdiff_t offset) {
    const bool fused = w->block.last && !w->plan->stores_gradient;
    if (fused && w->block.first) return (nn_sink){NULL, NULL};
    float *stored = nn_at(w, NN_REGION_GRADIENT) + offset;
    return (nn_sink){.start = w->block.first ? NULL : stored, .stored = fused ? NULL : stored};
}

static void update_at(nn_worker *w, ptrdiff_t offset, float *gradient, ptrdiff_t n) {
    const nn_weights weights = nn_weights_at(w->net->weights, offset);
    w->net->rule->update(&weights, gradient, (nn_area){.rows = 1, .n = n, .ldw = n, .ldg = n}, &w->constants,
                         false);
}

void nn_bias_gradient(nn_worker *w, const nn_op_plan *op, const float *dz, ptrdiff_t ldz, ptrdiff_t c0,
                      ptrdiff_t c1) {
    const nn_sink sink = nn_sink_at(w, op->op->b + c0);
    float *db = sink.stored ? sink.stored : op->db + c0;
    w->kernels->dense_db(db, sink.start, dz, w->block.R, c1 - c0, ldz);
    if (!sink.stored) update_at(w, op->op->b + c0, db, c1 - c0);
}

void nn_bias_update(nn_worker *w, const nn_op_plan *op, ptrdiff_t c0, ptrdiff_t c1) {
    update_at(w, op->op->b + c0, nn_at(w, NN_REGION_GRADIENT) + op->op->b + c0, c1 - c0);
}

/* The inputs whose weights are a worker's, and whether it has the biases; in blocks of few rows worker 0 has
 * all. */
typedef struct nn_own_inputs {
    bool serial, biases;
    ptrdiff_t i0, i1;
} nn_own_inputs;

static nn_own_inputs own_inputs(const nn_worker *w, const nn_op_plan *op) {
    const ptrdiff_t I = op->dense.I;
    nn_own_inputs own = {.serial = w->block.R <= op->serial_rows};
    if (own.serial) {
        own.i1 = w->thread == 0 ? I : 0;
    } else {
        nn_share_out(I, I < 2 * NN_ROWS_UNIT * w->threads ? 4 : NN_ROWS_UNIT, w->thread, w->threads, &own.i0,
                     &own.i1);
    }
    own.biases = op->op->bias && (w->threads == 1 || w->thread == (own.serial ? 0 : op->place % w->threads));
    return own;
}

/* After the update of a worker's inputs: the same in the transpose, by transposing them or, where the rows
 * are few and the rule has no slots, by the same update, which costs less then. */
static void renew_transpose(nn_worker *w, const nn_op_plan *op, const nn_own_inputs *own) {
    if (!op->keeps_transpose) return;
    const ptrdiff_t I = op->dense.I, O = op->dense.O;
    const nn_weights transposed = {.w = op->transposed};
    if (own->serial && op->twin_update && w->block.first && w->block.last) {
        const nn_outer g = {.dz = input_rows(w, op, 0), .x = op->dz, .R = w->block.R, .I = O, .O = I};
        if (w->thread == 0) w->kernels->dense_dw_update(&transposed, NULL, &g, 0, O, &w->update, NULL);
    } else {
        w->kernels->transpose(transposed.w, op->dense.w, I, O, own->i0, own->i1);
    }
}

void nn_dense_gradient(nn_worker *w, const nn_op_plan *op) {
    const nn_own_inputs own = own_inputs(w, op);
    const nn_outer g = {
        .dz = op->dz, .x = input_rows(w, op, 0), .R = w->block.R, .I = op->dense.I, .O = op->dense.O};
    const nn_sink sink = nn_sink_at(w, op->op->w);
    if (sink.stored) {
        w->kernels->dense_dw(sink.stored, sink.start, &g, own.i0, own.i1);
    } else {
        float *scratch = nn_has(w->plan, NN_REGION_DW)
                             ? nn_at(w, NN_REGION_DW) + w->thread * w->kernels->dw_scratch
                             : NULL;
        w->kernels->dense_dw_update(&op->weights, sink.start, &g, own.i0, own.i1, &w->update, scratch);
        renew_transpose(w, op, &own);
    }
    if (own.biases) nn_bias_gradient(w, op, op->dz, op->dense.O, 0, op->dense.O);
}

void nn_dense_update(nn_worker *w, const nn_op_plan *op) {
    const nn_own_inputs own = own_inputs(w, op);
    const ptrdiff_t O = op->dense.O, at = op->op->w + own.i0 * O;
    if (own.i0 < own.i1) update_at(w, at, nn_at(w, NN_REGION_GRADIENT) + at, (own.i1 - own.i0) * O);
    renew_transpose(w, op, &own);
    if (own.biases) nn_bias_update(w, op, 0, op->dense.O);
}
