/* Losses: link, loss and gradient with respect to the logits in one pass, one row each.
 *
 * The batch loss is the mean over the rows of the batch (and over the outputs, for all but the categorical
 * ones); the division happens here, by `scale` = 1/B, and nowhere else. Row losses leave as floats and are
 * added by the caller, in order, in double. Cross-entropies that do not come straight from their link work on
 * probabilities: the categorical ones divide each row by its sum, all clip to [1e-7, 1 - 1e-7], and the
 * gradient passes through the division and is zero where clipped (Keras 3). */

#ifndef NN_LOSS_H
#define NN_LOSS_H

#include "activation.h"
#include "transpose.h"

#define PROBABILITY_MIN 1e-7f
#define PROBABILITY_MAX (1.0f - 1e-7f)

static float weight_of(const float *weight, ptrdiff_t r) { return weight ? weight[r] : 1.0f; }

/* A loss that is a mean over the outputs of value(a, y), with the gradient slope(a, y) for each. The row's
 * terms are added in order; `term` is a stretch of them, so that long rows need no scratch memory. Rows of
 * one output are words of rows: the same bits. */
#define MEAN_OF_OUTPUTS(NAME, VALUE, SLOPE)                                               \
    static void NAME(float *row_loss, float *da, const float *a_rows, nn_targets targets, \
                     const float *weight, ptrdiff_t R, ptrdiff_t K, float scale) {        \
        if (K == 1 && !weight) {                                                          \
            const vec factor = vset(scale);                                               \
            FOR_WORDS(R, {                                                                \
                const vec a = vload_part(a_rows + i, PART, tail);                         \
                const vec y = vload_part(targets.values + i, PART, tail);                 \
                vstore_part(row_loss + i, VALUE + 0.0f, PART, tail);                      \
                if (da) vstore_part(da + i, (SLOPE) * factor + 0.0f, PART, tail);         \
            });                                                                           \
            return;                                                                       \
        }                                                                                 \
        for (ptrdiff_t r = 0; r < R; r++) {                                               \
            const float *a_row = a_rows + r * K;                                          \
            const float *y_row = targets.values + r * K;                                  \
            const vec factor = vset(weight_of(weight, r) * scale / (float)K);             \
            float sum = 0.0f;                                                             \
            FOR_WORDS(K, {                                                                \
                const vec a = vload_part(a_row + i, PART, tail);                          \
                const vec y = vload_part(y_row + i, PART, tail);                          \
                float term[VW];                                                           \
                vstore(term, VALUE);                                                      \
                for (ptrdiff_t k = 0; k < VW && i + k < K; k++) sum += term[k];           \
                if (da) vstore_part(da + r * K + i, (SLOPE) * factor + 0.0f, PART, tail); \
            });                                                                           \
            row_loss[r] = weight_of(weight, r) * (sum / (float)K);                        \
        }                                                                                 \
    }

INLINE vec vclip(vec a) {
    const vec low = vset(PROBABILITY_MIN), high = vset(PROBABILITY_MAX);
    a = vselect((ivec)(a < low), low, a);
    return vselect((ivec)(a > high), high, a);
}
INLINE vec vinside(vec a, vec g) {
    return vselect((ivec)(vclip(a) == a), g, vzero());
} /* the gradient of clip */

/* -(y log p + (1 - y) log(1 - p)) */
INLINE vec bce_value(vec p, vec y) { return -(y * vlog(p) + (1.0f - y) * vlog(1.0f - p)); }
INLINE vec bce_slope(vec p, vec y) { return (p - y) / (p * (1.0f - p)); }
/* From the logit z: max(z, 0) - z y + log(1 + exp(-|z|)) */
INLINE vec bce_logit_value(vec z, vec y) { return vrelu(z) - z * y + vlog1p(vexp(-vabs(z))); }

MEAN_OF_OUTPUTS(mean_squared_error, (a - y) * (a - y), 2.0f * (a - y))
MEAN_OF_OUTPUTS(mean_absolute_error, vabs(a - y), vsign(a - y))
MEAN_OF_OUTPUTS(binary_crossentropy, bce_value(vclip(a), y), vinside(a, bce_slope(vclip(a), y)))
MEAN_OF_OUTPUTS(binary_crossentropy_logits, bce_logit_value(a, y), vsigmoid(a) - y)

static void binary_crossentropy_from_logits(float *row_loss, float *dz, float *p, nn_targets y,
                                            const float *weight, ptrdiff_t R, ptrdiff_t K, float scale) {
    binary_crossentropy_logits(row_loss, dz, p, y, weight, R, K, scale);
    sigmoid_forward(p, R, K, 1.0f);
}

/* The target of class k, whichever form the targets have. */
INLINE float target_of(nn_targets y, ptrdiff_t r, ptrdiff_t k, ptrdiff_t K) {
    return y.labels ? (float)(y.labels[r] == k) : y.values[r * K + k];
}

/* loss_r = sum_k y_k (log sum_j exp z_j - z_k), dz = p sum_k y_k - y. A label is the case of one y_k = 1, for
 * which the sums are not run. */
static void categorical_by_rows(float *row_loss, float *dz, float *p_rows, nn_targets y, const float *weight,
                                ptrdiff_t R, ptrdiff_t K, float scale) {
    for (ptrdiff_t r = 0; r < R; r++) {
        float *p = p_rows + r * K;
        const float largest = row_max(p, K);
        float margin = 0.0f, total = 0.0f; /* sum_k y_k (max - z_k), sum_k y_k */
        if (y.labels) {
            margin = largest - p[y.labels[r]];
            total = 1.0f;
        } else {
            for (ptrdiff_t k = 0; k < K; k++) {
                margin += y.values[r * K + k] * (largest - p[k]);
                total += y.values[r * K + k];
            }
        }
        const float sum = row_exp(p, K, largest);
        row_divide(p, K, sum);
        float log_sum[VW];
        vstore(log_sum, vlog(vset(sum)));
        row_loss[r] = weight_of(weight, r) * (margin + total * log_sum[0]);
        if (!dz) continue;
        const vec factor = vset(weight_of(weight, r) * scale), t = vset(total);
        if (y.labels) {
            float *g = dz + r * K;
            FOR_WORDS(K, vstore_part(g + i, vload_part(p + i, PART, tail) * factor + 0.0f, PART, tail););
            g[y.labels[r]] = (p[y.labels[r]] - 1.0f) * (weight_of(weight, r) * scale) + 0.0f;
        } else {
            FOR_WORDS(K, {
                const vec g =
                    vload_part(p + i, PART, tail) * t - vload_part(y.values + r * K + i, PART, tail);
                vstore_part(dz + r * K + i, g * factor + 0.0f, PART, tail);
            });
        }
    }
}

/* The same of rows with few classes, whose words are short and chains long: on their side, a lane a row.
 * Labels only. */
#define LANE_CLASSES 32
#define LANE_ROWS 64
#define LANE_MIN_ROWS 10 /* fewer do not repay a word a class */

static void categorical_by_lanes(float *row_loss, float *dz, float *p_rows, const int32_t *labels,
                                 const float *weight, ptrdiff_t R, ptrdiff_t K, float scale) {
    float turned[LANE_CLASSES * LANE_ROWS], gradient[LANE_CLASSES * LANE_ROWS], labelled[LANE_ROWS],
        ones[LANE_ROWS];
    transpose(turned, p_rows, R, K, 0, R);
    for (ptrdiff_t r = 0; r < R; r++) {
        labelled[r] = p_rows[r * K + labels[r]];
        ones[r] = 1.0f;
    }
    if (!weight) weight = ones;
    FOR_WORDS(R, {
        float *z = turned + i;
        vec largest = vload_part(z, PART, tail);
        vec sum = vzero();
        for (ptrdiff_t k = 1; k < K; k++) largest = vmax(vload_part(z + k * R, PART, tail), largest);
        for (ptrdiff_t k = 0; k < K; k++) {
            const vec p = vexp(vload_part(z + k * R, PART, tail) - largest);
            vstore_part(z + k * R, p, PART, tail);
            sum = sum + p;
        }
        const vec w = vload_part(weight + i, PART, tail);
        const vec factor = w * scale;
        for (ptrdiff_t k = 0; k < K; k++) {
            const vec p = vload_part(z + k * R, PART, tail) / sum;
            vstore_part(z + k * R, p, PART, tail);
            vstore_part(gradient + k * R + i, p * factor + 0.0f, PART, tail);
        }
        vstore_part(row_loss + i, w * ((largest - vload_part(labelled + i, PART, tail)) + vlog(sum)), PART,
                    tail);
    });
    transpose(p_rows, turned, K, R, 0, K);
    if (!dz) return;
    transpose(dz, gradient, K, R, 0, K);
    for (ptrdiff_t r = 0; r < R; r++) {
        const ptrdiff_t at = r * K + labels[r];
        dz[at] = (p_rows[at] - 1.0f) * (weight[r] * scale) + 0.0f;
    }
}

static void categorical_from_logits(float *row_loss, float *dz, float *p, nn_targets y, const float *weight,
                                    ptrdiff_t R, ptrdiff_t K, float scale) {
    ptrdiff_t r = 0;
    if (y.labels && K <= LANE_CLASSES) {
        for (ptrdiff_t rows; R - r >= LANE_MIN_ROWS; r += rows) {
            rows = R - r < LANE_ROWS ? R - r : LANE_ROWS;
            categorical_by_lanes(row_loss + r, dz ? dz + r * K : NULL, p + r * K, y.labels + r,
                                 weight ? weight + r : NULL, rows, K, scale);
        }
    }
    const nn_targets rest = {y.labels ? y.labels + r : NULL, y.values ? y.values + r * K : NULL};
    categorical_by_rows(row_loss + r, dz ? dz + r * K : NULL, p + r * K, rest, weight ? weight + r : NULL,
                        R - r, K, scale);
}

/* With s = sum_j a_j, q = a / s, c = clip(q): loss_r = -sum_k y_k log c_k; with u_k = -y_k / c_k where not
 * clipped, else 0: da_k = (u_k - sum_j u_j q_j) / s. */
static void categorical_from_outputs(float *row_loss, float *da, const float *a_rows, nn_targets y,
                                     const float *weight, ptrdiff_t R, ptrdiff_t K, float scale) {
    for (ptrdiff_t r = 0; r < R; r++) {
        const float *a = a_rows + r * K;
        float sum = 0.0f;
        for (ptrdiff_t k = 0; k < K; k++) sum += a[k];
        float loss = 0.0f, mean = 0.0f;
        for (ptrdiff_t k = 0; k < K; k++) {
            const float t = target_of(y, r, k, K), q = a[k] / sum;
            float c[VW], log_c[VW];
            vstore(c, vclip(vset(q)));
            vstore(log_c, vlog(vset(c[0])));
            if (t != 0.0f) loss -= t * log_c[0];
            if (c[0] == q) mean -= t / q * q;
            if (da) da[r * K + k] = c[0] == q ? -t / q : 0.0f;
        }
        /* A NaN among the outputs of classes that do not count must not pass unseen. */
        row_loss[r] = weight_of(weight, r) * (sum == sum ? loss : sum);
        if (!da) continue;
        const float factor = weight_of(weight, r) * scale / sum;
        for (ptrdiff_t k = 0; k < K; k++) da[r * K + k] = (da[r * K + k] - mean) * factor + 0.0f;
    }
}

static const nn_loss loss_table[] = {
    {.name = "mean_squared_error", .from_outputs = mean_squared_error},
    {.name = "mean_absolute_error", .from_outputs = mean_absolute_error},
    {.name = "binary_crossentropy",
     .link = "sigmoid",
     .from_logits = binary_crossentropy_from_logits,
     .from_outputs = binary_crossentropy},
    {.name = "categorical_crossentropy",
     .link = "softmax",
     .from_logits = categorical_from_logits,
     .from_outputs = categorical_from_outputs},
    {.name = "sparse_categorical_crossentropy",
     .link = "softmax",
     .sparse = true,
     .from_logits = categorical_from_logits,
     .from_outputs = categorical_from_outputs},
    {.name = NULL},
};

#endif
