/* Checks over all values of an array, which the seam makes before a call: the place of the first that is
 * wrong, or -1. */

#ifndef NN_CHECK_H
#define NN_CHECK_H

#include <stddef.h>
#include <stdint.h>

ptrdiff_t nn_first_not_finite(const float *x, ptrdiff_t n);

/* The first integer outside [0, bound). */
ptrdiff_t nn_first_label_outside(const int32_t *labels, ptrdiff_t n, ptrdiff_t bound);
ptrdiff_t nn_first_row_outside(const uint32_t *rows, ptrdiff_t n, ptrdiff_t bound);

/* The first row of a CSR matrix whose entries do not lie in [0, inputs) in ascending order. */
ptrdiff_t nn_first_row_disordered(const int64_t *start, const int32_t *index, ptrdiff_t rows,
                                  ptrdiff_t inputs);

#endif
