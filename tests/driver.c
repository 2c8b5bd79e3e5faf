/* The engine without Python: trains a small net and prints a hash of its parameters. For machines that are emulated and for tools that watch every
 * access: `make arm` (the bits of NEON against those of AVX2), `make tsan` (races between workers), `make valgrind`. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net.h"
#include "random.h"

enum { ROWS = 300, INPUTS = 150, EPOCHS = 3 };

#define FIND(TABLE, NAME)                                             \
    for (; (TABLE)->name && strcmp((TABLE)->name, NAME); (TABLE)++) { \
    }

int main(int count, char **arguments) {
    const nn_kernels *kernels = nn_kernels_select(count > 1 ? arguments[1] : NULL);
    if (!kernels) return fprintf(stderr, "this machine cannot run %s\n", arguments[1]), 2;
    const nn_activation *relu = kernels->activations, *tanh = kernels->activations, *softmax = kernels->activations;
    const nn_loss *loss = kernels->losses;
    const nn_rule *adam = kernels->rules;
    FIND(relu, "relu")
    FIND(tanh, "tanh")
    FIND(softmax, "softmax")
    FIND(loss, "sparse_categorical_crossentropy")
    FIND(adam, "adam")
    static double draw[ROWS * INPUTS];
    static float x[ROWS * INPUTS];
    static int32_t y[ROWS];
    nn_random_uniform(draw, ROWS * INPUTS, 3, 4);
    for (int i = 0; i < ROWS * INPUTS; i++) x[i] = draw[i] < 0.2 ? (float)(5.0 * draw[i]) : 0.0f;
    for (int i = 0; i < ROWS; i++) y[i] = i * 7 % 10;
    const nn_layer layers[3] = {
        {.outputs = 129, .activation = relu, .dense = true, .bias = true},
        {.outputs = 33, .activation = tanh, .dense = true, .bias = true},
        {.outputs = 10, .activation = softmax, .dense = true, .bias = true},
    };
    const nn_data data = {.x = x, .y = {.labels = y}, .n = ROWS};
    const double hyper[4] = {0.001, 0.9, 0.999, 1e-7};
    double loss_sum = 0.0;
    uint64_t hash = 1469598103934665603u; /* FNV-1a */
    nn_set_num_threads(3);
    for (int batch_size = 1; batch_size <= ROWS; batch_size = batch_size * 4 + 3) {
        nn_net *net = nn_net_new(kernels, layers, 3, INPUTS);
        int64_t batches;
        if (!net || nn_net_compile(net, loss, false, adam, NULL, 0) != NN_OK) return 1;
        nn_random_normal(draw, net->size, 1, 2);
        for (ptrdiff_t i = 0; i < net->size; i++) net->params[i] = (float)(0.1 * draw[i]);
        for (int epoch = 0; epoch < EPOCHS; epoch++) {
            if (nn_train(net, &data, NULL, 0, ROWS, batch_size, hyper, &loss_sum, NULL, NULL, &batches) != NN_OK) return 1;
        }
        for (ptrdiff_t i = 0; i < net->size; i++) {
            uint32_t bits;
            memcpy(&bits, net->params + i, sizeof bits);
            hash = (hash ^ bits) * 1099511628211u;
        }
        nn_net_free(net);
    }
    printf("%016llx %.17g\n", (unsigned long long)hash, loss_sum);
    return 0;
}
