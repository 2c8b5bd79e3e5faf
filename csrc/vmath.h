/* Elementary functions on vector words: exp, log, log1p, tanh, sigmoid.
 *
 * Each states its largest error in ULP, measured over all floats of its domain by
 * `tests/kernels/test_vmath.py` against double. They are written in fused multiply-adds and integer
 * arithmetic only, so that every instruction set with FMA gives the same bits. Results below the smallest
 * normal number are zero (the engine runs with denormals off). NaN stays NaN. */

#ifndef NN_VMATH_H
#define NN_VMATH_H

#include "vec.h"

/* exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2)/2. ln 2 in two parts after Cody and Waite, the high
 * one with 9 trailing zeros, so that n * high is exact; polynomial: minimax of degree 6 for exp on that
 * interval (Cephes expf). Error: below 1.2 ULP. */
INLINE vec vexp(vec x) {
    const vec magic = vset(
        12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer and leaves that integer in the low bits */
    const vec shifted = vfma(x, vset(1.44269504088896341f), magic);
    const vec n = shifted - magic;
    const uvec k = (uvec)shifted - (uvec)magic; /* wraps where x is out of range, and is not selected then */
    vec r = vfnma(n, vset(0.693359375f), x);
    r = vfma(n, vset(2.12194440e-4f), r);
    vec p = vset(1.9875691500e-4f);
    p = vfma(p, r, vset(1.3981999507e-3f));
    p = vfma(p, r, vset(8.3334519073e-3f));
    p = vfma(p, r, vset(4.1665795894e-2f));
    p = vfma(p, r, vset(1.6666665459e-1f));
    p = vfma(p, r, vset(5.0000001201e-1f));
    p = vfma(p, r * r, r) + 1.0f;
    const uvec half = (uvec)((ivec)k >> 1); /* 2^n in two factors: n reaches 128, whose power is no float */
    p = p * (vec)((half + 127u) << 23) * (vec)((k - half + 127u) << 23);
    p = vselect((ivec)(x > vset(88.72283905206835f)), vset(__builtin_inff()), p);
    p = vselect((ivec)(x < vset(-87.33654475f)), vzero(), p);
    return vselect((ivec)(x != x), x, p);
}

/* log(x), x = 2^e m with m in [sqrt(1/2), sqrt(2)); polynomial in m - 1 (Cephes logf). Error: below 1.0 ULP.
 * log(0) = -inf, log(x < 0) = NaN. */
INLINE vec vlog(vec x) {
    ivec e = (((ivec)x >> 23) & 0xff) - 126;
    vec m = (vec)(((ivec)x & 0x007fffff) | 0x3f000000); /* in [1/2, 1) */
    const ivec small = (ivec)(m < vset(0.707106781186547524f));
    e = e + small; /* small is -1 where true */
    m = (m + (vec)(small & (ivec)m)) - 1.0f;
    const vec n = __builtin_convertvector(e, vec);
    vec p = vset(7.0376836292e-2f);
    p = vfma(p, m, vset(-1.1514610310e-1f));
    p = vfma(p, m, vset(1.1676998740e-1f));
    p = vfma(p, m, vset(-1.2420140846e-1f));
    p = vfma(p, m, vset(1.4249322787e-1f));
    p = vfma(p, m, vset(-1.6668057665e-1f));
    p = vfma(p, m, vset(2.0000714765e-1f));
    p = vfma(p, m, vset(-2.4999993993e-1f));
    p = vfma(p, m, vset(3.3333331174e-1f));
    const vec square = m * m;
    p = p * m * square;
    p = vfma(n, vset(-2.12194440e-4f), p);
    p = vfma(square, vset(-0.5f), p);
    p = vfma(n, vset(0.693359375f), m + p);
    p = vselect((ivec)(x == vzero()), vset(-__builtin_inff()), p);
    p = vselect((ivec)(x < vzero()), vset(__builtin_nanf("")), p);
    return vselect((ivec)(x == vset(__builtin_inff())) | (ivec)(x != x), x, p);
}

/* log(1 + u) for u >= 0, with the rounding error of 1 + u put back (HP-15C). Error: below 1.5 ULP. */
INLINE vec vlog1p(vec u) {
    const vec one_plus = u + 1.0f;
    return vlog(one_plus) - ((one_plus - 1.0f) - u) / one_plus;
}

/* 1 / (1 + exp(-x)). Error: below 2.5 ULP; below -87.3, where it would be denormal, 0. */
INLINE vec vsigmoid(vec x) { return 1.0f / (1.0f + vexp(-x)); }

/* tanh(x): an odd polynomial for |x| < 0.625 (Cephes tanhf), else 1 - 2 / (exp(2 |x|) + 1) with the sign of
 * x. Error: below 1.5 ULP. */
INLINE vec vtanh(vec x) {
    const vec size = vabs(x);
    const vec square = x * x;
    vec p = vset(-5.70498872745e-3f);
    p = vfma(p, square, vset(2.06390887954e-2f));
    p = vfma(p, square, vset(-5.37397155531e-2f));
    p = vfma(p, square, vset(1.33314422036e-1f));
    p = vfma(p, square, vset(-3.33332819422e-1f));
    p = vfma(p * square, x, x);
    const vec large = 1.0f - 2.0f / (vexp(size + size) + 1.0f);
    const vec signed_large = (vec)((ivec)large | ((ivec)x & (int32_t)0x80000000));
    return vselect((ivec)(size < vset(0.625f)), p, vselect((ivec)(x != x), x, signed_large));
}

#endif
