/* See random.h. */

#include "random.h"

#include <math.h>

#define GAMMA 0x9e3779b97f4a7c15u

static inline uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t nn_random_key(uint64_t seed, uint64_t stream) {
    return mix(mix(seed + GAMMA) ^ mix(stream * GAMMA + 0x632be59bd9b4e019u));
}

static inline double unit(uint64_t word) { return (double)(word >> 11) * 0x1p-53; }

void nn_random_uniform(double *out, ptrdiff_t n, uint64_t seed, uint64_t stream) {
    const uint64_t key = nn_random_key(seed, stream);
    for (ptrdiff_t i = 0; i < n; i++) out[i] = unit(mix(key + (uint64_t)(i + 1) * GAMMA));
}

/* log(x) for x in (0, 1/2]: x = 2^e m, m in [sqrt(1/2), sqrt(2)); log m = 2 atanh((m - 1) / (m + 1)) by its
 * series, to 1e-16. Not libm's, whose last bit differs from system to system. */
static double logarithm(double x) {
    int e;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752440) m *= 2.0, e -= 1;
    const double s = (m - 1.0) / (m + 1.0), s2 = s * s;
    double sum = 0.0;
    for (int k = 23; k >= 1; k -= 2) sum = sum * s2 + 1.0 / k;
    return 2.0 * s * sum + e * 0.69314718055994530942;
}

/* The ratio of two polynomials of degree 7, highest coefficient first. */
static double ratio(const double *p, const double *q, double r) {
    double a = p[0], b = q[0];
    for (int k = 1; k < 8; k++) a = a * r + p[k], b = b * r + q[k];
    return a / b;
}

/* AS 241, PPND16 (Wichura 1988), for u in (0, 1). */
static double normal_quantile(double u) {
    static const double a[8] = {2509.0809287301226727, 33430.575583588128105, 67265.770927008700853,
                                45921.953931549871457, 13731.693765509461125, 1971.5909503065514427,
                                133.14166789178437745, 3.387132872796366608};
    static const double b[8] = {
        5226.495278852545925,  28729.085735721942674, 39307.89580009271061,  21213.794301586595867,
        5394.1960214247511077, 687.1870074920579083,  42.313330701600911252, 1.0};
    static const double c[8] = {7.7454501427834140764e-4, .0227238449892691845833, .24178072517745061177,
                                1.27045825245236838258,   3.64784832476320460504,  5.7694972214606914055,
                                4.6303378461565452959,    1.42343711074968357734};
    static const double d[8] = {
        1.05075007164441684324e-9, 5.475938084995344946e-4, .0151986665636164571966, .14810397642748007459,
        .68976733498510000455,     1.6763848301838038494,   2.05319162663775882187,  1.0};
    static const double e[8] = {2.01033439929228813265e-7, 2.71155556874348757815e-5, .0012426609473880784386,
                                .026532189526576123093,    .29656057182850489123,     1.7848265399172913358,
                                5.4637849111641143699,     6.6579046435011037772};
    static const double f[8] = {2.04426310338993978564e-15, 1.4215117583164458887e-7,
                                1.8463183175100546818e-5,   7.868691311456132591e-4,
                                .0148753612908506148525,    .13692988092273580531,
                                .59983220655588793769,      1.0};
    const double centre = u - 0.5;
    if (fabs(centre) <= 0.425) return centre * ratio(a, b, 0.180625 - centre * centre);
    const double r = sqrt(-logarithm(centre < 0.0 ? u : 1.0 - u));
    const double z = r <= 5.0 ? ratio(c, d, r - 1.6) : ratio(e, f, r - 5.0);
    return centre < 0.0 ? -z : z;
}

void nn_random_normal(double *out, ptrdiff_t n, uint64_t seed, uint64_t stream) {
    nn_random_uniform(out, n, seed, stream);
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = normal_quantile(out[i] + 0x1p-54); /* the middle of its cell: never 0 */
}

void nn_random_truncated_normal(double *out, ptrdiff_t n, uint64_t seed, uint64_t stream) {
    const double below = 0.022750131948179209; /* Phi(-2) */
    nn_random_uniform(out, n, seed, stream);
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = normal_quantile(below + (out[i] + 0x1p-54) * (1.0 - 2.0 * below));
}

/* Lemire's bounded numbers: the upper half of bits * bound, drawn again where that would not be uniform. */
static inline ptrdiff_t below(uint64_t bits, uint64_t bound, uint64_t *spare) {
    uint64_t product = bits * bound;
    if ((uint32_t)product < bound) {
        const uint32_t threshold = (uint32_t)(0x100000000u % bound);
        while ((uint32_t)product < threshold) product = (mix(*spare += GAMMA) >> 32) * bound;
    }
    return (ptrdiff_t)(product >> 32);
}

static inline void swap(uint32_t *order, ptrdiff_t i, ptrdiff_t j) {
    const uint32_t row = order[i];
    order[i] = order[j];
    order[j] = row;
}

void nn_random_shuffle(uint32_t *order, ptrdiff_t n, uint64_t seed, uint64_t epoch) {
    const uint64_t key = nn_random_key(seed, NN_SHUFFLE_STREAM + epoch);
    uint64_t counter = key, spare = key ^ 0xd1b54a32d192ed03u; /* where rejected words are drawn again */
    for (ptrdiff_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    for (ptrdiff_t i = n - 1; i > 0; i -= 2) { /* Fisher-Yates; one 64-bit word serves two places */
        const uint64_t word = mix(counter += GAMMA);
        const ptrdiff_t j = below(word & 0xffffffffu, (uint64_t)i + 1, &spare);
        const ptrdiff_t k = i > 1 ? below(word >> 32, (uint64_t)i, &spare) : 0;
        swap(order, i, j);
        swap(order, i - 1, k);
    }
}
