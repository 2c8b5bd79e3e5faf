/* Persistent worker threads, and the barrier they meet at.
 *
 * One pool for the process, made when first needed. It runs one task at a time: a caller that finds the
 * pool busy runs its task serially, which changes no result, because no sum depends on the number of workers.
 * A task wakes the workers that it needs and no others. After a fork the child has no workers and makes its
 * own. Workers spin for some microseconds between tasks and then sleep. */

#ifndef NN_POOL_H
#define NN_POOL_H

#include <stdatomic.h>
#include <stdbool.h>

#define NN_MAX_THREADS 64

/* Called once by each worker, 0 (the caller) to threads - 1. */
typedef void (*nn_task)(void *context, int thread, int threads);

/* Runs task on as many workers as are to be had, at most `threads`, and returns when all have returned. */
void nn_pool_run(nn_task task, void *context, int threads);

/* Whether, within a task of several workers, this process is a child that was forked after it began: the
 * others are not there. */
bool nn_pool_is_lost(void);

/* All `threads` workers of a task wait for the last of them. Each writes only a line of its own, how often it
 * has come here, and reads those of the others: two workers that come at the same time lose one trip of a
 * line between their cores. Zeroed before a task starts. In a lost process nobody is waited for. */
typedef struct nn_barrier {
    struct {
        _Alignas(2 * 64) atomic_uint round; /* two lines, as hardware prefetch takes lines in pairs */
    } of[NN_MAX_THREADS];
} nn_barrier;

void nn_barrier_zero(nn_barrier *barrier, int threads);
void nn_barrier_wait(nn_barrier *barrier, int thread, int threads);

#endif
