/* The memory that a net works in: one arena for what passes between layers. */

#ifndef NN_WORKSPACE_H
#define NN_WORKSPACE_H

#include "net.h"

#define NN_CACHE_LINE 64

/* Floats between what one worker writes in every step and what the next one does: processors fetch lines ahead of a stream, and so from each other.
 */
#define NN_APART 4096

static inline ptrdiff_t line(ptrdiff_t floats) { return (floats + 15) / 16 * 16; }

/* product = a * b; false if that is more than memory can hold. */
static inline bool multiply(ptrdiff_t a, ptrdiff_t b, ptrdiff_t *product) {
    return !__builtin_mul_overflow(a, b, product) && *product <= PTRDIFF_MAX / 64;
}

/* What a workspace is for. What another kind of call asks for again stays: training and evaluation take turns. */
typedef struct nn_needs {
    ptrdiff_t rows;      /* of a block */
    bool several_blocks; /* the gradient of a batch of many blocks */
    bool skips;          /* zeros of the first layer; else rows are gathered into x */
    bool marks;          /* of dense rows */
    bool columns;        /* of a hidden layer, which workers own */
    int workers;         /* that skip zeros or own columns */
    bool pack;           /* weights */
} nn_needs;

/* What a block of rows needs between its passes. One piece of memory, laid out once. */
struct nn_workspace {
    nn_needs has;
    float *x;          /* (rows, inputs) */
    nn_sparse *sparse; /* each worker's */
    uint64_t *moving;  /* (workers, moving_words): which of the first layer's slots are not all zero, one bit an input */
    ptrdiff_t moving_words;
    float *strip;          /* (inputs of a block, outputs of the first layer): zeros between two steps */
    float *panel;          /* (rows, outputs of the first layer, up to whole lines), panel by panel; if skips or columns */
    float *own_x;          /* if columns, each worker's x */
    float *sums;           /* if columns, each worker's chains of the head, (rows, 16) */
    float *packed;         /* w of the first layer and its slots, panel by panel, if asked for */
    ptrdiff_t packed_size; /* floats of each */
    float **a, **dz;       /* per layer (rows, outputs) */
    float *wt;             /* the transposed weights of all layers but the first, and bias gradients, at their offsets in params */
    float *gradient;       /* flat as params, if several_blocks */
    float *dw_scratch;     /* each worker's, one after the other; NULL: no layer has a use for it */
    float *row_loss, *weight, *values, *probability;
    int32_t *labels;
    void *memory;
};

/* Floats of one worker, a distance from the next one's. */
static inline ptrdiff_t nn_own_x(ptrdiff_t rows, ptrdiff_t inputs) { return line(rows * inputs) + NN_APART; }
static inline ptrdiff_t nn_own_sums(ptrdiff_t rows) { return rows * NN_HEAD_CHAINS + NN_APART; }

/* Makes room; keeps what is large enough. */
bool nn_reserve(nn_net *net, nn_needs needs);
void nn_workspace_free(nn_workspace *ws);

/* What a worker needs to skip the zeros of up to `rows` rows, dense ones only if they get marks, from the arena; before there is memory (base NULL)
 * only counts. */
void nn_take_sparse(nn_sparse *s, ptrdiff_t rows, ptrdiff_t inputs, bool marks, float *base, ptrdiff_t *used, bool *fits);

/* Whether most of what the first layer multiplies with is zero, as far as some rows show; the answer changes the speed and nothing else. */
bool nn_worth_skipping(const nn_net *net, const nn_data *data);

/* Whether a forward pass on its own skips zeros. A skipped zero would hide a weight that is NaN or infinite: never from dense rows then. */
bool nn_forward_skips(const nn_net *net, const nn_data *data);

static inline nn_csr_row csr_row(const nn_csr *csr, ptrdiff_t row) {
    const int64_t start = csr->start[row];
    return (nn_csr_row){csr->index + start, csr->value + start, (ptrdiff_t)(csr->start[row + 1] - start)};
}

#endif
