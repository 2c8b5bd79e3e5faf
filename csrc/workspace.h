/* The memory that a net works in: one arena for what passes between layers, one for the lists of rows without their zeros. */

#ifndef NN_WORKSPACE_H
#define NN_WORKSPACE_H

#include "net.h"

#define NN_CACHE_LINE 64

static inline ptrdiff_t line(ptrdiff_t floats) { return (floats + 15) / 16 * 16; }

/* product = a * b; false if that is more than memory can hold. */
static inline bool multiply(ptrdiff_t a, ptrdiff_t b, ptrdiff_t *product) {
    return !__builtin_mul_overflow(a, b, product) && *product <= PTRDIFF_MAX / 64;
}

/* What a block of rows needs between its passes. One piece of memory, laid out once, and one for the lists, of which most is never touched. */
struct nn_workspace {
    ptrdiff_t rows;
    ptrdiff_t longest;   /* entries of a row that there is room for; 0: no lists, rows are gathered into x */
    bool several_blocks; /* there is room for the gradient of a batch of many blocks */
    bool pack;           /* there is room for packed weights */
    float *x;            /* (rows, inputs) */
    int lists_of;
    nn_sparse *sparse; /* the lists of lists_of workers for one block of rows, and once more for the next */
    uint64_t *moving;  /* (lists_of, words of a list's inputs): which of the first layer's slots are not all zero */
    float *strip;      /* (inputs of NN_STRIP_BLOCKS blocks, outputs of the first layer): zeros between two steps */
    float *panel;      /* (rows, outputs of the first layer), panel by panel */
    float *packed;     /* w of the first layer and its slots, panel by panel, if asked for */
    float **a, **dz;   /* per layer (rows, outputs) */
    float *wt;         /* the transposed weights of all layers but the first, and bias gradients, at their offsets in params */
    float *gradient;   /* flat as params, if several_blocks */
    float *row_loss, *weight, *values, *probability;
    int32_t *labels;
    void *memory, *lists;
};

/* Makes room for blocks of `rows` rows, with lists of rows of `longest` entries (0: without lists) for so many workers; keeps what is large enough.
 */
bool nn_reserve(nn_net *net, ptrdiff_t rows, bool several_blocks, ptrdiff_t longest, int lists_of, bool pack);
void nn_workspace_free(nn_workspace *ws);

/* Sizes of the lists of `rows` rows of at most `longest` entries. */
void nn_size_lists(nn_sparse *s, ptrdiff_t rows, ptrdiff_t inputs, ptrdiff_t longest, bool *fits);

/* Where they lie: the entries in `lists`, what describes them in the arena. Before there is memory (base NULL) only counts. */
void nn_take_lists(nn_sparse *s, float *base, ptrdiff_t *used, float *lists, ptrdiff_t *listed, bool *fits);

/* Whether most of what the first layer multiplies with is zero, as far as some rows show; the answer changes the speed and nothing else. */
bool nn_worth_skipping(const nn_net *net, const nn_data *data);

/* Whether a forward pass on its own works on lists. A skipped zero would hide a weight that is NaN or infinite: never from dense rows then. */
bool nn_forward_skips(const nn_net *net, const nn_data *data);

/* Entries that a list must have room for in a row, 0 where there are no lists. */
ptrdiff_t nn_longest_row(const nn_net *net, const nn_data *data, bool listed);

static inline nn_csr_row csr_row(const nn_csr *csr, ptrdiff_t row) {
    const int64_t start = csr->start[row];
    return (nn_csr_row){csr->index + start, csr->value + start, (ptrdiff_t)(csr->start[row + 1] - start)};
}

#endif
