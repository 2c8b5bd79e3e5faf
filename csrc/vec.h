/* Vector words of one instruction set: the only file with intrinsics.
 *
 * A word holds VW floats. Arithmetic and comparison are the compiler's own vector operators, so that only what they lack is spelled out
 * here: fused multiply-add, square root, partial loads and stores. A kernel written on these words runs on every instruction set, and gives
 * the same bits on each one that has FMA, because no operation here depends on VW
 * (vsum adds the lanes by halves, as whoever has more words of fewer lanes does with words). A partial load pads with zeros; nothing behind a
 * tail is read or written.
 *
 * The includer defines VEC_AVX512, VEC_AVX2, VEC_NEON or VEC_PORTABLE and opens the compiler's target region around this file. */

#ifndef NN_VEC_H
#define NN_VEC_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

/* Marks: of 16 floats those that are not zero (denormal ones are not), one bit each. */
#define MARKED 16

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
/* The marks of up to 16 floats, n of which are there. */
INLINE unsigned vmark(const float *p, ptrdiff_t n) {
    return _mm512_test_epi32_mask(_mm512_castps_si512(n < MARKED ? vload_tail(p, vtail(n)) : vload(p)), _mm512_set1_epi32(INT32_MAX));
}
/* Numbers the marked places from i on, one after the other; returns how many. Up to 16 more are overwritten. */
INLINE ptrdiff_t vlist(int32_t *list, unsigned marks, ptrdiff_t i) {
    const __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    _mm512_storeu_si512(list, _mm512_maskz_compress_epi32((vmask)marks, _mm512_add_epi32(place, _mm512_set1_epi32((int)i))));
    return __builtin_popcount(marks);
}
/* Which of 64 marks have any of these bits. */
INLINE uint64_t vmarked(const uint16_t *marks, unsigned bits) {
    const __m512i any = _mm512_set1_epi16((short)bits);
    return _mm512_test_epi16_mask(_mm512_loadu_si512(marks), any) | (uint64_t)_mm512_test_epi16_mask(_mm512_loadu_si512(marks + 32), any) << 32;
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
INLINE vmask vtail(ptrdiff_t n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n >= VW ? VW : (int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
INLINE vec vload(const float *p) { return _mm256_loadu_ps(p); }
INLINE void vstore(float *p, vec v) { _mm256_storeu_ps(p, v); }
INLINE vec vload_tail(const float *p, vmask m) { return _mm256_maskload_ps(p, m); }
/* In pieces: a masked store takes processors of AMD ten cycles and more. Which pieces is the same in a whole loop, and guessed right. */
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
INLINE unsigned vmark_word(vec a) {
    const __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(INT32_MAX));
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(magnitude, _mm256_setzero_si256())));
}
INLINE unsigned vmark(const float *p, ptrdiff_t n) {
    if (n >= MARKED) return vmark_word(vload(p)) | vmark_word(vload(p + VW)) << VW;
    const unsigned low = vmark_word(vload_tail(p, vtail(n)));
    return n > VW ? low | vmark_word(vload_tail(p + VW, vtail(n - VW))) << VW : low;
}
INLINE uint64_t vmarked(const uint16_t *marks, unsigned bits) {
    const __m256i any = _mm256_set1_epi16((short)bits), zero = _mm256_setzero_si256();
    uint64_t none = 0;
    for (int i = 0; i < 64; i += 32) {
        const __m256i a = _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_loadu_si256((const __m256i *)(marks + i)), any), zero);
        const __m256i b = _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_loadu_si256((const __m256i *)(marks + i + 16)), any), zero);
        const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xd8); /* packed within each half: back in order */
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
INLINE unsigned vmark(const float *p, ptrdiff_t n) {
    unsigned marks = 0;
    for (ptrdiff_t i = 0; i < n && i < MARKED; i++) {
        uint32_t bits;
        memcpy(&bits, p + i, sizeof bits);
        marks |= (unsigned)((bits & INT32_MAX) != 0) << i;
    }
    return marks;
}
#if defined(VEC_NEON)
#define VEC_REGISTERS 32
INLINE vec vfma(vec a, vec b, vec c) { return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
INLINE vec vfnma(vec a, vec b, vec c) { return (vec)vfmsq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
INLINE vec vsqrt(vec a) { return (vec)vsqrtq_f32((float32x4_t)a); }
INLINE uint64_t vmarked(const uint16_t *marks, unsigned bits) {
    static const uint16_t place[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint64_t marked = 0;
    for (int i = 0; i < 64; i += 8) {
        const uint16x8_t here = vtstq_u16(vld1q_u16(marks + i), vdupq_n_u16((uint16_t)bits));
        marked |= (uint64_t)vaddvq_u16(vandq_u16(here, vld1q_u16(place))) << i;
    }
    return marked;
}
#else
#define VEC_REGISTERS 16
INLINE vec vfma(vec a, vec b, vec c) { return a * b + c; } /* two roundings: the one set whose bits differ */
INLINE vec vfnma(vec a, vec b, vec c) { return c - a * b; }
INLINE vec vsqrt(vec a) {
    for (int i = 0; i < VW; i++) a[i] = __builtin_sqrtf(a[i]);
    return a;
}
INLINE uint64_t vmarked(const uint16_t *marks, unsigned bits) {
    uint64_t marked = 0;
    for (int i = 0; i < 64; i++) marked |= (uint64_t)((marks[i] & bits) != 0) << i;
    return marked;
}
#endif

#endif

#if !defined(VEC_AVX512)
/* Four marks at a time, of which no number is guessed: the places of all, and then those behind the last again. */
INLINE ptrdiff_t vlist(int32_t *list, unsigned marks, ptrdiff_t i) {
    static const uint8_t places[16][4] = {{0}, {0},    {1},    {0, 1},    {2},    {0, 2},    {1, 2},    {0, 1, 2},
                                          {3}, {0, 3}, {1, 3}, {0, 1, 3}, {2, 3}, {0, 2, 3}, {1, 2, 3}, {0, 1, 2, 3}};
    ptrdiff_t count = 0;
    for (int at = 0; at < MARKED; at += 4) {
        const unsigned four = marks >> at & 15;
        for (int k = 0; k < 4; k++) list[count + k] = (int32_t)i + at + places[four][k];
        count += __builtin_popcount(four);
    }
    return count;
}
#endif

/* What follows is the compiler's vector arithmetic alone. A comparison of two words is an ivec of 0 and -1. */

typedef int32_t ivec __attribute__((vector_size(4 * VW)));

INLINE vec vzero(void) { return vset(0.0f); }

/* One float of the same arithmetic. */
INLINE float vfma_one(float a, float b, float c) { return vfma(vset(a), vset(b), vset(c))[0]; }

/* The word in a register: else a compiler may load it again for each use, and loads are what is scarce. */
INLINE vec vkeep(vec a) {
#if defined(VEC_AVX512) || defined(VEC_AVX2)
    __asm__("" : "+v"(a));
#elif defined(VEC_NEON)
    __asm__("" : "+w"(a));
#endif
    return a;
}

/* The same of a pointer: words at fixed distances from one register load faster than with an index. */
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

/* A word, whole or part, by one pair of names: kernels call these with a constant `part`, so that the choice costs nothing. */
INLINE vec vload_part(const float *p, int part, vmask tail) { return part ? vload_tail(p, tail) : vload(p); }
INLINE void vstore_part(float *p, vec v, int part, vmask tail) {
    if (part) {
        vstore_tail(p, v, tail);
    } else {
        vstore(p, v);
    }
}

/* Runs BODY over n floats in words: i is the place, PART and tail say whether this is the last, incomplete word. */
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
