/* The first layer without its zeros: the same sums as dense.h, over the inputs that are not zero. The same bits, because a product with zero leaves
 * an fma chain as it is (`x` finite, outputs stored as +0), and every chain runs in the same order.
 *
 * Rows are read where they lie; marks say where they are not zero. Many rows go by groups: the weights of GROUP neighbouring inputs, or their
 * gradient, stay in registers while those rows pass by that have any of them, which pixels of pictures mostly have together. So each weight is loaded
 * once, and what is added to comes from the first-level cache: the sums of a block of rows in the forward pass, dz in the backward pass. What a group
 * costs, against what the ports allow, is in docs/roofline.md. A few rows go by pairs, over lists of the inputs at which either is not zero, and rows
 * of CSR matrices one by one, both in blocks of inputs whose weights stay in the first-level cache.
 *
 * A worker owns a range of outputs in both passes, so that its part of w never leaves its core. */

#ifndef NN_SPARSE_H
#define NN_SPARSE_H

#include "dense.h"

/* Inputs of a group, and words of outputs at a time: together half of the registers. */
#if VEC_REGISTERS == 32
#define GROUP 4
#define PAIR_WORDS 8 /* of two rows that go together */
#else
#define GROUP 2
#define PAIR_WORDS 4
#endif
#define ROW_WORDS 8 /* of a row that goes alone */
#define GROUP_WORDS 4
#define GROUP_BITS ((1u << GROUP) - 1u)

/* How many of n floats belong to a group that is not all zero: what the passes below multiply with. */
static ptrdiff_t count_grouped(const float *x, ptrdiff_t n) {
    ptrdiff_t count = 0;
    for (ptrdiff_t i = 0; i < n; i += MARKED) {
        const unsigned marks = vmark(x + i, n - i);
        for (int g = 0; g < MARKED; g += GROUP) count += marks >> g & GROUP_BITS ? GROUP : 0;
    }
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

/* Marks the rows of x, and lists those of few rows. */
static void sparse_mark(nn_sparse *s) {
    const ptrdiff_t rows = s->rows, height = s->height;
    s->groups_count = -1;
    s->valid[0] = rows < 64 ? ((uint64_t)1 << rows) - 1 : UINT64_MAX;
    s->valid[1] = rows <= 64 ? 0 : UINT64_MAX >> (128 - rows);
    for (ptrdiff_t r = 0; r < rows; r++) {
        const float *x = s->x[r];
        uint16_t *marks = s->marks + r;
        ptrdiff_t i = 0;
        for (; i + MARKED <= s->inputs; i += MARKED, marks += height) *marks = (uint16_t)vmark(x + i, MARKED);
        if (i < s->inputs) *marks = (uint16_t)vmark(x + i, s->inputs - i);
    }
    for (ptrdiff_t r = 0; r < rows && rows <= NN_FEW_ROWS; r += 2) {
        int32_t *list = s->few + r / 2 * (s->inputs + NN_FEW_MARGIN);
        const uint16_t *marks = s->marks + r;
        ptrdiff_t count = 0;
        for (ptrdiff_t word = 0; word < s->words; word++, marks += height)
            count += vlist(list + count, marks[0] | (r + 1 < rows ? marks[1] : 0u), word * MARKED);
        s->length[r / 2] = count;
    }
}

/* The rows of which the marks of a word of inputs have any of these bits. */
INLINE bool find_marked(uint64_t rows[2], const nn_sparse *s, ptrdiff_t word, unsigned bits) {
    const uint16_t *marks = s->marks + word * s->height;
    rows[0] = vmarked(marks, bits) & s->valid[0];
    rows[1] = s->valid[1] ? vmarked(marks + 64, bits) & s->valid[1] : 0;
    return rows[0] | rows[1];
}

/* Lists the groups that any row has, unless that is done. */
static void find_groups(nn_sparse *s) {
    if (s->groups_count >= 0) return;
    const ptrdiff_t whole = s->inputs / GROUP * GROUP;
    nn_group *next = s->groups;
    for (ptrdiff_t i = 0; i < whole; i += GROUP) {
        next->input = (int32_t)i;
        next += find_marked(next->rows, s, i / MARKED, GROUP_BITS << i % MARKED);
    }
    s->groups_count = next - s->groups;
}

/* Runs BODY for each of these rows: the r-th behind the row `base`, which is 0, then 64. */
#define FOR_ROWS(rows, ...)                                             \
    for (ptrdiff_t base = 0; base < 128; base += 64) {                  \
        for (uint64_t left = rows[base / 64]; left; left &= left - 1) { \
            const ptrdiff_t r = __builtin_ctzll(left);                  \
            __VA_ARGS__                                                 \
        }                                                               \
    }

/* Rows that come next are asked for line by line in between, row after row, so that memory and arithmetic go on side by side: a core waits for no
 * more than some 20 lines at once. */
typedef struct asker {
    const float *const *x;
    ptrdiff_t count, inputs;
    ptrdiff_t row, at; /* the next line */
    ptrdiff_t pace;    /* floats to ask for after each input, */
    ptrdiff_t due;     /* and those that have not been */
} asker;

/* For the sweep over the inputs [i0, i1) and the columns from the j-th on: each asks for its share of the rows. */
INLINE asker begin_asking(const nn_ahead *ahead, ptrdiff_t inputs, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t j, ptrdiff_t n) {
    enum { SWEEP = GROUP_WORDS * VW };
    if (!ahead || j % SWEEP) return (asker){.x = NULL}; /* what is left of a wide layer does not ask again */
    const ptrdiff_t from = ahead->count * i0 / inputs, count = ahead->count * i1 / inputs - from;
    const ptrdiff_t sweeps = (n + SWEEP - 1) / SWEEP, sweep = j / SWEEP;
    const ptrdiff_t first = count * sweep / sweeps, last = count * (sweep + 1) / sweeps;
    return (asker){
        .x = ahead->x + from + first, .count = last - first, .inputs = inputs, .pace = ((last - first) * inputs + i1 - i0 - 1) / (i1 - i0)};
}

/* After so many more inputs. */
INLINE void ask(asker *a, ptrdiff_t inputs) {
    enum { LINE = 64 / sizeof(float) };
    for (a->due += a->pace * inputs; a->due >= LINE; a->due -= LINE) {
        if (a->row >= a->count) return;
        __builtin_prefetch(a->x[a->row] + a->at, 0, 2);
        a->at += LINE;
        if (a->at >= a->inputs) a->at = 0, a->row++;
    }
}

/* sums (R, N words) += x w for G inputs from the i-th on, of these rows. */
INLINE void forward_group(const int G, const int N, const int part, vmask tail, float *sums, const float *const *x, ptrdiff_t i,
                          const uint64_t rows[2], const float *w, ptrdiff_t ldw) {
    vec word[GROUP][GROUP_WORDS];
    UNROLL
    for (int g = 0; g < G; g++) {
        UNROLL
        for (int j = 0; j < N; j++) word[g][j] = vkeep(vload_part(w + g * ldw + j * VW, part, tail));
    }
    FOR_ROWS(rows, {
        const float *in = (x + base)[r];
        float *out = (sums + base * (N * VW)) + r * (N * VW);
        VKEEP_POINTER(out);
        vec sum[GROUP_WORDS];
        UNROLL
        for (int j = 0; j < N; j++) sum[j] = vload(out + j * VW);
        UNROLL
        for (int g = 0; g < G; g++) {
            const vec left_operand = vset(in[i + g]);
            UNROLL
            for (int j = 0; j < N; j++) sum[j] = vfma(left_operand, word[g][j], sum[j]);
        }
        UNROLL
        for (int j = 0; j < N; j++) vstore(out + j * VW, sum[j]);
    })
}

/* Where the gradient of a group goes: SGD changes its weights c, else it is stored in c, with `go_on` added to what is there. */
typedef struct target {
    float *c;
    ptrdiff_t ldc;
    bool go_on;
    vec rate;
} target;

/* N words of the gradient of G inputs from the i-th on, of these rows of x and of dz (R, N words). */
INLINE void gradient_group(const int G, const int N, const int part, vmask tail, const int finish, float *c, const target *t, const float *dz,
                           const float *const *x, ptrdiff_t i, const uint64_t rows[2]) {
    const ptrdiff_t ldc = t->ldc;
    vec sum[GROUP][GROUP_WORDS];
    UNROLL
    for (int g = 0; g < G; g++) {
        UNROLL
        for (int j = 0; j < N; j++) sum[g][j] = finish != FINISH_SGD && t->go_on ? vload_part(c + g * ldc + j * VW, part, tail) : vzero();
    }
    FOR_ROWS(rows, {
        const float *in = (x + base)[r];
        const float *row = (dz + base * (N * VW)) + r * (N * VW);
        VKEEP_POINTER(row);
        vec word[GROUP_WORDS];
        UNROLL
        for (int j = 0; j < N; j++) word[j] = vkeep(vload(row + j * VW));
        UNROLL
        for (int g = 0; g < G; g++) {
            const vec left_operand = vset(in[i + g]);
            UNROLL
            for (int j = 0; j < N; j++) sum[g][j] = vfma(left_operand, word[j], sum[g][j]);
        }
    })
    if (finish == FINISH_SGD) { /* all rows of a narrow layer are loaded before the first is stored, as in dense.h */
        const vec rate = t->rate;
        UNROLL
        for (int g = 0; g < G; g++) {
            UNROLL
            for (int j = 0; j < N; j++) sum[g][j] = vfnma(rate, sum[g][j] + 0.0f, vload_part(c + g * ldc + j * VW, part, tail));
        }
    }
    UNROLL
    for (int g = 0; g < G; g++) {
        UNROLL
        for (int j = 0; j < N; j++) {
            if (finish != FINISH_SGD) sum[g][j] = sum[g][j] + 0.0f;
            vstore_part(c + g * ldc + j * VW, sum[g][j], part, tail);
        }
    }
}

/* Functions of their own, because in one with all else these loops run out of registers; for groups, and for single inputs behind the last group. */
typedef void forward_function(vmask tail, float *sums, const float *const *x, ptrdiff_t i, const uint64_t rows[2], const float *w, ptrdiff_t ldw);
typedef void gradient_function(vmask tail, float *c, const target *t, const float *dz, const float *const *x, ptrdiff_t i, const uint64_t rows[2]);
#define FORWARD(NAME, G, N, PART)                                                                                                                   \
    static __attribute__((noinline)) void NAME(vmask tail, float *sums, const float *const *x, ptrdiff_t i, const uint64_t rows[2], const float *w, \
                                               ptrdiff_t ldw) {                                                                                     \
        forward_group(G, N, PART, tail, sums, x, i, rows, w, ldw);                                                                                  \
    }
#define GRADIENT(NAME, G, N, PART, FINISH)                                                                                                 \
    static __attribute__((noinline)) void NAME(vmask tail, float *c, const target *t, const float *dz, const float *const *x, ptrdiff_t i, \
                                               const uint64_t rows[2]) {                                                                   \
        gradient_group(G, N, PART, tail, FINISH, c, t, dz, x, i, rows);                                                                    \
    }
#define WIDTH(N, PART)                                      \
    FORWARD(forward_group_##N, GROUP, N, PART)              \
    FORWARD(forward_input_##N, 1, N, PART)                  \
    GRADIENT(store_group_##N, GROUP, N, PART, FINISH_STORE) \
    GRADIENT(store_input_##N, 1, N, PART, FINISH_STORE)     \
    GRADIENT(sgd_group_##N, GROUP, N, PART, FINISH_SGD)     \
    GRADIENT(sgd_input_##N, 1, N, PART, FINISH_SGD)
WIDTH(4, 0)
WIDTH(2, 0)
WIDTH(1, 1)

/* Outputs go in sweeps over all inputs, as wide as those that are left allow. */
typedef struct width {
    ptrdiff_t words;
    forward_function *forward, *forward_input;
    gradient_function *store, *store_input, *sgd, *sgd_input;
} width;
#define FUNCTIONS(N) N, forward_group_##N, forward_input_##N, store_group_##N, store_input_##N, sgd_group_##N, sgd_input_##N
static const width widths[] = {{FUNCTIONS(4)}, {FUNCTIONS(2)}, {FUNCTIONS(1)}};

static const width *find_width(ptrdiff_t outputs) {
    const width *wide = widths;
    while (wide->words > 1 && wide->words * VW > outputs) wide++;
    return wide;
}

/* a (R, lda) = finish(b + x w), n outputs, by groups. */
static void forward_groups(float *a, ptrdiff_t lda, nn_sparse *s, const float *w, ptrdiff_t ldw, const float *b, ptrdiff_t n, bool relu,
                           const nn_ahead *ahead) {
    float sums[NN_SPARSE_BLOCK_ROWS * GROUP_WORDS * VW] __attribute__((aligned(64)));
    const ptrdiff_t whole = s->inputs / GROUP * GROUP;
    find_groups(s);
    for (ptrdiff_t j = 0, floats; j < n; j += floats) {
        const width *wide = find_width(n - j);
        const vmask tail = vtail(n - j);
        asker asking = begin_asking(ahead, s->inputs, 0, s->inputs, j, n);
        floats = wide->words * VW;
        for (ptrdiff_t r = 0; r < s->rows; r++) {
            for (ptrdiff_t k = 0; k < floats; k += VW) vstore(sums + r * floats + k, b ? vload_part(b + j + k, floats == VW, tail) : vzero());
        }
        for (ptrdiff_t k = 0, asked = 0; k < s->groups_count; k++) {
            const nn_group *group = &s->groups[k];
            const ptrdiff_t i = group->input;
            if (asking.x) ask(&asking, i - asked), asked = i;
            wide->forward(tail, sums, s->x, i, group->rows, w + i * ldw + j, ldw);
        }
        for (ptrdiff_t i = whole; i < s->inputs; i++) {
            uint64_t rows[2];
            if (find_marked(rows, s, i / MARKED, 1u << i % MARKED)) wide->forward_input(tail, sums, s->x, i, rows, w + i * ldw + j, ldw);
        }
        for (ptrdiff_t r = 0; r < s->rows; r++) {
            for (ptrdiff_t k = 0; k < floats; k += VW) {
                const vec z = vload(sums + r * floats + k);
                vstore_part(a + r * lda + j + k, (relu ? vrelu(z) : z) + 0.0f, floats == VW, tail);
            }
        }
    }
}

/* dz (R, ldz), n outputs, as the sweeps want it: (R, words of the first), (R, words of the second) ... */
static void pack_sweeps(float *packed, const float *dz, ptrdiff_t ldz, ptrdiff_t R, ptrdiff_t n) {
    for (ptrdiff_t j = 0, floats; j < n; j += floats) {
        const vmask tail = vtail(n - j);
        floats = find_width(n - j)->words * VW;
        for (ptrdiff_t r = 0; r < R; r++) {
            for (ptrdiff_t k = 0; k < floats; k += VW, packed += VW) vstore(packed, vload_part(dz + r * ldz + j + k, floats == VW, tail));
        }
    }
}

/* The gradient of the inputs [i0, i1), n outputs, by groups, of which *at is the first there, and on return the first behind. */
static void gradient_groups(bool sgd, const target *t, const float *packed, nn_sparse *s, ptrdiff_t *at, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t n,
                            const nn_ahead *ahead) {
    find_groups(s);
    const nn_group *groups = s->groups + *at;
    const ptrdiff_t whole = i1 / GROUP * GROUP;
    ptrdiff_t count = 0;
    while (*at + count < s->groups_count && groups[count].input < whole) count++;
    *at += count;
    for (ptrdiff_t j = 0, floats; j < n; j += floats) {
        const width *wide = find_width(n - j);
        const vmask tail = vtail(n - j);
        const float *dz = packed + s->rows * j;
        float *c = t->c + j;
        gradient_function *gradient = sgd ? wide->sgd : wide->store;
        asker asking = begin_asking(ahead, s->inputs, i0, i1, j, n);
        floats = wide->words * VW;
        for (ptrdiff_t k = 0, asked = i0; k < count; k++) {
            const nn_group *group = &groups[k];
            if (asking.x) ask(&asking, group->input - asked), asked = group->input;
            gradient(tail, c + (group->input - i0) * t->ldc, t, dz, s->x, group->input, group->rows);
        }
        for (ptrdiff_t i = whole; i < i1; i++) {
            uint64_t rows[2];
            if (find_marked(rows, s, i / MARKED, 1u << i % MARKED))
                (sgd ? wide->sgd_input : wide->store_input)(tail, c + (i - i0) * t->ldc, t, dz, s->x, i, rows);
        }
    }
}

/* Runs BODY for what is listed in [i0, i1) from the k-th on: input i at place k. A CSR matrix is the caller's, who may have changed it since it was
 * checked: an index that does not belong where it is ends its row. */
#define FOR_LISTED(list, length, k, i0, i1, ...)                                          \
    for (; (k) < (length) && (size_t)((list)[k] - (i0)) < (size_t)((i1) - (i0)); (k)++) { \
        const ptrdiff_t i = (list)[k];                                                    \
        __VA_ARGS__                                                                       \
    }

/* How rows go that are listed: of a CSR matrix one by one, of x by pairs, the last of which may be a single row. */
enum { CSR_ROW, X_ROW, X_PAIR };

/* Whether there are registers for ROW_WORDS of them. */
INLINE bool goes_wide(const nn_sparse *s) { return ROW_WORDS == PAIR_WORDS || !s->x || s->rows == 1; }

INLINE nn_csr_row listed_row(const int kind, const nn_sparse *s, ptrdiff_t r) {
    return kind == CSR_ROW ? s->csr[r] : (nn_csr_row){s->few + r / 2 * (s->inputs + NN_FEW_MARGIN), NULL, s->length[r / 2]};
}

/* N words of a (1 or 2, lda) go on from `start`, the bias or what the block of inputs before has left, over the inputs [i0, i1) of rows r and r + 1.
 */
INLINE void forward_listed(const int kind, const int N, const int part, vmask tail, float *a, ptrdiff_t lda, const float *start, ptrdiff_t lds,
                           const nn_sparse *s, ptrdiff_t r, ptrdiff_t *at, ptrdiff_t i0, ptrdiff_t i1, const float *w, ptrdiff_t ldw, bool relu) {
    const int M = kind == X_PAIR ? 2 : 1;
    const nn_csr_row row = listed_row(kind, s, r);
    const float *x0 = kind == CSR_ROW ? NULL : s->x[r], *x1 = kind == X_PAIR ? s->x[r + 1] : NULL;
    vec sum[2][ROW_WORDS];
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int j = 0; j < N; j++) sum[m][j] = start ? vload_part(start + m * lds + j * VW, part, tail) : vzero();
    }
    ptrdiff_t k = *at;
    FOR_LISTED(row.index, row.length, k, i0, i1, {
        const float *weights = w + i * ldw;
        VKEEP_POINTER(weights);
        const vec v0 = vset(kind == CSR_ROW ? row.value[k] : x0[i]), v1 = kind == X_PAIR ? vset(x1[i]) : vzero();
        UNROLL
        for (int j = 0; j < N; j++) {
            const vec word = vkeep(vload_part(weights + j * VW, part, tail));
            sum[0][j] = vfma(v0, word, sum[0][j]);
            if (kind == X_PAIR) sum[1][j] = vfma(v1, word, sum[1][j]);
        }
    })
    *at = k;
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int j = 0; j < N; j++) vstore_part(a + m * lda + j * VW, (relu ? vrelu(sum[m][j]) : sum[m][j]) + 0.0f, part, tail);
    }
}

INLINE void forward_rows(const int N, const int part, vmask tail, float *a, ptrdiff_t lda, const nn_sparse *s, const float *w, ptrdiff_t ldw,
                         const float *b, bool relu, asker ahead) {
    ptrdiff_t at[NN_SPARSE_BLOCK_ROWS] = {0};
    const ptrdiff_t block = s->rows <= 2 ? s->inputs : s->block; /* what nobody comes back to needs no blocks */
    for (ptrdiff_t i0 = 0; i0 < s->inputs; i0 += block) {
        const ptrdiff_t i1 = i0 + block < s->inputs ? i0 + block : s->inputs, lds = i0 ? lda : 0;
        const bool finish = relu && i1 == s->inputs;
        for (ptrdiff_t r = 0; r < s->rows; r += s->x ? 2 : 1) {
            float *out = a + r * lda;
            const float *start = i0 ? out : b;
            if (ahead.x) ask(&ahead, (i1 - i0) * 2 / (s->rows + 1));
            if (!s->x) {
                forward_listed(CSR_ROW, N, part, tail, out, lda, start, lds, s, r, &at[r], i0, i1, w, ldw, finish);
            } else if (r + 1 < s->rows) {
                forward_listed(X_PAIR, N, part, tail, out, lda, start, lds, s, r, &at[r], i0, i1, w, ldw, finish);
            } else {
                forward_listed(X_ROW, N, part, tail, out, lda, start, lds, s, r, &at[r], i0, i1, w, ldw, finish);
            }
        }
    }
}

#define FORWARD_ROWS(NAME, N, PART)                                                                                                    \
    static __attribute__((noinline)) void NAME(vmask tail, float *a, ptrdiff_t lda, const nn_sparse *s, const float *w, ptrdiff_t ldw, \
                                               const float *b, bool relu, asker ahead) {                                               \
        forward_rows(N, PART, tail, a, lda, s, w, ldw, b, relu, ahead);                                                                \
    }
FORWARD_ROWS(forward_rows_most, ROW_WORDS, 0)
FORWARD_ROWS(forward_rows_4, 4, 0)
FORWARD_ROWS(forward_rows_1, 1, 1)

/* A layer of one output: the 16 chains of dense_forward_narrow, each over the inputs that it has there. */
static void forward_narrow(float *a, const nn_sparse *s, const float *w, const float *b) {
    for (ptrdiff_t r = 0; r < s->rows; r++) {
        if (s->x) {
            dense_forward_narrow(a + r, s->x[r], w, b, 1, s->inputs);
            continue;
        }
        float lane[16] = {0.0f};
        const nn_csr_row row = s->csr[r];
        ptrdiff_t k = 0;
        FOR_LISTED(row.index, row.length, k, 0, s->inputs, lane[i % 16] = vfma_one(row.value[k], w[i], lane[i % 16]);)
        for (int half = 8; half; half /= 2) {
            for (int i = 0; i < half; i++) lane[i] += lane[i + half];
        }
        a[r] = lane[0] + (b ? b[0] : 0.0f) + 0.0f;
    }
}

/* n outputs of all rows: a (R, lda) from w (I, ldw) and b (n) or NULL. */
static void sparse_forward(float *a, ptrdiff_t lda, nn_sparse *s, const float *w, ptrdiff_t ldw, const float *b, ptrdiff_t n,
                           const nn_activation *activation, const nn_ahead *ahead) {
    const bool relu = activation->fused == FINISH_RELU;
    const vmask none = vtail(VW);
    ptrdiff_t j = 0;
    if (n == 0) return; /* more workers than outputs */
    if (ldw == 1) {
        forward_narrow(a, s, w, b);
        if (relu) activation->forward(a, s->rows, 1, activation->parameter);
        return;
    }
    if (s->x && s->rows > NN_FEW_ROWS) {
        forward_groups(a, lda, s, w, ldw, b, n, relu, ahead);
        return;
    }
#define WORDS(ROWS, N, TAIL)                                                                                                          \
    {                                                                                                                                 \
        ROWS(TAIL, a + j, lda, s, w + j, ldw, b ? b + j : NULL, relu, begin_asking(j ? NULL : ahead, s->inputs, 0, s->inputs, 0, 1)); \
        j += (N) * VW;                                                                                                                \
    }
    while (goes_wide(s) && j + ROW_WORDS * VW <= n) WORDS(forward_rows_most, ROW_WORDS, none)
    while (j + 4 * VW <= n) WORDS(forward_rows_4, 4, none)
    while (j < n) WORDS(forward_rows_1, 1, vtail(n - j))
#undef WORDS
}

/* Adds to N words of g, the gradient of the inputs [i0, i1), what rows r and r + 1 give. */
INLINE void gradient_listed(const int kind, const int N, const int part, vmask tail, float *g, ptrdiff_t ldg, const float *dz, ptrdiff_t ldz,
                            nn_sparse *s, ptrdiff_t r, ptrdiff_t *at, ptrdiff_t i0, ptrdiff_t i1) {
    const nn_csr_row row = listed_row(kind, s, r);
    const float *x0 = kind == CSR_ROW ? NULL : s->x[r], *x1 = kind == X_PAIR ? s->x[r + 1] : NULL;
    const int M = kind == X_PAIR ? 2 : 1;
    vec word[2][ROW_WORDS];
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int j = 0; j < N; j++) word[m][j] = vload_part(dz + m * ldz + j * VW, part, tail);
    }
    ptrdiff_t k = *at;
    FOR_LISTED(row.index, row.length, k, i0, i1, {
        float *out = g + (i - i0) * ldg;
        const vec v0 = vset(kind == CSR_ROW ? row.value[k] : x0[i]), v1 = kind == X_PAIR ? vset(x1[i]) : vzero();
        VKEEP_POINTER(out);
        UNROLL
        for (int j = 0; j < N; j++) {
            vec sum = vfma(v0, word[0][j], vload_part(out + j * VW, part, tail));
            if (kind == X_PAIR) sum = vfma(v1, word[1][j], sum);
            vstore_part(out + j * VW, sum, part, tail);
        }
        if (kind == CSR_ROW) s->touched[i / MARKED] |= (uint16_t)(1u << i % MARKED);
    })
    *at = k;
}

/* g (i1 - i0, ldg) += the gradient of the inputs [i0, i1), n outputs, row by row. at[r]: the entry where row r begins there, and on return ends. */
static void gradient_rows(float *g, ptrdiff_t ldg, const float *dz, ptrdiff_t ldz, nn_sparse *s, ptrdiff_t *at, ptrdiff_t i0, ptrdiff_t i1,
                          ptrdiff_t n, asker ahead) {
    const vmask none = vtail(VW);
    for (ptrdiff_t r = 0; r < s->rows; r += s->x ? 2 : 1, dz += (s->x ? 2 : 1) * ldz) {
        ptrdiff_t j = 0, end = at[r];
        if (ahead.x) ask(&ahead, (i1 - i0) * 2 / s->rows);
#define WORDS(N, PART, TAIL)                                                                      \
    {                                                                                             \
        end = at[r];                                                                              \
        if (!s->x) {                                                                              \
            gradient_listed(CSR_ROW, N, PART, TAIL, g + j, ldg, dz + j, ldz, s, r, &end, i0, i1); \
        } else if (r + 1 < s->rows) {                                                             \
            gradient_listed(X_PAIR, N, PART, TAIL, g + j, ldg, dz + j, ldz, s, r, &end, i0, i1);  \
        } else {                                                                                  \
            gradient_listed(X_ROW, N, PART, TAIL, g + j, ldg, dz + j, ldz, s, r, &end, i0, i1);   \
        }                                                                                         \
        j += (N) * VW;                                                                            \
    }
        while (goes_wide(s) && j + ROW_WORDS * VW <= n) WORDS(ROW_WORDS, 0, none)
        while (j + 4 * VW <= n) WORDS(4, 0, none)
        while (j < n) WORDS(1, 1, vtail(n - j))
#undef WORDS
        at[r] = end;
    }
}

/* dw (I, n) += xT dz (R, ldz); packed: room for dz in whole words. */
static void sparse_dw(float *dw, float *packed, const float *dz, ptrdiff_t ldz, nn_sparse *s, ptrdiff_t n, const nn_ahead *ahead) {
    if (s->x) {
        const target t = {.c = dw, .ldc = n, .go_on = true};
        pack_sweeps(packed, dz, ldz, s->rows, n);
        ptrdiff_t at = 0;
        gradient_groups(false, &t, packed, s, &at, 0, s->inputs, n, ahead);
        return;
    }
    ptrdiff_t at[NN_SPARSE_BLOCK_ROWS] = {0};
    for (ptrdiff_t i = 0; i < s->inputs; i += s->block) {
        const ptrdiff_t end = i + s->block < s->inputs ? i + s->block : s->inputs;
        gradient_rows(dw + i * n, n, dz, ldz, s, at, i, end, n, (asker){.x = NULL});
    }
    memset(s->touched, 0, (size_t)s->words * sizeof *s->touched); /* all of dw is looked at, later */
}

/* SGD with the gradient of a single row, N words of it: each weight that it touches is read and written once. Backwards, because the forward pass has
 * left the last inputs' weights in the first-level cache. */
INLINE void sgd_row(const int N, const int part, vmask tail, float *w, ptrdiff_t ldw, const float *dz, const nn_sparse *s, vec rate) {
    const nn_csr_row row = s->x ? listed_row(X_ROW, s, 0) : s->csr[0];
    vec word[ROW_WORDS];
    UNROLL
    for (int j = 0; j < N; j++) word[j] = vload_part(dz + j * VW, part, tail);
    for (ptrdiff_t k = row.length - 1; k >= 0; k--) {
        const ptrdiff_t i = row.index[k];
        if ((size_t)i >= (size_t)s->inputs) continue;
        float *weights = w + i * ldw;
        VKEEP_POINTER(weights);
        const vec v = vset(s->x ? s->x[0][i] : row.value[k]);
        UNROLL
        for (int j = 0; j < N; j++) {
            const vec g = vfma(v, word[j], vzero()) + 0.0f;
            vstore_part(weights + j * VW, vfnma(rate, g, vload_part(weights + j * VW, part, tail)), part, tail);
        }
    }
}

static void sparse_sgd_single(float *w, ptrdiff_t ldw, const float *dz, const nn_sparse *s, ptrdiff_t n, vec rate) {
    const vmask none = vtail(VW);
    ptrdiff_t j = 0;
    for (; j + ROW_WORDS * VW <= n; j += ROW_WORDS * VW) sgd_row(ROW_WORDS, 0, none, w + j, ldw, dz + j, s, rate);
    for (; j + 4 * VW <= n; j += 4 * VW) sgd_row(4, 0, none, w + j, ldw, dz + j, s, rate);
    for (; j < n; j += VW) sgd_row(1, 1, vtail(n - j), w + j, ldw, dz + j, s, rate);
}

/* w -= rate g; g = 0, of the inputs [i0, i1) that any row touches, N words. */
INLINE void sgd_touched(const int N, const int part, vmask tail, float *w, ptrdiff_t ldw, float *g, ptrdiff_t ldg, const nn_sparse *s, ptrdiff_t i0,
                        ptrdiff_t i1, vec rate) {
    for (ptrdiff_t from = i0; from < i1; from += MARKED) {
        for (unsigned left = s->touched[from / MARKED]; left; left &= left - 1) {
            const ptrdiff_t i = from + __builtin_ctz(left);
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

static void sparse_sgd(float *w, ptrdiff_t ldw, float *strip, const nn_sparse *s, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t n, vec rate) {
    const vmask none = vtail(VW);
    ptrdiff_t j = 0;
    for (; j + 4 * VW <= n; j += 4 * VW) sgd_touched(4, 0, none, w + j, ldw, strip + j, n, s, i0, i1, rate);
    for (; j < n; j += VW) sgd_touched(1, 1, vtail(n - j), w + j, ldw, strip + j, n, s, i0, i1, rate);
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

/* What the rows touch of the inputs [i0, i1), moves from now on. */
static void add_moving(uint64_t *moving, const nn_sparse *s, ptrdiff_t i0, ptrdiff_t i1) {
    for (ptrdiff_t i = i0; i < i1; i += MARKED) {
        const uint64_t all = (uint64_t)UINT16_MAX << i % 64;
        uint64_t touched = s->touched[i / MARKED];
        if ((moving[i / 64] & all) == all) continue;
        for (ptrdiff_t r = 0; s->x && r < s->rows; r++) touched |= s->marks[i / MARKED * s->height + r];
        moving[i / 64] |= touched << i % 64;
    }
}

/* The gradient of a batch of one block of rows for n outputs, given to the rule. SGD leaves a weight alone that no row touches; the other rules those
 * that nothing has touched yet, and get the gradient of a block of inputs in strip: zeros, and zeros again afterwards. */
static void sparse_dw_update(float *w, ptrdiff_t ldw, float *const *slots, float *strip, float *packed, const float *dz, ptrdiff_t ldz, nn_sparse *s,
                             ptrdiff_t n, const nn_rule *rule, const nn_step *step, uint64_t *moving, const nn_ahead *ahead) {
    const bool sgd = rule->fused == FINISH_SGD;
    const vec rate = vset(step->c[0]);
    if (sgd && s->rows == 1) {
        sparse_sgd_single(w, ldw, dz, s, n, rate);
        return;
    }
    const bool groups = s->x && (sgd || s->rows > NN_FEW_ROWS);
    if (groups) pack_sweeps(packed, dz, ldz, s->rows, n);
    ptrdiff_t first = 0;
    if (groups && sgd) {
        const target t = {.c = w, .ldc = ldw, .rate = rate};
        gradient_groups(true, &t, packed, s, &first, 0, s->inputs, n, ahead);
        return;
    }
    ptrdiff_t at[NN_SPARSE_BLOCK_ROWS] = {0};
    for (ptrdiff_t i0 = 0; i0 < s->inputs; i0 += s->block) {
        const ptrdiff_t i1 = i0 + s->block < s->inputs ? i0 + s->block : s->inputs;
        if (groups) {
            const target t = {.c = strip, .ldc = n};
            gradient_groups(false, &t, packed, s, &first, i0, i1, n, ahead);
        } else {
            gradient_rows(strip, n, dz, ldz, s, at, i0, i1, n, begin_asking(ahead, s->inputs, i0, i1, 0, 1));
        }
        if (sgd) {
            sparse_sgd(w, ldw, strip, s, i0, i1, n, rate);
        } else {
            if (moving) add_moving(moving, s, i0, i1);
            update_moving(w, ldw, slots, strip, n, i0, i1, rule, step, moving);
        }
    }
    if (!s->x) memset(s->touched, 0, (size_t)s->words * sizeof *s->touched);
}

#endif
