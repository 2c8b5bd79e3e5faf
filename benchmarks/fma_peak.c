/* What a core can do at most: independent fused multiply-adds in registers, reading memory, and handing a line to another core. Built and called by
 * limits.py. */

#include <stddef.h>
#include <stdint.h>

#ifndef WORD
#define WORD 64
#endif
#define LANES (WORD / 4)
#define CHAINS (WORD == 64 ? 24 : 12)

typedef float vec __attribute__((vector_size(WORD)));

/* Floating-point operations made, in CHAINS independent chains; *sink keeps them from being optimised away. */
double fma_chains(int64_t rounds, float *sink) {
    vec chain[CHAINS], a = {0}, b = {0};
    a += 1.0000001f;
    b += 1e-9f;
    for (int i = 0; i < CHAINS; i++) chain[i] = a * (float)i;
    for (int64_t r = 0; r < rounds; r++) {
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++) chain[i] = chain[i] * a + b;
    }
    for (int i = 0; i < CHAINS; i++) {
        for (int l = 0; l < LANES; l++) *sink += chain[i][l];
    }
    return 2.0 * LANES * CHAINS * (double)rounds;
}

double read_floats(const float *x, int64_t n, float *sink) {
    vec sum[4] = {{0}};
    for (int64_t i = 0; i + 4 * LANES <= n; i += 4 * LANES) {
        for (int k = 0; k < 4; k++) sum[k] += *(const vec *)(x + i + k * LANES);
    }
    for (int l = 0; l < LANES; l++) *sink += sum[0][l] + sum[1][l] + sum[2][l] + sum[3][l];
    return 4.0 * (double)n;
}

/* Two threads, mine 0 and 1, hand a line to and fro. */
double line_trips(int32_t *line, int32_t mine, int64_t rounds) {
    for (int32_t r = 0; r < rounds; r++) {
        while (__atomic_load_n(line, __ATOMIC_ACQUIRE) != 2 * r + mine) continue;
        __atomic_store_n(line, 2 * r + mine + 1, __ATOMIC_RELEASE);
    }
    return (double)rounds;
}
