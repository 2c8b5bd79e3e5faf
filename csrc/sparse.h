/* The first layer without its zeros: the same sums as dense.h, over the inputs that are not zero. The same
 * bits, because a product with zero leaves an fma chain as it is (`x` finite, outputs stored as +0), and
 * every chain runs in the same order.
 *
 * Rows are read where they lie; a mask says which inputs are not zero. Many rows go by groups: the weights of
 * GROUP neighbouring inputs, or their gradient, stay in registers for all rows in which any of these inputs
 * is not zero; in pictures neighbouring pixels mostly are non-zero together. So each weight is loaded once,
 * and the other operand stays in the first-level cache: the sums of a block of rows in the forward pass, dz
 * in the backward pass. What a group costs, against what the ports allow, is in docs/roofline.md. A few rows
 * go by pairs, over lists of the inputs that are not zero in either row, and rows of CSR matrices one by one,
 * both in blocks of inputs whose weights stay in the first-level cache.
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

/* How many of n floats belong to a group that is not all zero: those that the passes below multiply. */
static ptrdiff_t count_grouped(const float *x, ptrdiff_t n) {
    ptrdiff_t count = 0;
    for (ptrdiff_t i = 0; i < n; i += MASK_INPUTS) {
        const unsigned nonzero = vnonzero(x + i, n - i);
        for (int g = 0; g < MASK_INPUTS; g += GROUP) count += nonzero >> g & GROUP_BITS ? GROUP : 0;
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

/* Makes the masks of all rows, and the index lists of pairs where the rows are few. */
static void sparse_mark(nn_sparse *s) {
    const ptrdiff_t rows = s->rows, height = s->height;
    s->groups_count = -1;
    s->valid[0] = rows < 64 ? ((uint64_t)1 << rows) - 1 : UINT64_MAX;
    s->valid[1] = rows <= 64 ? 0 : UINT64_MAX >> (128 - rows);
    for (ptrdiff_t r = 0; r < rows; r++) {
        const float *x = s->x[r];
        uint16_t *nonzero = s->nonzero + r;
        ptrdiff_t i = 0;
        for (; i + MASK_INPUTS <= s->inputs; i += MASK_INPUTS, nonzero += height)
            *nonzero = (uint16_t)vnonzero(x + i, MASK_INPUTS);
        if (i < s->inputs) *nonzero = (uint16_t)vnonzero(x + i, s->inputs - i);
    }
    for (ptrdiff_t r = 0; r < rows && rows <= NN_PAIR_ROWS; r += 2) {
        int32_t *list = s->pair_index + r / 2 * (s->inputs + NN_PAIR_MARGIN);
        const uint16_t *nonzero = s->nonzero + r;
        ptrdiff_t count = 0;
        for (ptrdiff_t word = 0; word < s->words; word++, nonzero += height)
            count +=
                vindices(list + count, nonzero[0] | (r + 1 < rows ? nonzero[1] : 0u), word * MASK_INPUTS);
        s->pair_count[r / 2] = count;
    }
}

/* The rows in whose mask any of these bits of a word of inputs is set; false if there is none. */
INLINE bool find_rows(uint64_t rows[2], const nn_sparse *s, ptrdiff_t word, unsigned bits) {
    const uint16_t *nonzero = s->nonzero + word * s->height;
    rows[0] = vany(nonzero, bits) & s->valid[0];
    rows[1] = s->valid[1] ? vany(nonzero + 64, bits) & s->valid[1] : 0;
    return rows[0] | rows[1];
}

/* Lists the groups that are not zero in every row, unless they are listed already. */
static void find_groups(nn_sparse *s) {
    if (s->groups_count >= 0) return;
    const ptrdiff_t whole = s->inputs / GROUP * GROUP;
    nn_group *next = s->groups;
    for (ptrdiff_t i = 0; i < whole; i += GROUP) {
        next->input = (int32_t)i;
        next += find_rows(next->rows, s, i / MASK_INPUTS, GROUP_BITS << i % MASK_INPUTS);
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

/* The next rows are prefetched line by line, row after row, between the multiplications of this block, so
 * that memory and arithmetic overlap: a core has no more than some 20 lines in flight. */
typedef struct prefetcher {
    const float *const *x; /* NULL: nothing to prefetch */
    ptrdiff_t count, inputs;
    ptrdiff_t row, at;   /* the next line */
    ptrdiff_t per_input; /* floats to prefetch for each input that is multiplied, */
    ptrdiff_t pending;   /* and those that have not been, so far */
} prefetcher;

/* The inputs [i0, i1). */
typedef struct input_range {
    ptrdiff_t i0, i1;
} input_range;

/* The share of the rows that a sweep prefetches: over a range of all inputs, for the columns from the j-th of
 * n on. */
INLINE prefetcher prefetcher_begin(const nn_prefetch *ahead, ptrdiff_t inputs, input_range range, ptrdiff_t j,
                                   ptrdiff_t n) {
    enum { SWEEP = GROUP_WORDS * VW };
    if (!ahead || j % SWEEP)
        return (prefetcher){.x = NULL}; /* the narrower sweeps at the end of a wide layer prefetch nothing */
    const ptrdiff_t from = ahead->count * range.i0 / inputs, count = ahead->count * range.i1 / inputs - from;
    const ptrdiff_t sweeps = (n + SWEEP - 1) / SWEEP, sweep = j / SWEEP;
    const ptrdiff_t first = count * sweep / sweeps, last = count * (sweep + 1) / sweeps,
                    width = range.i1 - range.i0;
    return (prefetcher){.x = ahead->x + from + first,
                        .count = last - first,
                        .inputs = inputs,
                        .per_input = ((last - first) * inputs + width - 1) / width};
}

/* Prefetches the lines that belong to so many more inputs. */
INLINE void prefetch_lines(prefetcher *p, ptrdiff_t inputs) {
    enum { LINE = 64 / sizeof(float) };
    for (p->pending += p->per_input * inputs; p->pending >= LINE; p->pending -= LINE) {
        if (p->row >= p->count) return;
        __builtin_prefetch(p->x[p->row] + p->at, 0, 2);
        p->at += LINE;
        if (p->at >= p->inputs) p->at = 0, p->row++;
    }
}

/* A slice from its j-th column on, what a forward pass reads of it. */
INLINE nn_slice slice_from(const nn_slice *all, ptrdiff_t j) {
    return (nn_slice){.n = all->n - j,
                      .a = all->a + j,
                      .lda = all->lda,
                      .w.w = all->w.w + j,
                      .ldw = all->ldw,
                      .b = all->b ? all->b + j : NULL};
}

/* sums (R, N words) += x w for G inputs from group->input on, in the rows of the group. */
INLINE void forward_group(const int G, const int N, const int part, vmask tail, float *sums,
                          const float *const *x, const nn_group *group, const nn_slice *slice) {
    const ptrdiff_t i = group->input, ldw = slice->ldw;
    const float *w = slice->w.w + i * ldw;
    vec word[GROUP][GROUP_WORDS];
    UNROLL
    for (int g = 0; g < G; g++) {
        UNROLL
        for (int j = 0; j < N; j++) word[g][j] = vkeep(vload_part(w + g * ldw + j * VW, part, tail));
    }
    FOR_ROWS(group->rows, {
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

/* Where the gradient of the inputs from i0 on goes: SGD changes their weights c, else it is stored in c. */
typedef struct target {
    float *c; /* of input i0 */
    ptrdiff_t ldc, i0;
    const float *dz; /* (R, N words), of one sweep */
    bool accumulate; /* a stored gradient is added to what is there */
    vec rate;
} target;

/* N words of the gradient of G inputs from group->input on, from the rows of the group: of x and of dz (R, N
 * words). */
INLINE void gradient_group(const int G, const int N, const int part, vmask tail, const int finish,
                           const target *t, const float *const *x, const nn_group *group) {
    const ptrdiff_t i = group->input, ldc = t->ldc;
    float *c = t->c + (i - t->i0) * ldc;
    vec sum[GROUP][GROUP_WORDS];
    UNROLL
    for (int g = 0; g < G; g++) {
        UNROLL
        for (int j = 0; j < N; j++)
            sum[g][j] = finish != FINISH_SGD && t->accumulate ? vload_part(c + g * ldc + j * VW, part, tail)
                                                              : vzero();
    }
    FOR_ROWS(group->rows, {
        const float *in = (x + base)[r];
        const float *row = (t->dz + base * (N * VW)) + r * (N * VW);
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
    if (finish ==
        FINISH_SGD) { /* all rows of a narrow layer are loaded before the first is stored, as in dense.h */
        const vec rate = t->rate;
        UNROLL
        for (int g = 0; g < G; g++) {
            UNROLL
            for (int j = 0; j < N; j++)
                sum[g][j] = vfnma(rate, sum[g][j] + 0.0f, vload_part(c + g * ldc + j * VW, part, tail));
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

/* Functions of their own, because inlined into the sweep these loops run out of registers; for groups, and
 * for single inputs behind the last group.
 */
typedef void forward_function(vmask tail, float *sums, const float *const *x, const nn_group *group,
                              const nn_slice *slice);
typedef void gradient_function(vmask tail, const target *t, const float *const *x, const nn_group *group);
#define FORWARD(NAME, G, N, PART)                                                              \
    static __attribute__((noinline)) void NAME(vmask tail, float *sums, const float *const *x, \
                                               const nn_group *group, const nn_slice *slice) { \
        forward_group(G, N, PART, tail, sums, x, group, slice);                                \
    }
#define GRADIENT(NAME, G, N, PART, FINISH)                                                         \
    static __attribute__((noinline)) void NAME(vmask tail, const target *t, const float *const *x, \
                                               const nn_group *group) {                            \
        gradient_group(G, N, PART, tail, FINISH, t, x, group);                                     \
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
#define FUNCTIONS(N) \
    N, forward_group_##N, forward_input_##N, store_group_##N, store_input_##N, sgd_group_##N, sgd_input_##N
static const width widths[] = {{FUNCTIONS(4)}, {FUNCTIONS(2)}, {FUNCTIONS(1)}};

static const width *find_width(ptrdiff_t outputs) {
    const width *wide = widths;
    while (wide->words > 1 && wide->words * VW > outputs) wide++;
    return wide;
}

/* The sums of a block of rows, N words each: from the biases, and to the outputs. */
static void start_sums(float *sums, const nn_slice *slice, ptrdiff_t R, ptrdiff_t floats) {
    const vmask tail = vtail(slice->n);
    for (ptrdiff_t r = 0; r < R; r++) {
        for (ptrdiff_t k = 0; k < floats; k += VW)
            vstore(sums + r * floats + k, slice->b ? vload_part(slice->b + k, floats == VW, tail) : vzero());
    }
}
static void store_sums(const float *sums, const nn_slice *slice, ptrdiff_t R, ptrdiff_t floats, bool relu) {
    const vmask tail = vtail(slice->n);
    for (ptrdiff_t r = 0; r < R; r++) {
        for (ptrdiff_t k = 0; k < floats; k += VW) {
            const vec z = vload(sums + r * floats + k);
            vstore_part(slice->a + r * slice->lda + k, (relu ? vrelu(z) : z) + 0.0f, floats == VW, tail);
        }
    }
}

/* The outputs of all columns of a slice, by groups. */
static void forward_groups(const nn_slice *slice, nn_sparse *s, bool relu, const nn_prefetch *ahead) {
    float sums[NN_SPARSE_BLOCK_ROWS * GROUP_WORDS * VW] __attribute__((aligned(64)));
    const ptrdiff_t whole = s->inputs / GROUP * GROUP;
    find_groups(s);
    for (ptrdiff_t j = 0, floats; j < slice->n; j += floats) {
        const nn_slice here = slice_from(slice, j);
        const width *wide = find_width(here.n);
        const vmask tail = vtail(here.n);
        prefetcher next = prefetcher_begin(ahead, s->inputs, (input_range){0, s->inputs}, j, slice->n);
        floats = wide->words * VW;
        start_sums(sums, &here, s->rows, floats);
        for (ptrdiff_t k = 0, done = 0; k < s->groups_count; k++) {
            const nn_group *group = &s->groups[k];
            if (next.x) prefetch_lines(&next, group->input - done), done = group->input;
            wide->forward(tail, sums, s->x, group, &here);
        }
        for (ptrdiff_t i = whole; i < s->inputs; i++) {
            nn_group one = {.input = (int32_t)i};
            if (find_rows(one.rows, s, i / MASK_INPUTS, 1u << i % MASK_INPUTS))
                wide->forward_input(tail, sums, s->x, &one, &here);
        }
        store_sums(sums, &here, s->rows, floats, relu);
    }
}

/* Copies dz (R, ldz), n outputs, in the order of the sweeps: (R, words of the first), (R, words of the
 * second) ... */
static void pack_sweeps(float *packed, const float *dz, ptrdiff_t ldz, ptrdiff_t R, ptrdiff_t n) {
    for (ptrdiff_t j = 0, floats; j < n; j += floats) {
        const vmask tail = vtail(n - j);
        floats = find_width(n - j)->words * VW;
        for (ptrdiff_t r = 0; r < R; r++) {
            for (ptrdiff_t k = 0; k < floats; k += VW, packed += VW)
                vstore(packed, vload_part(dz + r * ldz + j + k, floats == VW, tail));
        }
    }
}

/* The gradient of a range of inputs, n outputs, by groups. *at: the first group of the range, and on return
 * the first one behind it. */
static void gradient_groups(bool sgd, const target *t, const float *packed, nn_sparse *s, ptrdiff_t *at,
                            input_range range, ptrdiff_t n, const nn_prefetch *ahead) {
    find_groups(s);
    const nn_group *groups = s->groups + *at;
    const ptrdiff_t whole = range.i1 / GROUP * GROUP;
    ptrdiff_t count = 0;
    while (*at + count < s->groups_count && groups[count].input < whole) count++;
    *at += count;
    for (ptrdiff_t j = 0, floats; j < n; j += floats) {
        const width *wide = find_width(n - j);
        const vmask tail = vtail(n - j);
        gradient_function *gradient = sgd ? wide->sgd : wide->store,
                          *gradient_input = sgd ? wide->sgd_input : wide->store_input;
        target here = *t;
        here.c += j, here.dz = packed + s->rows * j;
        prefetcher next = prefetcher_begin(ahead, s->inputs, range, j, n);
        floats = wide->words * VW;
        for (ptrdiff_t k = 0, done = range.i0; k < count; k++) {
            const nn_group *group = &groups[k];
            if (next.x) prefetch_lines(&next, group->input - done), done = group->input;
            gradient(tail, &here, s->x, group);
        }
        for (ptrdiff_t i = whole; i < range.i1; i++) {
            nn_group one = {.input = (int32_t)i};
            if (find_rows(one.rows, s, i / MASK_INPUTS, 1u << i % MASK_INPUTS))
                gradient_input(tail, &here, s->x, &one);
        }
    }
}

/* Runs BODY for the entries of a list from the k-th on, as long as their input i lies in [i0, i1). A CSR
 * matrix is the caller's, who may have changed it since it was checked: an index out of its place ends its
 * row. */
#define FOR_LISTED(list, length, k, i0, i1, ...)                                          \
    for (; (k) < (length) && (size_t)((list)[k] - (i0)) < (size_t)((i1) - (i0)); (k)++) { \
        const ptrdiff_t i = (list)[k];                                                    \
        __VA_ARGS__                                                                       \
    }

/* How rows with index lists are multiplied: rows of a CSR matrix one by one, dense rows in pairs, the last of
 * which may be a single row. */
enum { CSR_ROW, X_ROW, X_PAIR };

/* Whether there are registers for ROW_WORDS of them. */
INLINE bool goes_wide(const nn_sparse *s) { return ROW_WORDS == PAIR_WORDS || !s->x || s->rows == 1; }

INLINE nn_csr_row listed_row(const int kind, const nn_sparse *s, ptrdiff_t r) {
    return kind == CSR_ROW ? s->csr[r]
                           : (nn_csr_row){s->pair_index + r / 2 * (s->inputs + NN_PAIR_MARGIN), NULL,
                                          s->pair_count[r / 2]};
}

/* Rows r and r + 1 of a block, over a range of inputs. */
typedef struct listed {
    nn_sparse *s;
    ptrdiff_t r;
    ptrdiff_t *at; /* the first entry in the range, and afterwards the first one behind it */
    input_range range;
} listed;

/* N words of the outputs of one or two rows: they start at the biases, or at the sums that the previous range
 * of inputs has left in a. */
INLINE void forward_listed(const int kind, const int N, const int part, vmask tail, const nn_slice *slice,
                           listed list, bool relu) {
    const int M = kind == X_PAIR ? 2 : 1;
    const nn_sparse *s = list.s;
    const ptrdiff_t i0 = list.range.i0, i1 = list.range.i1, lda = slice->lda, ldw = slice->ldw,
                    lds = i0 ? lda : 0;
    float *a = slice->a + list.r * lda;
    const float *w = slice->w.w, *start = i0 ? a : slice->b;
    const nn_csr_row row = listed_row(kind, s, list.r);
    const float *x0 = kind == CSR_ROW ? NULL : s->x[list.r], *x1 = kind == X_PAIR ? s->x[list.r + 1] : NULL;
    vec sum[2][ROW_WORDS];
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int j = 0; j < N; j++)
            sum[m][j] = start ? vload_part(start + m * lds + j * VW, part, tail) : vzero();
    }
    ptrdiff_t k = *list.at;
    FOR_LISTED(row.index, row.length, k, i0, i1, {
        const float *weights = w + i * ldw;
        VKEEP_POINTER(weights);
        const vec v0 = vset(kind == CSR_ROW ? row.value[k] : x0[i]),
                  v1 = kind == X_PAIR ? vset(x1[i]) : vzero();
        UNROLL
        for (int j = 0; j < N; j++) {
            const vec word = vkeep(vload_part(weights + j * VW, part, tail));
            sum[0][j] = vfma(v0, word, sum[0][j]);
            if (kind == X_PAIR) sum[1][j] = vfma(v1, word, sum[1][j]);
        }
    })
    *list.at = k;
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int j = 0; j < N; j++)
            vstore_part(a + m * lda + j * VW, (relu ? vrelu(sum[m][j]) : sum[m][j]) + 0.0f, part, tail);
    }
}

/* N words of the outputs of all rows. */
INLINE void forward_rows(const int N, const int part, vmask tail, const nn_slice *slice, nn_sparse *s,
                         bool relu, prefetcher next) {
    ptrdiff_t at[NN_SPARSE_BLOCK_ROWS] = {0};
    const ptrdiff_t block =
        s->rows <= 2 ? s->inputs : s->block; /* weights that no other row reads again need no blocks */
    for (ptrdiff_t i0 = 0; i0 < s->inputs; i0 += block) {
        const ptrdiff_t i1 = i0 + block < s->inputs ? i0 + block : s->inputs;
        const bool finish = relu && i1 == s->inputs;
        for (ptrdiff_t r = 0; r < s->rows; r += s->x ? 2 : 1) {
            const listed list = {s, r, &at[r], {i0, i1}};
            if (next.x) prefetch_lines(&next, (i1 - i0) * 2 / (s->rows + 1));
            if (!s->x) {
                forward_listed(CSR_ROW, N, part, tail, slice, list, finish);
            } else if (r + 1 < s->rows) {
                forward_listed(X_PAIR, N, part, tail, slice, list, finish);
            } else {
                forward_listed(X_ROW, N, part, tail, slice, list, finish);
            }
        }
    }
}

typedef void rows_function(const nn_slice *slice, nn_sparse *s, bool relu, prefetcher next);
#define FORWARD_ROWS(NAME, N, PART)                                                            \
    static __attribute__((noinline)) void NAME(const nn_slice *slice, nn_sparse *s, bool relu, \
                                               prefetcher next) {                              \
        forward_rows(N, PART, vtail(slice->n), slice, s, relu, next);                          \
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
        FOR_LISTED(row.index, row.length, k, 0, s->inputs,
                   lane[i % 16] = vfma_one(row.value[k], w[i], lane[i % 16]);)
        for (int half = 8; half; half /= 2) {
            for (int i = 0; i < half; i++) lane[i] += lane[i + half];
        }
        a[r] = lane[0] + (b ? b[0] : 0.0f) + 0.0f;
    }
}

static void sparse_forward(float *a, const nn_slice *slice, nn_sparse *s, const nn_activation *activation,
                           const nn_prefetch *ahead) {
    const bool relu = activation->fused == FINISH_RELU;
    nn_slice own = *slice;
    own.a = a;
    if (own.n == 0) return; /* a worker without outputs: there are more workers than outputs */
    if (own.ldw == 1) {
        forward_narrow(a, s, own.w.w, own.b);
        if (relu) activation->forward(a, s->rows, 1, (float)activation->parameter);
        return;
    }
    if (s->x && s->rows > NN_PAIR_ROWS) {
        forward_groups(&own, s, relu, ahead);
        return;
    }
    for (ptrdiff_t j = 0, words; j < own.n; j += words * VW) {
        const nn_slice here = slice_from(&own, j);
        words = goes_wide(s) && here.n >= ROW_WORDS * VW ? ROW_WORDS : here.n >= 4 * VW ? 4 : 1;
        rows_function *rows = words == 1 ? forward_rows_1 : words == 4 ? forward_rows_4 : forward_rows_most;
        rows(&here, s, relu,
             prefetcher_begin(j ? NULL : ahead, s->inputs, (input_range){0, s->inputs}, 0, 1));
    }
}

/* The gradient of a range of inputs row by row: g (inputs of the range, ldg) += xT dz, from dz (R, ldz) of
 * these rows; n outputs. */
typedef struct row_gradient {
    float *g;
    ptrdiff_t ldg;
    const float *dz;
    ptrdiff_t ldz, n;
} row_gradient;

/* Adds to N words of g what one or two rows give, whose dz comes first. */
INLINE void gradient_listed(const int kind, const int N, const int part, vmask tail, row_gradient to,
                            listed list) {
    const int M = kind == X_PAIR ? 2 : 1;
    nn_sparse *s = list.s;
    const ptrdiff_t i0 = list.range.i0, i1 = list.range.i1;
    const nn_csr_row row = listed_row(kind, s, list.r);
    const float *x0 = kind == CSR_ROW ? NULL : s->x[list.r], *x1 = kind == X_PAIR ? s->x[list.r + 1] : NULL;
    vec word[2][ROW_WORDS];
    UNROLL
    for (int m = 0; m < M; m++) {
        UNROLL
        for (int j = 0; j < N; j++) word[m][j] = vload_part(to.dz + m * to.ldz + j * VW, part, tail);
    }
    ptrdiff_t k = *list.at;
    FOR_LISTED(row.index, row.length, k, i0, i1, {
        float *out = to.g + (i - i0) * to.ldg;
        const vec v0 = vset(kind == CSR_ROW ? row.value[k] : x0[i]),
                  v1 = kind == X_PAIR ? vset(x1[i]) : vzero();
        VKEEP_POINTER(out);
        UNROLL
        for (int j = 0; j < N; j++) {
            vec sum = vfma(v0, word[0][j], vload_part(out + j * VW, part, tail));
            if (kind == X_PAIR) sum = vfma(v1, word[1][j], sum);
            vstore_part(out + j * VW, sum, part, tail);
        }
        if (kind == CSR_ROW) s->touched[i / MASK_INPUTS] |= (uint16_t)(1u << i % MASK_INPUTS);
    })
    *list.at = k;
}

/* The same of rows of either kind; moves on by N words. Returns the first entry behind the range. */
INLINE ptrdiff_t gradient_words(const int N, const int part, row_gradient *to, listed list) {
    const vmask tail = vtail(to->n);
    ptrdiff_t end = *list.at;
    list.at = &end;
    if (!list.s->x) {
        gradient_listed(CSR_ROW, N, part, tail, *to, list);
    } else if (list.r + 1 < list.s->rows) {
        gradient_listed(X_PAIR, N, part, tail, *to, list);
    } else {
        gradient_listed(X_ROW, N, part, tail, *to, list);
    }
    to->g += N * VW, to->dz += N * VW, to->n -= N * VW;
    return end;
}

/* All rows. at[r]: the first entry of row r in the range, and on return the first one behind it. */
static void gradient_rows(const row_gradient *all, nn_sparse *s, ptrdiff_t *at, input_range range,
                          prefetcher next) {
    const bool wide = goes_wide(s);
    for (ptrdiff_t r = 0; r < s->rows; r += s->x ? 2 : 1) {
        const listed list = {s, r, &at[r], range};
        row_gradient to = *all;
        ptrdiff_t end = at[r];
        to.dz += r * to.ldz;
        if (next.x) prefetch_lines(&next, (range.i1 - range.i0) * 2 / s->rows);
        while (wide && to.n >= ROW_WORDS * VW) end = gradient_words(ROW_WORDS, 0, &to, list);
        while (to.n >= 4 * VW) end = gradient_words(4, 0, &to, list);
        while (to.n > 0) end = gradient_words(1, 1, &to, list);
        at[r] = end;
    }
}

/* The next block of inputs that all rows pass before the next ones. */
INLINE input_range block_of(const nn_sparse *s, ptrdiff_t i) {
    return (input_range){i, i + s->block < s->inputs ? i + s->block : s->inputs};
}

static void sparse_dw(float *dw, float *packed, const float *dz, ptrdiff_t ldz, nn_sparse *s, ptrdiff_t n,
                      const nn_prefetch *ahead) {
    if (s->x) {
        const target t = {.c = dw, .ldc = n, .accumulate = true};
        pack_sweeps(packed, dz, ldz, s->rows, n);
        ptrdiff_t at = 0;
        gradient_groups(false, &t, packed, s, &at, (input_range){0, s->inputs}, n, ahead);
        return;
    }
    ptrdiff_t at[NN_SPARSE_BLOCK_ROWS] = {0};
    for (ptrdiff_t i = 0; i < s->inputs; i += s->block) {
        const row_gradient to = {.g = dw + i * n, .ldg = n, .dz = dz, .ldz = ldz, .n = n};
        gradient_rows(&to, s, at, block_of(s, i), (prefetcher){.x = NULL});
    }
    memset(s->touched, 0, (size_t)s->words * sizeof *s->touched); /* the update reads all of dw */
}

/* SGD with the gradient of a single row, N words of it: each weight of a non-zero input is read and written
 * once. Backwards, because the forward pass has left the last inputs' weights in the first-level cache. */
INLINE void sgd_row(const int N, const int part, vmask tail, float *w, ptrdiff_t ldw, const float *dz,
                    const nn_sparse *s, vec rate) {
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
            vstore_part(weights + j * VW, vfnma(rate, g, vload_part(weights + j * VW, part, tail)), part,
                        tail);
        }
    }
}

static void sparse_sgd_single(float *w, ptrdiff_t ldw, const float *dz, const nn_sparse *s, ptrdiff_t n,
                              vec rate) {
    const vmask none = vtail(VW);
    ptrdiff_t j = 0;
    for (; j + ROW_WORDS * VW <= n; j += ROW_WORDS * VW)
        sgd_row(ROW_WORDS, 0, none, w + j, ldw, dz + j, s, rate);
    for (; j + 4 * VW <= n; j += 4 * VW) sgd_row(4, 0, none, w + j, ldw, dz + j, s, rate);
    for (; j < n; j += VW) sgd_row(1, 1, vtail(n - j), w + j, ldw, dz + j, s, rate);
}

/* c -= rate g; g = 0, N words, of those inputs of a range that have a gradient. c (inputs, ldc), g (inputs of
 * the range, ldg). */
INLINE void sgd_touched(const int N, const int part, vmask tail, const target *t, float *g, ptrdiff_t ldg,
                        const nn_sparse *s, input_range range) {
    float *const c = t->c;
    const ptrdiff_t ldc = t->ldc;
    const vec rate = t->rate;
    for (ptrdiff_t from = range.i0; from < range.i1; from += MASK_INPUTS) {
        for (unsigned left = s->touched[from / MASK_INPUTS]; left; left &= left - 1) {
            const ptrdiff_t i = from + __builtin_ctz(left);
            float *w_row = c + i * ldc, *g_row = g + (i - range.i0) * ldg;
            VKEEP_POINTER(w_row);
            VKEEP_POINTER(g_row);
            UNROLL
            for (int j = 0; j < N; j++) {
                const vec sum = vload_part(g_row + j * VW, part, tail) + 0.0f;
                vstore_part(w_row + j * VW, vfnma(rate, sum, vload_part(w_row + j * VW, part, tail)), part,
                            tail);
                vstore_part(g_row + j * VW, vzero(), part, tail);
            }
        }
    }
}

static void sparse_sgd(target t, float *strip, const nn_sparse *s, input_range range, ptrdiff_t n) {
    const vmask none = vtail(VW);
    ptrdiff_t j = 0;
    for (; j + 4 * VW <= n; j += 4 * VW, t.c += 4 * VW) sgd_touched(4, 0, none, &t, strip + j, n, s, range);
    for (; j < n; j += VW, t.c += VW) sgd_touched(1, 1, vtail(n - j), &t, strip + j, n, s, range);
}

/* The first input in [i, end) that is active (or is not), or end. */
INLINE ptrdiff_t find_active(const uint64_t *active, bool is, ptrdiff_t i, ptrdiff_t end) {
    while (i < end) {
        const uint64_t here = (is ? active[i / 64] : ~active[i / 64]) >> i % 64;
        if (here) {
            i += __builtin_ctzll(here);
            return i < end ? i : end;
        }
        i = (i / 64 + 1) * 64;
    }
    return end;
}

/* Gives the gradient of a range of inputs, which lies in strip, to a rule with slots, and clears it; runs of
 * active inputs. */
static void update_active(const nn_slice *slice, float *strip, input_range range, const nn_update *update) {
    const uint64_t *active = slice->active;
    const ptrdiff_t n = slice->n, ldw = slice->ldw;
    for (ptrdiff_t i = range.i0, end; i < range.i1; i = end) {
        if (active) i = find_active(active, true, i, range.i1);
        end = active ? find_active(active, false, i, range.i1) : range.i1;
        const nn_weights w = nn_weights_at(slice->w, i * ldw);
        update->rule->update(&w, strip + (i - range.i0) * n,
                             (nn_area){.rows = end - i, .n = n, .ldw = ldw, .ldg = n}, update->step, true);
    }
}

/* The inputs of a range that are not zero in every row become active. */
static void mark_active(uint64_t *active, const nn_sparse *s, input_range range) {
    for (ptrdiff_t i = range.i0; i < range.i1; i += MASK_INPUTS) {
        const uint64_t all = (uint64_t)UINT16_MAX << i % 64;
        uint64_t touched = s->touched[i / MASK_INPUTS];
        if ((active[i / 64] & all) == all) continue;
        for (ptrdiff_t r = 0; s->x && r < s->rows; r++)
            touched |= s->nonzero[i / MASK_INPUTS * s->height + r];
        active[i / 64] |= touched << i % 64;
    }
}

/* SGD leaves the weights of an input alone that is zero in all rows; a rule with slots those of an input that
 * is not active, and gets the gradient of a block of inputs in strip. */
static void sparse_dw_update(const nn_slice *slice, float *strip, float *packed, const float *dz,
                             ptrdiff_t ldz, nn_sparse *s, const nn_update *update, const nn_prefetch *ahead) {
    const ptrdiff_t n = slice->n;
    const bool sgd = update->rule->fused == FINISH_SGD, groups = s->x && (sgd || s->rows > NN_PAIR_ROWS);
    const target weights = {.c = slice->w.w, .ldc = slice->ldw, .rate = vset(update->step->c[0])};
    if (sgd && s->rows == 1) {
        sparse_sgd_single(weights.c, weights.ldc, dz, s, n, weights.rate);
        return;
    }
    if (groups) pack_sweeps(packed, dz, ldz, s->rows, n);
    ptrdiff_t first = 0;
    if (groups && sgd) {
        gradient_groups(true, &weights, packed, s, &first, (input_range){0, s->inputs}, n, ahead);
        return;
    }
    ptrdiff_t at[NN_SPARSE_BLOCK_ROWS] = {0};
    const row_gradient rows = {.g = strip, .ldg = n, .dz = dz, .ldz = ldz, .n = n};
    for (ptrdiff_t i = 0; i < s->inputs; i += s->block) {
        const input_range range = block_of(s, i);
        if (groups) {
            const target t = {.c = strip, .ldc = n, .i0 = i};
            gradient_groups(false, &t, packed, s, &first, range, n, ahead);
        } else {
            gradient_rows(&rows, s, at, range, prefetcher_begin(ahead, s->inputs, range, 0, 1));
        }
        if (sgd) {
            sparse_sgd(weights, strip, s, range, n);
        } else {
            if (slice->active) mark_active(slice->active, s, range);
            update_active(slice, strip, range, update);
        }
    }
    if (!s->x) memset(s->touched, 0, (size_t)s->words * sizeof *s->touched);
}

#endif
