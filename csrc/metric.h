/* Metrics: sums over rows of something that is looked at, not trained on, one row each.
 *
 * Each goes on with the sum that the rows before have made, so that no total depends on where a batch is cut
 * into blocks. They see what the model predicts, in the same forward pass that the loss sees. Plain loops: a
 * metric costs a hundredth of a layer. */

#ifndef NN_METRIC_H
#define NN_METRIC_H

#include "kernels.h"

/* The place of the largest of n floats; of several, the first. */
static ptrdiff_t argmax(const float *a, ptrdiff_t n) {
    ptrdiff_t best = 0;
    for (ptrdiff_t k = 1; k < n; k++) best = a[k] > a[best] ? k : best;
    return best;
}

static double sparse_categorical_accuracy(double sum, const float *a, nn_targets y, ptrdiff_t R,
                                          ptrdiff_t K) {
    for (ptrdiff_t r = 0; r < R; r++) sum += argmax(a + r * K, K) == y.labels[r];
    return sum;
}

static double categorical_accuracy(double sum, const float *a, nn_targets y, ptrdiff_t R, ptrdiff_t K) {
    for (ptrdiff_t r = 0; r < R; r++) sum += argmax(a + r * K, K) == argmax(y.values + r * K, K);
    return sum;
}

/* The mean over the outputs of (a > threshold) == y */
static double agreement(double sum, const float *a, nn_targets y, ptrdiff_t R, ptrdiff_t K, float threshold) {
    for (ptrdiff_t r = 0; r < R; r++) {
        double row = 0.0;
        for (ptrdiff_t k = 0; k < K; k++)
            row += (a[r * K + k] > threshold ? 1.0f : 0.0f) == y.values[r * K + k];
        sum += row / (double)K;
    }
    return sum;
}
static double binary_accuracy(double sum, const float *a, nn_targets y, ptrdiff_t R, ptrdiff_t K) {
    return agreement(sum, a, y, R, K, 0.5f);
}
static double binary_accuracy_of_logits(double sum, const float *a, nn_targets y, ptrdiff_t R, ptrdiff_t K) {
    return agreement(sum, a, y, R, K, 0.0f);
}

static double squared_error(double sum, const float *a, nn_targets y, ptrdiff_t R, ptrdiff_t K) {
    for (ptrdiff_t r = 0; r < R; r++) {
        double row = 0.0;
        for (ptrdiff_t k = 0; k < K; k++) {
            const double d = (double)a[r * K + k] - (double)y.values[r * K + k];
            row += d * d;
        }
        sum += row / (double)K;
    }
    return sum;
}

static double absolute_error(double sum, const float *a, nn_targets y, ptrdiff_t R, ptrdiff_t K) {
    for (ptrdiff_t r = 0; r < R; r++) {
        double row = 0.0;
        for (ptrdiff_t k = 0; k < K; k++) {
            const double d = (double)a[r * K + k] - (double)y.values[r * K + k];
            row += d < 0.0 ? -d : d;
        }
        sum += row / (double)K;
    }
    return sum;
}

static const nn_metric metric_table[] = {
    {.name = "sparse_categorical_accuracy", .sparse = true, .add = sparse_categorical_accuracy},
    {.name = "categorical_accuracy", .add = categorical_accuracy},
    {.name = "binary_accuracy", .add = binary_accuracy},
    {.name = "binary_accuracy_of_logits", .add = binary_accuracy_of_logits},
    {.name = "mean_squared_error", .add = squared_error},
    {.name = "mean_absolute_error", .add = absolute_error},
    {.name = NULL},
};

#endif
