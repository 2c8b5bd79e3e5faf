/* The engine without Python: trains a small net on dense rows and on the same rows without their zeros, and
 * one with a head of one output, in every way that workers go about it, which must come to the same,
 * predicts, and prints a hash of their parameters. For machines that are emulated and for tools that watch
 * every access: `make arm` and `make avx512` (the bits of NEON and AVX-512 against those of AVX2), `make
 * tsan` (races between workers), `make valgrind`. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "random.h"
#include "run.h"

enum { ROWS = 300, INPUTS = 150, OUTPUTS = 10, EPOCHS = 2 };

#define FIND(TABLE, NAME)                                             \
    for (; (TABLE)->name && strcmp((TABLE)->name, NAME); (TABLE)++) { \
    }

static uint64_t hash_floats(uint64_t hash, const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        hash = (hash ^ bits) * 1099511628211u; /* FNV-1a */
    }
    return hash;
}

static float x[ROWS * INPUTS], full[ROWS * INPUTS], value[ROWS * INPUTS], out[ROWS * OUTPUTS], number[ROWS];
static int32_t y[ROWS], column[ROWS * INPUTS];
static int64_t row_start[ROWS + 1];

/* A net, and how it is trained. */
typedef struct contestant {
    const nn_kernels *kernels;
    const nn_op *ops;
    int count;
    const nn_loss *loss;
    const nn_rule *rule;
} contestant;

static nn_net *net_new(const contestant *c, nn_schedule schedule) {
    static double draw[1 << 16];
    nn_net *net = nn_net_new(c->kernels, c->ops, c->count, INPUTS);
    if (!net || net->size > 1 << 16) return NULL;
    nn_compilation compilation = {.loss = c->loss, .rule = c->rule};
    for (int s = 0; s < NN_MAX_SLOTS && c->rule->slots[s]; s++)
        compilation.slots[s] = nn_alloc((size_t)net->size * sizeof(float));
    nn_net_compile(net, &compilation);
    net->schedule_choice = schedule;
    net->weights.w = nn_alloc((size_t)net->size * sizeof(float));
    nn_random_normal(draw, net->size, 1, 2);
    for (ptrdiff_t i = 0; i < net->size; i++) net->weights.w[i] = (float)(0.1 * draw[i]);
    return net;
}

static void net_free(nn_net *net) {
    for (int s = 0; s < NN_MAX_SLOTS; s++) nn_free(net->weights.slots[s]);
    nn_free(net->weights.w);
    nn_net_free(net);
}

/* Trains with batches of every size on `data`, by one schedule; the hash of all parameters and predictions,
 * or 0. */
static uint64_t train(const contestant *c, const nn_data *data, nn_schedule schedule, double *loss_sum) {
    const double hyper[4] = {0.001, 0.9, 0.999, 1e-7};
    const nn_steps steps = {.stop = ROWS, .hyper = hyper, .totals = loss_sum};
    uint64_t hash = 1469598103934665603u;
    nn_run *run = nn_run_new();
    for (int batch_size = 1; batch_size <= ROWS; batch_size = batch_size * 4 + 3) {
        nn_net *net = net_new(c, schedule);
        int64_t batches;
        if (!net ||
            nn_run_prepare(run, net, data, (nn_purpose){.train = true, .batch_size = batch_size}) != NN_OK)
            return 0;
        for (int epoch = 0; epoch < EPOCHS; epoch++) {
            if (nn_run_step(run, &steps, &batches) != NN_OK) return 0;
        }
        if (nn_run_prepare(run, net, data, (nn_purpose){.batch_size = batch_size}) != NN_OK) return 0;
        if (nn_run_step(run, &steps, &batches) != NN_OK || nn_predict(net, out, data, NULL, NULL) != NN_OK)
            return 0;
        hash = hash_floats(hash_floats(hash, net->weights.w, net->size), out, ROWS * nn_net_outputs(net));
        net_free(net);
    }
    nn_run_free(run);
    return hash;
}

/* The same by every schedule, on all these data, with each fast path turned off in turn: complains of other
 * bits. */
static bool agrees(const contestant *c, const nn_data *const *data, int count, uint64_t hash,
                   double loss_sum) {
    char list[32] = "";
    for (int path = -1; path < NN_PATHS; path++) {
        if (path >= 0) snprintf(list, sizeof list, "-%s", nn_paths[path].name);
        nn_set_paths(list);
        for (int i = 0; i < count * NN_SCHEDULES; i++) {
            const nn_schedule schedule = (nn_schedule)(i % NN_SCHEDULES);
            double again = 0.0;
            if (path >= 0 && schedule == NN_SERIAL) continue; /* few paths differ there */
            if (train(c, data[i / NN_SCHEDULES], schedule, &again) == hash && again == loss_sum) continue;
            fprintf(stderr, "data %d, %s, paths %s: other bits\n", i / NN_SCHEDULES,
                    nn_schedule_names[schedule], list);
            return false;
        }
    }
    nn_set_paths("");
    return true;
}

static nn_op dense(int input, int outputs, const nn_activation *activation) {
    return (nn_op){.kind = nn_op_kinds(0),
                   .input = input,
                   .outputs = outputs,
                   .activation = activation,
                   .bias = true,
                   .trainable = true};
}

int main(int count, char **arguments) {
    const nn_kernels *kernels = nn_kernels_select(count > 1 ? arguments[1] : NULL);
    if (!kernels) return fprintf(stderr, "this machine cannot run %s\n", arguments[1]), 2;
    const nn_activation *relu = kernels->activations, *tanh = kernels->activations,
                        *softmax = kernels->activations;
    const nn_loss *loss = kernels->losses, *squares = kernels->losses;
    const nn_rule *adam = kernels->rules;
    FIND(relu, "relu")
    FIND(tanh, "tanh")
    FIND(softmax, "softmax")
    FIND(loss, "sparse_categorical_crossentropy")
    FIND(squares, "mean_squared_error")
    FIND(adam, "adam")
    static double draw[ROWS * INPUTS];
    nn_random_uniform(draw, ROWS * INPUTS, 3, 4);
    for (int r = 0; r < ROWS; r++) {
        y[r] = r * 7 % OUTPUTS;
        number[r] = (float)y[r] / OUTPUTS;
        row_start[r + 1] = row_start[r];
        for (int i = 0; i < INPUTS; i++) {
            const double u = draw[r * INPUTS + i];
            full[r * INPUTS + i] = (float)u;
            x[r * INPUTS + i] = u < 0.2 ? (float)(5.0 * u) : 0.0f;
            if (u >= 0.2) continue;
            value[row_start[r + 1]] = (float)(5.0 * u);
            column[row_start[r + 1]++] = i;
        }
    }
    const nn_activation *const linear = kernels->activations;
    const nn_op deep[3] = {dense(NN_INPUT, 129, relu), dense(0, 33, tanh), dense(1, OUTPUTS, softmax)};
    const nn_op regression[2] = {dense(NN_INPUT, 129, relu), dense(0, 1, linear)};
    const nn_op dropped[3] = {dense(NN_INPUT, 129, relu),
                              {.kind = nn_op_kinds(2),
                               .input = 0,
                               .outputs = 129,
                               .activation = linear,
                               .dropout = nn_dropout_of(0.3),
                               .seed = 5},
                              dense(1, OUTPUTS, softmax)};
    const nn_data zeros = {.x = x, .y = {.labels = y}, .n = ROWS},
                  csr = {.csr = {row_start, column, value}, .y = {.labels = y}, .n = ROWS};
    const nn_data numbers = {.x = full, .y = {.values = number}, .n = ROWS};
    const contestant nets[3] = {{kernels, deep, 3, loss, adam},
                                {kernels, regression, 2, squares, adam},
                                {kernels, dropped, 3, loss, adam}};
    const nn_data *const data[3][2] = {{&zeros, &csr}, {&numbers}, {&zeros, &csr}};
    nn_set_num_threads(3);
    for (int i = 0; i < 3; i++) {
        double loss_sum = 0.0;
        const uint64_t hash = train(&nets[i], data[i][0], NN_SERIAL, &loss_sum);
        if (!hash) return fprintf(stderr, "training failed\n"), 1;
        if (!agrees(&nets[i], data[i], data[i][1] ? 2 : 1, hash, loss_sum)) return 1;
        printf("%016llx %.17g\n", (unsigned long long)hash, loss_sum);
    }
    return 0;
}
