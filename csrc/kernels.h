/* The kernels of one instruction set, as a table of functions and of rows that describe themselves.
 *
 * Everything above this header (plan, passes, the seam) is compiled once and reaches the arithmetic through
 * `nn_kernels`. Names of activations, losses, update rules and metrics are written down once, in the tables
 * behind these pointers; ids are places in those tables.
 *
 * Shapes: x (R,I), w (I,O), b (O), a and z (R,O), all C-ordered and contiguous; R rows, I inputs, O outputs,
 * K outputs of the last layer. No kernel allocates, keeps state or fails. Arguments: outputs, inputs, sizes;
 * operands that belong together are a small struct. */

#ifndef NN_KERNELS_H
#define NN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NN_MAX_SLOTS 3
#define NN_MAX_HYPER 6
#define NN_MAX_METRICS 8
#define NN_CHAINS \
    16 /* the sum of a single output is split into so many chains, input k into chain k mod NN_CHAINS */
#define NN_BLOCK_ROWS 256 /* the most rows that pass through a layer at once */
#define NN_SPARSE_BLOCK_ROWS \
    128 /* the same where zeros are skipped: their sums are to stay in the first-level cache */

typedef struct nn_activation {
    const char *name;
    bool has_parameter;
    double parameter; /* the default */
    bool whole_row; /* softmax: a value depends on the whole row, so that n below must be the row's length */
    int fused;      /* what the tile of dense_forward can do at its store; 0: compose */
    bool
        relu_slope; /* the slope is 1 where a > 0, else 0: dense_dx and single_gradient apply it themselves */
    void (*forward)(float *a, ptrdiff_t rows, ptrdiff_t n, float parameter); /* z -> a, in place */
    void (*backward)(float *dz, const float *da, const float *a, ptrdiff_t rows, ptrdiff_t n,
                     float parameter); /* dz may be da */
} nn_activation;

/* A row of a matrix in compressed form; index ascends. */
typedef struct nn_csr_row {
    const int32_t *index;
    const float *value;
    ptrdiff_t length;
} nn_csr_row;

#define NN_PAIR_ROWS 16   /* up to so many rows are multiplied in pairs */
#define NN_PAIR_MARGIN 16 /* indices are stored a whole word at a time, past the last one */

/* Neighbouring inputs: the first one, and the rows in which they are not all zero, one bit each. */
typedef struct nn_group {
    uint64_t rows[2];
    int32_t input;
} nn_group;

/* A block of rows most of whose inputs are zero: dense rows with a mask of the inputs that are not, or rows
 * of a CSR matrix. */
typedef struct nn_sparse {
    ptrdiff_t rows; /* up to NN_SPARSE_BLOCK_ROWS */
    ptrdiff_t inputs;
    ptrdiff_t words;       /* (inputs + 15) / 16 */
    const float *const *x; /* NULL: rows of a CSR matrix */
    const nn_csr_row *csr;
    /* dense rows: */
    ptrdiff_t height;    /* rows that nonzero has room for, a multiple of 64 */
    uint16_t *nonzero;   /* (words, height): the inputs of a row that are not zero, one bit each, 16 a word */
    int32_t *pair_index; /* (NN_PAIR_ROWS / 2, inputs + NN_PAIR_MARGIN): of up to NN_PAIR_ROWS rows, the
                            inputs that are not zero in either row of a pair */
    ptrdiff_t pair_count[NN_PAIR_ROWS / 2]; /* how many those are */
    uint64_t valid[2];                      /* the rows that exist, one bit each */
    nn_group *groups;                       /* (inputs / 2 + 1): the groups that are not zero in every row */
    ptrdiff_t groups_count;                 /* -1: not yet known */
    /* rows of a CSR matrix: */
    ptrdiff_t block;   /* inputs that all rows pass before the next ones, a multiple of 64 */
    uint16_t *touched; /* (words): the inputs whose gradient is not zero, one bit each, while the gradient is
                          formed; else zeros */
} nn_sparse;

#define NN_SPARSE_BLOCK 128     /* inputs: 64 outputs of them are 32 KiB of weights */
#define NN_SPARSE_MAX_BLOCKS 32 /* wider inputs get wider blocks */

/* Rows of the next block, to be prefetched line by line between the multiplications of this one. */
typedef struct nn_prefetch {
    const float *const *x;
    ptrdiff_t count;
} nn_prefetch;

/* Targets of a loss or metric for R rows: labels (R) or values (R,K), whichever the row's `sparse` says. */
typedef struct nn_targets {
    const int32_t *labels;
    const float *values;
} nn_targets;

typedef struct nn_loss {
    const char *name;
    const char *link; /* the activation that it fuses with, or NULL */
    bool sparse;
    /* Row losses (R), and with dz not NULL the gradient of scale * sum of row losses, both times weight[r]
     * unless weight is NULL. from_logits: p (R,K) holds logits and leaves as probabilities; dz is with
     * respect to the logits. NULL where there is no link. from_outputs: a (R,K) is what the last layer gives,
     * and dz is with respect to that. */
    void (*from_logits)(float *row_loss, float *dz, float *p, nn_targets y, const float *weight, ptrdiff_t R,
                        ptrdiff_t K, float scale);
    void (*from_outputs)(float *row_loss, float *da, const float *a, nn_targets y, const float *weight,
                         ptrdiff_t R, ptrdiff_t K, float scale);
} nn_loss;

typedef struct nn_metric {
    const char *name;
    bool sparse;
    /* total plus the rows, added one after the other in order, so that the sum does not depend on how rows
     * were cut into blocks. */
    double (*add)(double total, const float *a, nn_targets y, ptrdiff_t R, ptrdiff_t K);
} nn_metric;

/* Constants of one step, made in double from the hyperparameters and the step t = 1, 2, ... */
typedef struct nn_step {
    float c[NN_MAX_HYPER];
} nn_step;

/* Weights and the slots that belong to them; slots that a rule does not have are NULL. */
typedef struct nn_weights {
    float *w, *slots[NN_MAX_SLOTS];
} nn_weights;

/* The same from the offset-th float on; NULL stays NULL. Field by field, without a loop: so it stays in
 * registers, where a structure that is written in halves and copied whole would wait for its stores. */
static inline float *nn_floats_at(float *floats, ptrdiff_t offset) { return floats ? floats + offset : NULL; }
static inline nn_weights nn_weights_at(nn_weights all, ptrdiff_t offset) {
    _Static_assert(NN_MAX_SLOTS == 3, "one line a slot");
    return (nn_weights){.w = nn_floats_at(all.w, offset),
                        .slots = {nn_floats_at(all.slots[0], offset), nn_floats_at(all.slots[1], offset),
                                  nn_floats_at(all.slots[2], offset)}};
}

/* rows x n floats of weights and slots (leading dimension ldw), and of their gradient (ldg). */
typedef struct nn_area {
    ptrdiff_t rows, n, ldw, ldg;
} nn_area;

typedef struct nn_rule {
    const char *name;
    const char *hyper[NN_MAX_HYPER + 1]; /* names, NULL at the end */
    const char *slots[NN_MAX_SLOTS + 1];
    int fused; /* what the tile of the weight gradient can do at its store; 0: compose */
    void (*prepare)(nn_step *step, const double *hyper, int64_t t);
    /* Updates an area of w from its gradient g. clear: g is zero afterwards, else it is left as it is. */
    void (*update)(const nn_weights *w, float *g, nn_area area, const nn_step *step, bool clear);
    double initial[NN_MAX_SLOTS]; /* what the slots begin with, unless compile is told otherwise */
} nn_rule;

/* A rule and its constants in this step. */
typedef struct nn_update {
    const nn_rule *rule;
    const nn_step *step;
} nn_update;

/* A dense layer: w (I,O), b (O) or NULL, and its activation. */
typedef struct nn_dense {
    const float *w, *b;
    ptrdiff_t I, O;
    const nn_activation *activation;
    float parameter;
} nn_dense;

/* The operands of a weight gradient xT dz: dz (R,O) and x (R,I). */
typedef struct nn_outer {
    const float *dz, *x;
    ptrdiff_t R, I, O;
} nn_outer;

/* The slope of the layer below at its outputs a, which an input gradient is multiplied with. activation NULL:
 * none. */
typedef struct nn_slope {
    const nn_activation *activation;
    float parameter;
    const float *a;
} nn_slope;

/* The columns of a layer that one worker owns: [c0, c0 + n) of its outputs and weights. */
typedef struct nn_slice {
    ptrdiff_t c0, n;
    float *a; /* outputs (R, lda), at column c0 */
    ptrdiff_t lda;
    nn_weights w; /* weights and slots (I, ldw), at column c0 */
    ptrdiff_t ldw;
    const float *b;   /* biases at column c0, or NULL */
    uint64_t *active; /* one bit an input: its slots are not all as they began; NULL: not known */
} nn_slice;

/* The gradients of a hidden ReLU layer of H outputs below an output layer of one, and their operands. */
typedef struct nn_single_gradient {
    float *dw, *db, *dout; /* of the hidden layer (I,H) and (H), and of the output layer's weights (H); each
                              at column 0 */
    bool accumulate;       /* added to what is there */
    const float *dz, *w;   /* of the output layer: (R), (H) */
    const float *x;        /* (R,I) */
    ptrdiff_t R, I, H;
} nn_single_gradient;

/* Whether dense_dw_update has a use for scratch, in a layer of O outputs and batches of R rows. */
static inline bool nn_dw_wants_scratch(ptrdiff_t R, ptrdiff_t O) { return R >= 48 && O >= 512; }

/* Dropout of a row: a unit is dropped whose hash, a function of the row's key, is below the threshold; what
 * is kept is multiplied. */
typedef struct nn_dropout {
    uint32_t key[2];
    uint32_t threshold;
    float scale;
} nn_dropout;

typedef struct nn_kernels {
    const char *name;
    const nn_activation *activations; /* each table ends with a row without name */
    const nn_loss *losses;
    const nn_metric *metrics;
    const nn_rule *rules;
    /* a (R,O) = act(x w + b) */
    void (*dense_forward)(float *a, const float *x, const nn_dense *layer, ptrdiff_t R);
    /* Rows [i0, i1) of dw (I,O) = start + xT dz. start: NULL for zero, or dw itself to continue its chains.
     */
    void (*dense_dw)(float *dw, const float *start, const nn_outer *g, ptrdiff_t i0, ptrdiff_t i1);
    /* The same gradient, given to the rule as it leaves the registers and never stored. scratch: dw_scratch
     * floats, with which it is faster where nn_dw_wants_scratch says so, or NULL. */
    void (*dense_dw_update)(const nn_weights *w, const float *start, const nn_outer *g, ptrdiff_t i0,
                            ptrdiff_t i1, const nn_update *update, float *scratch);
    ptrdiff_t dw_scratch; /* 0: this set has no use for any */
    /* db (O) = start + sum of the rows of dz (R, ldz) */
    void (*dense_db)(float *db, const float *start, const float *dz, ptrdiff_t R, ptrdiff_t O, ptrdiff_t ldz);
    /* dx (R,I) = dz wT times the slope of the layer below; wt (O,I) is the transpose of w. */
    void (*dense_dx)(float *dx, const float *dz, const float *wt, const nn_slope *below, ptrdiff_t R,
                     ptrdiff_t I, ptrdiff_t O);
    /* The same bits from w (I,O) itself: dz and dx are transposed instead; scratch (O + I, R). */
    void (*dense_dx_from_w)(float *dx, float *scratch, const float *dz, const float *w, const nn_slope *below,
                            ptrdiff_t R, ptrdiff_t I, ptrdiff_t O);
    /* Columns [i0, i1) of wt (O,I), from rows [i0, i1) of w (I,O). */
    void (*transpose)(float *wt, const float *w, ptrdiff_t I, ptrdiff_t O, ptrdiff_t i0, ptrdiff_t i1);
    /* Copies rows order[0], order[1] ... of x (.., I) to out (R,I). */
    void (*gather)(float *out, const float *x, const uint32_t *order, ptrdiff_t R, ptrdiff_t I);
    /* One row of n units, in place or not. */
    void (*dropout)(float *out, const float *in, nn_dropout mask, ptrdiff_t n);
    /* A hidden ReLU layer and an output layer of one. Own columns of the hidden outputs, from x (R,I). */
    void (*single_hidden)(const nn_slice *own, const float *x, ptrdiff_t R, ptrdiff_t I,
                          const nn_activation *activation);
    /* What own columns add to the output layer, whose weights for them are w (n): its NN_CHAINS chains
     * continue from `before` (R, NN_CHAINS), NULL: from zero, to `after` (R, NN_CHAINS); after NULL: they are
     * joined and b[0] is added (b NULL: nothing), in out (R). */
    void (*single_chains)(float *out, float *after, const float *before, const nn_slice *own, const float *w,
                          const float *b, ptrdiff_t R);
    /* The gradients of own columns; only c0, n, a and lda of the slice are read. */
    void (*single_gradient)(const nn_single_gradient *g, const nn_slice *own);
    /* How many of n inputs are not zero, or are multiplied together with a neighbour that is not. */
    ptrdiff_t (*count_grouped)(const float *x, ptrdiff_t n);
    bool (*all_finite)(const float *x, ptrdiff_t n);
    /* Makes the masks of the non-zero inputs of s->rows rows s->x. */
    void (*sparse_mark)(nn_sparse *s);
    /* a (s->rows, lda): the slice's outputs of the rows of s; lda, w, ldw, b and n are the slice's. An
     * activation that a tile cannot apply is left to the caller. ahead: rows to prefetch, or NULL. */
    void (*sparse_forward)(float *a, const nn_slice *slice, nn_sparse *s, const nn_activation *activation,
                           const nn_prefetch *ahead);
    /* dw (I, n) += xT dz (R, ldz); packed: scratch of R rows of n floats, rounded up to a multiple of 16. */
    void (*sparse_dw)(float *dw, float *packed, const float *dz, ptrdiff_t ldz, nn_sparse *s, ptrdiff_t n,
                      const nn_prefetch *ahead);
    /* The same gradient, given to the rule for the weights of the slice. strip (block, n): zeros, and zeros
     * again afterwards. An input that is not active and has no gradient is left as it is; inputs that get one
     * become active. slice->active NULL: every input is updated. */
    void (*sparse_dw_update)(const nn_slice *slice, float *strip, float *packed, const float *dz,
                             ptrdiff_t ldz, nn_sparse *s, const nn_update *update, const nn_prefetch *ahead);
    /* f(x) for n floats, f one of "exp", "log", "log1p", "tanh", "sigmoid"; false if there is no such
     * function. For the tests. */
    bool (*math)(float *out, const float *in, ptrdiff_t n, const char *f);
} nn_kernels;

/* The table of this machine: the widest set that CPU and operating system offer, or the one that `force`
 * names. NULL if it is not to be had. */
const nn_kernels *nn_kernels_select(const char *force);

/* The i-th set that this machine can run, widest first; NULL past the last. */
const nn_kernels *nn_kernels_available(int i);

/* Denormals off for this thread; returns the mode to be given back. */
uint32_t nn_float_mode_enter(void);
void nn_float_mode_leave(uint32_t mode);

#endif
