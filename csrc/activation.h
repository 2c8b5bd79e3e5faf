/* Activations: value and slope side by side, one row each.
 *
 * A slope is a function of the output a, not of z: that is what is kept from the forward pass. To add one,
 * write its two lines and its row; then its line in the reference and its public name in activations.py. */

#ifndef NN_ACTIVATION_H
#define NN_ACTIVATION_H

#include "kernels.h"
#include "vmath.h"

enum {
    FINISH_STORE,
    FINISH_RELU,
    FINISH_SGD,
    FINISH_SLOPE
}; /* what a tile in dense.h can do with its accumulators */

/* An elementwise activation from value(z, p) and slope(a, p), p being the parameter in every lane. */
#define ELEMENTWISE(NAME, VALUE, SLOPE)                                                                    \
    INLINE vec NAME##_value(vec z, vec p) {                                                                \
        (void)p;                                                                                           \
        return VALUE;                                                                                      \
    }                                                                                                      \
    INLINE vec NAME##_slope(vec a, vec p) {                                                                \
        (void)a;                                                                                           \
        (void)p;                                                                                           \
        return SLOPE;                                                                                      \
    }                                                                                                      \
    static void NAME##_forward(float *a, ptrdiff_t rows, ptrdiff_t n, float parameter) {                   \
        const ptrdiff_t size = rows * n;                                                                   \
        const vec p = vset(parameter);                                                                     \
        FOR_WORDS(size,                                                                                    \
                  vstore_part(a + i, NAME##_value(vload_part(a + i, PART, tail), p) + 0.0f, PART, tail);); \
    }                                                                                                      \
    static void NAME##_backward(float *dz, const float *da, const float *a, ptrdiff_t rows, ptrdiff_t n,   \
                                float parameter) {                                                         \
        const ptrdiff_t size = rows * n;                                                                   \
        const vec p = vset(parameter);                                                                     \
        FOR_WORDS(size, {                                                                                  \
            const vec slope = NAME##_slope(vload_part(a + i, PART, tail), p);                              \
            vstore_part(dz + i, vload_part(da + i, PART, tail) * slope + 0.0f, PART, tail);                \
        });                                                                                                \
    }

/* z < 0 ? 0 : z keeps NaN, where max(z, 0) may lose it. The slope at 0 is 0. */
INLINE vec vrelu(vec z) { return vselect((ivec)(z < vzero()), vzero(), z); }

ELEMENTWISE(linear, z, vset(1.0f))
ELEMENTWISE(relu, vrelu(z), vselect((ivec)(a > vzero()), vset(1.0f), vzero()))
ELEMENTWISE(sigmoid, vsigmoid(p *z), p * a * (1.0f - a))
ELEMENTWISE(tanh, vtanh(z), 1.0f - a * a)
ELEMENTWISE(leaky_relu, vselect((ivec)(z > vzero()), z, p *z), vselect((ivec)(a > vzero()), vset(1.0f), p))
ELEMENTWISE(elu, vselect((ivec)(z > vzero()), z, p *(vexp(z) - 1.0f)),
            vselect((ivec)(a > vzero()), vset(1.0f), a + p))

/* The largest of n floats; NaN may be passed over, the sum that follows will show it. */
static float row_max(const float *z, ptrdiff_t n) {
    float largest = z[0];
    for (ptrdiff_t k = 1; k < n; k++) largest = z[k] > largest ? z[k] : largest;
    return largest;
}

/* p = exp(z - max z) in place; returns their sum, added in order of the classes. */
static float row_exp(float *p, ptrdiff_t n, float largest) {
    const vec m = vset(largest);
    FOR_WORDS(n, vstore_part(p + i, vexp(vload_part(p + i, PART, tail) - m), PART, tail););
    float sum = p[0];
    for (ptrdiff_t k = 1; k < n; k++) sum += p[k];
    return sum;
}

static void row_divide(float *p, ptrdiff_t n, float sum) {
    const vec s = vset(sum);
    FOR_WORDS(n, vstore_part(p + i, vload_part(p + i, PART, tail) / s, PART, tail););
}

static void softmax_forward(float *a, ptrdiff_t rows, ptrdiff_t n, float parameter) {
    (void)parameter;
    for (ptrdiff_t r = 0; r < rows; r++, a += n) row_divide(a, n, row_exp(a, n, row_max(a, n)));
}

/* dz = a (da - sum_k da_k a_k) */
static void softmax_backward(float *dz, const float *da, const float *a, ptrdiff_t rows, ptrdiff_t n,
                             float parameter) {
    (void)parameter;
    for (ptrdiff_t r = 0; r < rows; r++, dz += n, da += n, a += n) {
        float dot = 0.0f;
        for (ptrdiff_t k = 0; k < n; k++) dot += da[k] * a[k];
        const vec d = vset(dot);
        FOR_WORDS(n, {
            const vec g = (vload_part(da + i, PART, tail) - d) * vload_part(a + i, PART, tail);
            vstore_part(dz + i, g + 0.0f, PART, tail);
        });
    }
}

static const nn_activation activation_table[] = {
    {.name = "linear", .fused = FINISH_STORE, .forward = linear_forward, .backward = linear_backward},
    {.name = "relu",
     .fused = FINISH_RELU,
     .relu_slope = true,
     .forward = relu_forward,
     .backward = relu_backward},
    {.name = "sigmoid",
     .has_parameter = true,
     .parameter = 1.0,
     .forward = sigmoid_forward,
     .backward = sigmoid_backward},
    {.name = "tanh", .forward = tanh_forward, .backward = tanh_backward},
    {.name = "softmax", .whole_row = true, .forward = softmax_forward, .backward = softmax_backward},
    {.name = "leaky_relu",
     .has_parameter = true,
     .parameter = 0.2,
     .forward = leaky_relu_forward,
     .backward = leaky_relu_backward},
    {.name = "elu",
     .has_parameter = true,
     .parameter = 1.0,
     .forward = elu_forward,
     .backward = elu_backward},
    {.name = NULL},
};

#endif
