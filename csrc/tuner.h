/* How many workers a call is worth: a cost model that says when more than one may pay, and a tuner that
 * measures whether they do. */

#ifndef NN_TUNER_H
#define NN_TUNER_H

#include "plan.h"

/* What has been measured of each schedule, and of the one in use since it was chosen. */
typedef struct nn_tuner {
    nn_traits traits;                /* what was learned is true of these */
    double work;                     /* multiply-adds of a row's forward pass */
    bool stays;                      /* weights stay with their worker */
    double ns_per_row[NN_SCHEDULES]; /* 0: not known */
    int samples[NN_SCHEDULES];       /* up to NN_SAMPLES */
    double rows, ns;                 /* of this stretch so far */
    double since;                    /* ns since the last trial */
    double trial_interval;           /* trials' lengths between two trials */
    double last;                     /* when that was, in ns */
    nn_schedule schedule,
        best; /* of this stretch; of all, as far as is known: where they differ, this is a trial */
} nn_tuner;

/* For a plan of as many workers as a step is worth; what was learned is kept if the traits are the same. */
void nn_tuner_prepare(nn_tuner *tuner, const nn_plan *plan);

/* The schedule of the next rows (choice: an nn_schedule, or -1 for the fastest), how many rows until that is
 * asked again, and what they took. */
nn_schedule nn_tuner_choose(nn_tuner *tuner, int choice);
ptrdiff_t nn_tuner_rows(const nn_tuner *tuner);
void nn_tuner_learn(nn_tuner *tuner, ptrdiff_t rows, double ns);
double nn_now(void);

/* Workers for a call of so many multiply-adds, and for the steps (in training) or the whole pass that traits
 * describe. */
int nn_workers_for_call(double work);
int nn_workers(const nn_net *net, const nn_traits *traits);

#endif
