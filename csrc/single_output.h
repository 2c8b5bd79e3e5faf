/* Nets of one hidden ReLU layer (H outputs) and an output layer of one, as regression on a table has them.
 * The gradient of the hidden layer, dz = slope(a) * (dz_out w_out), is two multiplications, and cheaper to
 * form where it is used than to store and to read again: the first tile of some columns forms it, for the
 * gradients of its weights, its biases and its part of the output layer, and leaves it to the next tiles in
 * the first-level cache. The same operations in the same order as dense.h, so the same bits.
 *
 * Each worker owns columns of the hidden layer, and the terms of the output layer's chains that come from
 * them: single_hidden, single_chains, single_gradient. */

#ifndef NN_SINGLE_OUTPUT_H
#define NN_SINGLE_OUTPUT_H

#include "dense.h"

/* Inputs of a tile, and fewer: two words each of the sums, the biases, the output layer and their operands
 * fill the registers. The next tiles have no biases and no output layer. */
#if VEC_REGISTERS == 32
#define FIRST_ROWS(X) X(11) X(8) X(4) X(2) X(1)
#define NEXT_ROWS(X) X(12) X(8) X(4) X(2) X(1)
#else
#define FIRST_ROWS(X) X(3) X(2) X(1)
#define NEXT_ROWS(X) X(4) X(2) X(1)
#endif

/* The operands from one column on: every pointer to columns of H points at that one. */
typedef struct single {
    nn_single_gradient g;
    const float *a; /* (R, lda) */
    ptrdiff_t lda;
} single;

/* What a tile does with dz (R, N words): forms it for itself, forms it for the next tiles too, or takes it
 * from the first. The one that forms it has the biases and the output layer as well. */
enum { ONLY_TILE, FIRST_TILE, NEXT_TILE };

/* Inputs [m, m + M) and N words of columns; kept: dz. */
INLINE void single_tile(const int M, const int N, const int part, vmask tail, const int place,
                        const single *s, float *kept, ptrdiff_t m) {
    const nn_single_gradient *g = &s->g;
    const bool first = place != NEXT_TILE;
    vec sum[12][2], db[2], dout[2], w[2];
    UNROLL
    for (int j = 0; j < N; j++) {
        const ptrdiff_t at = j * VW;
        if (first) w[j] = vload_part(g->w + at, part, tail);
        if (first) db[j] = g->accumulate ? vload_part(g->db + at, part, tail) : vzero();
        if (first) dout[j] = g->accumulate ? vload_part(g->dout + at, part, tail) : vzero();
        UNROLL
        for (int i = 0; i < M; i++)
            sum[i][j] = g->accumulate ? vload_part(g->dw + (m + i) * g->H + at, part, tail) : vzero();
    }
    const float *x = g->x + m, *a = s->a;
    for (ptrdiff_t r = 0; r < g->R; r++, x += g->I, a += s->lda) {
        vec dz[2];
        UNROLL
        for (int j = 0; j < N; j++) {
            float *const here = kept + (r * N + j) * VW;
            if (!first) {
                dz[j] = vload(here);
                continue;
            }
            const vec dz_out = vset(g->dz[r]), hidden = vload_part(a + j * VW, part, tail);
            dz[j] = vfma(dz_out, w[j], vzero()) * relu_slope(hidden, vzero()) + 0.0f;
            db[j] = db[j] + dz[j];
            dout[j] = vfma(dz_out, hidden, dout[j]);
            if (place == FIRST_TILE) vstore(here, dz[j]);
        }
        UNROLL
        for (int i = 0; i < M; i++) {
            const vec left = vset(x[i]);
            UNROLL
            for (int j = 0; j < N; j++) sum[i][j] = vfma(left, dz[j], sum[i][j]);
        }
    }
    UNROLL
    for (int j = 0; j < N; j++) {
        const ptrdiff_t at = j * VW;
        if (first) vstore_part(g->db + at, db[j] + 0.0f, part, tail);
        if (first) vstore_part(g->dout + at, dout[j] + 0.0f, part, tail);
        UNROLL
        for (int i = 0; i < M; i++) vstore_part(g->dw + (m + i) * g->H + at, sum[i][j] + 0.0f, part, tail);
    }
}

/* All inputs for N words of columns, from column n of H on, which is column n - c0 of a. */
INLINE void single_words(const int N, const int part, vmask tail, const nn_single_gradient *g,
                         const nn_slice *own, ptrdiff_t n) {
    float kept[NN_BLOCK_ROWS * 2 * VW] __attribute__((aligned(64)));
    single s = {.g = *g, .a = own->a + n - own->c0, .lda = own->lda};
    s.g.dw += n, s.g.db += n, s.g.dout += n, s.g.w += n;
    ptrdiff_t m = 0;
#define FIRST(M)                                                         \
    if (m == 0 && g->I == (M)) {                                         \
        single_tile(M, N, part, tail, ONLY_TILE, &s, kept, 0), m = (M);  \
    } else if (m == 0 && g->I > (M)) {                                   \
        single_tile(M, N, part, tail, FIRST_TILE, &s, kept, 0), m = (M); \
    }
#define NEXT(M) \
    for (; m + (M) <= g->I; m += (M)) single_tile(M, N, part, tail, NEXT_TILE, &s, kept, m);
    FIRST_ROWS(FIRST)
    NEXT_ROWS(NEXT)
#undef FIRST
#undef NEXT
}

/* The gradients of own columns: of the hidden layer's weights and biases, and of the output layer's weights.
 */
static void single_gradient(const nn_single_gradient *g, const nn_slice *own) {
    const ptrdiff_t end = own->c0 + own->n;
    ptrdiff_t n = own->c0;
    for (; n + 2 * VW <= end; n += 2 * VW) single_words(2, 0, vtail(VW), g, own, n);
    for (; n < end; n += VW) single_words(1, 1, vtail(end - n), g, own, n);
}

/* Own columns of the hidden layer. */
static void single_hidden(const nn_slice *own, const float *x, ptrdiff_t R, ptrdiff_t I,
                          const nn_activation *activation) {
    const product p = {.c = own->a,
                       .ldc = own->lda,
                       .start = own->b,
                       .lds = 0,
                       .a = x,
                       .am = I,
                       .ak = 1,
                       .b = own->w.w,
                       .ldb = own->ldw,
                       .K = I,
                       .finish = activation->fused};
    product_rows(&p, 0, R, own->n);
}

/* The chains of the output layer over own columns, whose weights in it are w (n): they continue `before` (R,
 * NN_CHAINS), or begin at zero where it is NULL, and are stored in `after` for the next columns; where that
 * is NULL they are joined, in out (R). */
static void single_chains(float *out, float *after, const float *before, const nn_slice *own, const float *w,
                          const float *b, ptrdiff_t R) {
    const float *a = own->a;
    for (ptrdiff_t r = 0; r < R; r++, a += own->lda) {
        vec sum[NARROW_WORDS];
        UNROLL
        for (int c = 0; c < NARROW_WORDS; c++)
            sum[c] = before ? vload(before + r * NN_CHAINS + c * VW) : vzero();
        narrow_chains(sum, a, w, own->n);
        if (!after) {
            out[r] = narrow_joined(sum, b);
            continue;
        }
        UNROLL
        for (int c = 0; c < NARROW_WORDS; c++) vstore(after + r * NN_CHAINS + c * VW, sum[c]);
    }
}

#endif
