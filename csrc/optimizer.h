/* Update rules: one word of weights, its gradient and its slots, one row each.
 *
 * Semantics are those of Keras 3. `prepare` makes the constants of a step in double (the powers of beta among
 * them) and rounds them once;
 * `<rule>_word` applies them. Slots begin with zeros unless the row says `initial`. Rules never see the batch
 * size. To add one, write the two and its row; then its line in reference/optimizer.py and its class in
 * optimizers/. */

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

/* Adagrad (Duchi, Hazan and Singer 2011): a += g^2; w -= lr g / sqrt(a + eps). hyper: learning_rate, epsilon
 */
static void adagrad_prepare(nn_step *step, const double *hyper, int64_t t) {
    (void)t;
    *step = (nn_step){{(float)hyper[0], (float)hyper[1]}};
}
INLINE vec adagrad_word(vec w, vec g, vec *slot, const vec *c) {
    slot[0] = vfma(g, g, slot[0]);
    return w - (c[0] * g) / vsqrt(slot[0] + c[1]);
}
RULE_LOOP(adagrad, 1)

/* Adadelta (Zeiler 2012): a = rho a + (1-rho) g^2; d = sqrt(b + eps) / sqrt(a + eps) g; b = rho b + (1-rho)
 * d^2; w -= lr d. hyper: learning_rate, rho, epsilon */
INLINE vec adadelta_word(vec w, vec g, vec *slot, const vec *c) {
    slot[0] = vfma(c[2], g * g, c[1] * slot[0]);
    const vec d = (vsqrt(slot[1] + c[3]) * g) / vsqrt(slot[0] + c[3]);
    slot[1] = vfma(c[2], d * d, c[1] * slot[1]);
    return vfnma(c[0], d, w);
}
RULE_LOOP(adadelta, 2)

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

/* AMSGrad (Reddi, Kale and Kumar 2018): the root is that of the largest v so far. */
INLINE vec adam_amsgrad_word(vec w, vec g, vec *slot, const vec *c) {
    slot[0] = vfma(c[1], g - slot[0], slot[0]);
    slot[1] = vfma(c[2], g * g - slot[1], slot[1]);
    slot[2] = vmax(slot[2], slot[1]);
    return w - (c[0] * slot[0]) / (vsqrt(slot[2]) + c[3]);
}
RULE_LOOP(adam_amsgrad, 3)

/* AdamW (Loshchilov and Hutter 2019): w -= lr decay w, and then Adam's step. hyper: those of Adam,
 * weight_decay */
static void adamw_prepare(nn_step *step, const double *hyper, int64_t t) {
    adam_prepare(step, hyper, t);
    step->c[4] = (float)(hyper[0] * hyper[4]);
}
static void adamw_corrected_prepare(nn_step *step, const double *hyper, int64_t t) {
    adam_corrected_prepare(step, hyper, t);
    step->c[4] = (float)(hyper[0] * hyper[4]);
}
INLINE vec adamw_word(vec w, vec g, vec *slot, const vec *c) {
    return adam_word(vfnma(c[4], w, w), g, slot, c);
}
INLINE vec adamw_amsgrad_word(vec w, vec g, vec *slot, const vec *c) {
    return adam_amsgrad_word(vfnma(c[4], w, w), g, slot, c);
}
RULE_LOOP(adamw, 2)
RULE_LOOP(adamw_amsgrad, 3)

/* Adamax (Kingma and Ba 2015, section 7.1): m += (1-b1)(g-m); u = max(b2 u, |g|); w -= lr / (1-b1^t) m / (u +
 * eps). hyper: those of Adam */
static void adamax_prepare(nn_step *step, const double *hyper, int64_t t) {
    const double rate = hyper[0] / (1.0 - pow(hyper[1], (double)t));
    *step = (nn_step){{(float)rate, (float)(1.0 - hyper[1]), (float)hyper[2], (float)hyper[3]}};
}
INLINE vec adamax_word(vec w, vec g, vec *slot, const vec *c) {
    slot[0] = vfma(c[1], g - slot[0], slot[0]);
    slot[1] = vmax(c[2] * slot[1], vabs(g));
    return w - (c[0] * slot[0]) / (slot[1] + c[3]);
}
RULE_LOOP(adamax, 2)

/* Nadam (Dozat 2016): mu_t = b1 (1 - 0.96^t / 2), M_t = mu_1 ... mu_t; m and v as Adam's; w -= lr (mu_(t+1) m
 * / (1-M_(t+1)) + (1-mu_t) g / (1-M_t)) / (sqrt(v / (1-b2^t)) + eps). hyper: those of Adam */
static double nadam_momentum(const double *hyper, int64_t t) {
    return hyper[1] * (1.0 - 0.5 * pow(0.96, (double)t));
}
/* M_t. The product ends where nothing of 1 - M_t is left to change, at some 400 for the usual b1; its factors
 * are b1 in double from some 900 on. */
static double nadam_product(const double *hyper, int64_t t) {
    double product = 1.0;
    for (int64_t k = 1; k <= t; k++) {
        if (product < 1e-20) return 0.0;
        if (k > 900) return product * pow(hyper[1], (double)(t - k + 1));
        product *= nadam_momentum(hyper, k);
    }
    return product;
}
static void nadam_prepare(nn_step *step, const double *hyper, int64_t t) {
    const double now = nadam_momentum(hyper, t), next = nadam_momentum(hyper, t + 1),
                 product = nadam_product(hyper, t), root = sqrt(1.0 - pow(hyper[2], (double)t)),
                 rate = hyper[0] * root;
    *step = (nn_step){{(float)(rate * next / (1.0 - product * next)), (float)(1.0 - hyper[1]),
                       (float)(1.0 - hyper[2]), (float)(hyper[3] * root),
                       (float)(rate * (1.0 - now) / (1.0 - product))}};
}
INLINE vec nadam_word(vec w, vec g, vec *slot, const vec *c) {
    slot[0] = vfma(c[1], g - slot[0], slot[0]);
    slot[1] = vfma(c[2], g * g - slot[1], slot[1]);
    return w - vfma(c[4], g, c[0] * slot[0]) / (vsqrt(slot[1]) + c[3]);
}
RULE_LOOP(nadam, 2)

/* Lion (Chen et al. 2023): w -= lr sign(b1 m + (1-b1) g); m = b2 m + (1-b2) g. hyper: learning_rate, beta_1,
 * beta_2 */
static void lion_prepare(nn_step *step, const double *hyper, int64_t t) {
    (void)t;
    *step = (nn_step){{(float)hyper[0], (float)hyper[1], (float)(1.0 - hyper[1]), (float)hyper[2],
                       (float)(1.0 - hyper[2])}};
}
INLINE vec lion_word(vec w, vec g, vec *slot, const vec *c) {
    const vec direction = vsign(vfma(c[2], g, c[1] * slot[0]));
    slot[0] = vfma(c[4], g, c[3] * slot[0]);
    return vfnma(c[0], direction, w);
}
RULE_LOOP(lion, 1)

/* FTRL-proximal (McMahan et al. 2013): n = a + g^2; z += g + 2 shrinkage w - (n^-p - a^-p) / lr w; a = n; w =
 * (clip(z, -l1, l1) - z) / (n^-p / lr + 2 l2 + beta / lr). "ftrl" has p = -1/2. hyper: learning_rate, the
 * strengths l1, l2 and shrinkage, beta[, p] */
static void ftrl_prepare(nn_step *step, const double *hyper, int64_t t) {
    (void)t;
    *step = (nn_step){{(float)(1.0 / hyper[0]), (float)hyper[1],
                       (float)(2.0 * hyper[2] + hyper[4] / hyper[0]), (float)(2.0 * hyper[3])}};
}
static void ftrl_power_prepare(nn_step *step, const double *hyper, int64_t t) {
    ftrl_prepare(step, hyper, t);
    step->c[4] = (float)-hyper[5];
}
/* x^p, x >= 0; 0^0 = 1. */
INLINE vec vpower(vec x, vec p) { return vselect((ivec)(p == vzero()), vset(1.0f), vexp(p * vlog(x))); }
/* The difference n^p - a^p is (n^p + a^p) tanh(p/2 log(n / a)), which for p = 1/2 is g^2 / (n^p + a^p), where
 * to subtract would leave few digits; not for n far above a, as a = 0. */
INLINE vec ftrl_step(vec w, vec g, vec *slot, const vec *c, bool power) {
    const vec before = slot[0], after = vfma(g, g, before), ratio = g * g / before;
    const vec grown = power ? vpower(after, c[4]) : vsqrt(after),
              old = power ? vpower(before, c[4]) : vsqrt(before), sum = grown + old;
    const vec near = power ? sum * vtanh(0.5f * c[4] * vlog1p(ratio)) : g * g / sum;
    const vec change = vselect((ivec)(ratio < vset(1e30f)), near, grown - old);
    const vec z = slot[1] + vfnma(change * c[0], w, vfma(c[3], w, g));
    slot[0] = after;
    slot[1] = z;
    const vec clipped = vselect((ivec)(z > c[1]), c[1], vselect((ivec)(z < -c[1]), -c[1], z));
    return (clipped - z) / vfma(grown, c[0], c[2]);
}
INLINE vec ftrl_word(vec w, vec g, vec *slot, const vec *c) { return ftrl_step(w, g, slot, c, false); }
INLINE vec ftrl_power_word(vec w, vec g, vec *slot, const vec *c) { return ftrl_step(w, g, slot, c, true); }
RULE_LOOP(ftrl, 2)
RULE_LOOP(ftrl_power, 2)

#define HYPER_RMSPROP "learning_rate", "rho", "epsilon"
#define HYPER_ADAM "learning_rate", "beta_1", "beta_2", "epsilon"
#define HYPER_FTRL                                                               \
    "learning_rate", "l1_regularization_strength", "l2_regularization_strength", \
        "l2_shrinkage_regularization_strength", "beta"
#define SLOTS_ADAM "momentum", "velocity"
#define SLOTS_AMSGRAD SLOTS_ADAM, "velocity_hat"
#define SLOTS_FTRL "accumulator", "linear"

static const nn_rule rule_table[] = {
    {.name = "sgd",
     .hyper = {"learning_rate"},
     .fused = FINISH_SGD,
     .prepare = sgd_prepare,
     .update = sgd_update},
    {.name = "momentum",
     .hyper = {"learning_rate", "momentum"},
     .slots = {"velocity"},
     .prepare = momentum_prepare,
     .update = momentum_update},
    {.name = "nesterov",
     .hyper = {"learning_rate", "momentum"},
     .slots = {"velocity"},
     .prepare = momentum_prepare,
     .update = nesterov_update},
    {.name = "rmsprop",
     .hyper = {HYPER_RMSPROP},
     .slots = {"velocity"},
     .prepare = rmsprop_prepare,
     .update = rmsprop_update},
    {.name = "rmsprop_centered",
     .hyper = {HYPER_RMSPROP},
     .slots = {"velocity", "average_gradient"},
     .prepare = rmsprop_prepare,
     .update = rmsprop_centered_update},
    {.name = "rmsprop_momentum",
     .hyper = {HYPER_RMSPROP, "momentum"},
     .slots = {"velocity", "momentum"},
     .prepare = rmsprop_momentum_prepare,
     .update = rmsprop_momentum_update},
    {.name = "rmsprop_centered_momentum",
     .hyper = {HYPER_RMSPROP, "momentum"},
     .slots = {"velocity", "average_gradient", "momentum"},
     .prepare = rmsprop_momentum_prepare,
     .update = rmsprop_centered_momentum_update},
    {.name = "adagrad",
     .hyper = {"learning_rate", "epsilon"},
     .slots = {"accumulator"},
     .initial = {0.1},
     .prepare = adagrad_prepare,
     .update = adagrad_update},
    {.name = "adadelta",
     .hyper = {HYPER_RMSPROP},
     .slots = {"accumulated_grad", "accumulated_delta_var"},
     .prepare = rmsprop_prepare,
     .update = adadelta_update},
    {.name = "adam",
     .hyper = {HYPER_ADAM},
     .slots = {SLOTS_ADAM},
     .prepare = adam_prepare,
     .update = adam_update},
    {.name = "adam_corrected",
     .hyper = {HYPER_ADAM},
     .slots = {SLOTS_ADAM},
     .prepare = adam_corrected_prepare,
     .update = adam_update},
    {.name = "adam_amsgrad",
     .hyper = {HYPER_ADAM},
     .slots = {SLOTS_AMSGRAD},
     .prepare = adam_prepare,
     .update = adam_amsgrad_update},
    {.name = "adam_corrected_amsgrad",
     .hyper = {HYPER_ADAM},
     .slots = {SLOTS_AMSGRAD},
     .prepare = adam_corrected_prepare,
     .update = adam_amsgrad_update},
    {.name = "adamw",
     .hyper = {HYPER_ADAM, "weight_decay"},
     .slots = {SLOTS_ADAM},
     .prepare = adamw_prepare,
     .update = adamw_update},
    {.name = "adamw_corrected",
     .hyper = {HYPER_ADAM, "weight_decay"},
     .slots = {SLOTS_ADAM},
     .prepare = adamw_corrected_prepare,
     .update = adamw_update},
    {.name = "adamw_amsgrad",
     .hyper = {HYPER_ADAM, "weight_decay"},
     .slots = {SLOTS_AMSGRAD},
     .prepare = adamw_prepare,
     .update = adamw_amsgrad_update},
    {.name = "adamw_corrected_amsgrad",
     .hyper = {HYPER_ADAM, "weight_decay"},
     .slots = {SLOTS_AMSGRAD},
     .prepare = adamw_corrected_prepare,
     .update = adamw_amsgrad_update},
    {.name = "adamax",
     .hyper = {HYPER_ADAM},
     .slots = {"momentum", "norm"},
     .prepare = adamax_prepare,
     .update = adamax_update},
    {.name = "nadam",
     .hyper = {HYPER_ADAM},
     .slots = {SLOTS_ADAM},
     .prepare = nadam_prepare,
     .update = nadam_update},
    {.name = "lion",
     .hyper = {"learning_rate", "beta_1", "beta_2"},
     .slots = {"momentum"},
     .prepare = lion_prepare,
     .update = lion_update},
    {.name = "ftrl",
     .hyper = {HYPER_FTRL},
     .slots = {SLOTS_FTRL},
     .initial = {0.1},
     .prepare = ftrl_prepare,
     .update = ftrl_update},
    {.name = "ftrl_power",
     .hyper = {HYPER_FTRL, "learning_rate_power"},
     .slots = {SLOTS_FTRL},
     .initial = {0.1},
     .prepare = ftrl_power_prepare,
     .update = ftrl_power_update},
    {.name = NULL},
};

#endif
