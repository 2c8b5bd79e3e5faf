/* See check.h. */

#include "check.h"

#include <string.h>

/* A float is not finite where its exponent is all ones. */
ptrdiff_t nn_first_not_finite(const float *x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        if ((bits & 0x7f800000u) == 0x7f800000u) return i;
    }
    return -1;
}

ptrdiff_t nn_first_label_outside(const int32_t *labels, ptrdiff_t n, ptrdiff_t bound) {
    for (ptrdiff_t i = 0; i < n; i++) {
        if (labels[i] < 0 || labels[i] >= bound) return i;
    }
    return -1;
}

ptrdiff_t nn_first_row_outside(const uint32_t *rows, ptrdiff_t n, ptrdiff_t bound) {
    uint32_t largest = 0;
    for (ptrdiff_t i = 0; i < n; i++) largest = rows[i] > largest ? rows[i] : largest;
    if ((ptrdiff_t)largest < bound) return -1;
    for (ptrdiff_t i = 0; i < n; i++) {
        if ((ptrdiff_t)rows[i] >= bound) return i;
    }
    return -1;
}

ptrdiff_t nn_first_row_disordered(const int64_t *start, const int32_t *index, ptrdiff_t rows,
                                  ptrdiff_t inputs) {
    for (ptrdiff_t r = 0; r < rows; r++) {
        int64_t last = -1;
        for (int64_t k = start[r]; k < start[r + 1]; k++) {
            if (index[k] <= last || index[k] >= inputs) return r;
            last = index[k];
        }
    }
    return -1;
}
