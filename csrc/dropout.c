/* Dropout (Srivastava et al. 2014), inverted: in training a unit is dropped with probability `rate`, and what
 * is kept is divided by 1 - rate; the identity otherwise.
 *
 * The mask is a function of seed, op, step, place of the row in its batch, and unit: it is made again in the
 * backward pass and never stored, and is the same for any threads and blocks. The key of a row comes from the
 * generator of random.h, its units from a 32-bit hash of the key (kernels.h). */

#include "random.h"
#include "run.h"

/* A unit whose hash is below the threshold is dropped; at a rate of 1 all are. */
nn_dropout nn_dropout_of(double rate) {
    if (rate >= 1.0) return (nn_dropout){.scale = 0.0f};
    return (nn_dropout){.threshold = (uint32_t)(rate * 0x1p32), .scale = (float)(1.0 / (1.0 - rate))};
}

/* The mask of the block's row r. */
static nn_dropout mask_of(const nn_worker *w, const nn_op *op, ptrdiff_t r) {
    const uint64_t row = nn_random_key(nn_random_key(op->seed, (uint64_t)(op - w->net->ops)), (uint64_t)w->t);
    const uint64_t key = nn_random_key(row, (uint64_t)(w->block.done + r));
    return (nn_dropout){.key = {(uint32_t)key, (uint32_t)(key >> 32)},
                        .threshold = op->dropout.threshold,
                        .scale = op->dropout.scale};
}

void nn_dropout_forward(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    const ptrdiff_t n = op->op->outputs;
    const float *x = op->input ? op->input->a : w->block.x;
    for (ptrdiff_t r = r0; r < r1; r++)
        w->kernels->dropout(op->a + r * n, x + r * n, mask_of(w, op->op, r), n);
}

void nn_dropout_backward(nn_worker *w, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1) {
    const nn_op_plan *below = op->input;
    const ptrdiff_t n = op->op->outputs, at = r0 * n;
    for (ptrdiff_t r = r0; r < r1; r++)
        w->kernels->dropout(below->dz + r * n, op->dz + r * n, mask_of(w, op->op, r), n);
    if (below->activation != &w->kernels->activations[0])
        below->activation->backward(below->dz + at, below->dz + at, below->a + at, r1 - r0, n,
                                    below->op->parameter);
}
