/* The first layer without its zeros: the same sums as dense.h, over the inputs that are not zero. The same bits, because a product with zero leaves
 * an fma chain as it is (`x` finite, outputs stored as +0).
 *
 * Forward, rows go in pairs: the inputs at which either is non-zero are listed in order, and each row of w that is loaded serves two rows of x; what
 * one of them lacks there is a zero that is multiplied after all. Backward, the pairs are sorted into one list per input (in order of the rows), so
 * that a row of dw is summed in registers over just those rows that touch it. What a non-zero costs, against what the load ports allow, is in
 * docs/roofline.md. */

#ifndef NN_SPARSE_H
#define NN_SPARSE_H

#include "dense.h"

/* How many of n floats are not zero. */
static ptrdiff_t count_nonzero(const float *x, ptrdiff_t n) {
    ptrdiff_t count = 0;
    for (ptrdiff_t i = 0; i < n; i++) count += x[i] != 0.0f;
    return count;
}

/* Lists the inputs at which row x0 or x1 is not zero. x1 NULL: a pair of one, whose second values are zero. */
static void sparse_pair(nn_sparse *s, ptrdiff_t pair, const float *x0, const float *x1, ptrdiff_t I) {
    int32_t *index = s->index + pair * s->stride;
    float *v0 = s->value + 2 * pair * s->stride, *v1 = v0 + s->stride;
    ptrdiff_t count = 0;
#if defined(VEC_AVX512)
    __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (ptrdiff_t i = 0; i < I; i += VW, place = _mm512_add_epi32(place, _mm512_set1_epi32(VW))) {
        const vmask tail = vtail(I - i);
        const vec a = vload_tail(x0 + i, tail), b = x1 ? vload_tail(x1 + i, tail) : vzero();
        const vmask here = (vmask)(_mm512_cmp_ps_mask(a, vzero(), _CMP_NEQ_UQ) | _mm512_cmp_ps_mask(b, vzero(), _CMP_NEQ_UQ));
        _mm512_storeu_si512(index + count, _mm512_maskz_compress_epi32(here, place));
        vstore(v0 + count, _mm512_maskz_compress_ps(here, a));
        vstore(v1 + count, _mm512_maskz_compress_ps(here, b));
        count += __builtin_popcount(here);
    }
#else
    for (ptrdiff_t i = 0; i < I; i++) { /* always stores, and moves on only past what counts */
        const float a = x0[i], b = x1 ? x1[i] : 0.0f;
        index[count] = (int32_t)i;
        v0[count] = a;
        v1[count] = b;
        count += (a != 0.0f) | (b != 0.0f);
    }
#endif
    s->count[pair] = (int32_t)count;
}

/* One row of the pair list (M = 1) or both (M = 2), N words of outputs from column n. */
INLINE void sparse_forward_tile(const int M, const int N, const int part, vmask tail, float *a, const nn_sparse *s, ptrdiff_t pair, const float *w,
                                const float *b, ptrdiff_t O, ptrdiff_t n, bool relu) {
    vec sum[2][8];
    const int32_t *index = s->index + pair * s->stride;
    const float *v0 = s->value + 2 * pair * s->stride, *v1 = v0 + s->stride;
    UNROLL
    for (int j = 0; j < N; j++) sum[0][j] = b ? vload_part(b + n + j * VW, part, tail) : vzero();
    UNROLL
    for (int j = 0; j < N; j++) sum[1][j] = sum[0][j];
    const ptrdiff_t count = s->count[pair];
    for (ptrdiff_t k = 0; k < count; k++) {
        const float *row = w + (ptrdiff_t)index[k] * O + n;
        const vec left = vset(v0[k]), right = vset(v1[k]);
        UNROLL
        for (int j = 0; j < N; j++) {
            const vec word = vload_part(row + j * VW, part, tail);
            sum[0][j] = vfma(left, word, sum[0][j]);
            if (M == 2) sum[1][j] = vfma(right, word, sum[1][j]);
        }
    }
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int j = 0; j < N; j++) {
            const vec z = relu ? vrelu(sum[m][j]) : sum[m][j];
            vstore_part(a + m * O + n + j * VW, z + 0.0f, part, tail);
        }
    }
}

/* Words of outputs at a time: two rows of them fill half the registers. */
#if VEC_REGISTERS == 32
#define SPARSE_N 8
#else
#define SPARSE_N 4
#endif

/* a of rows [2 p0, min(2 p1, R)) */
static void sparse_forward(float *a, const nn_sparse *s, ptrdiff_t p0, ptrdiff_t p1, const float *w, const float *b, ptrdiff_t R, ptrdiff_t O,
                           const nn_activation *activation, float parameter) {
    const bool relu = activation->fused == FINISH_RELU;
    const vmask none = vtail(VW);
    for (ptrdiff_t p = p0; p < p1; p++) {
        float *rows = a + 2 * p * O;
        ptrdiff_t n = 0;
        if (2 * p + 1 < R) {
            for (; n + SPARSE_N * VW <= O; n += SPARSE_N * VW) sparse_forward_tile(2, SPARSE_N, 0, none, rows, s, p, w, b, O, n, relu);
            for (; n + 2 * VW <= O; n += 2 * VW) sparse_forward_tile(2, 2, 0, none, rows, s, p, w, b, O, n, relu);
            for (; n < O; n += VW) sparse_forward_tile(2, 1, 1, vtail(O - n), rows, s, p, w, b, O, n, relu);
        } else {
            for (; n + SPARSE_N * VW <= O; n += SPARSE_N * VW) sparse_forward_tile(1, SPARSE_N, 0, none, rows, s, p, w, b, O, n, relu);
            for (; n + 2 * VW <= O; n += 2 * VW) sparse_forward_tile(1, 2, 0, none, rows, s, p, w, b, O, n, relu);
            for (; n < O; n += VW) sparse_forward_tile(1, 1, 1, vtail(O - n), rows, s, p, w, b, O, n, relu);
        }
    }
    if (relu || activation->forward == linear_forward) return;
    const ptrdiff_t first = 2 * p0, last = 2 * p1 < R ? 2 * p1 : R;
    activation->forward(a + first * O, last - first, O, parameter);
}

/* The first place in a sorted list at which its index is not below i. */
static ptrdiff_t first_at(const int32_t *index, ptrdiff_t count, ptrdiff_t i) {
    ptrdiff_t low = 0;
    while (low < count) {
        const ptrdiff_t middle = (low + count) / 2;
        if (index[middle] < i) {
            low = middle + 1;
        } else {
            count = middle;
        }
    }
    return low;
}

/* Sorts the pairs into a list per input i of [i0, i1): the rows at which it is not zero, and its values there. Each list has room for all rows, so
 * one pass is enough; a zero is stored and then overwritten. */
static void sparse_columns(nn_sparse *s, ptrdiff_t R, ptrdiff_t i0, ptrdiff_t i1) {
    memset(s->column_count + i0, 0, (size_t)(i1 - i0) * sizeof *s->column_count);
    const ptrdiff_t room = s->rows + 1;
    for (ptrdiff_t p = 0; 2 * p < R; p++) {
        const int32_t *index = s->index + p * s->stride;
        const float *v0 = s->value + 2 * p * s->stride, *v1 = v0 + s->stride;
        const ptrdiff_t last = first_at(index, s->count[p], i1);
        for (ptrdiff_t k = first_at(index, s->count[p], i0); k < last; k++) {
            const ptrdiff_t i = index[k];
            ptrdiff_t count = s->column_count[i];
            nn_entry *list = s->column + i * room;
            list[count] = (nn_entry){v0[k], (int32_t)(2 * p)};
            count += v0[k] != 0.0f;
            list[count] = (nn_entry){v1[k], (int32_t)(2 * p + 1)};
            count += v1[k] != 0.0f;
            s->column_count[i] = (int32_t)count;
        }
    }
}

/* N words of one row of dw from column n: into g, or, with finish FINISH_SGD, out of the weights at once. */
INLINE void sparse_dw_tile(const int N, const int part, vmask tail, float *g, const float *start, const nn_entry *list, ptrdiff_t count,
                           const float *dz, ptrdiff_t O, ptrdiff_t n, int finish, vec rate) {
    vec sum[8];
    UNROLL
    for (int j = 0; j < N; j++) sum[j] = start ? vload_part(start + n + j * VW, part, tail) : vzero();
    for (ptrdiff_t k = 0; k < count; k++) {
        const vec left = vset(list[k].value);
        const float *row = dz + (ptrdiff_t)list[k].row * O + n;
        UNROLL
        for (int j = 0; j < N; j++) sum[j] = vfma(left, vload_part(row + j * VW, part, tail), sum[j]);
    }
    UNROLL
    for (int j = 0; j < N; j++) {
        float *out = g + n + j * VW;
        vec result = sum[j] + 0.0f;
        if (finish == FINISH_SGD) result = vfnma(rate, result, vload_part(out, part, tail));
        vstore_part(out, result, part, tail);
    }
}

static void sparse_dw_row(float *g, const float *start, const nn_sparse *s, ptrdiff_t i, const float *dz, ptrdiff_t O, int finish, vec rate) {
    const nn_entry *list = s->column + i * (s->rows + 1);
    const ptrdiff_t count = s->column_count[i];
    const vmask none = vtail(VW);
    ptrdiff_t n = 0;
    for (; n + 8 * VW <= O; n += 8 * VW) sparse_dw_tile(8, 0, none, g, start, list, count, dz, O, n, finish, rate);
    for (; n + 4 * VW <= O; n += 4 * VW) sparse_dw_tile(4, 0, none, g, start, list, count, dz, O, n, finish, rate);
    for (; n < O; n += VW) sparse_dw_tile(1, 1, vtail(O - n), g, start, list, count, dz, O, n, finish, rate);
}

/* Rows [i0, i1) of dw = start + xT dz; start as in dense_dw. */
static void sparse_dw(float *dw, const float *start, const float *dz, const nn_sparse *s, ptrdiff_t O, ptrdiff_t i0, ptrdiff_t i1) {
    for (ptrdiff_t i = i0; i < i1; i++) sparse_dw_row(dw + i * O, start ? start + i * O : NULL, s, i, dz, O, FINISH_STORE, vzero());
}

/* As dense_dw_update, O <= NN_SPARSE_MAX_OUTPUTS. SGD leaves a row alone that no row of the block touches; the other rules move every weight. */
static void sparse_dw_update(float *w, float *const *slots, const float *start, const float *dz, const nn_sparse *s, ptrdiff_t O, ptrdiff_t i0,
                             ptrdiff_t i1, const nn_rule *rule, const nn_step *step) {
    if (rule->fused == FINISH_SGD) {
        const vec rate = vset(step->c[0]);
        for (ptrdiff_t i = i0; i < i1; i++) {
            if (s->column_count[i] || start) sparse_dw_row(w + i * O, start ? start + i * O : NULL, s, i, dz, O, FINISH_SGD, rate);
        }
        return;
    }
    float strip[GRADIENT_STRIP];
    const ptrdiff_t rows = GRADIENT_STRIP / O;
    for (ptrdiff_t i = i0; i < i1; i += rows) {
        const ptrdiff_t m = i1 - i < rows ? i1 - i : rows, at = i * O;
        for (ptrdiff_t r = 0; r < m; r++) sparse_dw_row(strip + r * O, start ? start + at + r * O : NULL, s, i + r, dz, O, FINISH_STORE, vzero());
        float *slot[NN_MAX_SLOTS] = {NULL};
        for (int k = 0; k < NN_MAX_SLOTS && rule->slots[k]; k++) slot[k] = slots[k] + at;
        rule->update(w + at, slot, strip, m * O, m * O, 1, m * O, step);
    }
}

#endif
