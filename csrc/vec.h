/* Vector words of one instruction set: the only file with intrinsics.
 *
 * A word holds VW floats. Arithmetic and comparison are the compiler's own vector operators, so that only
 * what they lack is spelled out here: fused multiply-add, square root, partial loads and stores. A kernel
 * written on these words runs on every instruction set, and gives the same bits on each one that has FMA,
 * because no operation here depends on VW (vsum adds the lanes by halves, which is how several words of fewer
 * lanes are added, too). A partial load pads with zeros; nothing behind a tail is read or written.
 *
 * The includer defines VEC_AVX512, VEC_AVX2, VEC_NEON or VEC_PORTABLE and opens the compiler's target region
 * around this file. */

#ifndef NN_VEC_H
#define NN_VEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Inputs of one word of a non-zero mask: of 16 floats those that are not zero, one bit each; a denormal
 * number counts as not zero. */
#define MASK_INPUTS 16

#if defined(VEC_AVX512)

#define VW 16
#define VEC_REGISTERS 32
typedef __m512 vec;
typedef __mmask16 vmask;
INLINE vmask vtail(ptrdiff_t n) { return n >= VW ? (vmask)0xffff : (vmask)((1u << n) - 1u); }
INLINE vec vload(const float *p) { return _mm512_loadu_ps(p); }
INLINE void vstore(float *p, vec v) { _mm512_storeu_ps(p, v); }
INLINE vec vload_tail(const float *p, vmask m) { return _mm512_maskz_loadu_ps(m, p); }
INLINE void vstore_tail(float *p, vec v, vmask m) { _mm512_mask_storeu_ps(p, m, v); }
INLINE vec vset(float x) { return _mm512_set1_ps(x); }
INLINE vec vfma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE vec vfnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
INLINE vec vsqrt(vec a) { return _mm512_sqrt_ps(a); }
/* The non-zero mask of min(n, 16) floats. */
INLINE unsigned vnonzero(const float *p, ptrdiff_t n) {
    return _mm512_test_epi32_mask(_mm512_castps_si512(n < MASK_INPUTS ? vload_tail(p, vtail(n)) : vload(p)),
                                  _mm512_set1_epi32(INT32_MAX));
}
/* Stores i + the place of each bit set in `mask`, in ascending order, and returns how many there are. Writes
 * up to 16 integers more. */
INLINE ptrdiff_t vindices(int32_t *list, unsigned mask, ptrdiff_t i) {
    const __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    _mm512_storeu_si512(
        list, _mm512_maskz_compress_epi32((vmask)mask, _mm512_add_epi32(place, _mm512_set1_epi32((int)i))));
    return __builtin_popcount(mask);
}
/* Which of 64 masks have any of these bits set, one bit each. */
INLINE uint64_t vany(const uint16_t *masks, unsigned bits) {
    const __m512i any = _mm512_set1_epi16((short)bits);
    return _mm512_test_epi16_mask(_mm512_loadu_si512(masks), any) |
           (uint64_t)_mm512_test_epi16_mask(_mm512_loadu_si512(masks + 32), any) << 32;
}
INLINE float vsum(vec a) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#elif defined(VEC_AVX2)

#define VW 8
#define VEC_REGISTERS 16
typedef __m256 vec;
typedef __m256i vmask;
INLINE vmask vtail(ptrdiff_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n >= VW ? VW : (int)n),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE vec vload(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vstore(float *p, vec v) { _mm256_storeu_ps(p, v); }
INLINE vec vload_tail(const float *p, vmask m) { return _mm256_maskload_ps(p, m); }
/* In pieces: a masked store takes ten cycles and more on AMD's processors. The pieces are the same for a
 * whole loop, so the branches are predicted.
 */
INLINE void vstore_tail(float *p, vec v, vmask m) {
    const int lanes = __builtin_popcount((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(m)));
    if (lanes == VW) {
        vstore(p, v);
        return;
    }
    __m128 left = _mm256_castps256_ps128(v);
    if (lanes & 4) {
        _mm_storeu_ps(p, left);
        left = _mm256_extractf128_ps(v, 1);
    }
    if (lanes & 2) {
        _mm_storel_pi((__m64 *)(p + (lanes & 4)), left);
        left = _mm_movehl_ps(left, left);
    }
    if (lanes & 1) _mm_store_ss(p + (lanes & 6), left);
}
INLINE vec vset(float x) { return _mm256_set1_ps(x); }
INLINE vec vfma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE vec vfnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
INLINE vec vsqrt(vec a) { return _mm256_sqrt_ps(a); }
INLINE unsigned vnonzero_word(vec a) {
    const __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(INT32_MAX));
    return (unsigned)_mm256_movemask_ps(
        _mm256_castsi256_ps(_mm256_cmpgt_epi32(magnitude, _mm256_setzero_si256())));
}
INLINE unsigned vnonzero(const float *p, ptrdiff_t n) {
    if (n >= MASK_INPUTS) return vnonzero_word(vload(p)) | vnonzero_word(vload(p + VW)) << VW;
    const unsigned low = vnonzero_word(vload_tail(p, vtail(n)));
    return n > VW ? low | vnonzero_word(vload_tail(p + VW, vtail(n - VW))) << VW : low;
}
INLINE uint64_t vany(const uint16_t *masks, unsigned bits) {
    const __m256i any = _mm256_set1_epi16((short)bits), zero = _mm256_setzero_si256();
    uint64_t none = 0;
    for (int i = 0; i < 64; i += 32) {
        const __m256i a =
            _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_loadu_si256((const __m256i *)(masks + i)), any), zero);
        const __m256i b = _mm256_cmpeq_epi16(
            _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(masks + i + 16)), any), zero);
        const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b),
                                                       0xd8); /* packed within each half: back in order */
        none |= (uint64_t)(uint32_t)_mm256_movemask_epi8(bytes) << i;
    }
    return ~none;
}
INLINE float vsum(vec a) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#else /* four floats: NEON, or any machine at all */

#define VW 4
typedef float vec __attribute__((vector_size(16)));
typedef ptrdiff_t vmask; /* how many lanes count */
INLINE vmask vtail(ptrdiff_t n) { return n < VW ? n : VW; }
INLINE vec vload(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE void vstore(float *p, vec v) { memcpy(p, &v, sizeof v); }
INLINE vec vload_tail(const float *p, vmask n) {
    vec v = {0.0f, 0.0f, 0.0f, 0.0f};
    for (ptrdiff_t i = 0; i < n; i++) v[i] = p[i];
    return v;
}
INLINE void vstore_tail(float *p, vec v, vmask n) {
    for (ptrdiff_t i = 0; i < n; i++) p[i] = v[i];
}
INLINE vec vset(float x) { return (vec){x, x, x, x}; }
INLINE float vsum(vec a) { return (a[0] + a[2]) + (a[1] + a[3]); }
INLINE unsigned vnonzero(const float *p, ptrdiff_t n) {
    unsigned mask = 0;
    for (ptrdiff_t i = 0; i < n && i < MASK_INPUTS; i++) {
        uint32_t bits;
        memcpy(&bits, p + i, sizeof bits);
        mask |= (unsigned)((bits & INT32_MAX) != 0) << i;
    }
    return mask;
}
#if defined(VEC_NEON)
#define VEC_REGISTERS 32
INLINE vec vfma(vec a, vec b, vec c) {
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
INLINE vec vfnma(vec a, vec b, vec c) {
    return (vec)vfmsq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
INLINE vec vsqrt(vec a) { return (vec)vsqrtq_f32((float32x4_t)a); }
INLINE uint64_t vany(const uint16_t *masks, unsigned bits) {
    static const uint16_t place[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint64_t any = 0;
    for (int i = 0; i < 64; i += 8) {
        const uint16x8_t here = vtstq_u16(vld1q_u16(masks + i), vdupq_n_u16((uint16_t)bits));
        any |= (uint64_t)vaddvq_u16(vandq_u16(here, vld1q_u16(place))) << i;
    }
    return any;
}
#else
#define VEC_REGISTERS 16
INLINE vec vfma(vec a, vec b, vec c) { return a * b + c; } /* two roundings: the one set whose bits differ */
INLINE vec vfnma(vec a, vec b, vec c) { return c - a * b; }
INLINE vec vsqrt(vec a) {
    for (int i = 0; i < VW; i++) a[i] = __builtin_sqrtf(a[i]);
    return a;
}
INLINE uint64_t vany(const uint16_t *masks, unsigned bits) {
    uint64_t any = 0;
    for (int i = 0; i < 64; i++) any |= (uint64_t)((masks[i] & bits) != 0) << i;
    return any;
}
#endif

#endif

#if !defined(VEC_AVX512)
/* Four bits at a time without a branch: four places are stored, and those behind the last set bit are
 * overwritten by the next four. */
INLINE ptrdiff_t vindices(int32_t *list, unsigned mask, ptrdiff_t i) {
    static const uint8_t places[16][4] = {{0},    {0},       {1},       {0, 1},      {2},    {0, 2},
                                          {1, 2}, {0, 1, 2}, {3},       {0, 3},      {1, 3}, {0, 1, 3},
                                          {2, 3}, {0, 2, 3}, {1, 2, 3}, {0, 1, 2, 3}};
    ptrdiff_t count = 0;
    for (int at = 0; at < MASK_INPUTS; at += 4) {
        const unsigned four = mask >> at & 15;
        for (int k = 0; k < 4; k++) list[count + k] = (int32_t)i + at + places[four][k];
        count += __builtin_popcount(four);
    }
    return count;
}
#endif

/* What follows is the compiler's vector arithmetic alone. A comparison of two words is an ivec of 0 and -1.
 */

typedef int32_t ivec __attribute__((vector_size(4 * VW)));
typedef uint32_t uvec __attribute__((vector_size(4 * VW))); /* for sums that may wrap */

INLINE vec vzero(void) { return vset(0.0f); }

/* One float of the same arithmetic. */
INLINE float vfma_one(float a, float b, float c) { return vfma(vset(a), vset(b), vset(c))[0]; }

/* Keeps the word in a register: else the compiler may load it again for each use, and loads are the
 * bottleneck. */
INLINE vec vkeep(vec a) {
#if defined(VEC_AVX512) || defined(VEC_AVX2)
    __asm__("" : "+v"(a));
#elif defined(VEC_NEON)
    __asm__("" : "+w"(a));
#endif
    return a;
}

/* Keeps a pointer in a register: words at fixed distances from one register load faster than with an index.
 */
#define VKEEP_POINTER(p) __asm__("" : "+r"(p))

INLINE vec vselect(ivec mask, vec a, vec b) { return (vec)((mask & (ivec)a) | (~mask & (ivec)b)); }
INLINE vec vabs(vec a) { return (vec)((ivec)a & 0x7fffffff); }

/* Lanes of a and b, numbered through. */
#if defined(__clang__)
#define SHUFFLE(PLACES, A, B, ...) __builtin_shufflevector(A, B, __VA_ARGS__)
#else
#define SHUFFLE(PLACES, A, B, ...) __builtin_shuffle(A, B, (PLACES){__VA_ARGS__})
#endif

/* The larger of two words; b where either is NaN. */
INLINE vec vmax(vec a, vec b) { return vselect((ivec)(a > b), a, b); }

/* 1, -1, or a itself, which is 0 or NaN. */
INLINE vec vsign(vec a) {
    return vselect((ivec)(a > vzero()), vset(1.0f), vselect((ivec)(a < vzero()), vset(-1.0f), a));
}

/* A word, whole or partial: kernels call these with a constant `part`, so that the choice costs nothing. */
INLINE vec vload_part(const float *p, int part, vmask tail) { return part ? vload_tail(p, tail) : vload(p); }
INLINE void vstore_part(float *p, vec v, int part, vmask tail) {
    if (part) {
        vstore_tail(p, v, tail);
    } else {
        vstore(p, v);
    }
}

/* Runs BODY over n floats in words: i is the first float of the word, PART and tail say whether the word is
 * the last, incomplete one. */
#define FOR_WORDS(n, BODY)                  \
    do {                                    \
        ptrdiff_t i = 0;                    \
        const vmask tail = vtail((n) % VW); \
        for (; i + VW <= (n); i += VW) {    \
            enum { PART = 0 };              \
            BODY                            \
        }                                   \
        if (i < (n)) {                      \
            enum { PART = 1 };              \
            BODY                            \
        }                                   \
        (void)tail;                         \
    } while (0)

#endif
