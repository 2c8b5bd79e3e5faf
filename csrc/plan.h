/* How a net runs over some data: the one place where a way is chosen.
 *
 * A plan is made from traits, before the first step. It says for each op what has to be done, and lists the
 * passes of a block of rows in order; what is absent costs nothing, as it is not in the list. Fast paths
 * declare themselves (nn_path): each says why it does not apply, or rewrites the plan. A plan explains
 * itself, as EXPLAIN QUERY PLAN does. */

#ifndef NN_PLAN_H
#define NN_PLAN_H

#include "net.h"

/* What workers split among themselves in a pass. */
typedef enum nn_share { NN_SHARE_ROWS, NN_SHARE_COLUMNS, NN_SHARE_WEIGHTS, NN_IN_TURN, NN_SHARES } nn_share;
extern const char *const nn_share_names[NN_SHARES];

typedef struct nn_traits {
    bool train;
    bool csr;             /* rows come without their zeros */
    bool mostly_zero;     /* as far as a sample of the rows shows */
    bool hides_weights;   /* the first op has weights that are not finite, which a skipped zero would hide */
    bool weighted;        /* rows have weights */
    bool keeps_outputs;   /* for metrics that are no sums */
    ptrdiff_t rows;       /* of the data */
    ptrdiff_t batch_size; /* at most rows */
    int workers;          /* 1 or more, all that a step is worth */
} nn_traits;

struct nn_op_plan {
    const nn_op *op;
    const struct nn_op_plan *input;  /* NULL: the rows of the data */
    const nn_activation *activation; /* what the op applies; the identity for a linked last one */
    nn_dense dense;                  /* operands, of an op with weights */
    nn_weights weights;              /* the same with slots */
    void (*gradient)(nn_worker *worker, const nn_op_plan *op); /* NULL: none */
    void (*update)(nn_worker *worker, const nn_op_plan *op);
    bool keeps_transpose;  /* of w, for dz wT */
    bool dx_from_w;        /* dz wT from w itself */
    bool twin_update;      /* in such blocks the transpose gets the same update as w */
    ptrdiff_t serial_rows; /* in blocks of so few rows worker 0 has all of the op */
    int place;             /* among the ops of the plan */
    float *a, *dz;         /* (block_rows, outputs), set when there is memory */
    float *db;             /* (outputs), of an op with biases */
    float *transposed;     /* (outputs, inputs), if kept */
};

/* What a few rows go through in the pass over rows, one after the other, before the next ones. */
typedef struct nn_stage {
    const char *name;
    const nn_op_plan *op; /* or NULL */
    void (*run)(nn_worker *worker, const nn_op_plan *op, ptrdiff_t r0, ptrdiff_t r1);
} nn_stage;

/* What all workers do before they meet (or, where the next pass reads nothing that another worker has
 * written, do not meet). */
typedef struct nn_pass {
    const char *name;
    nn_share share;
    bool meets;
    void (*run)(nn_worker *worker);
} nn_pass;

#define NN_MAX_PASSES 8

/* Memory of a run, by name. Before there is memory offsets are counted; NN_ABSENT where the plan has no use
 * for a region. */
typedef enum nn_region {
    NN_REGION_X,          /* (block_rows, inputs): gathered rows */
    NN_REGION_NONZERO,    /* each worker's masks of what is not zero (nn_sparse) */
    NN_REGION_ACTIVE,     /* (workers, active_words): inputs whose slots are not all zero */
    NN_REGION_STRIP,      /* (inputs of a block, outputs of the first op): zeros between two steps */
    NN_REGION_SLICES,     /* (block_rows, outputs of the first op, up to whole lines), slice by slice */
    NN_REGION_PACKED,     /* weights and slots of the first op, slice by slice */
    NN_REGION_OWN_X,      /* each worker's own rows */
    NN_REGION_CHAINS,     /* each worker's chains of a single output, (block_rows, NN_CHAINS) */
    NN_REGION_OUTPUTS,    /* a of all ops, in training each with its dz */
    NN_REGION_TRANSPOSED, /* w of the ops that keep a transpose */
    NN_REGION_DX,         /* scratch of dz wT from w itself */
    NN_REGION_GRADIENT,   /* flat as the parameters */
    NN_REGION_DB,         /* bias gradients, flat as the parameters' widest op, each worker's */
    NN_REGION_DW,         /* each worker's scratch of wide weight gradients */
    NN_REGION_ROW_LOSS,
    NN_REGION_ROW_WEIGHT,
    NN_REGION_VALUES, /* gathered targets */
    NN_REGION_LABELS,
    NN_REGION_LINKED, /* probabilities of a loss from logits */
    NN_REGIONS
} nn_region;
extern const char *const nn_region_names[NN_REGIONS];

#define NN_ABSENT ((ptrdiff_t)-1)

typedef struct nn_layout {
    ptrdiff_t at[NN_REGIONS], floats[NN_REGIONS];
    ptrdiff_t total;
    bool fits; /* in the address space */
} nn_layout;

/* Fast paths, in the order in which they are tried. */
typedef enum nn_path_id {
    NN_PATH_FUSED_UPDATE,
    NN_PATH_SKIP_ZEROS,
    NN_PATH_PACKED_SLICES,
    NN_PATH_IDLE_INPUTS,
    NN_PATH_SINGLE_OUTPUT,
    NN_PATH_SERIAL_LAYERS,
    NN_PATH_DX_FROM_W,
    NN_PATH_TWIN_UPDATE,
    NN_PATH_FEW_ROWS,
    NN_PATHS
} nn_path_id;

typedef struct nn_plan {
    nn_traits traits;
    const nn_net *net;
    nn_op_plan *ops;
    int count;
    nn_stage *stages;
    int stages_count;
    nn_pass passes[NN_MAX_PASSES];
    int passes_count;
    void (*begin)(nn_worker *worker); /* of a stretch of steps, or NULL */
    void (*end)(nn_worker *worker);
    bool taken[NN_PATHS];
    const char *refused[NN_PATHS];   /* why a path is not taken */
    bool skips_zeros, single_output; /* the first op, or the whole net, has a path of its own */
    bool stores_gradient;            /* for a pass of its own, even where a block is a batch */
    bool owns_columns;               /* workers own columns of the first op, in training */
    ptrdiff_t block_rows;            /* that pass through all ops at once, at most */
    ptrdiff_t chunk_rows; /* of them, that a worker passes through all stages before the next ones */
    ptrdiff_t dx_row;     /* floats of a row's scratch, of ops with dx_from_w */
    ptrdiff_t pack_steps,
        idle_steps; /* in stretches of so many steps weights are packed, idle inputs found */
    nn_layout layout;
} nn_plan;

/* A fast path declares itself: why it does not apply (NULL: it does), and what it changes. Declared
 * properties are all it looks at. */
typedef struct nn_path {
    const char *name;
    const char *what; /* one line, for the reader of an explanation */
    const char *(*refuses)(const nn_plan *plan, const nn_net *net);
    void (*rewrite)(nn_plan *plan, const nn_net *net);
} nn_path;
extern const nn_path nn_paths[NN_PATHS];

/* Turns paths off ("-skip_zeros") as a list with commas; "" turns all on. False if it names an unknown one;
 * then nothing changes. */
bool nn_set_paths(const char *list);

/* Plan for traits; false if there is no memory. nn_plan_free also for a plan of zeros. */
bool nn_plan_make(nn_plan *plan, const nn_net *net, const nn_traits *traits);
void nn_plan_free(nn_plan *plan);
void nn_plan_place(nn_plan *plan, float *memory);

/* Writes the plan as text, at most `size` bytes with the 0 at the end; returns the bytes that it wants, as
 * snprintf does. */
size_t nn_plan_explain(const nn_plan *plan, char *text, size_t size);

/* What the plan's memory looks like (layout.c). */
void nn_layout_make(nn_plan *plan);

/* Makes layouts of two plans for the same net and rows one that serves both. */
void nn_layout_unite(nn_layout *a, nn_layout *b);

static inline ptrdiff_t nn_line(ptrdiff_t floats) { return (floats + 15) / 16 * 16; }

/* How the lists of a plan are changed: for path_*.c. A stage is found by its function; one without function
 * (run NULL) takes it out. */
void nn_plan_replace_stage(nn_plan *plan, void (*run)(nn_worker *, const nn_op_plan *, ptrdiff_t, ptrdiff_t),
                           nn_stage stage);
void nn_plan_insert_stage(nn_plan *plan,
                          void (*before)(nn_worker *, const nn_op_plan *, ptrdiff_t, ptrdiff_t),
                          nn_stage stage);
void nn_plan_insert_pass(nn_plan *plan, int place, nn_pass pass);

#endif
