/* The three products of a dense layer: forward x w, weight gradient xT dz, input gradient dz wT. All tiling
 * lives here.
 *
 * Each is the same outer product: a tile of outputs stays in registers while k runs, one word of the right
 * operand and one broadcast float of the left one meeting in a fused multiply-add. So every output is one fma
 * chain over k in order, started at the bias, at zero or at what an earlier block of rows has left, and its
 * bits depend neither on the tile it falls into nor on the width of a word. The right operand is read as it
 * lies (but see product_packed), and twelve rows a tile hide its latency (the measurements are in
 * docs/roofline.md).
 *
 * Outputs are stored with +0.0f added, so that a sum that skips exact zeros cannot be told from one that adds
 * them. */

#ifndef NN_DENSE_H
#define NN_DENSE_H

#include "optimizer.h"
#include "transpose.h"

/* A tile: rows TILE_M and fewer, words TILE_N. With 32 registers 24 accumulators are in flight, with 16 there
 * are 12; two fma pipes of latency 4 want at least 8. */
#if VEC_REGISTERS == 32
#define TILE_M 12
#define TILE_ROWS(X) X(12) X(8) X(4)
#else
#define TILE_M 6
#define TILE_ROWS(X) X(6) X(4)
#endif
#define TILE_N 2

/* c (M,N) = finish(start + a (M,K) b (K,N)) and what may become of it. a(m,k) lies at a[m * am + k * ak],
 * start(m,n) at start[m * lds + n]: lds = 0 repeats one row, the bias. */
typedef struct product {
    float *c;
    ptrdiff_t ldc;
    const float *start; /* NULL: zero */
    ptrdiff_t lds;
    const float *a;
    ptrdiff_t am, ak;
    const float *b;
    ptrdiff_t ldb;
    ptrdiff_t K;
    int finish;
    float learning_rate; /* FINISH_SGD: c -= learning_rate * sum */
    const float *relu;   /* FINISH_SLOPE: c = sum * the slope of a ReLU, whose outputs lie here as c does */
} product;

/* The left operand of a tile: its first row, and where the others are. */
typedef struct left_rows {
    const float *a;
    ptrdiff_t am, ak;
} left_rows;

/* The parts of a tile of M rows and N words, whose accumulators are `sum`. M, N and part are constants where
 * these are inlined. */
INLINE void tile_zero(const int M, const int N, vec (*sum)[8]) {
    UNROLL
    for (int i = 0; i < M; i++) {
        UNROLL
        for (int j = 0; j < N; j++) sum[i][j] = vzero();
    }
}

INLINE void tile_load(const int M, const int N, const int part, vmask tail, vec (*sum)[8], const float *start,
                      ptrdiff_t lds) {
    UNROLL
    for (int i = 0; i < M; i++) {
        UNROLL
        for (int j = 0; j < N; j++) sum[i][j] = vload_part(start + i * lds + j * VW, part, tail);
    }
}

INLINE void tile_store(const int M, const int N, const int part, vmask tail, vec (*sum)[8], float *c,
                       ptrdiff_t ldc) {
    UNROLL
    for (int i = 0; i < M; i++) {
        UNROLL
        for (int j = 0; j < N; j++) vstore_part(c + i * ldc + j * VW, sum[i][j] + 0.0f, part, tail);
    }
}

INLINE void tile_relu(const int M, const int N, const int part, vmask tail, vec (*sum)[8], float *c,
                      ptrdiff_t ldc) {
    UNROLL
    for (int i = 0; i < M; i++) {
        UNROLL
        for (int j = 0; j < N; j++) vstore_part(c + i * ldc + j * VW, vrelu(sum[i][j]) + 0.0f, part, tail);
    }
}

/* relu: outputs of a ReLU, (M, ldc) as c. */
INLINE void tile_slope(const int M, const int N, const int part, vmask tail, vec (*sum)[8], float *c,
                       ptrdiff_t ldc, const float *relu) {
    UNROLL
    for (int i = 0; i < M; i++) {
        UNROLL
        for (int j = 0; j < N; j++) {
            const vec slope = relu_slope(vload_part(relu + i * ldc + j * VW, part, tail), vzero());
            vstore_part(c + i * ldc + j * VW, sum[i][j] * slope + 0.0f, part, tail);
        }
    }
}

/* In a narrow layer a word reaches over the next rows: all words are loaded before the first is stored,
 * because a load that overlaps a store just made has to wait for it. */
INLINE void tile_sgd(const int M, const int N, const int part, vmask tail, vec (*sum)[8], float *c,
                     ptrdiff_t ldc, float learning_rate) {
    const vec rate = vset(learning_rate);
    vec w[12];
    if (part) {
        UNROLL
        for (int i = 0; i < M; i++) w[i] = vload_tail(c + i * ldc, tail);
    }
    UNROLL
    for (int i = 0; i < M; i++) {
        UNROLL
        for (int j = 0; j < N; j++) {
            float *out = c + i * ldc + j * VW;
            vstore_part(out, vfnma(rate, sum[i][j] + 0.0f, part ? w[i] : vload(out)), part, tail);
        }
    }
}

/* One tile at (m, n). */
INLINE void tile(const int M, const int N, const int part, vmask tail, const product *p, left_rows left,
                 ptrdiff_t m, ptrdiff_t n) {
    vec sum[12][8];
    const float *a = left.a, *b = p->b + n;
    float *c = p->c + m * p->ldc + n;
    if (p->start) {
        tile_load(M, N, part, tail, sum, p->start + m * p->lds + n, p->lds);
    } else {
        tile_zero(M, N, sum);
    }
    const ptrdiff_t K = p->K, ldb = p->ldb;
    for (ptrdiff_t k = 0; k < K; k++, a += left.ak, b += ldb) {
        vec word[8];
        UNROLL
        for (int j = 0; j < N; j++) word[j] = vload_part(b + j * VW, part, tail);
        UNROLL
        for (int i = 0; i < M; i++) {
            const vec factor = vset(a[i * left.am]);
            UNROLL
            for (int j = 0; j < N; j++) sum[i][j] = vfma(factor, word[j], sum[i][j]);
        }
    }
    const ptrdiff_t ldc = p->ldc;
    if (p->finish == FINISH_SGD) {
        tile_sgd(M, N, part, tail, sum, c, ldc, p->learning_rate);
    } else if (p->finish == FINISH_SLOPE) {
        tile_slope(M, N, part, tail, sum, c, ldc, p->relu + m * ldc + n);
    } else if (p->finish == FINISH_RELU) {
        tile_relu(M, N, part, tail, sum, c, ldc);
    } else {
        tile_store(M, N, part, tail, sum, c, ldc);
    }
}

/* Tall tiles take a multiple of four rows; 8 of them are 4 + 4 rather than 6 + 2. */
#define LEFT ((left_rows){p->a + m * am, am, ak})
#define TALL(M) for (; m + (M) <= tall && !((M) == 6 && tall - m == 8); m += (M))
#define TALL_FULL(M) TALL(M) tile(M, TILE_N, 0, none, p, LEFT, m, n);
#define TALL_PART(M) TALL(M) tile(M, 1, 1, tail, p, LEFT, m, n);

/* All tiles of rows [m0, m1), N columns. Columns outside, rows inside: a panel of b stays in the second-level
 * cache for all rows. The last one to three rows take wider tiles, which need as many chains in flight. */
INLINE void product_tiles(const product *p, ptrdiff_t am, ptrdiff_t ak, ptrdiff_t m0, ptrdiff_t m1,
                          ptrdiff_t N) {
    const vmask none = vtail(VW);
    const ptrdiff_t tall = m0 + ((m1 - m0) & ~(ptrdiff_t)3);
    ptrdiff_t n = 0;
    if (tall > m0) {
        for (; n + TILE_N * VW <= N; n += TILE_N * VW) {
            ptrdiff_t m = m0;
            TILE_ROWS(TALL_FULL)
        }
        for (; n < N; n += VW) {
            const vmask tail = vtail(N - n);
            ptrdiff_t m = m0;
            TILE_ROWS(TALL_PART)
        }
    }
    for (ptrdiff_t m = tall; m < m1;) {
        const int rows = m1 - m >= 2 ? 2 : 1;
        n = 0;
        if (rows == 2) {
            for (; n + 4 * VW <= N; n += 4 * VW) tile(2, 4, 0, none, p, LEFT, m, n);
            for (; n < N; n += VW) tile(2, 1, 1, vtail(N - n), p, LEFT, m, n);
        } else {
            for (; n + 8 * VW <= N; n += 8 * VW) tile(1, 8, 0, none, p, LEFT, m, n);
            for (; n + 4 * VW <= N; n += 4 * VW) tile(1, 4, 0, none, p, LEFT, m, n);
            for (; n < N; n += VW) tile(1, 1, 1, vtail(N - n), p, LEFT, m, n);
        }
        m += rows;
    }
}

/* Two instances, each with one stride known to be 1. Never inlined: with more known about them, gcc keeps an
 * accumulator in memory. */
static __attribute__((noinline)) void tiles_of_rows(const product *p, ptrdiff_t m0, ptrdiff_t m1,
                                                    ptrdiff_t N) {
    product_tiles(p, p->am, 1, m0, m1, N);
}
static __attribute__((noinline)) void tiles_of_columns(const product *p, ptrdiff_t m0, ptrdiff_t m1,
                                                       ptrdiff_t N) {
    product_tiles(p, 1, p->ak, m0, m1, N);
}

/* Right operands whose rows all fall into a few sets of the caches are copied panel by panel: a contiguous
 * panel serves all tiles. A chain continues from one piece of the panel to the next through c. */
#define PACK_K NN_BLOCK_ROWS
#define PACK_ROWS (4 * TILE_M) /* fewer do not repay the copy */
#define PACK_STRIDE 1024       /* floats: rows at a multiple of 4 KiB fall into the same sets */
/* With 16 registers a panel is one line wide, and lines at a multiple of 512 bytes fill an eighth of the
 * first-level cache at most: many tiles repay the copy there, too. */
#define PACK_MANY_ROWS (16 * TILE_M)
#define PACK_NARROW_STRIDE 128

enum { WIDE = TILE_N * VW };

INLINE void copy_panel(float *panel, const float *b, ptrdiff_t ldb, ptrdiff_t K) {
    for (ptrdiff_t k = 0; k < K; k++) {
        UNROLL
        for (int j = 0; j < TILE_N; j++) vstore(panel + k * WIDE + j * VW, vload(b + k * ldb + j * VW));
    }
}

/* p from its n-th column on. */
static product columns_from(product p, ptrdiff_t n) {
    p.b += n;
    p.c += n;
    if (p.start) p.start += n;
    if (p.relu) p.relu += n;
    return p;
}

static void product_packed(const product *p, ptrdiff_t m0, ptrdiff_t m1, ptrdiff_t N,
                           void (*tiles)(const product *, ptrdiff_t, ptrdiff_t, ptrdiff_t)) {
    float panel[PACK_K * WIDE] __attribute__((aligned(64)));
    ptrdiff_t n = 0;
    for (; n + WIDE <= N; n += WIDE) {
        for (ptrdiff_t k = 0; k < p->K; k += PACK_K) {
            const ptrdiff_t K = p->K - k < PACK_K ? p->K - k : PACK_K;
            product q = columns_from(*p, n);
            if (k) q.start = q.c, q.lds = q.ldc;
            q.a += k * p->ak;
            q.b = panel;
            q.ldb = WIDE;
            q.K = K;
            if (k + K < p->K) q.finish = FINISH_STORE;
            copy_panel(panel, p->b + k * p->ldb + n, p->ldb, K);
            tiles(&q, m0, m1, WIDE);
        }
    }
    const product rest = columns_from(*p, n);
    if (n < N) tiles(&rest, m0, m1, N - n);
}

/* Whether to copy panels of b. The c of an update are weights, where no partial sums can be kept. */
INLINE bool worth_packing(const product *p, ptrdiff_t rows) {
    if (p->K > PACK_K && p->finish == FINISH_SGD) return false;
    if (VEC_REGISTERS == 16 && rows >= PACK_MANY_ROWS && p->ldb % PACK_NARROW_STRIDE == 0) return true;
    return rows >= PACK_ROWS && p->ldb % PACK_STRIDE == 0;
}

/* The left operand along rows (x w and dz wT), and along columns (xT dz). */
static void product_rows(const product *p, ptrdiff_t m0, ptrdiff_t m1, ptrdiff_t N) {
    if (worth_packing(p, m1 - m0)) {
        product_packed(p, m0, m1, N, tiles_of_rows);
    } else {
        tiles_of_rows(p, m0, m1, N);
    }
}
static void product_columns(const product *p, ptrdiff_t m0, ptrdiff_t m1, ptrdiff_t N) {
    if (worth_packing(p, m1 - m0)) {
        product_packed(p, m0, m1, N, tiles_of_columns);
    } else {
        tiles_of_columns(p, m0, m1, N);
    }
}

/* One output per row: too narrow for words over the outputs. The chain is split into 16, k mod 16, joined by
 * a fixed tree (halves, quarters, ...), then the bias. */
enum { NARROW_WORDS = NN_CHAINS / VW };
INLINE void narrow_chains(vec *sum, const float *x, const float *w, ptrdiff_t I) {
    const ptrdiff_t whole = I / NN_CHAINS * NN_CHAINS;
    for (ptrdiff_t k = 0; k < whole; k += NN_CHAINS) {
        UNROLL
        for (int c = 0; c < NARROW_WORDS; c++)
            sum[c] = vfma(vload(x + k + c * VW), vload(w + k + c * VW), sum[c]);
    }
    for (int c = 0; c < NARROW_WORDS && whole + c * VW < I; c++) {
        const vmask tail = vtail(I - whole - c * VW);
        sum[c] = vfma(vload_tail(x + whole + c * VW, tail), vload_tail(w + whole + c * VW, tail), sum[c]);
    }
}
INLINE float narrow_joined(vec *sum, const float *b) {
    UNROLL
    for (int half = NARROW_WORDS / 2; half; half /= 2) {
        for (int c = 0; c < half; c++) sum[c] = sum[c] + sum[c + half];
    }
    return vsum(sum[0]) + (b ? b[0] : 0.0f) + 0.0f;
}
static void dense_forward_narrow(float *a, const float *x, const float *w, const float *b, ptrdiff_t R,
                                 ptrdiff_t I) {
    for (ptrdiff_t r = 0; r < R; r++, x += I) {
        vec sum[NARROW_WORDS];
        UNROLL
        for (int c = 0; c < NARROW_WORDS; c++) sum[c] = vzero();
        narrow_chains(sum, x, w, I);
        a[r] = narrow_joined(sum, b);
    }
}

static void dense_forward(float *a, const float *x, const nn_dense *layer, ptrdiff_t R) {
    const ptrdiff_t I = layer->I, O = layer->O;
    const nn_activation *activation = layer->activation;
    if (O == 1) {
        dense_forward_narrow(a, x, layer->w, layer->b, R, I);
        activation->forward(a, R, O, layer->parameter);
        return;
    }
    const product p = {.c = a,
                       .ldc = O,
                       .start = layer->b,
                       .lds = 0,
                       .a = x,
                       .am = I,
                       .ak = 1,
                       .b = layer->w,
                       .ldb = O,
                       .K = I,
                       .finish = activation->fused};
    product_rows(&p, 0, R, O);
    if (!activation->fused && activation->forward != linear_forward)
        activation->forward(a, R, O, layer->parameter);
}

static void dense_dx(float *dx, const float *dz, const float *wt, const nn_slope *below, ptrdiff_t R,
                     ptrdiff_t I, ptrdiff_t O) {
    const nn_activation *activation = below->activation;
    const bool fused = activation && activation->relu_slope;
    const product p = {.c = dx,
                       .ldc = I,
                       .a = dz,
                       .am = O,
                       .ak = 1,
                       .b = wt,
                       .ldb = I,
                       .K = O,
                       .finish = fused ? FINISH_SLOPE : FINISH_STORE,
                       .relu = below->a};
    product_rows(&p, 0, R, I);
    if (activation && !fused) activation->backward(dx, dx, below->a, R, I, below->parameter);
}

/* The gradient of weights [i0, i1) x O as a product. That of one output is transposed, so that words run over
 * the inputs: the same chains. */
static void weight_gradient(product p, const nn_outer *g, ptrdiff_t i0, ptrdiff_t i1) {
    p.K = g->R;
    if (g->O == 1) {
        p.a = g->dz, p.am = 1, p.ak = 1;
        p.b = g->x + i0, p.ldb = g->I;
        p.c += i0;
        if (p.start) p.start += i0;
        product_columns(&p, 0, 1, i1 - i0);
    } else {
        p.a = g->x, p.am = 1, p.ak = g->I;
        p.b = g->dz, p.ldb = g->O;
        product_columns(&p, i0, i1, g->O);
    }
}

static void dense_dw(float *dw, const float *start, const nn_outer *g, ptrdiff_t i0, ptrdiff_t i1) {
    const product p = {.c = dw, .ldc = g->O, .start = start, .lds = g->O, .finish = FINISH_STORE};
    weight_gradient(p, g, i0, i1);
}

/* The weight gradients of wide layers, with 16 registers. A tile reads 24 bytes of a line of x, then 24 of
 * the same line of the next row, and the neighbouring tile reads the rest of these lines after they have left
 * the first-level cache. So blocks of weights are formed from a copy of their columns of x, tile by tile as k
 * runs, and from panels of dz that are copied once a block. For a rule that cannot be applied in registers
 * the gradient of BLOCK_N columns waits in the second-level cache. */
#define BLOCK_M (192 / TILE_M * TILE_M)
#define BLOCK_N 128
#define BLOCK_COPY \
    (BLOCK_M * PACK_K + 16) /* floats of a copy of x; its last word reaches beyond the last tile */
#define DW_SCRATCH (VEC_REGISTERS == 16 ? BLOCK_COPY + BLOCK_M * BLOCK_N : 0)

/* Copies the first `rows` columns of x (K, ldx), tile by tile; `readable` floats of a row are there. */
static void copy_tiles(float *copy, const float *x, ptrdiff_t ldx, ptrdiff_t K, ptrdiff_t rows,
                       ptrdiff_t readable) {
    enum { REACH = (TILE_M + VW - 1) / VW * VW };
    for (ptrdiff_t m = 0; m < rows; m += TILE_M) {
        const bool whole = m + REACH <= readable;
        for (ptrdiff_t k = 0; k < K;
             k++, copy += TILE_M) { /* in whole words: the next row overwrites the excess */
            UNROLL
            for (int i = 0; i < TILE_M; i += VW) {
                const float *from = x + k * ldx + m + i;
                vstore(copy + i, whole ? vload(from) : vload_tail(from, vtail(TILE_M - i)));
            }
        }
    }
}

static __attribute__((noinline)) void tiles_of_copies(const product *p, const float *copy, ptrdiff_t rows) {
    const vmask none = vtail(VW);
    for (ptrdiff_t m = 0; m < rows; m += TILE_M)
        tile(TILE_M, TILE_N, 0, none, p, (left_rows){copy + m * p->K, 1, TILE_M}, m, 0);
}

/* c (M,N), where `copy` holds the whole tiles of a. */
static void product_of_copies(const product *p, const float *copy, ptrdiff_t M, ptrdiff_t N) {
    float panel[PACK_K * WIDE] __attribute__((aligned(64)));
    const ptrdiff_t whole = M / TILE_M * TILE_M;
    ptrdiff_t n = 0;
    for (; n + WIDE <= N; n += WIDE) {
        product q = columns_from(*p, n);
        q.b = panel;
        q.ldb = WIDE;
        copy_panel(panel, p->b + n, p->ldb, p->K);
        tiles_of_copies(&q, copy, whole);
        if (whole < M) tiles_of_columns(&q, whole, M, WIDE);
    }
    const product rest = columns_from(*p, n);
    if (n < N) tiles_of_columns(&rest, 0, M, N - n);
}

static void dw_by_blocks(const nn_weights *w, const float *start, const nn_outer *g, ptrdiff_t i0,
                         ptrdiff_t i1, const nn_update *update, float *scratch) {
    const bool sgd = update->rule->fused == FINISH_SGD;
    const ptrdiff_t I = g->I, O = g->O, R = g->R;
    float *copy = scratch, *strip = scratch + BLOCK_COPY;
    const ptrdiff_t blocks = (i1 - i0 + BLOCK_M - 1) / BLOCK_M,
                    height = ((i1 - i0 + blocks - 1) / blocks + TILE_M - 1) / TILE_M * TILE_M;
    for (ptrdiff_t i = i0; i < i1; i += height) {
        const ptrdiff_t m = i1 - i < height ? i1 - i : height, columns = sgd ? O : BLOCK_N;
        copy_tiles(copy, g->x + i, I, R, m / TILE_M * TILE_M, I - i);
        for (ptrdiff_t o = 0; o < O; o += columns) {
            const ptrdiff_t n = O - o < columns ? O - o : columns, at = i * O + o;
            product p = {.start = start ? start + at : NULL,
                         .lds = O,
                         .a = g->x + i,
                         .am = 1,
                         .ak = I,
                         .b = g->dz + o,
                         .ldb = O,
                         .K = R};
            if (sgd) {
                p.c = w->w + at, p.ldc = O, p.finish = FINISH_SGD, p.learning_rate = update->step->c[0];
                product_of_copies(&p, copy, m, n);
                continue;
            }
            p.c = strip, p.ldc = n, p.finish = FINISH_STORE;
            product_of_copies(&p, copy, m, n);
            const nn_weights here = nn_weights_at(*w, at);
            update->rule->update(&here, strip, (nn_area){.rows = m, .n = n, .ldw = O, .ldg = n}, update->step,
                                 false);
        }
    }
}

/* Floats of gradient that wait in the first-level cache for a rule that cannot be applied in registers. */
#define GRADIENT_STRIP 4096

static void dw_by_strips(const nn_weights *w, const float *start, const nn_outer *g, ptrdiff_t i0,
                         ptrdiff_t i1, const nn_update *update) {
    float strip[GRADIENT_STRIP];
    const ptrdiff_t I = g->I, O = g->O;
    const ptrdiff_t columns =
        O < GRADIENT_STRIP / TILE_M ? O : GRADIENT_STRIP / TILE_M / (TILE_N * VW) * (TILE_N * VW);
    const ptrdiff_t rows = O == 1 ? GRADIENT_STRIP : GRADIENT_STRIP / columns / TILE_M * TILE_M;
    for (ptrdiff_t i = i0; i < i1; i += rows) {
        const ptrdiff_t m = i1 - i < rows ? i1 - i : rows;
        for (ptrdiff_t o = 0; o < O; o += columns) {
            const ptrdiff_t n = O - o < columns ? O - o : columns, at = i * O + o;
            product p = {.c = strip,
                         .ldc = n,
                         .start = start ? start + at : NULL,
                         .lds = O,
                         .K = g->R,
                         .finish = FINISH_STORE};
            if (O == 1) {
                p.a = g->dz, p.am = 1, p.ak = 1, p.b = g->x + i, p.ldb = I;
                product_columns(&p, 0, 1, m);
            } else {
                p.a = g->x + i, p.am = 1, p.ak = I, p.b = g->dz + o, p.ldb = O;
                product_columns(&p, 0, m, n);
            }
            const nn_weights here = nn_weights_at(*w, at);
            /* whole rows of w lie one after the other: a single row of whole words */
            const nn_area area = n == O ? (nn_area){.rows = 1, .n = m * n, .ldw = m * n, .ldg = m * n}
                                        : (nn_area){.rows = m, .n = n, .ldw = O, .ldg = n};
            update->rule->update(&here, strip, area, update->step, false);
        }
    }
}

static void dense_dw_update(const nn_weights *w, const float *start, const nn_outer *g, ptrdiff_t i0,
                            ptrdiff_t i1, const nn_update *update, float *scratch) {
    if (i0 == i1) return; /* a worker without inputs: there are more workers than inputs */
    if (DW_SCRATCH && scratch && nn_dw_wants_scratch(g->R, g->O) && g->R <= PACK_K) {
        dw_by_blocks(w, start, g, i0, i1, update, scratch);
    } else if (update->rule->fused == FINISH_SGD) {
        const product p = {.c = w->w,
                           .ldc = g->O,
                           .start = start,
                           .lds = g->O,
                           .finish = FINISH_SGD,
                           .learning_rate = update->step->c[0]};
        weight_gradient(p, g, i0, i1);
    } else {
        dw_by_strips(w, start, g, i0, i1, update);
    }
}

/* N words of db from column i on: as many chains at once. */
INLINE void db_words(const int N, const int part, vmask tail, float *db, const float *start, const float *dz,
                     ptrdiff_t R, ptrdiff_t ldz) {
    vec sum[8];
    UNROLL
    for (int j = 0; j < N; j++) sum[j] = start ? vload_part(start + j * VW, part, tail) : vzero();
    for (ptrdiff_t r = 0; r < R; r++) {
        UNROLL
        for (int j = 0; j < N; j++) sum[j] = sum[j] + vload_part(dz + r * ldz + j * VW, part, tail);
    }
    UNROLL
    for (int j = 0; j < N; j++) vstore_part(db + j * VW, sum[j] + 0.0f, part, tail);
}

static void dense_db(float *db, const float *start, const float *dz, ptrdiff_t R, ptrdiff_t O,
                     ptrdiff_t ldz) {
    const vmask none = vtail(VW);
    ptrdiff_t i = 0;
    for (; i + 8 * VW <= O; i += 8 * VW)
        db_words(8, 0, none, db + i, start ? start + i : NULL, dz + i, R, ldz);
    for (; i < O; i += VW) db_words(1, 1, vtail(O - i), db + i, start ? start + i : NULL, dz + i, R, ldz);
}

static void gather(float *out, const float *x, const uint32_t *order, ptrdiff_t R, ptrdiff_t I) {
    for (ptrdiff_t r = 0; r < R; r++, out += I) {
        const float *row = x + (ptrdiff_t)order[r] * I;
        if (I == 1) { /* targets of regression */
            out[0] = row[0];
        } else {
            FOR_WORDS(I, vstore_part(out + i, vload_part(row + i, PART, tail), PART, tail););
        }
    }
}

/* Words run over the rows of the batch, and w is read once, as it lies. */
static void dense_dx_from_w(float *dx, float *scratch, const float *dz, const float *w, const nn_slope *below,
                            ptrdiff_t R, ptrdiff_t I, ptrdiff_t O) {
    float *dzt = scratch, *dxt = scratch + O * R;
    transpose(dzt, dz, R, O, 0, R);
    const product p = {
        .c = dxt, .ldc = R, .a = w, .am = O, .ak = 1, .b = dzt, .ldb = R, .K = O, .finish = FINISH_STORE};
    product_rows(&p, 0, I, R);
    transpose(dx, dxt, I, R, 0, I);
    if (below->activation) below->activation->backward(dx, dx, below->a, R, I, below->parameter);
}

#endif
