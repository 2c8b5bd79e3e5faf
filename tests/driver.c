/* The engine without Python: trains a small net on dense rows and on the same rows without their zeros, and one with a head of one output, in every
 * way that workers go about it, which must come to the same, predicts, and prints a hash of their parameters. For machines that are emulated and for
 * tools that watch every access: `make arm` and `make avx512` (the bits of NEON and AVX-512 against those of AVX2), `make tsan` (races between
 * workers), `make valgrind`. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"
#include "random.h"

enum { ROWS = 300, INPUTS = 150, OUTPUTS = 10, EPOCHS = 3 };

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

/* Trains a net of `depth` layers with batches of every size on `data`, in one way; the hash of all parameters and predictions, or 0. */
static uint64_t train(const nn_kernels *kernels, const nn_data *data, nn_way way, const nn_loss *loss, const nn_rule *rule, const nn_layer *layers,
                      int depth, double *loss_sum) {
    const double hyper[4] = {0.001, 0.9, 0.999, 1e-7};
    static double draw[1 << 16];
    uint64_t hash = 1469598103934665603u;
    for (int batch_size = 1; batch_size <= ROWS; batch_size = batch_size * 4 + 3) {
        nn_net *net = nn_net_new(kernels, layers, depth, INPUTS);
        float *slots[NN_MAX_SLOTS] = {NULL};
        int64_t batches;
        if (!net || net->size > 1 << 16) return 0;
        for (int s = 0; s < NN_MAX_SLOTS && rule->slots[s]; s++) {
            if (!(slots[s] = nn_alloc((size_t)net->size * sizeof(float)))) return 0;
        }
        if (nn_net_compile(net, loss, false, rule, NULL, 0, slots) != NN_OK) return 0;
        net->way_choice = way;
        nn_random_normal(draw, net->size, 1, 2);
        for (ptrdiff_t i = 0; i < net->size; i++) net->params[i] = (float)(0.1 * draw[i]);
        for (int epoch = 0; epoch < EPOCHS; epoch++) {
            if (nn_train(net, data, NULL, 0, ROWS, batch_size, hyper, loss_sum, NULL, NULL, &batches) != NN_OK) return 0;
        }
        if (nn_evaluate(net, data, loss_sum, NULL, NULL) != NN_OK || nn_predict(net, out, data, NULL, NULL) != NN_OK) return 0;
        hash = hash_floats(hash_floats(hash, net->params, net->size), out, ROWS * layers[depth - 1].outputs);
        nn_net_free(net);
        for (int s = 0; s < NN_MAX_SLOTS; s++) nn_free(slots[s]);
    }
    return hash;
}

int main(int count, char **arguments) {
    const nn_kernels *kernels = nn_kernels_select(count > 1 ? arguments[1] : NULL);
    if (!kernels) return fprintf(stderr, "this machine cannot run %s\n", arguments[1]), 2;
    const nn_activation *relu = kernels->activations, *tanh = kernels->activations, *softmax = kernels->activations;
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
    const nn_layer layers[3] = {
        {.outputs = 129, .activation = relu, .dense = true, .bias = true},
        {.outputs = 33, .activation = tanh, .dense = true, .bias = true},
        {.outputs = OUTPUTS, .activation = softmax, .dense = true, .bias = true},
    };
    const nn_data dense = {.x = x, .y = {.labels = y}, .n = ROWS};
    const nn_data sparse = {.csr = {row_start, column, value}, .y = {.labels = y}, .n = ROWS};
    const nn_layer headed[2] = {
        {.outputs = 129, .activation = relu, .dense = true, .bias = true},
        {.outputs = 1, .activation = kernels->activations, .dense = true, .bias = true},
    };
    const nn_data regression = {.x = full, .y = {.values = number}, .n = ROWS};
    double loss_sum = 0.0;
    nn_set_num_threads(3);
    const uint64_t hash = train(kernels, &dense, NN_ALONE, loss, adam, layers, 3, &loss_sum);
    if (!hash) return fprintf(stderr, "training failed\n"), 1;
    for (int way = 0; way < NN_WAYS; way++) {
        const nn_data *both[2] = {&dense, &sparse};
        for (int i = 0; i < 2; i++) {
            double again = 0.0;
            if (train(kernels, both[i], (nn_way)way, loss, adam, layers, 3, &again) != hash || again != loss_sum) {
                return fprintf(stderr, "%s rows and %s give other bits\n", i ? "sparse" : "dense", nn_way_names[way]), 1;
            }
        }
    }
    double headed_sum = 0.0, again = 0.0;
    const uint64_t headed_hash = train(kernels, &regression, NN_ALONE, squares, adam, headed, 2, &headed_sum);
    if (train(kernels, &regression, NN_MANY, squares, adam, headed, 2, &again) != headed_hash || again != headed_sum) {
        return fprintf(stderr, "workers that own columns give other bits\n"), 1;
    }
    printf("%016llx %.17g %016llx %.17g\n", (unsigned long long)hash, loss_sum, (unsigned long long)headed_hash, headed_sum);
    return 0;
}
