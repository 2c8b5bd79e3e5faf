/* Nets of one hidden layer and one output, as regression on a table has them. There the gradient of the hidden layer, dz = slope(a) * (dz_head
 * w_head), is two multiplications, and cheaper to form where it is used than to store and to read again: the first tile of some columns makes it, for
 * the gradients of its weights, its biases and its part of the head, and leaves it to the next tiles in the first-level cache. The same operations in
 * the same order as dense.h, so the same bits. Only for a hidden ReLU.
 *
 * Workers own columns of the hidden layer, and each has its own part of the head's chains: head_hidden, head_sums, head_gradient. */

#ifndef NN_HEAD_H
#define NN_HEAD_H

#include "dense.h"

/* Inputs of a tile, and fewer: two words of each, of the biases, of the head and of what goes into them fill the registers. The next tiles have no
 * biases and no head. */
#if VEC_REGISTERS == 32
#define FIRST_ROWS(X) X(11) X(8) X(4) X(2) X(1)
#define NEXT_ROWS(X) X(12) X(8) X(4) X(2) X(1)
#else
#define FIRST_ROWS(X) X(3) X(2) X(1)
#define NEXT_ROWS(X) X(4) X(2) X(1)
#endif

typedef struct head {
    float *dw, *db, *dhead;       /* (I, ldw), (ldw), (ldw) */
    bool go_on;                   /* they hold what the rows before have given */
    const float *dz, *w;          /* of the head: (R), (ldw) */
    const float *x, *a;           /* (R, I), (R, lda) */
    ptrdiff_t R, I, ldw, c0, lda; /* a begins with column c0 */
} head;

/* What a tile does with dz (R, N words): makes it, for itself alone or for the next ones too, or takes it from the first. The one that makes it has
 * the biases and the head as well. */
enum { ONLY_TILE, FIRST_TILE, NEXT_TILE };

/* Inputs [m, m + M) and N words of columns from n on. */
INLINE void head_tile(const int M, const int N, const int part, vmask tail, const int place, const head *h, float *kept, ptrdiff_t m, ptrdiff_t n) {
    const bool first = place != NEXT_TILE;
    vec sum[12][2], db[2], dhead[2], w[2];
    UNROLL
    for (int j = 0; j < N; j++) {
        const ptrdiff_t at = n + j * VW;
        if (first) w[j] = vload_part(h->w + at, part, tail);
        if (first) db[j] = h->go_on ? vload_part(h->db + at, part, tail) : vzero();
        if (first) dhead[j] = h->go_on ? vload_part(h->dhead + at, part, tail) : vzero();
        UNROLL
        for (int i = 0; i < M; i++) sum[i][j] = h->go_on ? vload_part(h->dw + (m + i) * h->ldw + at, part, tail) : vzero();
    }
    const float *x = h->x + m, *a = h->a + n - h->c0;
    for (ptrdiff_t r = 0; r < h->R; r++, x += h->I, a += h->lda) {
        vec dz[2];
        UNROLL
        for (int j = 0; j < N; j++) {
            float *const here = kept + (r * N + j) * VW;
            if (!first) {
                dz[j] = vload(here);
                continue;
            }
            const vec dz_head = vset(h->dz[r]), out = vload_part(a + j * VW, part, tail);
            dz[j] = vfma(dz_head, w[j], vzero()) * relu_slope(out, vzero()) + 0.0f;
            db[j] = db[j] + dz[j];
            dhead[j] = vfma(dz_head, out, dhead[j]);
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
        const ptrdiff_t at = n + j * VW;
        if (first) vstore_part(h->db + at, db[j] + 0.0f, part, tail);
        if (first) vstore_part(h->dhead + at, dhead[j] + 0.0f, part, tail);
        UNROLL
        for (int i = 0; i < M; i++) vstore_part(h->dw + (m + i) * h->ldw + at, sum[i][j] + 0.0f, part, tail);
    }
}

/* All inputs for N words of columns. */
INLINE void head_words(const int N, const int part, vmask tail, const head *h, ptrdiff_t n) {
    float kept[NN_BLOCK_ROWS * 2 * VW] __attribute__((aligned(64)));
    ptrdiff_t m = 0;
#define FIRST(M)                                                         \
    if (m == 0 && h->I == (M)) {                                         \
        head_tile(M, N, part, tail, ONLY_TILE, h, kept, 0, n), m = (M);  \
    } else if (m == 0 && h->I > (M)) {                                   \
        head_tile(M, N, part, tail, FIRST_TILE, h, kept, 0, n), m = (M); \
    }
#define NEXT(M) \
    for (; m + (M) <= h->I; m += (M)) head_tile(M, N, part, tail, NEXT_TILE, h, kept, m, n);
    FIRST_ROWS(FIRST)
    NEXT_ROWS(NEXT)
#undef FIRST
#undef NEXT
}

/* Columns [c0, c1) of dw (I,H), db (H) and dhead (H), from x (R,I), a (R,lda) of these columns, dz (R) and w (H). go_on: added to what is there. */
static void head_gradient(float *dw, float *db, float *dhead, bool go_on, const float *dz, const float *w, const float *x, const float *a,
                          ptrdiff_t lda, ptrdiff_t R, ptrdiff_t I, ptrdiff_t H, ptrdiff_t c0, ptrdiff_t c1) {
    const head h = {dw, db, dhead, go_on, dz, w, x, a, R, I, H, c0, lda};
    ptrdiff_t n = c0;
    for (; n + 2 * VW <= c1; n += 2 * VW) head_words(2, 0, vtail(VW), &h, n);
    for (; n < c1; n += VW) head_words(1, 1, vtail(c1 - n), &h, n);
}

/* Columns [c0, c1) of the hidden layer, to a (R,lda). */
static void head_hidden(float *a, ptrdiff_t lda, const float *x, const float *w, const float *b, ptrdiff_t R, ptrdiff_t I, ptrdiff_t H, ptrdiff_t c0,
                        ptrdiff_t c1, const nn_activation *activation) {
    const product p = {
        .c = a, .ldc = lda, .start = b + c0, .lds = 0, .a = x, .am = I, .ak = 1, .b = w + c0, .ldb = H, .K = I, .finish = activation->fused};
    product_rows(&p, 0, R, c1 - c0);
}

/* The chains of the head over n hidden outputs a (R,lda), whose weights are w (n): they go on where `before` (R,16) stands, begin where it is NULL,
 * and are left in `after` for the next columns; where that is NULL they end, in out (R). */
static void head_sums(float *out, float *after, const float *before, const float *a, ptrdiff_t lda, const float *w, const float *b, ptrdiff_t R,
                      ptrdiff_t n) {
    for (ptrdiff_t r = 0; r < R; r++, a += lda) {
        vec sum[NARROW_WORDS];
        UNROLL
        for (int c = 0; c < NARROW_WORDS; c++) sum[c] = before ? vload(before + r * NN_HEAD_CHAINS + c * VW) : vzero();
        narrow_chains(sum, a, w, n);
        if (!after) {
            out[r] = narrow_joined(sum, b);
            continue;
        }
        UNROLL
        for (int c = 0; c < NARROW_WORDS; c++) vstore(after + r * NN_HEAD_CHAINS + c * VW, sum[c]);
    }
}

#endif
