/* Update rules: one word of weights, its gradient and its slots, one row each.
 *
 * Semantics are those of Keras 3. `prepare` makes the constants of a step in double (the powers of beta among
 * them) and rounds them once;
 * `<rule>_word` applies them. Rules never see the batch size. To add one, write the two and its row; then its
 * line in the reference and its public name in optimizers.py. */

#ifndef NN_OPTIMIZER_H
#define NN_OPTIMIZER_H

#include <math.h>

#include "activation.h"

/* The loop of a rule with SLOTS slots, over rows x n floats, from `vec NAME_word(vec w, vec g, vec *slot,
 * const vec *c)`. A gradient of -0 counts as +0, like all that dense.h stores. To clear g here costs nothing
 * beside division and square root; by itself it would. */
#define RULE_LOOP(NAME, SLOTS)                                                                          \
    static void NAME##_update(const nn_weights *weights, float *g, nn_area area, const nn_step *step,   \
                              bool clear) {                                                             \
        float *w = weights->w, *const *slots = weights->slots;                                          \
        const ptrdiff_t n = area.n;                                                                     \
        vec c[NN_MAX_HYPER];                                                                            \
        for (int k = 0; k < NN_MAX_HYPER; k++) c[k] = vset(step->c[k]);                                 \
        for (ptrdiff_t r = 0; r < area.rows; r++, g += area.ldg) {                                      \
            const ptrdiff_t row = r * area.ldw;                                                         \
            FOR_WORDS(n, {                                                                              \
                const vec gradient = vload_part(g + i, PART, tail) + 0.0f;                              \
                vec slot[(SLOTS) + 1];                                                                  \
                for (int s = 0; s < (SLOTS); s++) slot[s] = vload_part(slots[s] + row + i, PART, tail); \
                const vec new_w = NAME##_word(vload_part(w + row + i, PART, tail), gradient, slot, c);  \
                vstore_part(w + row + i, new_w, PART, tail);                                            \
                for (int s = 0; s < (SLOTS); s++) vstore_part(slots[s] + row + i, slot[s], PART, tail); \
                if (clear) vstore_part(g + i, vzero(), PART, tail);                                     \
            });                                                                                         \
        }                                                                                               \
    }

/* SGD: w -= lr g. hyper: learning_rate */
static void sgd_prepare(nn_step *step, const double *hyper, int64_t t) {
    (void)t;
    *step = (nn_step){{(float)hyper[0]}};
}
INLINE vec sgd_word(vec w, vec g, vec *slot, const vec *c) {
    (void)slot;
    return vfnma(c[0], g, w);
}
RULE_LOOP(sgd, 0)

/* Momentum: v = mu v - lr g; w += v. Nesterov: w += mu v - lr g with the new v. hyper: learning_rate,
 * momentum */
static void momentum_prepare(nn_step *step, const double *hyper, int64_t t) {
    (void)t;
    *step = (nn_step){{(float)hyper[0], (float)hyper[1]}};
}
INLINE vec momentum_word(vec w, vec g, vec *slot, const vec *c) {
    slot[0] = vfnma(c[0], g, c[1] * slot[0]);
    return w + slot[0];
}
INLINE vec nesterov_word(vec w, vec g, vec *slot, const vec *c) {
    slot[0] = vfnma(c[0], g, c[1] * slot[0]);
    return w + vfnma(c[0], g, c[1] * slot[0]);
}
RULE_LOOP(momentum, 1)
RULE_LOOP(nesterov, 1)

/* RMSprop (Hinton's lecture 6e, as in Keras): v = rho v + (1-rho) g^2; centered: a = rho a + (1-rho) g, d = v
 * - a^2, else d = v; u = lr g / sqrt(d + eps); with momentum m = mu m + u, w -= m, else w -= u. hyper:
 * learning_rate, rho, epsilon[, momentum] */
static void rmsprop_prepare(nn_step *step, const double *hyper, int64_t t) {
    (void)t;
    *step = (nn_step){{(float)hyper[0], (float)hyper[1], (float)(1.0 - hyper[1]), (float)hyper[2]}};
}
static void rmsprop_momentum_prepare(nn_step *step, const double *hyper, int64_t t) {
    rmsprop_prepare(step, hyper, t);
    step->c[4] = (float)hyper[3];
}
INLINE vec rmsprop_step(vec g, vec *v, vec *average, const vec *c) {
    *v = vfma(c[2], g * g, c[1] * *v);
    vec d = *v;
    if (average) {
        *average = vfma(c[2], g, c[1] * *average);
        d = vfnma(*average, *average, d);
    }
    return (c[0] * g) / vsqrt(d + c[3]);
}
INLINE vec rmsprop_word(vec w, vec g, vec *slot, const vec *c) {
    return w - rmsprop_step(g, &slot[0], NULL, c);
}
INLINE vec rmsprop_centered_word(vec w, vec g, vec *slot, const vec *c) {
    return w - rmsprop_step(g, &slot[0], &slot[1], c);
}
INLINE vec rmsprop_momentum_word(vec w, vec g, vec *slot, const vec *c) {
    slot[1] = vfma(c[4], slot[1], rmsprop_step(g, &slot[0], NULL, c));
    return w - slot[1];
}
INLINE vec rmsprop_centered_momentum_word(vec w, vec g, vec *slot, const vec *c) {
    slot[2] = vfma(c[4], slot[2], rmsprop_step(g, &slot[0], &slot[1], c));
    return w - slot[2];
}
RULE_LOOP(rmsprop, 1)
RULE_LOOP(rmsprop_centered, 2)
RULE_LOOP(rmsprop_momentum, 2)
RULE_LOOP(rmsprop_centered_momentum, 3)

/* Adam (Kingma and Ba 2015): m += (1-b1)(g-m); v += (1-b2)(g^2-v); w -= a m / (sqrt(v) + e) with a = lr
 * sqrt(1-b2^t)/(1-b1^t). "Uncorrected": e = eps, the epsilon hat of the paper's section 2, as in Keras.
 * "Corrected": eps is added to the corrected sqrt(v^) as in Algorithm 1; multiplied out that is e = eps
 * sqrt(1-b2^t). hyper: learning_rate, beta_1, beta_2, epsilon */
static void adam_prepare(nn_step *step, const double *hyper, int64_t t) {
    const double correction = sqrt(1.0 - pow(hyper[2], (double)t)) / (1.0 - pow(hyper[1], (double)t));
    *step = (nn_step){
        {(float)(hyper[0] * correction), (float)(1.0 - hyper[1]), (float)(1.0 - hyper[2]), (float)hyper[3]}};
}
static void adam_corrected_prepare(nn_step *step, const double *hyper, int64_t t) {
    adam_prepare(step, hyper, t);
    step->c[3] = (float)(hyper[3] * sqrt(1.0 - pow(hyper[2], (double)t)));
}
INLINE vec adam_word(vec w, vec g, vec *slot, const vec *c) {
    slot[0] = vfma(c[1], g - slot[0], slot[0]);
    slot[1] = vfma(c[2], g * g - slot[1], slot[1]);
    return w - (c[0] * slot[0]) / (vsqrt(slot[1]) + c[3]);
}
RULE_LOOP(adam, 2)

#define HYPER_RMSPROP "learning_rate", "rho", "epsilon"
#define HYPER_ADAM "learning_rate", "beta_1", "beta_2", "epsilon"

static const nn_rule rule_table[] = {
    {"sgd", {"learning_rate"}, {NULL}, FINISH_SGD, sgd_prepare, sgd_update},
    {"momentum", {"learning_rate", "momentum"}, {"velocity"}, 0, momentum_prepare, momentum_update},
    {"nesterov", {"learning_rate", "momentum"}, {"velocity"}, 0, momentum_prepare, nesterov_update},
    {"rmsprop", {HYPER_RMSPROP}, {"velocity"}, 0, rmsprop_prepare, rmsprop_update},
    {"rmsprop_centered",
     {HYPER_RMSPROP},
     {"velocity", "average_gradient"},
     0,
     rmsprop_prepare,
     rmsprop_centered_update},
    {"rmsprop_momentum",
     {HYPER_RMSPROP, "momentum"},
     {"velocity", "momentum"},
     0,
     rmsprop_momentum_prepare,
     rmsprop_momentum_update},
    {"rmsprop_centered_momentum",
     {HYPER_RMSPROP, "momentum"},
     {"velocity", "average_gradient", "momentum"},
     0,
     rmsprop_momentum_prepare,
     rmsprop_centered_momentum_update},
    {"adam", {HYPER_ADAM}, {"momentum", "velocity"}, 0, adam_prepare, adam_update},
    {"adam_corrected", {HYPER_ADAM}, {"momentum", "velocity"}, 0, adam_corrected_prepare, adam_update},
    {.name = NULL},
};

#endif
