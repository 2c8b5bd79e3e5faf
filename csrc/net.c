/* See net.h. */

#include "net.h"

#include "plan.h"
#include "tune.h"

#include <stdlib.h>
#include <string.h>

/* Where the op's parameters lie. Biases first: those of the first op are written by all workers, the next
 * op's weights by one of them, and hardware prefetch runs past the end of a stream. False if there are more
 * than memory can hold. */
static bool place_parameters(nn_net *net, nn_op *op) {
    ptrdiff_t weights;
    if (op->outputs > NN_MAX_SIZE || __builtin_mul_overflow(op->inputs, op->outputs, &weights) ||
        weights > PTRDIFF_MAX / 128)
        return false;
    op->b = net->size;
    op->w = op->b + (op->bias ? nn_line(op->outputs) : 0);
    net->size = op->w + nn_line(weights);
    return net->size <= PTRDIFF_MAX / 128;
}

nn_net *nn_net_new(const nn_kernels *kernels, const nn_op *ops, int count, ptrdiff_t inputs) {
    nn_net *net = calloc(1, sizeof *net);
    if (!net) return NULL;
    *net = (nn_net){.kernels = kernels, .count = count, .skip_choice = -1, .schedule_choice = -1};
    net->ops = calloc((size_t)count, sizeof *net->ops);
    bool fits = net->ops != NULL;
    for (int i = 0; i < count && fits; i++) {
        nn_op *op = &net->ops[i];
        *op = ops[i];
        op->inputs = op->input == NN_INPUT ? inputs : net->ops[op->input].outputs;
        if (op->kind->has_weights) fits = place_parameters(net, op);
    }
    if (fits) return net;
    nn_net_free(net);
    return NULL;
}

void nn_net_free(nn_net *net) {
    if (!net) return;
    free(net->ops);
    free(net);
}

void nn_net_compile(nn_net *net, const nn_compilation *compilation) {
    const nn_loss *loss = compilation->loss;
    const nn_op *last = &net->ops[net->count - 1];
    memcpy(net->weights.slots, compilation->slots, sizeof compilation->slots);
    memcpy(net->initial, compilation->initial, sizeof compilation->initial);
    memcpy(net->metrics, compilation->metrics, sizeof compilation->metrics);
    net->metrics_count = compilation->metrics_count;
    net->loss = loss;
    net->rule = compilation->rule;
    net->step = 0;
    net->from_logits = compilation->from_logits && loss->link;
    net->linked = loss->link && !compilation->from_logits && !strcmp(loss->link, last->activation->name) &&
                  last->parameter == last->activation->parameter;
}

double nn_net_work(const nn_net *net, int passes) {
    double work = 1.0;
    for (int i = 0; i < net->count; i++) {
        const nn_op *op = &net->ops[i];
        work += passes * ((double)op->inputs + 1.0) * (op->kind->has_weights ? (double)op->outputs : 1.0);
    }
    return work;
}

ptrdiff_t nn_rows_at_once(const nn_net *net, int passes) {
    const double tiles = NN_BLOCK_WORK / nn_net_work(net, passes) / NN_ROWS_UNIT;
    return (tiles > NN_BLOCK_ROWS ? NN_BLOCK_ROWS : tiles > 1.0 ? (ptrdiff_t)tiles : 1) * NN_ROWS_UNIT;
}
