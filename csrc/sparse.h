/* The first layer without its zeros: the same sums as dense.h, over the inputs that are not zero. The same bits, because a product with zero leaves
 * an fma chain as it is (`x` finite, outputs stored as +0).
 *
 * Rows go in pairs: the inputs at which either is not zero are listed in order, and each row of w (or of dw) that is loaded serves two rows of x;
 * what one of them lacks there is a zero that is multiplied after all. Inputs go in blocks: the lists of all pairs for one block lie one after the
 * other, so that a pass streams through them while that block of w, or of dw, stays in the first-level cache. A worker owns a range of outputs, in
 * the forward pass and in dw alike, so that its part of w never leaves its core. What a non-zero costs, against what the ports allow, is in
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

/* x - x is +0 where x is finite, else NaN. */
static bool all_finite(const float *x, ptrdiff_t n) {
    ivec any = (ivec)vzero();
    FOR_WORDS(n, {
        const vec word = vload_part(x + i, PART, tail);
        any |= (ivec)(word - word);
    });
    for (int lane = 0; lane < VW; lane++) {
        if (any[lane]) return false;
    }
    return true;
}

#if defined(VEC_AVX512)
/* One word of a pair to the end of a list: the numbers of the inputs that count and their values, closed up. Whole words are stored, without a branch
 * on how many count: in pictures that is guessed wrong too often. */
INLINE ptrdiff_t list_word(int32_t *input, float *v0, float *v1, uint16_t *touched, vec a, vec b, __m512i place) {
    const __m512i either = _mm512_or_si512(_mm512_castps_si512(a), _mm512_castps_si512(b));
    const vmask here = _mm512_test_epi32_mask(either, _mm512_set1_epi32(INT32_MAX)); /* all bits but the sign */
    _mm512_storeu_si512(input, _mm512_maskz_compress_epi32(here, place));
    _mm512_storeu_ps(v0, _mm512_maskz_compress_ps(here, a));
    _mm512_storeu_ps(v1, _mm512_maskz_compress_ps(here, b));
    *touched |= here;
    return __builtin_popcount(here);
}
#endif

/* Adds to the lists of one block, from `at` on, n inputs of a pair (M = 2) or of one row (M = 1), whose second values are zero; returns how many. */
INLINE ptrdiff_t list_pair(const int M, nn_sparse *s, ptrdiff_t at, uint16_t *touched, const float *x0, const float *x1, ptrdiff_t n) {
    int32_t *input = s->input + at;
    float *v0 = s->value[0] + at, *v1 = s->value[1] + at;
    ptrdiff_t count = 0;
#if defined(VEC_AVX512)
    ptrdiff_t i = 0;
    __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (; i + VW <= n; i += VW, place = _mm512_add_epi32(place, _mm512_set1_epi32(VW)))
        count += list_word(input + count, v0 + count, v1 + count, touched++, vload(x0 + i), M == 2 ? vload(x1 + i) : vzero(), place);
    if (i < n) {
        const vmask tail = vtail(n - i);
        count +=
            list_word(input + count, v0 + count, v1 + count, touched, vload_tail(x0 + i, tail), M == 2 ? vload_tail(x1 + i, tail) : vzero(), place);
    }
#else
    for (ptrdiff_t i = 0; i < n; i++) { /* always stores, and moves on only past what counts */
        const float a = x0[i], b = M == 2 ? x1[i] : 0.0f;
        const bool here = (a != 0.0f) | (b != 0.0f);
        input[count] = (int32_t)i;
        v0[count] = a;
        v1[count] = b;
        touched[i / 16] |= (uint16_t)(here << i % 16);
        count += here;
    }
#endif
    return count;
}

/* Makes the lists of rows x[0], x[1] ... */
static void sparse_gather(nn_sparse *s, const float *const *x, ptrdiff_t R) {
    memset(s->touched, 0, (size_t)s->words * sizeof *s->touched);
    s->rows = R;
    ptrdiff_t at[NN_SPARSE_MAX_BLOCKS];
    for (ptrdiff_t b = 0; b < s->blocks; b++) at[b] = b * s->room;
    for (ptrdiff_t r = 0; r < R; r += 2) {
        const bool pair = r + 1 < R;
        for (ptrdiff_t b = 0; b < s->blocks; b++) {
            const ptrdiff_t i0 = b * s->block, n = s->inputs - i0 < s->block ? s->inputs - i0 : s->block;
            uint16_t *touched = s->touched + i0 / 16;
            const ptrdiff_t count =
                pair ? list_pair(2, s, at[b], touched, x[r] + i0, x[r + 1] + i0, n) : list_pair(1, s, at[b], touched, x[r] + i0, NULL, n);
            s->count[b * s->pairs + r / 2] = (int32_t)count;
            at[b] += count;
        }
    }
}

/* The same from rows of a CSR matrix: row r has index[r][k] and value[r][k] for k < length[r], in order. They are the caller's, who may have changed
 * them since they were checked: an index that does not belong where it is ends its row. */
static void sparse_gather_csr(nn_sparse *s, const nn_csr_row *x, ptrdiff_t R) {
    memset(s->touched, 0, (size_t)s->words * sizeof *s->touched);
    s->rows = R;
    ptrdiff_t start[NN_SPARSE_MAX_BLOCKS];
    for (ptrdiff_t b = 0; b < s->blocks; b++) start[b] = b * s->room;
    for (ptrdiff_t r = 0; r < R; r += 2) {
        const nn_csr_row none = {NULL, NULL, 0}, row[2] = {x[r], r + 1 < R ? x[r + 1] : none};
        ptrdiff_t k[2] = {0, 0};
        for (ptrdiff_t b = 0; b < s->blocks; b++) {
            const ptrdiff_t i0 = b * s->block, n = s->inputs - i0 < s->block ? s->inputs - i0 : s->block;
            ptrdiff_t at = start[b];
            while (at < start[b] + s->entries) { /* merges two sorted lists; UINT32_MAX is behind the last input */
                const uint32_t i = k[0] < row[0].length ? (uint32_t)row[0].index[k[0]] : UINT32_MAX;
                const uint32_t j = k[1] < row[1].length ? (uint32_t)row[1].index[k[1]] : UINT32_MAX;
                const uint32_t least = i < j ? i : j, place = least - (uint32_t)i0;
                if (place >= (uint32_t)n) break;
                s->input[at] = (int32_t)place;
                s->value[0][at] = i == least ? row[0].value[k[0]] : 0.0f;
                s->value[1][at] = j == least ? row[1].value[k[1]] : 0.0f;
                k[0] += i == least;
                k[1] += j == least;
                s->touched[least / 16] |= (uint16_t)(1 << least % 16);
                at++;
            }
            s->count[b * s->pairs + r / 2] = (int32_t)(at - start[b]);
            start[b] = at;
        }
    }
}

/* Words of outputs at a time: two rows of them fill half the registers. */
#if VEC_REGISTERS == 32
#define SPARSE_N 8
#else
#define SPARSE_N 4
#endif

/* One pair (M = 2) or a single row (M = 1) and one block of inputs: N words of a (.., lda) go on from `start`, the bias or what the block before has
 * left. */
INLINE void sparse_forward_tile(const int M, const int N, const int part, vmask tail, float *a, const float *start, ptrdiff_t lds, ptrdiff_t lda,
                                const int32_t *input, const float *v0, const float *v1, ptrdiff_t count, const float *w, ptrdiff_t ldw, bool relu) {
    vec sum[2][8];
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int j = 0; j < N; j++) sum[m][j] = start ? vload_part(start + m * lds + j * VW, part, tail) : vzero();
    }
    for (ptrdiff_t k = 0; k < count; k++) {
        const float *row = w + (ptrdiff_t)input[k] * ldw;
        VKEEP_POINTER(row);
        const vec left = vset(v0[k]), right = vset(v1[k]);
        UNROLL
        for (int j = 0; j < N; j++) {
            const vec word = vkeep(vload_part(row + j * VW, part, tail));
            sum[0][j] = vfma(left, word, sum[0][j]);
            if (M == 2) sum[1][j] = vfma(right, word, sum[1][j]);
        }
    }
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int j = 0; j < N; j++) {
            const vec z = relu ? vrelu(sum[m][j]) : sum[m][j];
            vstore_part(a + m * lda + j * VW, z + 0.0f, part, tail);
        }
    }
}

/* Asks for a part of the rows that come next, as many as pairs that are worked on now, so that memory and arithmetic go on side by side: a core waits
 * for no more than some 20 lines at once. Part and block have the same place in a row. No short loops, whose ends would be guessed wrong: lines
 * behind the end of a part belong to the next one. */
INLINE void prefetch_ahead(const nn_ahead *ahead, ptrdiff_t pair, ptrdiff_t pairs, ptrdiff_t i0, ptrdiff_t i1) {
    enum { LINE = 64 / sizeof(float) };
    for (ptrdiff_t r = pair; r < ahead->count; r += pairs) {
        for (ptrdiff_t i = i0; i < i1; i += NN_SPARSE_BLOCK) {
            UNROLL
            for (int line = 0; line < NN_SPARSE_BLOCK / LINE; line++) __builtin_prefetch(ahead->x[r] + i + line * LINE, 0, 2);
        }
    }
}

/* Rows of all sections together, and pairs, of which the last of a section may be a single row. */
INLINE ptrdiff_t count_rows(const nn_sparse *s, int sections) {
    ptrdiff_t rows = 0;
    for (int t = 0; t < sections; t++) rows += s[t].rows;
    return rows;
}
INLINE ptrdiff_t count_pairs(const nn_sparse *s, int sections) {
    ptrdiff_t pairs = 0;
    for (int t = 0; t < sections; t++) pairs += (s[t].rows + 1) / 2;
    return pairs;
}

/* The inputs [16 group, 16 group + 16) that any row touches. */
INLINE unsigned touched_in(const nn_sparse *s, int sections, ptrdiff_t group) {
    unsigned touched = 0;
    for (int t = 0; t < sections; t++) touched |= s[t].touched[group];
    return touched;
}

/* All blocks, sections and pairs for N words of outputs. */
INLINE void sparse_forward_words(const int N, const int part, vmask tail, float *a, ptrdiff_t lda, const nn_sparse *s, int sections, const float *w,
                                 ptrdiff_t ldw, const float *b, bool relu, const nn_ahead *ahead) {
    const ptrdiff_t all = count_pairs(s, sections);
    for (ptrdiff_t block = 0; block < s->blocks; block++) {
        const ptrdiff_t i0 = block * s->block, i1 = i0 + s->block < s->inputs ? i0 + s->block : s->inputs, lds = block ? lda : 0;
        const float *rows = w + i0 * ldw;
        const bool finish = relu && block + 1 == s->blocks;
        float *out = a;
        ptrdiff_t done = 0;
        for (const nn_sparse *t = s; t < s + sections; t++) {
            const ptrdiff_t pairs = (t->rows + 1) / 2;
            ptrdiff_t at = block * t->room;
            for (ptrdiff_t p = 0; p < pairs; p++) {
                const ptrdiff_t count = t->count[block * t->pairs + p];
                const int32_t *input = t->input + at;
                const float *v0 = t->value[0] + at, *v1 = t->value[1] + at, *start = block ? out : b;
                at += count;
                if (ahead) prefetch_ahead(ahead, done++, all, i0, i1);
                if (2 * p + 1 < t->rows) {
                    sparse_forward_tile(2, N, part, tail, out, start, lds, lda, input, v0, v1, count, rows, ldw, finish);
                    out += 2 * lda;
                } else {
                    sparse_forward_tile(1, N, part, tail, out, start, lds, lda, input, v0, v1, count, rows, ldw, finish);
                    out += lda;
                }
            }
        }
    }
}

/* A layer of one output: the 16 chains of dense_forward_narrow, each over the inputs that it has there. */
static void sparse_forward_narrow(float *a, const nn_sparse *s, const float *w, const float *b) {
    ptrdiff_t at[NN_SPARSE_MAX_BLOCKS];
    for (ptrdiff_t block = 0; block < s->blocks; block++) at[block] = block * s->room;
    for (ptrdiff_t p = 0; p < (s->rows + 1) / 2; p++) {
        float lane[2][16] = {{0.0f}};
        for (ptrdiff_t block = 0; block < s->blocks; block++) {
            const ptrdiff_t end = at[block] + s->count[block * s->pairs + p];
            for (ptrdiff_t k = at[block]; k < end; k++) {
                const ptrdiff_t i = block * s->block + s->input[k];
                for (int m = 0; m < 2; m++) lane[m][i % 16] = vfma_one(s->value[m][k], w[i], lane[m][i % 16]);
            }
            at[block] = end;
        }
        for (int m = 0; m < 2 && 2 * p + m < s->rows; m++) {
            for (int half = 8; half; half /= 2) {
                for (int i = 0; i < half; i++) lane[m][i] += lane[m][i + half];
            }
            a[2 * p + m] = lane[m][0] + (b ? b[0] : 0.0f) + 0.0f;
        }
    }
}

/* n outputs of all rows: a (R, lda) from w (I, ldw) and b (n) or NULL. */
static void sparse_forward(float *a, ptrdiff_t lda, const nn_sparse *s, int sections, const float *w, ptrdiff_t ldw, const float *b, ptrdiff_t n,
                           const nn_activation *activation, const nn_ahead *ahead) {
    const bool relu = activation->fused == FINISH_RELU;
    const vmask none = vtail(VW);
    ptrdiff_t j = 0;
    if (n == 0) return; /* more workers than outputs */
    if (ldw == 1) {
        for (int t = 0; t < sections; t++) {
            sparse_forward_narrow(a, &s[t], w, b);
            if (relu) activation->forward(a, s[t].rows, 1, activation->parameter);
            a += s[t].rows;
        }
        return;
    }
#define WORDS(N, PART, TAIL)                                                                                                \
    {                                                                                                                       \
        sparse_forward_words(N, PART, TAIL, a + j, lda, s, sections, w + j, ldw, b ? b + j : NULL, relu, j ? NULL : ahead); \
        j += (N) * VW;                                                                                                      \
    }
    while (j + SPARSE_N * VW <= n) WORDS(SPARSE_N, 0, none)
    while (j + 4 * VW <= n) WORDS(4, 0, none)
    while (j < n) WORDS(1, 1, vtail(n - j))
#undef WORDS
}

/* Adds what one pair (M = 2) or row (M = 1) gives to N words of g, the gradient of a block of inputs. */
INLINE void sparse_dw_tile(const int M, const int N, const int part, vmask tail, float *g, ptrdiff_t ldg, const float *dz, ptrdiff_t ldz,
                           const int32_t *input, const float *v0, const float *v1, ptrdiff_t count) {
    vec word[2][8];
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int j = 0; j < N; j++) word[m][j] = vload_part(dz + m * ldz + j * VW, part, tail);
    }
    for (ptrdiff_t k = 0; k < count; k++) {
        float *row = g + (ptrdiff_t)input[k] * ldg;
        VKEEP_POINTER(row);
        const vec left = vset(v0[k]), right = vset(v1[k]);
        UNROLL
        for (int j = 0; j < N; j++) {
            vec sum = vfma(left, word[0][j], vload_part(row + j * VW, part, tail));
            if (M == 2) sum = vfma(right, word[1][j], sum);
            vstore_part(row + j * VW, sum, part, tail);
        }
    }
}

/* The same of all pairs of a block of inputs, for N words of dz (R, ldz). */
INLINE void sparse_dw_words(const int N, const int part, vmask tail, float *g, ptrdiff_t ldg, const float *dz, ptrdiff_t ldz, const nn_sparse *s,
                            int sections, ptrdiff_t block, const nn_ahead *ahead) {
    const ptrdiff_t i0 = block * s->block, i1 = i0 + s->block < s->inputs ? i0 + s->block : s->inputs, all = count_pairs(s, sections);
    ptrdiff_t done = 0;
    for (const nn_sparse *t = s; t < s + sections; t++) {
        const ptrdiff_t pairs = (t->rows + 1) / 2;
        ptrdiff_t at = block * t->room;
        for (ptrdiff_t p = 0; p < pairs; p++) {
            if (ahead) prefetch_ahead(ahead, done++, all, i0, i1);
            const ptrdiff_t count = t->count[block * t->pairs + p];
            if (2 * p + 1 < t->rows) {
                sparse_dw_tile(2, N, part, tail, g, ldg, dz, ldz, t->input + at, t->value[0] + at, t->value[1] + at, count);
                dz += 2 * ldz;
            } else {
                sparse_dw_tile(1, N, part, tail, g, ldg, dz, ldz, t->input + at, t->value[0] + at, t->value[1] + at, count);
                dz += ldz;
            }
            at += count;
        }
    }
}

/* g (block, ldg) += the gradient of one block of inputs, n outputs. */
static void sparse_dw_block(float *g, ptrdiff_t ldg, const float *dz, ptrdiff_t ldz, const nn_sparse *s, int sections, ptrdiff_t block, ptrdiff_t n,
                            const nn_ahead *ahead) {
    const vmask none = vtail(VW);
    ptrdiff_t j = 0;
#define WORDS(N, PART, TAIL)                                                                           \
    {                                                                                                  \
        sparse_dw_words(N, PART, TAIL, g + j, ldg, dz + j, ldz, s, sections, block, j ? NULL : ahead); \
        j += (N) * VW;                                                                                 \
    }
    while (j + SPARSE_N * VW <= n) WORDS(SPARSE_N, 0, none)
    while (j + 4 * VW <= n) WORDS(4, 0, none)
    while (j < n) WORDS(1, 1, vtail(n - j))
#undef WORDS
}

/* dw (I, n) += xT dz (R, ldz) */
static void sparse_dw(float *dw, const float *dz, ptrdiff_t ldz, const nn_sparse *s, int sections, ptrdiff_t n, const nn_ahead *ahead) {
    for (ptrdiff_t block = 0; block < s->blocks; block++) sparse_dw_block(dw + block * s->block * n, n, dz, ldz, s, sections, block, n, ahead);
}

/* SGD with the gradient of a single row, N words of it: each weight that it touches is read and written once. Backwards, because the forward pass has
 * left the last inputs' weights in the first-level cache. */
INLINE void sparse_sgd_words(const int N, const int part, vmask tail, float *w, ptrdiff_t ldw, const float *dz, const nn_sparse *s, vec rate) {
    vec word[8];
    UNROLL
    for (int j = 0; j < N; j++) word[j] = vload_part(dz + j * VW, part, tail);
    for (ptrdiff_t block = s->blocks - 1; block >= 0; block--) {
        const ptrdiff_t at = block * s->room, count = s->count[block * s->pairs];
        const int32_t *input = s->input + at;
        const float *value = s->value[0] + at;
        float *rows = w + block * s->block * ldw;
        for (ptrdiff_t k = count - 1; k >= 0; k--) {
            float *row = rows + (ptrdiff_t)input[k] * ldw;
            VKEEP_POINTER(row);
            const vec x = vset(value[k]);
            UNROLL
            for (int j = 0; j < N; j++) {
                const vec g = vfma(x, word[j], vzero()) + 0.0f;
                vstore_part(row + j * VW, vfnma(rate, g, vload_part(row + j * VW, part, tail)), part, tail);
            }
        }
    }
}

static void sparse_sgd_single(float *w, ptrdiff_t ldw, const float *dz, const nn_sparse *s, ptrdiff_t n, vec rate) {
    const vmask none = vtail(VW);
    ptrdiff_t j = 0;
    for (; j + SPARSE_N * VW <= n; j += SPARSE_N * VW) sparse_sgd_words(SPARSE_N, 0, none, w + j, ldw, dz + j, s, rate);
    for (; j + 4 * VW <= n; j += 4 * VW) sparse_sgd_words(4, 0, none, w + j, ldw, dz + j, s, rate);
    for (; j < n; j += VW) sparse_sgd_words(1, 1, vtail(n - j), w + j, ldw, dz + j, s, rate);
}

/* w -= rate g; g = 0, of the inputs [i0, i1) that any row touches, N words. */
INLINE void sgd_words(const int N, const int part, vmask tail, float *w, ptrdiff_t ldw, float *g, ptrdiff_t ldg, const nn_sparse *s, int sections,
                      ptrdiff_t i0, ptrdiff_t i1, vec rate) {
    for (ptrdiff_t group = i0; group < i1; group += 16) {
        for (unsigned touched = touched_in(s, sections, group / 16); touched; touched &= touched - 1) {
            const ptrdiff_t i = group + __builtin_ctz(touched);
            float *w_row = w + i * ldw, *g_row = g + (i - i0) * ldg;
            VKEEP_POINTER(w_row);
            VKEEP_POINTER(g_row);
            UNROLL
            for (int j = 0; j < N; j++) {
                const vec sum = vload_part(g_row + j * VW, part, tail) + 0.0f;
                vstore_part(w_row + j * VW, vfnma(rate, sum, vload_part(w_row + j * VW, part, tail)), part, tail);
                vstore_part(g_row + j * VW, vzero(), part, tail);
            }
        }
    }
}

static void sparse_sgd(float *w, ptrdiff_t ldw, float *strip, const nn_sparse *s, int sections, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t n, vec rate) {
    const vmask none = vtail(VW);
    ptrdiff_t j = 0;
    for (; j + SPARSE_N * VW <= n; j += SPARSE_N * VW) sgd_words(SPARSE_N, 0, none, w + j, ldw, strip + j, n, s, sections, i0, i1, rate);
    for (; j + 4 * VW <= n; j += 4 * VW) sgd_words(4, 0, none, w + j, ldw, strip + j, n, s, sections, i0, i1, rate);
    for (; j < n; j += VW) sgd_words(1, 1, vtail(n - j), w + j, ldw, strip + j, n, s, sections, i0, i1, rate);
}

/* The first input in [i, end) that moves (or does not), or end. */
INLINE ptrdiff_t find_moving(const uint64_t *moving, bool does, ptrdiff_t i, ptrdiff_t end) {
    while (i < end) {
        const uint64_t here = (does ? moving[i / 64] : ~moving[i / 64]) >> i % 64;
        if (here) {
            i += __builtin_ctzll(here);
            return i < end ? i : end;
        }
        i = (i / 64 + 1) * 64;
    }
    return end;
}

/* Gives the gradient of inputs [i0, i1), which lies in strip, to a rule with slots, and clears it. Runs of inputs that move. */
static void update_moving(float *w, ptrdiff_t ldw, float *const *slots, float *strip, ptrdiff_t n, ptrdiff_t i0, ptrdiff_t i1, const nn_rule *rule,
                          const nn_step *step, const uint64_t *moving) {
    for (ptrdiff_t i = i0, end; i < i1; i = end) {
        if (moving) i = find_moving(moving, true, i, i1);
        end = moving ? find_moving(moving, false, i, i1) : i1;
        float *slot[NN_MAX_SLOTS] = {NULL};
        for (int k = 0; k < NN_MAX_SLOTS && rule->slots[k]; k++) slot[k] = slots[k] + i * ldw;
        rule->update(w + i * ldw, slot, strip + (i - i0) * n, ldw, n, end - i, n, step, true);
    }
}

/* The gradient of a batch of one block of rows for n outputs, given to the rule block of inputs by block of inputs. strip: zeros, and zeros
 * again afterwards. SGD leaves a row of w alone that no row of x touches; the other rules those that nothing has touched yet. */
static void sparse_dw_update(float *w, ptrdiff_t ldw, float *const *slots, float *strip, const float *dz, ptrdiff_t ldz, const nn_sparse *s,
                             int sections, ptrdiff_t n, const nn_rule *rule, const nn_step *step, uint64_t *moving, const nn_ahead *ahead) {
    const bool sgd = rule->fused == FINISH_SGD;
    const ptrdiff_t R = count_rows(s, sections);
    if (sgd && R == 1) {
        while (s->rows == 0) s++;
        sparse_sgd_single(w, ldw, dz, s, n, vset(step->c[0]));
        return;
    }
    if (moving) {
        for (ptrdiff_t word = 0; word < s->words; word++) moving[word / 4] |= (uint64_t)touched_in(s, sections, word) << word % 4 * 16;
    }
    /* few rows leave little in the strip: then it holds several blocks, so that the rule, which is slow to start, starts less often */
    const ptrdiff_t together = !sgd && R <= NN_STRIP_ROWS ? NN_STRIP_BLOCKS : 1;
    for (ptrdiff_t block = 0; block < s->blocks; block += together) {
        const ptrdiff_t i0 = block * s->block, i2 = i0 + together * s->block, i1 = i2 < s->inputs ? i2 : s->inputs;
        for (ptrdiff_t b = block; b < block + together && b < s->blocks; b++)
            sparse_dw_block(strip + (b - block) * s->block * n, n, dz, ldz, s, sections, b, n, ahead);
        if (sgd) {
            sparse_sgd(w, ldw, strip, s, sections, i0, i1, n, vset(step->c[0]));
        } else {
            update_moving(w, ldw, slots, strip, n, i0, i1, rule, step, moving);
        }
    }
}

#endif
