/* See workers.h. */

#define _GNU_SOURCE /* clock_gettime */

#include "workers.h"

#include "pool.h"

#include <time.h>

/* Multiply-adds between two calls of poll: 5 ms at 20 GFLOP/s, the slowest kernels on the slowest machine worth waiting for. */
#define POLL_WORK 50000000

/* Multiply-adds of a block at most, if it has more rows than a tile: 50 ms at 30 in a nanosecond. With fewer rows at once the weights of wide nets
 * would pass through the memory too often. */
#define BLOCK_WORK ((ptrdiff_t)1500000000)

#define SKIP_MIN_OUTPUTS 32 /* that a worker must have for itself */

/* What a pass must be worth for another worker to join: two barriers and the bytes that move between cores cost some 0.3 us a step. In multiply-adds,
 * of which a core makes some 60 in a nanosecond. */
#define WORK_PER_WORKER 50000

#define WAKE_WORK 2e7 /* multiply-adds that take longer than to wake a worker, some 50 us */

#define STRETCH_NS 4e6  /* until the clock is looked at */
#define TRIAL_NS 1e6    /* the same while the other choice is tried: long against the waking of a worker */
#define PATIENCE 8.0    /* trials' lengths until the next trial, at first; */
#define LOST 0.02       /* the part of the time that a trial may lose if it finds what the last one found, so that the first do not come too often */
#define PATIENT 128.0   /* twice as many after each one that changes nothing, up to this */
#define DOUBT 0.3       /* how much a measurement counts that is worse than what was found before: someone may have taken a core for a moment */
#define FORGET_NS 1e9   /* after so long without training patience begins anew: who uses the machine may have changed */
#define SEEN 2          /* measurements until a way is known: the first meets cold caches, new threads and memory that was never touched */
#define GUESSED_NS 0.03 /* of a multiply-add and its two of the backward pass, before anything is measured */

const char *const nn_way_names[NN_WAYS] = {"alone", "many"};

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

ptrdiff_t nn_rows_at_once(const nn_net *net, int passes) {
    const ptrdiff_t tiles = BLOCK_WORK / nn_work_of_row(net, passes) / NN_ROWS_UNIT;
    return (tiles > 1 ? tiles : 1) * NN_ROWS_UNIT;
}

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

/* Which way makes a row fastest is measured as training goes on, because a model of the machine cannot know who else is using it: a worker that waits
 * for its core holds up all others at each barrier; nor how far its cores are apart. A pass is cut into stretches of some milliseconds (of several
 * calls, where a call is shorter), and now and then the way that is not in use gets one: soon after a change, seldom when nothing has changed for
 * long, and never for more than a small part of the time. Results do not depend on it. */
double nn_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* What a row takes in this way, as far as is known. */
static double expected_ns(const nn_net *net, nn_way way) {
    const double *row_ns = net->pace.row_ns;
    double ns = row_ns[way];
    for (int other = 0; other < NN_WAYS && ns == 0.0; other++) ns = row_ns[other];
    return ns > 0.0 ? ns : (double)nn_work_of_row(net, 1) * GUESSED_NS;
}

nn_way nn_pace_choose(nn_net *net, ptrdiff_t batch_size) {
    nn_pace *pace = &net->pace;
    if (net->way_choice >= 0) return pace->way = pace->best = (nn_way)net->way_choice;
    if (pace->rows > 0.0) return pace->way; /* the stretch goes on */
    const double step = expected_ns(net, NN_ALONE) * (double)batch_size, length = step > TRIAL_NS ? step : TRIAL_NS;
    if (pace->patience == 0.0) pace->patience = PATIENCE;
    if (nn_now() - pace->last > FORGET_NS) pace->patience = PATIENCE;
    /* As long as nothing is known: where zeros are skipped, weights stay with their worker, and many are slower only for a few rows on cores that are
     * far apart. A small dense net may be trained before that is known; long steps had rather be shared than wait until it is tried. */
    pace->best = net->skip_zeros || step > TRIAL_NS ? NN_MANY : NN_ALONE;
    bool all_known = true;
    for (int way = 0; way < NN_WAYS; way++) {
        const double ns = pace->row_ns[way], least = pace->row_ns[pace->best];
        if (pace->seen[way] < SEEN) all_known = false;
        if (ns > 0.0 && (least == 0.0 || ns < least)) pace->best = (nn_way)way;
    }
    pace->way = pace->best;
    const nn_way other = pace->best == NN_ALONE ? NN_MANY : NN_ALONE;
    const double lost = all_known ? length * (1.0 - pace->row_ns[pace->best] / pace->row_ns[other]) : 0.0;
    const bool due = pace->since >= pace->patience * length && LOST * pace->since >= lost;
    /* what is not known yet is tried at once where that is short */
    if (pace->seen[pace->best] >= SEEN && ((!all_known && step <= TRIAL_NS) || due)) pace->way = other;
    return pace->way;
}

/* Of the stretch in hand: short for a trial, and for a first one without others, who would have to wake. */
static double stretch_ns(const nn_pace *pace) {
    const bool first = pace->way == NN_ALONE && pace->seen[NN_ALONE] < SEEN;
    return pace->way == pace->best && !first ? STRETCH_NS : TRIAL_NS;
}

ptrdiff_t nn_pace_rows(const nn_net *net, ptrdiff_t batch_size) {
    const nn_pace *pace = &net->pace;
    const double left = stretch_ns(pace) - pace->ns;
    return left > 0.0 ? ((ptrdiff_t)(left / expected_ns(net, pace->way)) / batch_size + 1) * batch_size : batch_size;
}

void nn_pace_learn(nn_pace *pace, ptrdiff_t rows, double ns) {
    const bool trial = pace->way != pace->best;
    pace->rows += (double)rows;
    pace->ns += ns;
    pace->last = nn_now();
    if (pace->ns < 0.75 * stretch_ns(pace)) return;
    double *known = &pace->row_ns[pace->way];
    const double row_ns = pace->ns / pace->rows, worse = row_ns < 2.0 * *known ? row_ns : 2.0 * *known;
    const bool cold = pace->seen[pace->way] < SEEN;
    *known = cold || row_ns < *known ? row_ns : *known + DOUBT * (worse - *known);
    pace->seen[pace->way] += cold;
    pace->since += pace->ns;
    if (trial) {
        const bool changes = *known < pace->row_ns[pace->best];
        pace->since = 0.0;
        if (!cold) pace->patience = changes ? PATIENCE : pace->patience < PATIENT ? 2.0 * pace->patience : PATIENT;
    }
    pace->rows = pace->ns = 0.0;
}
