/* Which instruction set this machine runs, and the floating-point mode around native calls. The only file
 * that asks the processor. */

#include "kernels.h"

#include <string.h>

extern const nn_kernels nn_kernels_portable;

#if defined(__x86_64__)
extern const nn_kernels nn_kernels_avx512, nn_kernels_avx2;

/* The compiler's builtins ask CPUID and, by XGETBV, whether the operating system saves the registers. BMI and
 * POPCNT came before AVX2 or with it. */
static bool runs_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("popcnt");
}
static bool runs_avx512(void) {
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
#endif

const nn_kernels *nn_kernels_available(int i) {
    const nn_kernels *sets[4] = {NULL};
    int n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (runs_avx512()) sets[n++] = &nn_kernels_avx512;
    if (runs_avx2()) sets[n++] = &nn_kernels_avx2;
#endif
    sets[n++] = &nn_kernels_portable;
    return i < n ? sets[i] : NULL;
}

const nn_kernels *nn_kernels_select(const char *force) {
    if (!force || !*force) return nn_kernels_available(0);
    for (int i = 0; nn_kernels_available(i); i++) {
        if (!strcmp(nn_kernels_available(i)->name, force)) return nn_kernels_available(i);
    }
    return NULL;
}

/* Denormals cost a hundred cycles each, and Adam's slots decay into them. Flush-to-zero and
 * denormals-are-zero, for this thread, for the time of a call. */
#if defined(__x86_64__)
#define FLUSH 0x8040u /* MXCSR: FTZ, DAZ */
static uint32_t mode_get(void) { return __builtin_ia32_stmxcsr(); }
static void mode_set(uint32_t mode) { __builtin_ia32_ldmxcsr(mode); }
#elif defined(__aarch64__)
#define FLUSH (1u << 24) /* FPCR: FZ */
static uint32_t mode_get(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return (uint32_t)mode;
}
static void mode_set(uint32_t mode) {
    const uint64_t wide = mode;
    __asm__ volatile("msr fpcr, %0" : : "r"(wide));
}
#else
#define FLUSH 0u
static uint32_t mode_get(void) { return 0; }
static void mode_set(uint32_t mode) { (void)mode; }
#endif

/* Rounding to nearest and no traps, whatever the caller has set: the bits must not depend on it. */
uint32_t nn_float_mode_enter(void) {
    const uint32_t mode = mode_get();
#if defined(__x86_64__)
    mode_set(0x1f80u | FLUSH);
#else
    mode_set(FLUSH);
#endif
    return mode;
}

void nn_float_mode_leave(uint32_t mode) { mode_set(mode); }
