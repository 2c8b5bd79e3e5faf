/* The kernels for any machine: NEON on aarch64; elsewhere four floats at a time in the compiler's own vector
 * arithmetic, which is SSE2 on x86-64. The latter has no fused multiply-add, and is the one set whose results
 * differ in the last bits. */

#include "kernels.h"

#include <math.h>
#include <string.h>

#if defined(__aarch64__)
#include <arm_neon.h>
#define VEC_NEON
#define NAME "neon"
#else
#define VEC_PORTABLE
#define NAME "baseline"
#endif
#define KERNELS nn_kernels_portable

#include "kernels.inc"
