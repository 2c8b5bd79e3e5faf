/* See run.h. A step as each worker sees it: for each batch, for each block of rows, the passes of the plan,
 * with a barrier after each that says so. What a pass does, and which there are, was decided before (plan.c);
 * nothing here branches on a net. */

#include "run.h"

#include "memory.h"
#include "tune.h"

#include <stdlib.h>
#include <string.h>

/* On lines of its own, for the barrier. */
nn_run *nn_run_new(void) {
    nn_run *run = aligned_alloc(_Alignof(nn_run), sizeof *run);
    if (run) memset(run, 0, sizeof *run);
    return run;
}

void nn_run_free(nn_run *run) {
    if (!run) return;
    for (int schedule = 0; schedule < NN_SCHEDULES; schedule++) nn_plan_free(&run->plans[schedule]);
    nn_free(run->memory);
    free(run->labels);
    free(run);
}

/* Prepare */

/* The op that the rows go to. */
static const nn_op *first_op(const nn_net *net, bool train) {
    const nn_op *op = net->ops;
    while (op->kind->train_only && !train) op++; /* not past the end: some op has weights */
    return op;
}

static nn_traits traits_of(const nn_net *net, const nn_data *data, nn_purpose purpose) {
    nn_traits traits = {.train = purpose.train,
                        .keeps_outputs = purpose.keeps_outputs,
                        .csr = !data->x,
                        .weighted = data->weight,
                        .rows = data->n};
    traits.batch_size = purpose.batch_size < data->n ? purpose.batch_size : data->n;
    if (!purpose.train && traits.batch_size > NN_BLOCK_ROWS) traits.batch_size = NN_BLOCK_ROWS;
    const nn_op *first = first_op(net, purpose.train);
    traits.mostly_zero = first->kind->has_weights && net->skip_choice < 0 && nn_mostly_zero(net, data);
    if (purpose.train || !data->x || !first->kind->has_weights) return traits;
    /* a skipped zero would hide a weight that is NaN or infinite; training finds it by its loss */
    if (traits.mostly_zero || net->skip_choice == 1)
        traits.hides_weights =
            !net->kernels->all_finite(net->weights.w + first->w, first->inputs * first->outputs);
    return traits;
}

/* Room for the labels of the run, which are its own. */
static bool copy_labels(nn_run *run, const nn_data *data) {
    if (!data->y.labels) return true;
    if (run->labels_room < data->n) {
        int32_t *labels = malloc((size_t)data->n * sizeof *labels);
        if (!labels) return false;
        free(run->labels);
        run->labels = labels;
        run->labels_room = data->n;
    }
    memcpy(run->labels, data->y.labels, (size_t)data->n * sizeof *run->labels);
    run->data.y.labels = run->labels;
    return true;
}

static bool reserve(nn_run *run) {
    nn_layout *layout = &run->plans[NN_PARALLEL].layout;
    nn_layout_unite(layout, &run->plans[NN_SERIAL].layout);
    if (!layout->fits) return false;
    if (run->floats <
        layout->total) { /* only grows, so that fits of different sizes in turn do not reallocate */
        float *memory = nn_alloc((size_t)layout->total * sizeof *memory);
        if (!memory) return false;
        nn_free(run->memory);
        run->memory = memory;
        run->floats = layout->total;
    }
    for (int schedule = 0; schedule < NN_SCHEDULES; schedule++)
        nn_plan_place(&run->plans[schedule], run->memory);
    return true;
}

static bool make_plans(nn_run *run, nn_net *net, nn_traits traits) {
    for (int schedule = 0; schedule < NN_SCHEDULES; schedule++) {
        traits.workers = schedule == NN_SERIAL ? 1 : nn_workers(net, &traits);
        nn_plan_free(&run->plans[schedule]);
        if (!nn_plan_make(&run->plans[schedule], net, &traits)) return false;
    }
    return reserve(run);
}

nn_status nn_run_plan_again(nn_run *run) {
    const nn_traits traits = run->plans[NN_PARALLEL].traits;
    return make_plans(run, run->net, traits) ? NN_OK : NN_NO_MEMORY;
}

nn_status nn_run_prepare(nn_run *run, nn_net *net, const nn_data *data, nn_purpose purpose) {
    run->net = net;
    run->data = *data;
    if (!copy_labels(run, data) || !make_plans(run, net, traits_of(net, data, purpose))) return NN_NO_MEMORY;
    nn_tuner_prepare(&run->tuner, &run->plans[NN_PARALLEL]);
    run->poll_rows = (ptrdiff_t)(NN_POLL_WORK / nn_net_work(net, purpose.train ? 3 : 1)) + 1;
    return NN_OK;
}

/* Step */

/* A barrier; the first of a block tells whether worker 0 was interrupted before it. */
static void meet(nn_worker *w) {
    nn_barrier_wait(&w->run->barrier, w->thread, w->threads);
    if (w->met) return;
    w->met = true;
    w->stopped |= w->run->interrupted;
}

static void run_pass(nn_worker *w, const nn_pass *pass) {
    if (pass->share != NN_IN_TURN) {
        pass->run(w);
        if (pass->meets) meet(w);
        return;
    }
    for (int turn = 0; turn < w->threads && !w->stopped; turn++) {
        if (turn == w->thread) pass->run(w);
        meet(w);
    }
}

/* Whether the caller wants to stop, in worker 0, in the floating-point mode of the caller. In a child that
 * was forked meanwhile the other workers are gone, and with them what they were doing. */
bool nn_poll_stops(nn_worker *w) {
    nn_run *run = w->run;
    if (!run->steps.poll) return false;
    nn_float_mode_leave(w->mode);
    const bool stop = run->steps.poll(run->steps.context, w->block.place - run->steps.start);
    w->mode = nn_float_mode_enter();
    if (w->threads == 1 || !nn_pool_is_lost()) return stop;
    run->status = NN_FORKED;
    return true;
}

/* Now and then, before a block. */
static void poll(nn_worker *w) {
    nn_run *run = w->run;
    if (run->unpolled >= run->poll_rows) {
        run->unpolled = 0;
        run->interrupted = nn_poll_stops(w);
    }
    run->unpolled += w->block.R;
}

/* The block at `place`, `done` rows into a batch of B. What is trained on is gathered, what is only looked at
 * is read where it lies. */
static void begin_block(nn_worker *w, ptrdiff_t place, ptrdiff_t done, ptrdiff_t B) {
    const nn_data *data = &w->run->data;
    nn_block *block = &w->block;
    block->place = place;
    block->R = B - done < w->plan->block_rows ? B - done : w->plan->block_rows;
    block->done = done;
    block->first = done == 0;
    block->last = done + block->R == B;
    if (!w->plan->traits.train) {
        block->x = data->x ? data->x + place * nn_net_inputs(w->net) : NULL;
        block->y.labels = data->y.labels ? data->y.labels + place : NULL;
        block->y.values = data->y.values ? data->y.values + place * nn_net_outputs(w->net) : NULL;
        block->weight = data->weight ? data->weight + place : NULL;
    }
    w->met = false;
    if (w->thread == 0) poll(w);
}

/* One batch; false if the step was not made. */
static bool run_batch(nn_worker *w, ptrdiff_t first, ptrdiff_t B) {
    const nn_plan *plan = w->plan;
    for (ptrdiff_t m = 0; m <= w->net->metrics_count; m++) w->sums[m] = 0.0;
    w->block.scale = 1.0f / (float)B;
    for (ptrdiff_t done = 0; done < B; done += w->block.R) {
        begin_block(w, first + done, done, B);
        for (int p = 0; p < plan->passes_count; p++) {
            run_pass(w, &plan->passes[p]);
            if (w->stopped) return false;
        }
    }
    return true;
}

static void prepare_step(nn_worker *w, int64_t t) {
    const nn_steps *steps = &w->run->steps;
    double hyper[NN_MAX_HYPER];
    if (!steps->rates) {
        w->net->rule->prepare(&w->constants, steps->hyper, t);
        return;
    }
    for (int h = 0; h < NN_MAX_HYPER && w->net->rule->hyper[h]; h++) hyper[h] = steps->hyper[h];
    hyper[0] = steps->rates[t - 1 - w->run->before];
    w->net->rule->prepare(&w->constants, hyper, t);
}

static void begin_worker(nn_worker *w, nn_run *run, int thread, int threads) {
    const nn_plan *plan = &run->plans[run->schedule];
    w->run = run;
    w->plan = plan;
    w->net = run->net;
    w->kernels = run->net->kernels;
    w->thread = thread;
    w->threads = threads;
    w->update = (nn_update){run->net->rule, &w->constants};
    w->stopped = false;
    w->t = run->first_step; /* not net->step, which worker 0 moves */
    w->block = (nn_block){.R = 0};
    if (nn_has(plan, NN_REGION_X)) w->block.x = nn_at(w, NN_REGION_X);
    if (!plan->traits.train) return;
    if (run->data.y.labels) {
        w->block.y.labels = (int32_t *)nn_at(w, NN_REGION_LABELS);
    } else {
        w->block.y.values = nn_at(w, NN_REGION_VALUES);
    }
    if (run->data.weight) w->block.weight = nn_at(w, NN_REGION_ROW_WEIGHT);
}

/* A stretch of steps, as each worker sees it. */
static void run_stretch(void *context, int thread, int threads) {
    nn_run *run = context;
    const nn_plan *plan = &run->plans[run->schedule];
    nn_worker worker, *w = &worker;
    w->mode = nn_float_mode_enter();
    begin_worker(w, run, thread, threads);
    if (plan->begin) plan->begin(w);
    for (ptrdiff_t first = run->start; first < run->stop; first += plan->traits.batch_size) {
        const ptrdiff_t left = run->stop - first,
                        B = left < plan->traits.batch_size ? left : plan->traits.batch_size;
        if (plan->traits.train) prepare_step(w, ++w->t);
        if (!run_batch(w, first, B)) break;
        if (thread != 0) continue;
        for (ptrdiff_t m = 0; m <= run->net->metrics_count; m++) run->steps.totals[m] += w->sums[m];
        run->net->step += plan->traits.train;
        run->batches++;
    }
    if (plan->end) plan->end(w);
    nn_float_mode_leave(w->mode);
}

/* Transposes all weights of which a transpose is kept: the caller may have changed them since the last call.
 * False if interrupted. */
static bool renew_transposes(const nn_run *run) {
    const nn_plan *plan = &run->plans[NN_SERIAL];
    for (int o = 0; o < plan->count; o++) {
        const nn_op_plan *op = &plan->ops[o];
        if (!op->keeps_transpose) continue;
        const ptrdiff_t I = op->dense.I, O = op->dense.O,
                        rows = (NN_TRANSPOSE_AT_ONCE / O / NN_ROWS_UNIT + 1) * NN_ROWS_UNIT;
        for (ptrdiff_t i = 0; i < I; i += rows) {
            if (i > 0 && run->steps.poll && run->steps.poll(run->steps.context, 0)) return false;
            run->net->kernels->transpose(op->transposed, op->dense.w, I, O, i, I - i < rows ? I : i + rows);
        }
    }
    return true;
}

/* Whether the rule leaves a weight as it is that has no gradient and never had one. Found by trying, as it
 * depends on the hyper-parameters; at a rate so high that what it multiplies must be zero, as the rate may
 * change from step to step. */
static bool rule_idles(const nn_net *net, const double *hyper) {
    const float before[2] = {1.0f, -0.0f};
    float w[2] = {1.0f, -0.0f}, g[2] = {0.0f, 0.0f}, slots[NN_MAX_SLOTS][2], initial[NN_MAX_SLOTS][2];
    double trial[NN_MAX_HYPER] = {0.0};
    nn_weights weights = {.w = w};
    nn_step step;
    for (int s = 0; s < NN_MAX_SLOTS; s++) {
        slots[s][0] = slots[s][1] = initial[s][0] = initial[s][1] = net->initial[s];
        weights.slots[s] = slots[s];
    }
    for (int h = 0; h < NN_MAX_HYPER && net->rule->hyper[h]; h++) trial[h] = hyper[h];
    trial[0] = 1e30;
    net->rule->prepare(&step, trial, net->step + 1);
    net->rule->update(&weights, g, (nn_area){.rows = 1, .n = 2, .ldw = 2, .ldg = 2}, &step, false);
    return !memcmp(w, before, sizeof w) && !memcmp(slots, initial, sizeof slots);
}

/* Rows [start, stop) of the order, by one worker or by many; the tuner learns what they took. */
static void run_rows(nn_run *run, ptrdiff_t start, ptrdiff_t stop, bool idles) {
    const nn_plan *plan = &run->plans[run->schedule];
    const int workers = run->schedule == NN_SERIAL ? 1 : plan->traits.workers;
    const ptrdiff_t steps = (stop - start) / plan->traits.batch_size;
    run->start = start;
    run->stop = stop;
    run->packed = steps >= plan->pack_steps;
    run->finds_idle = idles && steps >= plan->idle_steps;
    run->first_step = run->net->step;
    nn_barrier_zero(&run->barrier, workers);
    nn_pool_run(run_stretch, run, workers);
}

static nn_status status_of(const nn_run *run) {
    return run->status == NN_OK && (run->interrupted || run->halted) ? NN_INTERRUPTED : run->status;
}

nn_status nn_run_step(nn_run *run, const nn_steps *steps, int64_t *batches) {
    const nn_plan *plan = &run->plans[NN_PARALLEL];
    const bool train = plan->traits.train, tunes = train && plan->traits.workers > 1;
    run->steps = *steps;
    run->stop = steps->start;
    run->before = run->net->step;
    run->interrupted = run->halted = false;
    run->status = NN_OK;
    run->batches = run->unpolled = 0;
    *batches = 0;
    if (train && (steps->stop - steps->start - 1) / plan->traits.batch_size >= INT64_MAX - run->net->step)
        return NN_TOO_MANY_STEPS;
    if (train && !renew_transposes(run)) return NN_INTERRUPTED;
    const bool idles = plan->idle_steps < PTRDIFF_MAX && rule_idles(run->net, steps->hyper);
    run->schedule = plan->traits.workers > 1 ? NN_PARALLEL : NN_SERIAL;
    while (run->stop < steps->stop && status_of(run) == NN_OK) {
        const ptrdiff_t start = run->stop;
        ptrdiff_t rows = steps->stop - start;
        if (tunes) {
            run->schedule = nn_tuner_choose(&run->tuner, run->net->schedule_choice);
            const ptrdiff_t stretch = nn_tuner_rows(&run->tuner);
            if (stretch < rows) rows = stretch;
        }
        const double begun = tunes ? nn_now() : 0.0;
        run_rows(run, start, start + rows, idles);
        if (tunes) nn_tuner_learn(&run->tuner, rows, nn_now() - begun);
    }
    *batches = run->batches;
    return status_of(run);
}
