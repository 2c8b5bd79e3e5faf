/* The kernels for AVX-512 for a machine that has only AVX2, in the place of csrc/kernels_avx512.c: the same source with the instructions that vec.h
 * names spelled out lane by lane, everything else lowered by the compiler. `make avx512` shows with it that their bits are those of AVX2; their
 * speed it cannot show. */

#include "kernels.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define VEC_AVX512
#define KERNELS nn_kernels_avx512
#define NAME "avx512"

#pragma GCC push_options
#pragma GCC target("avx2,fma,bmi,popcnt")

#define EACH for (int i = 0; i < 16; i++)
#define EMULATED static inline __attribute__((always_inline))

typedef int32_t sixteen __attribute__((vector_size(64)));

EMULATED __m512 emulated_loadu_ps(const float *p) {
    __m512 v;
    memcpy(&v, p, sizeof v);
    return v;
}
EMULATED void emulated_storeu_ps(float *p, __m512 v) { memcpy(p, &v, sizeof v); }
EMULATED __m512 emulated_maskz_loadu_ps(unsigned m, const float *p) {
    __m512 v = {0.0f};
    EACH if (m >> i & 1) v[i] = p[i];
    return v;
}
EMULATED void emulated_mask_storeu_ps(float *p, unsigned m, __m512 v) { EACH if (m >> i & 1) p[i] = v[i]; }
EMULATED __m512 emulated_set1_ps(float x) { return (__m512){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
EMULATED __m256 half(__m512 v, int which) {
    __m256 h;
    memcpy(&h, (const char *)&v + which * 32, sizeof h);
    return h;
}
EMULATED __m512 whole(__m256 low, __m256 high) {
    __m512 v;
    memcpy(&v, &low, sizeof low);
    memcpy((char *)&v + 32, &high, sizeof high);
    return v;
}
EMULATED __m512 emulated_fmadd_ps(__m512 a, __m512 b, __m512 c) {
    return whole(_mm256_fmadd_ps(half(a, 0), half(b, 0), half(c, 0)), _mm256_fmadd_ps(half(a, 1), half(b, 1), half(c, 1)));
}
EMULATED __m512 emulated_fnmadd_ps(__m512 a, __m512 b, __m512 c) {
    return whole(_mm256_fnmadd_ps(half(a, 0), half(b, 0), half(c, 0)), _mm256_fnmadd_ps(half(a, 1), half(b, 1), half(c, 1)));
}
EMULATED __m512 emulated_sqrt_ps(__m512 a) { return whole(_mm256_sqrt_ps(half(a, 0)), _mm256_sqrt_ps(half(a, 1))); }
EMULATED __m512i emulated_loadu_si512(const void *p) {
    __m512i v;
    memcpy(&v, p, sizeof v);
    return v;
}
EMULATED void emulated_storeu_si512(void *p, __m512i v) { memcpy(p, &v, sizeof v); }
EMULATED __m512i emulated_set1_epi32(int x) { return (__m512i)(sixteen){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
EMULATED __m512i emulated_set1_epi16(short x) { return emulated_set1_epi32((int)((uint16_t)x * 0x10001u)); }
EMULATED __m512i emulated_add_epi32(__m512i a, __m512i b) { return (__m512i)((sixteen)a + (sixteen)b); }
EMULATED __mmask16 emulated_test_epi32_mask(__m512i a, __m512i b) {
    const sixteen both = (sixteen)a & (sixteen)b;
    unsigned m = 0;
    EACH m |= (unsigned)(both[i] != 0) << i;
    return (__mmask16)m;
}
EMULATED __mmask32 emulated_test_epi16_mask(__m512i a, __m512i b) {
    const sixteen both = (sixteen)a & (sixteen)b;
    uint32_t m = 0;
    EACH m |= (uint32_t)((both[i] & 0xffff) != 0) << 2 * i | (uint32_t)((both[i] >> 16 & 0xffff) != 0) << (2 * i + 1);
    return m;
}
EMULATED __m512i emulated_maskz_compress_epi32(unsigned m, __m512i a) {
    const sixteen from = (sixteen)a;
    sixteen to = {0};
    int count = 0;
    EACH if (m >> i & 1) to[count++] = from[i];
    return (__m512i)to;
}

#define _mm512_loadu_ps emulated_loadu_ps
#define _mm512_storeu_ps emulated_storeu_ps
#define _mm512_maskz_loadu_ps emulated_maskz_loadu_ps
#define _mm512_mask_storeu_ps emulated_mask_storeu_ps
#define _mm512_set1_ps emulated_set1_ps
#define _mm512_fmadd_ps emulated_fmadd_ps
#define _mm512_fnmadd_ps emulated_fnmadd_ps
#define _mm512_sqrt_ps emulated_sqrt_ps
#define _mm512_castps_si512(a) ((__m512i)(a))
#define _mm512_castps512_ps256(a) half(a, 0)
#undef _mm512_extractf32x8_ps
#undef _mm512_setr_epi32
#define _mm512_extractf32x8_ps(a, which) half(a, which)
#define _mm512_loadu_si512 emulated_loadu_si512
#define _mm512_storeu_si512 emulated_storeu_si512
#define _mm512_set1_epi32 emulated_set1_epi32
#define _mm512_set1_epi16 emulated_set1_epi16
#define _mm512_setr_epi32(...) ((__m512i)(sixteen){__VA_ARGS__})
#define _mm512_add_epi32 emulated_add_epi32
#define _mm512_test_epi32_mask emulated_test_epi32_mask
#define _mm512_test_epi16_mask emulated_test_epi16_mask
#define _mm512_maskz_compress_epi32 emulated_maskz_compress_epi32

#define __asm__(...) /* vkeep: there is no such register */

#include "kernels.inc"

#pragma GCC pop_options
