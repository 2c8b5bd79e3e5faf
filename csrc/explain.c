/* A plan as text, for people: ops, passes and what is shared by what, fast paths taken and for each other one
 * why not, memory by region. See plan.h. */

#include "run.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct writer {
    char *text;
    size_t size, used; /* used may be more than size: what is wanted */
} writer;

static __attribute__((format(printf, 2, 3))) void say(writer *out, const char *format, ...) {
    va_list values;
    va_start(values, format);
    const size_t room = out->used < out->size ? out->size - out->used : 0;
    const int length = vsnprintf(room ? out->text + out->used : NULL, room, format, values);
    if (length > 0) out->used += (size_t)length;
    va_end(values);
}

static void say_op(writer *out, const nn_plan *plan, const nn_op_plan *op) {
    const nn_op *is = op->op;
    say(out, "  %d  %s %td", op->place, is->kind->name, is->inputs);
    if (is->outputs != is->inputs || is->kind->has_weights) say(out, " -> %td", is->outputs);
    if (is->kind->has_weights || !is->kind->train_only) say(out, ", %s", is->activation->name);
    if (op->activation != is->activation) say(out, " with the loss");
    if (op->input ? op->input->place != op->place - 1 : op->place > 0)
        say(out, ", reads %d", op->input ? op->input->place : NN_INPUT);
    if (plan->traits.train && is->kind->has_weights && !op->gradient) say(out, ", frozen");
    if (op->keeps_transpose) say(out, ", keeps a transpose");
    if (op->dx_from_w) say(out, ", dx from w");
    if (op->serial_rows) say(out, ", worker 0's up to %td rows", op->serial_rows);
    say(out, "\n");
}

static void say_stages(writer *out, const nn_plan *plan) {
    for (int s = 0; s < plan->stages_count; s++) {
        const nn_stage *stage = &plan->stages[s];
        say(out, "%s %s", s ? "," : ":", stage->name);
        if (stage->op && plan->count > 1) say(out, " %d", stage->op->place);
    }
    if (plan->chunk_rows < plan->block_rows) say(out, " (%td rows at a time)", plan->chunk_rows);
}

static void say_passes(writer *out, const nn_plan *plan) {
    say(out, "passes of a block of up to %td rows\n", plan->block_rows);
    for (int p = 0; p < plan->passes_count; p++) {
        const nn_pass *pass = &plan->passes[p];
        const bool several = plan->traits.workers > 1;
        say(out, "  %d  %s", p + 1, pass->name);
        if (several) say(out, ", %s%s", nn_share_names[pass->share], pass->meets ? "" : ", no barrier");
        if (pass->run == nn_pass_rows) say_stages(out, plan);
        say(out, "\n");
    }
}

static void say_memory(writer *out, const nn_layout *layout) {
    say(out, "memory, %.1f KiB\n", (double)layout->total * sizeof(float) / 1024.0);
    for (int region = 0; region < NN_REGIONS; region++) {
        if (layout->floats[region])
            say(out, "  %-26s %12.1f KiB\n", nn_region_names[region],
                (double)layout->floats[region] * sizeof(float) / 1024.0);
    }
}

size_t nn_plan_explain(const nn_plan *plan, char *text, size_t size) {
    const nn_traits *traits = &plan->traits;
    writer out = {text, size, 0};
    say(&out, "%s, %s inputs, %s, batches of %td of %td rows, ", traits->train ? "training" : "evaluation",
        traits->csr ? "sparse" : "dense", plan->net->kernels->name, traits->batch_size, traits->rows);
    say(&out, traits->workers == 1 ? "1 worker\n" : "up to %d workers\n", traits->workers);
    if (traits->train) say(&out, "rule %s, ", plan->net->rule->name);
    say(&out, "loss %s\nops\n", plan->net->loss->name);
    for (int i = 0; i < plan->count; i++) say_op(&out, plan, &plan->ops[i]);
    say_passes(&out, plan);
    say(&out, "fast paths\n");
    for (int id = 0; id < NN_PATHS; id++)
        say(&out, "  %c %-14s %s\n", plan->taken[id] ? '+' : '-', nn_paths[id].name,
            plan->taken[id] ? nn_paths[id].what : plan->refused[id]);
    say_memory(&out, &plan->layout);
    return out.used;
}
