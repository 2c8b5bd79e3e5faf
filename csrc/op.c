/* The table of op kinds. See op.h. */

#include "op.h"

#include "run.h"

#include <string.h>

static void dense_apply(const nn_net *net, const nn_op *op, const nn_activation *activation, float *a,
                        const float *x, ptrdiff_t R) {
    const nn_dense dense = {.w = net->weights.w + op->w,
                            .b = op->bias ? net->weights.w + op->b : NULL,
                            .I = op->inputs,
                            .O = op->outputs,
                            .activation = activation,
                            .parameter = op->parameter};
    net->kernels->dense_forward(a, x, &dense, R);
}

static void activation_apply(const nn_net *net, const nn_op *op, const nn_activation *activation, float *a,
                             const float *x, ptrdiff_t R) {
    (void)net;
    memcpy(a, x, (size_t)(R * op->outputs) * sizeof *a);
    activation->forward(a, R, op->outputs, op->parameter);
}

static const nn_op_kind kinds[] = {
    {.name = "dense",
     .has_weights = true,
     .apply = dense_apply,
     .forward = nn_dense_forward,
     .backward = nn_dense_backward,
     .gradient = nn_dense_gradient,
     .update = nn_dense_update},
    {.name = "activation",
     .apply = activation_apply,
     .forward = nn_activation_forward,
     .backward = nn_activation_backward},
    {.name = "dropout", .train_only = true, .forward = nn_dropout_forward, .backward = nn_dropout_backward},
};

const nn_op_kind *nn_op_kinds(int place) {
    return place < (int)(sizeof kinds / sizeof *kinds) ? &kinds[place] : NULL;
}
