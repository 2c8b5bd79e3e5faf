/* See workers.h. */

#define _GNU_SOURCE /* clock_gettime */

#include "workers.h"

#include "pool.h"

#include <time.h>

/* Multiply-adds between two calls of poll: 5 ms at 20 GFLOP/s, the slowest kernels on the slowest machine worth waiting for. */
#define POLL_WORK 50000000

#define SKIP_MIN_OUTPUTS 32 /* that a worker must have for itself */

/* What a pass must be worth for another worker to join: two barriers and the bytes that move between cores cost some 2 us a step. In multiply-adds,
 * of which a core makes some 60 in a nanosecond. */
#define WORK_PER_WORKER 150000

#define WAKE_WORK 2e7 /* multiply-adds that take longer than to wake a worker, some 50 us */

#define STRETCH_NS 4e6  /* between two looks at the clock */
#define TRIAL_NS 2e6    /* the same, while the other choice is tried: long against the waking of a worker */
#define LEAST_NS 5e5    /* a shorter one teaches nothing */
#define RECONSIDER 32   /* stretches between two trials, in the long run */
#define DOUBT 0.3       /* how much a measurement counts that is worse than what was found before: someone may have taken a core for a moment */
#define GUESSED_NS 0.03 /* of a multiply-add and its two of the backward pass, before anything is measured */

static atomic_int num_threads = 1;

void nn_set_num_threads(int threads) { atomic_store(&num_threads, threads < 1 ? 1 : threads > NN_MAX_THREADS ? NN_MAX_THREADS : threads); }
int nn_num_threads(void) { return atomic_load(&num_threads); }

ptrdiff_t nn_work_of_row(const nn_net *net, int passes) {
    ptrdiff_t work = 1;
    for (ptrdiff_t l = 0; l < net->depth; l++) work += passes * (net->layers[l].inputs + 1) * (net->layers[l].dense ? net->layers[l].outputs : 1);
    return work;
}

static int workers_for(double work) {
    const double worth = work / WORK_PER_WORKER;
    const int most = nn_num_threads();
    return worth < 2.0 ? 1 : worth < most ? (int)worth : most;
}

/* The same of a call of its own: the others sleep by then, and to wake one takes as long as this much work. */
int nn_workers_for_call(double work) { return work < WAKE_WORK ? 1 : workers_for(work); }

ptrdiff_t nn_rows_between_polls(const nn_net *net, int passes) { return POLL_WORK / nn_work_of_row(net, passes) + 1; }

/* How many workers a step of B rows is worth. The update of a rule with slots moves each weight and slot in memory: some 30 multiply-adds' time each.
 */
int nn_workers_for_step(const nn_net *net, ptrdiff_t B) {
    double work = 0.0;
    for (ptrdiff_t l = 0; l < net->depth; l++) {
        const nn_layer *layer = &net->layers[l];
        const double weights = layer->dense ? (double)layer->inputs * (double)layer->outputs : 0.0;
        work += weights * (double)B * (l == 0 ? 2.0 : 3.0);
        for (int s = 0; s < NN_MAX_SLOTS && net->rule->slots[s]; s++) work += weights * 15.0;
    }
    const int workers = workers_for(work), most = (int)(net->layers[0].outputs / SKIP_MIN_OUTPUTS);
    return !net->skip_zeros || workers <= most ? workers : most > 1 ? most : 1;
}

/* Which of one worker and many makes a row faster is measured as training goes on, because a model of the machine cannot know who else is using it: a
 * worker that waits for its core holds up all others at each barrier. A pass is cut into stretches of some milliseconds; each is timed, and now and
 * then the choice that is not in use gets one. Results do not depend on it. */
double nn_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

bool nn_pace_choose(nn_pace *pace) {
    const unsigned n = pace->stretches++;
    if (n < 2) return true; /* the first one meets cold caches and new threads; it does not count */
    if (n == 2) return false;
    const bool trial = n < RECONSIDER ? (n & (n - 1)) == 0 : n % RECONSIDER == 0; /* 4, 8, 16, 32, 64, 96, ... */
    return (pace->row_ns[1] <= pace->row_ns[0]) != trial;
}

void nn_pace_learn(nn_pace *pace, bool many, ptrdiff_t rows, double ns) {
    double *known = &pace->row_ns[many];
    const double row_ns = ns / (double)rows;
    if (ns < LEAST_NS) { /* a short call shows how long a worker takes to wake */
        pace->stretches--;
        return;
    }
    const bool first = *known == 0.0 || pace->stretches <= 2;
    *known = first || row_ns < *known ? row_ns : *known + DOUBT * (row_ns - *known);
}

/* Rows of the next stretch; a trial of what is not in use is short. */
ptrdiff_t nn_pace_rows(const nn_net *net, bool many, ptrdiff_t batch_size) {
    const nn_pace *pace = &net->pace;
    const double known = pace->row_ns[many], other = pace->row_ns[!many];
    const bool trial = other != 0.0 && (known == 0.0 || other < known);
    const double expected = trial ? other : known != 0.0 ? known : (double)nn_work_of_row(net, 1) * GUESSED_NS;
    return ((ptrdiff_t)((trial ? TRIAL_NS : STRETCH_NS) / expected) / batch_size + 1) * batch_size;
}
