/* A dense network: parameters, workspace, and the passes over data. Plain loops over batches and layers; all arithmetic is in the kernels.
 *
 * Parameters and each optimizer slot are flat arrays with the same offsets: per layer w (I,O), then b (O), each starting on a cache line; the
 * padding between is zero. A net is used by one thread at a time, except that nn_predict may run in many, also while another
 * thread trains: it reads each weight as it is at that moment, those of the first layer as they were when the last stretch ended, which takes some 4
 * ms or a batch (they are packed within one). Memory is whole, values are those that some step made. */

#ifndef NN_NET_H
#define NN_NET_H

#include "kernels.h"

typedef enum nn_status {
    NN_OK,
    NN_NO_MEMORY,
    NN_NOT_FINITE,  /* the loss of a batch; its update was not made */
    NN_INTERRUPTED, /* the poll function said so; the current step was not made */
    NN_FORKED,      /* poll returned in a child of the process, without the workers that were in the call: of the step in hand parts may be missing */
    NN_TOO_MANY_STEPS, /* more than can be counted; none was made */
} nn_status;

/* Of inputs and outputs: a block of rows is counted in bytes without overflow, also of a layer without weights, which takes no memory itself. */
#define NN_MAX_SIZE (PTRDIFF_MAX / 4096)

typedef struct nn_layer {
    ptrdiff_t inputs, outputs;
    const nn_activation *activation;
    float parameter;
    bool dense, bias;
    bool frozen;    /* its weights and slots stay as they are in training */
    ptrdiff_t w, b; /* offsets into the flat arrays; of a layer without: 0 */
} nn_layer;

typedef struct nn_workspace nn_workspace;

/* The ways to train: one worker, or many. */
typedef enum nn_way { NN_ALONE, NN_MANY, NN_WAYS } nn_way;
extern const char *const nn_way_names[NN_WAYS];

/* What has been measured of them, and of the one in use since it was chosen. */
typedef struct nn_pace {
    double row_ns[NN_WAYS]; /* 0: not known */
    int seen[NN_WAYS];      /* how often, up to SEEN (workers.c) */
    double rows, ns;        /* of this stretch so far */
    double since;           /* ns since the last trial */
    double patience;        /* trials' lengths between two trials */
    double last;            /* when that was, in ns */
    nn_way way, best;       /* of this stretch; of all, as far as is known: where they differ, this is a trial */
} nn_pace;

/* What the time of a row depends on, beside the net: what was measured of one shape is kept from call to call, and from data to data. */
typedef struct nn_shape {
    ptrdiff_t batch_size;
    int workers;
    bool skip_zeros, csr;
} nn_shape;

typedef struct nn_net {
    const nn_kernels *kernels;
    ptrdiff_t depth;
    nn_layer *layers;
    ptrdiff_t size; /* floats in params and in each slot, padding included */
    float *params;
    float *slots[NN_MAX_SLOTS]; /* the caller's */
    const nn_rule *rule;
    const nn_loss *loss;
    bool linked;      /* loss and last activation are computed together, from the logits */
    bool from_logits; /* the loss applies its link to what the net gives */
    ptrdiff_t metrics_count;
    const nn_metric **metrics;
    int64_t step;    /* updates made */
    int skip_choice; /* 1: skip zeros wherever that is possible, 0: never, -1: where they are many */
    int way_choice;  /* an nn_way, for as many workers as a step is worth; -1: the fastest */
    uint64_t seen;   /* the data that were last looked at for zeros, by their id (0: none), and what was found */
    bool skip_zeros;
    nn_shape shape; /* of the steps that the pace is of */
    nn_pace pace;
    nn_workspace *workspace; /* grows with the batch up to NN_BLOCK_ROWS rows; NULL until needed */
} nn_net;

/* The most workers a call may use. Results do not depend on it. Seen from outside the library, for threadpoolctl. */
#define NN_EXPORT __attribute__((visibility("default")))
NN_EXPORT void nn_set_num_threads(int threads);
NN_EXPORT int nn_num_threads(void);

/* A matrix without its zeros: row r has index and value [start[r], start[r + 1]), index ascending. */
typedef struct nn_csr {
    const int64_t *start;
    const int32_t *index;
    const float *value;
} nn_csr;

/* Rows of inputs (n, inputs), as they are or (x NULL) without zeros, with their targets and weights (or NULL). */
typedef struct nn_data {
    const float *x;
    nn_csr csr;
    nn_targets y;
    const float *weight;
    ptrdiff_t n;
    uint64_t id; /* of these data and no others: they are looked at for zeros once. 0: in each call */
} nn_data;

/* Called between blocks of rows (of wide nets between layers), some milliseconds apart, in the caller's floating-point mode, with the rows done in
 * this call. Not zero: stop. */
typedef int (*nn_poll)(void *context, int64_t rows_done);

/* layers is copied; inputs, w and b of each are filled in here. NULL if there is no memory. */
nn_net *nn_net_new(const nn_kernels *kernels, const nn_layer *layers, ptrdiff_t depth, ptrdiff_t inputs);
void nn_net_free(nn_net *net);

/* Loss, update rule and metrics; no steps made. slots: for each of the rule size floats of zeros, from nn_alloc; they stay the caller's, who may have
 * shown them to others, and must live until the next compile or the end of the net. The one place where it is decided whether loss and last
 * activation fuse. */
nn_status nn_net_compile(nn_net *net, const nn_loss *loss, bool from_logits, const nn_rule *rule, const nn_metric *const *metrics,
                         ptrdiff_t metrics_count, float *const *slots);

/* Steps over rows order[start:stop] (order NULL: as they lie) in batches; the last one may be smaller. totals[0] += weighted row losses, totals[1 +
 * m] += metric m, of the batches whose step was made. *batch: how many those are. A batch_size above the number of rows of data is that number. */
nn_status nn_train(nn_net *net, const nn_data *data, const uint32_t *order, ptrdiff_t start, ptrdiff_t stop, ptrdiff_t batch_size,
                   const double *hyper, double *totals, nn_poll poll, void *context, int64_t *batch);

/* The same totals without training. */
nn_status nn_evaluate(nn_net *net, const nn_data *data, double *totals, nn_poll poll, void *context);

/* out (n, outputs of the last layer); targets and weights of data are not looked at */
nn_status nn_predict(const nn_net *net, float *out, const nn_data *data, nn_poll poll, void *context);

/* x -> a of layer l, for R rows. */
void nn_layer_forward(const nn_net *net, ptrdiff_t l, const nn_activation *activation, float *a, const float *x, ptrdiff_t R);

/* Zeroed floats on a cache line, in pages of 2 MiB where that helps; freed with nn_free. The only allocator. NULL if there is no memory. */
void *nn_alloc(size_t bytes);
void nn_free(void *memory);

#endif
