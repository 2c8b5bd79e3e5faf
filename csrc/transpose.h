/* Matrices turned on their side. */

#ifndef NN_TRANSPOSE_H
#define NN_TRANSPOSE_H

#include "vec.h"

#define UNROLL _Pragma("GCC unroll 16")

/* Columns [i0, i1) of wt (O,I), from rows [i0, i1) of w (I,O): in squares of four by four, in registers. */
static void transpose(float *wt, const float *w, ptrdiff_t I, ptrdiff_t O, ptrdiff_t i0, ptrdiff_t i1) {
    typedef float four __attribute__((vector_size(16)));
    typedef int32_t places __attribute__((vector_size(16)));
    ptrdiff_t i = i0;
    for (; i + 4 <= i1; i += 4) {
        ptrdiff_t o = 0;
        for (; o + 4 <= O; o += 4) {
            four row[4], half[4];
            UNROLL
            for (int k = 0; k < 4; k++) memcpy(&row[k], w + (i + k) * O + o, sizeof(four));
            UNROLL
            for (int k = 0; k < 2; k++) {
                half[k] = SHUFFLE(places, row[2 * k], row[2 * k + 1], 0, 4, 1, 5);
                half[k + 2] = SHUFFLE(places, row[2 * k], row[2 * k + 1], 2, 6, 3, 7);
            }
            UNROLL
            for (int k = 0; k < 4; k += 2) {
                row[k] = SHUFFLE(places, half[k], half[k + 1], 0, 1, 4, 5);
                row[k + 1] = SHUFFLE(places, half[k], half[k + 1], 2, 3, 6, 7);
            }
            UNROLL
            for (int k = 0; k < 4; k++) memcpy(wt + (o + k) * I + i, &row[k], sizeof(four));
        }
        for (; o < O; o++) {
            for (ptrdiff_t k = i; k < i + 4; k++) wt[o * I + k] = w[k * O + o];
        }
    }
    for (; i < i1; i++) {
        for (ptrdiff_t o = 0; o < O; o++) wt[o * I + i] = w[i * O + o];
    }
}

#endif
