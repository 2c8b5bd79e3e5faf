/* The kernels of one instruction set, as a table of functions and of rows that describe themselves.
 *
 * Everything above this header (net.c, the seam) is compiled once and reaches the arithmetic through `nn_kernels`. Names of activations, losses,
 * update rules and metrics are written down once, in the tables behind these pointers; ids are places in those tables.
 *
 * Shapes: x (R,I), w (I,O), b (O), a and z (R,O), all C-ordered and contiguous; R rows, I inputs, O outputs, K outputs of the last layer.
 * No kernel allocates, keeps state or fails. Arguments: outputs, inputs, sizes. */

#ifndef NN_KERNELS_H
#define NN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NN_MAX_SLOTS 3
#define NN_MAX_HYPER 6
#define NN_MAX_METRICS 8
#define NN_HEAD_CHAINS 16        /* that the sum of a single output is split into */
#define NN_BLOCK_ROWS 256        /* the most rows that pass through a layer at once */
#define NN_SPARSE_BLOCK_ROWS 128 /* the same where zeros are skipped: their sums are to stay in the first-level cache */

typedef struct nn_activation {
    const char *name;
    bool has_parameter;
    float parameter; /* the default */
    bool whole_row;  /* softmax: a value depends on the whole row, so that n below must be the row's length */
    int fused;       /* what the tile of dense_forward can do at its store; 0: compose */
    bool gates;      /* a slope of 1 where a > 0, else 0, which dense_dx and head_gradient apply themselves */
    void (*forward)(float *a, ptrdiff_t rows, ptrdiff_t n, float parameter);                                    /* z -> a, in place */
    void (*backward)(float *dz, const float *da, const float *a, ptrdiff_t rows, ptrdiff_t n, float parameter); /* dz may be da */
} nn_activation;

/* A row of a matrix in compressed form; index ascends. */
typedef struct nn_csr_row {
    const int32_t *index;
    const float *value;
    ptrdiff_t length;
} nn_csr_row;

#define NN_FEW_ROWS 16   /* go pair by pair */
#define NN_FEW_MARGIN 16 /* a whole word of them is stored */

/* Neighbouring inputs, the first of them, and the rows in which they are not all zero, one bit each. */
typedef struct nn_group {
    uint64_t rows[2];
    int32_t input;
} nn_group;

/* A block of rows of which most is zero: where they lie, and marks of what is not zero, or without their zeros. */
typedef struct nn_sparse {
    ptrdiff_t rows; /* up to NN_SPARSE_BLOCK_ROWS */
    ptrdiff_t inputs;
    ptrdiff_t words;       /* (inputs + 15) / 16 */
    const float *const *x; /* NULL: rows of a CSR matrix */
    const nn_csr_row *csr;
    /* of x: */
    ptrdiff_t height; /* of marks: room for so many rows, a multiple of 64 */
    uint16_t *marks;  /* (words, height): which of 16 inputs of a row are not zero, one bit each */
    int32_t *few;     /* (NN_FEW_ROWS / 2, inputs and NN_FEW_MARGIN): of so few rows, for each pair the inputs at which either is not zero */
    ptrdiff_t length[NN_FEW_ROWS / 2];
    uint64_t valid[2];      /* the rows that are there, one bit each */
    nn_group *groups;       /* (inputs / 2 + 1): those that any row has */
    ptrdiff_t groups_count; /* -1: not yet known */
    /* of csr: */
    ptrdiff_t block;   /* inputs that all rows pass before the next ones, a multiple of 64 */
    uint16_t *touched; /* (words): the inputs that have a gradient, one bit each, while it is made; else zeros */
} nn_sparse;

#define NN_SPARSE_BLOCK 128     /* inputs: 64 outputs of them are 32 KiB of weights */
#define NN_SPARSE_MAX_BLOCKS 32 /* wider inputs get wider blocks */

/* Rows that will be wanted soon, to be asked for little by little. */
typedef struct nn_ahead {
    const float *const *x;
    ptrdiff_t count;
} nn_ahead;

/* Targets of a loss or metric for R rows: labels (R) or values (R,K), whichever the row's `sparse` says. */
typedef struct nn_targets {
    const int32_t *labels;
    const float *values;
} nn_targets;

typedef struct nn_loss {
    const char *name;
    const char *link; /* the activation that it fuses with, or NULL */
    bool sparse;
    /* Row losses (R), and with dz not NULL the gradient of scale * sum of row losses, both times weight[r] unless weight is NULL.
     * from_logits: p (R,K) holds logits and leaves as probabilities; dz is with respect to the logits. NULL where there is no link.
     * from_outputs: a (R,K) is what the last layer gives, and dz is with respect to that. */
    void (*from_logits)(float *row_loss, float *dz, float *p, nn_targets y, const float *weight, ptrdiff_t R, ptrdiff_t K, float scale);
    void (*from_outputs)(float *row_loss, float *da, const float *a, nn_targets y, const float *weight, ptrdiff_t R, ptrdiff_t K, float scale);
} nn_loss;

typedef struct nn_metric {
    const char *name;
    bool sparse;
    double (*add)(double sum, const float *a, nn_targets y, ptrdiff_t R, ptrdiff_t K); /* sum plus each row's value, row after row */
} nn_metric;

/* Constants of one step, made in double from the hyperparameters and the step t = 1, 2, ... */
typedef struct nn_step {
    float c[NN_MAX_HYPER];
} nn_step;

typedef struct nn_rule {
    const char *name;
    const char *hyper[NN_MAX_HYPER + 1]; /* names, NULL at the end */
    const char *slots[NN_MAX_SLOTS + 1];
    int fused; /* what the tile of the weight gradient can do at its store; 0: compose */
    void (*prepare)(nn_step *step, const double *hyper, int64_t t);
    /* rows x n floats of w and of each slot (leading dimension ldw), and of g (ldg). clear: g is zero afterwards, else it is left as it is. */
    void (*update)(float *w, float *const *slots, float *g, ptrdiff_t ldw, ptrdiff_t ldg, ptrdiff_t rows, ptrdiff_t n, const nn_step *step,
                   bool clear);
} nn_rule;

/* Whether dense_dw_update has a use for scratch, in a layer of O outputs and batches of R rows. */
static inline bool nn_dw_wants_scratch(ptrdiff_t R, ptrdiff_t O) { return R >= 48 && O >= 512; }

typedef struct nn_kernels {
    const char *name;
    const nn_activation *activations; /* each table ends with a row without name */
    const nn_loss *losses;
    const nn_metric *metrics;
    const nn_rule *rules;
    /* a = act(x w + b); b may be NULL */
    void (*dense_forward)(float *a, const float *x, const float *w, const float *b, ptrdiff_t R, ptrdiff_t I, ptrdiff_t O,
                          const nn_activation *activation, float parameter);
    /* Rows [i0, i1) of dw = start + xT dz. start: NULL for zero, or dw itself to continue its chains. */
    void (*dense_dw)(float *dw, const float *start, const float *dz, const float *x, ptrdiff_t R, ptrdiff_t I, ptrdiff_t O, ptrdiff_t i0,
                     ptrdiff_t i1);
    /* The same gradient, given to the rule as it leaves the registers and never stored. scratch: dw_scratch floats, with which it is faster where
     * nn_dw_wants_scratch says so, or NULL. */
    void (*dense_dw_update)(float *w, float *const *slots, const float *start, const float *dz, const float *x, ptrdiff_t R, ptrdiff_t I, ptrdiff_t O,
                            ptrdiff_t i0, ptrdiff_t i1, const nn_rule *rule, const nn_step *step, float *scratch);
    ptrdiff_t dw_scratch; /* 0: has no use for any */
    /* db (O) = start + sum of the rows of dz (R, ldz) */
    void (*dense_db)(float *db, const float *start, const float *dz, ptrdiff_t R, ptrdiff_t O, ptrdiff_t ldz);
    /* dx = dz wT; wt (O,I) is the transpose of w. below not NULL: times the slope of that activation, whose outputs are a. */
    void (*dense_dx)(float *dx, const float *dz, const float *wt, ptrdiff_t R, ptrdiff_t I, ptrdiff_t O, const nn_activation *below, float parameter,
                     const float *a);
    /* The same bits from w (I,O) itself, for which dz and dx are turned on their side; scratch (O + I, R). */
    void (*dense_dx_turned)(float *dx, float *scratch, const float *dz, const float *w, ptrdiff_t R, ptrdiff_t I, ptrdiff_t O,
                            const nn_activation *below, float parameter, const float *a);
    /* Columns [i0, i1) of wt (O,I), from rows [i0, i1) of w (I,O). */
    void (*transpose)(float *wt, const float *w, ptrdiff_t I, ptrdiff_t O, ptrdiff_t i0, ptrdiff_t i1);
    /* Rows order[0], order[1] ... of x (.., I), to where they lie one after the other. */
    void (*gather)(float *out, const float *x, const uint32_t *order, ptrdiff_t R, ptrdiff_t I);
    /* A hidden ReLU layer (H) and its head of one output. Columns [c0, c1) of the layer, to a (R,lda), from x (R,I), w (I,H) and b (H). */
    void (*head_hidden)(float *a, ptrdiff_t lda, const float *x, const float *w, const float *b, ptrdiff_t R, ptrdiff_t I, ptrdiff_t H, ptrdiff_t c0,
                        ptrdiff_t c1, const nn_activation *activation);
    /* What these columns a (R,lda), n of them, give to the head, whose weights for them are w (n): its 16 chains go on from `before` (R,16), NULL:
     * from zero, to `after` (R,16), NULL: to their end, out (R). */
    void (*head_sums)(float *out, float *after, const float *before, const float *a, ptrdiff_t lda, const float *w, const float *b, ptrdiff_t R,
                      ptrdiff_t n);
    /* The gradients of these columns, and of the head's weights for them, from the gradient dz (R) of the head: dw (I,H), db (H) and dhead (H), from
     * w (H) of the head, x (R,I) and a (R,lda), which begins with column c0. go_on: added to what is there. */
    void (*head_gradient)(float *dw, float *db, float *dhead, bool go_on, const float *dz, const float *w, const float *x, const float *a,
                          ptrdiff_t lda, ptrdiff_t R, ptrdiff_t I, ptrdiff_t H, ptrdiff_t c0, ptrdiff_t c1);
    /* Of n inputs those that are not zero, or have a neighbour that is not with which they are multiplied. */
    ptrdiff_t (*count_grouped)(const float *x, ptrdiff_t n);
    bool (*all_finite)(const float *x, ptrdiff_t n);
    /* Fills in the marks of s->rows rows s->x. */
    void (*sparse_mark)(nn_sparse *s);
    /* n outputs: a (R, lda), w (I, ldw), b (n) or NULL. What a tile cannot do of the activation is left to the caller. ahead: NULL or what to
     * prefetch. */
    void (*sparse_forward)(float *a, ptrdiff_t lda, nn_sparse *s, const float *w, ptrdiff_t ldw, const float *b, ptrdiff_t n,
                           const nn_activation *activation, const nn_ahead *ahead);
    /* dw (I, n) += xT dz (R, ldz); packed (R, n and up to a multiple of 16): scratch. */
    void (*sparse_dw)(float *dw, float *packed, const float *dz, ptrdiff_t ldz, nn_sparse *s, ptrdiff_t n, const nn_ahead *ahead);
    /* The same gradient, given to the rule. strip (block, n): zeros, and zeros again afterwards. moving: one bit an input, set where
     * its slots are not all zero, which this keeps up; an input without is left alone. NULL: all move. */
    void (*sparse_dw_update)(float *w, ptrdiff_t ldw, float *const *slots, float *strip, float *packed, const float *dz, ptrdiff_t ldz, nn_sparse *s,
                             ptrdiff_t n, const nn_rule *rule, const nn_step *step, uint64_t *moving, const nn_ahead *ahead);
    /* f(x) for n floats, f one of "exp", "log", "log1p", "tanh", "sigmoid"; false if there is no such function. For the tests. */
    bool (*math)(float *out, const float *in, ptrdiff_t n, const char *f);
} nn_kernels;

/* The table of this machine: the widest set that CPU and operating system offer, or the one that `force` names. NULL if it is not to be had. */
const nn_kernels *nn_kernels_select(const char *force);

/* The i-th set that this machine can run, widest first; NULL past the last. */
const nn_kernels *nn_kernels_available(int i);

/* Denormals off for this thread; returns the mode to be given back. */
uint32_t nn_float_mode_enter(void);
void nn_float_mode_leave(uint32_t mode);

#endif
