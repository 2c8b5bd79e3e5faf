/* Ops: what a net does to a row, one after the other. The table of their kinds is in op.c; each kind has all
 * that belongs to it in one entry.
 *
 * An op reads the output of another one, which it names by its place, so that a net is a list in which inputs
 * come first. To add a kind: its file with the functions of its entry, the entry in op.c, its line in the
 * reference, and its layer in nnfast/layers. */

#ifndef NN_OP_H
#define NN_OP_H

#include "kernels.h"

typedef struct nn_net nn_net;
typedef struct nn_op nn_op;
typedef struct nn_op_plan nn_op_plan;
typedef struct nn_worker nn_worker;

typedef struct nn_op_kind {
    const char *name;
    bool has_weights;
    bool train_only; /* the identity otherwise: not in the plan of an evaluation */
    /* a (R, outputs) from x (R, inputs), as a prediction wants it; the activation may be another one than the
     * op's. */
    void (*apply)(const nn_net *net, const nn_op *op, const nn_activation *activation, float *a,
                  const float *x, ptrdiff_t R);
    /* Rows [r0, r1) of the block that the worker is in: output; and from the op's dz that of its input. */
    void (*forward)(nn_worker *worker, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
    void (*backward)(nn_worker *worker, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
    /* The worker's share of the gradient over the block, given to the rule at its last block or, where the
     * plan stores gradients, stored; and what is left of the update there. */
    void (*gradient)(nn_worker *worker, const nn_op_plan *op);
    void (*update)(nn_worker *worker, const nn_op_plan *op);
} nn_op_kind;

#define NN_INPUT (-1) /* the place of the rows of the data */

struct nn_op {
    const nn_op_kind *kind;
    int input;                 /* place of the op that it reads, or NN_INPUT */
    ptrdiff_t inputs, outputs; /* floats of a row */
    const nn_activation *activation;
    float parameter; /* of the activation */
    bool bias, trainable;
    nn_dropout dropout; /* threshold and scale; the key is the row's */
    uint64_t seed;      /* of its masks */
    ptrdiff_t w, b;     /* offsets into the flat arrays; of an op without: 0 */
};

/* By place, NULL past the last. */
const nn_op_kind *nn_op_kinds(int place);

/* dropout.c */
nn_dropout nn_dropout_of(double rate);
void nn_dropout_forward(nn_worker *worker, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
void nn_dropout_backward(nn_worker *worker, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);

#endif
