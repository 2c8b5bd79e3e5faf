/* See tuner.h. */

#define _GNU_SOURCE /* clock_gettime */

#include "tuner.h"

#include "pool.h"
#include "tune.h"

#include <time.h>

const char *const nn_schedule_names[NN_SCHEDULES] = {"serial", "parallel"};

static atomic_int num_threads = 1;

void nn_set_num_threads(int threads) {
    atomic_store(&num_threads, threads < 1 ? 1 : threads > NN_MAX_THREADS ? NN_MAX_THREADS : threads);
}
int nn_num_threads(void) { return atomic_load(&num_threads); }

static int workers_for(double work) {
    const double worth = work / NN_WORK_PER_WORKER;
    const int most = nn_num_threads();
    return worth < 2.0 ? 1 : worth < most ? (int)worth : most;
}

/* The others sleep when a call of its own begins, and to wake one takes as long as NN_WAKE_WORK. */
int nn_workers_for_call(double work) { return work < NN_WAKE_WORK ? 1 : workers_for(work); }

int nn_workers(const nn_net *net, const nn_traits *traits) {
    if (!traits->train) return nn_workers_for_call(nn_net_work(net, 1) * (double)traits->rows);
    double work = 0.0;
    for (int i = 0; i < net->count; i++) {
        const nn_op *op = &net->ops[i];
        const double weights = op->kind->has_weights ? (double)op->inputs * (double)op->outputs : 0.0;
        work += weights * (double)traits->batch_size * (i == 0 ? 2.0 : 3.0);
        for (int s = 0; s < NN_MAX_SLOTS && net->rule->slots[s]; s++) work += weights * NN_WORK_OF_SLOT;
    }
    return workers_for(work);
}

static bool same_traits(const nn_traits *a, const nn_traits *b) {
    return a->train == b->train && a->csr == b->csr && a->mostly_zero == b->mostly_zero &&
           a->batch_size == b->batch_size && a->workers == b->workers;
}

void nn_tuner_prepare(nn_tuner *tuner, const nn_plan *plan) {
    const double work = nn_net_work(plan->net, 1);
    if (tuner->work == work && same_traits(&tuner->traits, &plan->traits)) return;
    *tuner = (nn_tuner){.traits = plan->traits, .work = work, .stays = plan->skips_zeros};
}

/* Which schedule takes a row fastest is measured as training goes on, because a model of the machine cannot
 * know which other processes use it (a worker that waits for its core holds up all others at each barrier)
 * nor how far its cores are apart. A call is cut into stretches of some milliseconds (of several calls, where
 * a call is shorter), and now and then the schedule that is not in use gets one: soon after a change, seldom
 * when nothing has changed for long, and never for more than a small part of the time. Results do not depend
 * on it. */
double nn_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* What a row takes by this schedule, as far as is known. */
static double expected_ns(const nn_tuner *tuner, nn_schedule schedule) {
    double ns = tuner->ns_per_row[schedule];
    for (int other = 0; other < NN_SCHEDULES && ns == 0.0; other++) ns = tuner->ns_per_row[other];
    return ns > 0.0 ? ns : tuner->work * NN_GUESSED_NS;
}

nn_schedule nn_tuner_choose(nn_tuner *tuner, int choice) {
    if (choice >= 0) return tuner->schedule = tuner->best = (nn_schedule)choice;
    if (tuner->rows > 0.0) return tuner->schedule; /* the stretch goes on */
    const double step = expected_ns(tuner, NN_SERIAL) * (double)tuner->traits.batch_size,
                 length = step > NN_TRIAL_NS ? step : NN_TRIAL_NS;
    if (tuner->trial_interval == 0.0) tuner->trial_interval = NN_TRIAL_INTERVAL;
    if (nn_now() - tuner->last > NN_FORGET_NS) tuner->trial_interval = NN_TRIAL_INTERVAL;
    /* As long as nothing is known: where zeros are skipped, weights stay with their worker, and many are
     * slower only for a few rows on cores that are far apart. A small dense net may be trained before that is
     * known; long steps had rather be shared than wait until it is tried. */
    tuner->best = tuner->stays || step > NN_TRIAL_NS ? NN_PARALLEL : NN_SERIAL;
    bool all_known = true;
    for (int schedule = 0; schedule < NN_SCHEDULES; schedule++) {
        const double ns = tuner->ns_per_row[schedule], least = tuner->ns_per_row[tuner->best];
        if (tuner->samples[schedule] < NN_SAMPLES) all_known = false;
        if (ns > 0.0 && (least == 0.0 || ns < least)) tuner->best = (nn_schedule)schedule;
    }
    tuner->schedule = tuner->best;
    const nn_schedule other = tuner->best == NN_SERIAL ? NN_PARALLEL : NN_SERIAL;
    const double lost =
        all_known ? length * (1.0 - tuner->ns_per_row[tuner->best] / tuner->ns_per_row[other]) : 0.0;
    const bool due = tuner->since >= tuner->trial_interval * length && NN_TRIAL_LOSS * tuner->since >= lost;
    /* what is not known yet is tried at once where that is short */
    if (tuner->samples[tuner->best] >= NN_SAMPLES && ((!all_known && step <= NN_TRIAL_NS) || due))
        tuner->schedule = other;
    return tuner->schedule;
}

/* Of the stretch in hand: short for a trial, and for a first serial one, as other workers fall asleep
 * meanwhile. */
static double stretch_ns(const nn_tuner *tuner) {
    const bool first = tuner->schedule == NN_SERIAL && tuner->samples[NN_SERIAL] < NN_SAMPLES;
    return tuner->schedule == tuner->best && !first ? NN_STRETCH_NS : NN_TRIAL_NS;
}

ptrdiff_t nn_tuner_rows(const nn_tuner *tuner) {
    const ptrdiff_t batch_size = tuner->traits.batch_size;
    const double left = stretch_ns(tuner) - tuner->ns;
    return left > 0.0
               ? ((ptrdiff_t)(left / expected_ns(tuner, tuner->schedule)) / batch_size + 1) * batch_size
               : batch_size;
}

void nn_tuner_learn(nn_tuner *tuner, ptrdiff_t rows, double ns) {
    const bool trial = tuner->schedule != tuner->best;
    tuner->rows += (double)rows;
    tuner->ns += ns;
    tuner->last = nn_now();
    if (tuner->ns < 0.75 * stretch_ns(tuner)) return;
    double *known = &tuner->ns_per_row[tuner->schedule];
    const double measured = tuner->ns / tuner->rows,
                 worse = measured < 2.0 * *known ? measured : 2.0 * *known;
    const bool cold = tuner->samples[tuner->schedule] < NN_SAMPLES;
    *known = cold || measured < *known ? measured : *known + NN_DOUBT * (worse - *known);
    tuner->samples[tuner->schedule] += cold;
    tuner->since += tuner->ns;
    if (trial) {
        const bool changes = *known < tuner->ns_per_row[tuner->best];
        tuner->since = 0.0;
        if (!cold)
            tuner->trial_interval = changes                                    ? NN_TRIAL_INTERVAL
                                    : tuner->trial_interval < NN_TRIAL_LONGEST ? 2.0 * tuner->trial_interval
                                                                               : NN_TRIAL_LONGEST;
    }
    tuner->rows = tuner->ns = 0.0;
}
