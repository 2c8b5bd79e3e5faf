/* Every threshold of the engine that is not a size of a kernel's tile, with where it comes from. All of them
 * change the speed and none changes a bit. Figures were measured on Zen 5, Zen 4 and Cascade Lake
 * (docs/roofline.md); what a formula can decide is decided by it. */

#ifndef NN_TUNE_H
#define NN_TUNE_H

#define NN_CACHE_LINE 64

/* Floats between what one worker writes in every step and what the next one does: hardware prefetch runs past
 * the end of a stream into the neighbour's lines. A page, which prefetchers do not cross. */
#define NN_APART 4096

/* Memory of at least this size lies in large pages, where the system has them. */
#define NN_LARGE_PAGE ((size_t)2 << 20)

/* Rows are shared out by a multiple of the tiles' heights, 12 and 6. */
#define NN_ROWS_UNIT 12

/* Rows whose inputs are asked for before they are copied: latency over the time to copy a row. */
#define NN_GATHER_AHEAD 8

/* So few rows are worker 0's alone, and the small layers above the first are, too: sharing these layers costs
 * more cache-line transfers than it saves. */
#define NN_SERIAL_ROWS 4
#define NN_SERIAL_WEIGHTS 8192

/* dz wT from w itself, for which dz and dx are transposed, instead of from a transpose kept up in each step:
 * where the rows are few and w does not lie in the first-level cache. */
#define NN_DX_FROM_W_WEIGHTS 8192

/* Floats of parameters, 32 KiB: with fewer, what a row leaves between the layers counts for more, so few rows
 * go through all of them together. */
#define NN_SMALL_NET 8192

/* Rows of a batch from which a hidden layer below one output is worth a stored gradient, and inputs up to
 * which each worker has its own copy of the rows: of wider ones the copies cost more than hidden outputs that
 * travel. */
#define NN_SINGLE_MIN_ROWS 24
#define NN_SINGLE_MAX_INPUTS 1024

/* Zeros of the first layer are skipped where the groups that are not all zero make less than this part of the
 * inputs: there the loops over groups cost as much as the dense tiles. Found from a sample of the rows. */
#define NN_SKIP_DENSITY 0.7
#define NN_SKIP_SAMPLE 64
#define NN_SKIP_MIN_INPUTS 32
#define NN_SKIP_MIN_ROWS 16    /* of a forward pass; to look for the zeros of fewer takes as long */
#define NN_SKIP_MIN_OUTPUTS 32 /* that a worker must have for itself */

/* Steps that repay packing the first layer's weights by workers, and looking which of its inputs have slots
 * that are all zero. */
#define NN_PACK_STEPS 4
#define NN_IDLE_STEPS 16

/* Multiply-adds between two calls of poll: 5 ms at 20 GFLOP/s, the slowest kernels on the slowest machine
 * worth waiting for. Those of a block, at most, if it has more rows than a tile: 50 ms at 30 in a nanosecond;
 * with fewer rows the weights of wide nets would pass through the memory too often. Those of an op in a block
 * from which a poll behind it is worth its while, 5 ms. And the weights that are transposed between two
 * polls. */
#define NN_POLL_WORK 5e7
#define NN_BLOCK_WORK 1.5e9
#define NN_WIDE_WORK 1.5e8
#define NN_TRANSPOSE_AT_ONCE (1 << 22)

/* What a step must be worth for another worker to join, in multiply-adds, of which a core makes some 60 in a
 * nanosecond: two barriers and the lines that move between cores cost some 0.3 us. An update moves each
 * weight and slot in memory: some 15 multiply-adds' time each. */
#define NN_WORK_PER_WORKER 50000
#define NN_WORK_OF_SLOT 15.0
#define NN_WAKE_WORK 2e7 /* takes longer than to wake a worker, some 50 us */

/* The tuner (tuner.c). */
#define NN_STRETCH_NS 4e6 /* of one schedule, until the clock is looked at */
#define NN_TRIAL_NS                                                                        \
    1e6 /* the same while the other schedule is tried: long against the waking of a worker \
         */
#define NN_TRIAL_INTERVAL 8.0 /* trials' lengths until the next trial, at first; */
#define NN_TRIAL_LOSS                                                                                   \
    0.02 /* the part of the time that a trial may lose if it finds what the last one found, so that the \
            first do not come too often */
#define NN_TRIAL_LONGEST 128.0 /* twice as many after each one that changes nothing, up to this */
#define NN_DOUBT                                                                                            \
    0.3 /* weight of a measurement that is worse than the last: another process may have taken a core for a \
           moment */
#define NN_FORGET_NS                                                                                         \
    1e9 /* after so long without training the interval begins anew: the load of the machine may have changed \
         */
#define NN_SAMPLES                                                                                     \
    2 /* until a schedule is known: the first meets cold caches, new threads and memory that was never \
         touched */
#define NN_GUESSED_NS \
    0.03 /* of a multiply-add and its two of the backward pass, before anything is measured */

/* Rows that pass through the layers together in a prediction; a multiple of the tiles. */
#define NN_PREDICT_ROWS 96

#endif
