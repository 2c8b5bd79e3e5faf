/* See plan.h. A plan begins as the most general way and each fast path that applies makes it shorter. */

#include "plan.h"

#include "run.h"
#include "tune.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

const char *const nn_share_names[NN_SHARES] = {"by rows", "by columns", "by weights", "in turn"};

/* The lists of a plan */

static int find_stage(const nn_plan *plan,
                      void (*run)(nn_worker *, const nn_op_plan *, ptrdiff_t, ptrdiff_t)) {
    int s = 0;
    while (s < plan->stages_count && plan->stages[s].run != run) s++;
    return s;
}

void nn_plan_replace_stage(nn_plan *plan, void (*run)(nn_worker *, const nn_op_plan *, ptrdiff_t, ptrdiff_t),
                           nn_stage stage) {
    const int s = find_stage(plan, run);
    if (s == plan->stages_count) return;
    if (stage.run) {
        plan->stages[s] = stage;
    } else {
        memmove(plan->stages + s, plan->stages + s + 1, (size_t)(--plan->stages_count - s) * sizeof stage);
    }
}

static void insert_stage(nn_plan *plan, int place, nn_stage stage) {
    memmove(plan->stages + place + 1, plan->stages + place,
            (size_t)(plan->stages_count++ - place) * sizeof stage);
    plan->stages[place] = stage;
}

void nn_plan_insert_stage(nn_plan *plan,
                          void (*before)(nn_worker *, const nn_op_plan *, ptrdiff_t, ptrdiff_t),
                          nn_stage stage) {
    insert_stage(plan, find_stage(plan, before), stage);
}

void nn_plan_insert_pass(nn_plan *plan, int place, nn_pass pass) {
    memmove(plan->passes + place + 1, plan->passes + place,
            (size_t)(plan->passes_count++ - place) * sizeof pass);
    plan->passes[place] = pass;
}

static void add_stage(nn_plan *plan, nn_stage stage) { plan->stages[plan->stages_count++] = stage; }

/* Ops */

/* Ops that do something, with what is decided for each by itself. */
static void choose_ops(nn_plan *plan, const nn_op_plan **at) {
    const nn_net *net = plan->net;
    for (int i = 0; i < net->count; i++) {
        const nn_op *op = &net->ops[i];
        const nn_op_plan *input = op->input == NN_INPUT ? NULL : at[op->input];
        at[i] = input;
        if (op->kind->train_only && !plan->traits.train) continue;
        nn_op_plan *chosen = &plan->ops[plan->count];
        *chosen =
            (nn_op_plan){.op = op, .input = input, .activation = op->activation, .place = plan->count++};
        if (net->linked && i == net->count - 1) chosen->activation = &net->kernels->activations[0];
        at[i] = chosen;
        if (!op->kind->has_weights) continue;
        chosen->weights = nn_weights_at(net->weights, op->w);
        chosen->dense = (nn_dense){.w = chosen->weights.w,
                                   .b = op->bias ? net->weights.w + op->b : NULL,
                                   .I = op->inputs,
                                   .O = op->outputs,
                                   .activation = chosen->activation,
                                   .parameter = op->parameter};
        if (!plan->traits.train || !op->trainable) continue;
        chosen->gradient = op->kind->gradient;
        chosen->update = op->kind->update;
    }
}

/* Whether the gradient with respect to what an op reads is wanted: if anything is trained below. */
static bool propagates(const nn_op_plan *op) {
    for (op = op->input; op; op = op->input) {
        if (op->gradient) return true;
    }
    return false;
}

/* The stages and passes of the most general way. */
static void list_passes(nn_plan *plan) {
    const bool train = plan->traits.train;
    const nn_op_plan *last = &plan->ops[plan->count - 1];
    if (train) add_stage(plan, (nn_stage){"gather", NULL, nn_stage_gather});
    if (train) add_stage(plan, (nn_stage){"targets", NULL, nn_stage_targets});
    for (int i = 0; i < plan->count; i++)
        add_stage(plan, (nn_stage){"forward", &plan->ops[i], plan->ops[i].op->kind->forward});
    add_stage(plan, (nn_stage){"loss", last, nn_stage_loss});
    if (plan->traits.keeps_outputs) add_stage(plan, (nn_stage){"outputs", last, nn_stage_outputs});
    for (int i = plan->count - 1; i >= 0 && train; i--) {
        nn_op_plan *op = &plan->ops[i];
        if (!propagates(op)) continue;
        op->keeps_transpose = op->op->kind->has_weights;
        add_stage(plan, (nn_stage){"backward", op, op->op->kind->backward});
    }
    plan->passes[plan->passes_count++] = (nn_pass){"rows", NN_SHARE_ROWS, true, nn_pass_rows};
    plan->passes[plan->passes_count++] = (nn_pass){"totals", NN_SHARE_ROWS, !train, nn_pass_totals};
    if (!train) return;
    plan->stores_gradient = true;
    plan->passes[plan->passes_count++] = (nn_pass){"gradient", NN_SHARE_WEIGHTS, true, nn_pass_gradient};
    plan->passes[plan->passes_count++] = (nn_pass){"update", NN_SHARE_WEIGHTS, true, nn_pass_update};
}

/* Small fast paths; the larger ones have files of their own. */

static const char *fused_update_refuses(const nn_plan *plan, const nn_net *net) {
    (void)net;
    return plan->traits.train ? NULL : "nothing is trained";
}
static void fused_update_rewrite(nn_plan *plan, const nn_net *net) {
    (void)net;
    plan->stores_gradient = false;
    plan->passes_count--;
    plan->passes[plan->passes_count - 1].name = "gradient and update";
}

static const char *packed_slices_refuses(const nn_plan *plan, const nn_net *net) {
    (void)net;
    if (!plan->traits.train || !plan->skips_zeros || !plan->ops[0].gradient)
        return "no zeros are skipped in training";
    if (plan->traits.workers < 2) return "one worker";
    return plan->traits.rows / plan->traits.batch_size < NN_PACK_STEPS ? "too few steps in an epoch" : NULL;
}
static void packed_slices_rewrite(nn_plan *plan, const nn_net *net) {
    (void)net;
    plan->pack_steps = NN_PACK_STEPS;
}

static const char *idle_inputs_refuses(const nn_plan *plan, const nn_net *net) {
    if (!plan->traits.train || !plan->skips_zeros || !plan->ops[0].gradient)
        return "no zeros are skipped in training";
    if (!net->rule->slots[0]) return "the rule has no slots";
    return plan->traits.rows / plan->traits.batch_size < NN_IDLE_STEPS ? "too few steps in an epoch" : NULL;
}
static void idle_inputs_rewrite(nn_plan *plan, const nn_net *net) {
    (void)net;
    plan->idle_steps = NN_IDLE_STEPS;
}

static bool is_small(const nn_op_plan *op) {
    return op->place > 0 && op->dense.I * op->dense.O <= NN_SERIAL_WEIGHTS;
}

static const char *serial_layers_refuses(const nn_plan *plan, const nn_net *net) {
    (void)net;
    if (plan->single_output) return "the single output has passes of its own";
    for (int i = 0; i < plan->count; i++) {
        if (plan->ops[i].gradient && is_small(&plan->ops[i])) return NULL;
    }
    return "no small layer is trained above the first";
}
static void serial_layers_rewrite(nn_plan *plan, const nn_net *net) {
    (void)net;
    for (int i = 0; i < plan->count; i++) {
        if (plan->ops[i].gradient && is_small(&plan->ops[i])) plan->ops[i].serial_rows = NN_SERIAL_ROWS;
    }
}

/* To transpose dz and dx costs less than to transpose w in each step. In double: products of sizes that no
 * net has must not wrap. */
static bool wants_dx_from_w(const nn_plan *plan, const nn_op_plan *op) {
    const double weights = (double)op->dense.I * (double)op->dense.O;
    return op->keeps_transpose && weights > NN_DX_FROM_W_WEIGHTS &&
           (double)plan->traits.batch_size * (double)(op->dense.I + op->dense.O) < weights;
}

static const char *dx_from_w_refuses(const nn_plan *plan, const nn_net *net) {
    (void)net;
    for (int i = 0; i < plan->count; i++) {
        if (wants_dx_from_w(plan, &plan->ops[i])) return NULL;
    }
    return "no large layer above the first with few rows in a batch";
}
static void dx_from_w_rewrite(nn_plan *plan, const nn_net *net) {
    (void)net;
    for (int i = 0; i < plan->count; i++) {
        nn_op_plan *op = &plan->ops[i];
        if (!wants_dx_from_w(plan, op)) continue;
        op->dx_from_w = true;
        op->keeps_transpose = false;
        if (plan->dx_row < op->dense.I + op->dense.O) plan->dx_row = op->dense.I + op->dense.O;
    }
}

static const char *twin_update_refuses(const nn_plan *plan, const nn_net *net) {
    if (!plan->traits.train) return "nothing is trained";
    if (net->rule->slots[0]) return "the rule has slots";
    for (int i = 0; i < plan->count; i++) {
        if (plan->ops[i].keeps_transpose && plan->ops[i].serial_rows) return NULL;
    }
    return "no small layer keeps a transpose";
}
static void twin_update_rewrite(nn_plan *plan, const nn_net *net) {
    (void)net;
    for (int i = 0; i < plan->count; i++)
        plan->ops[i].twin_update = plan->ops[i].serial_rows > 0 && plan->ops[i].gradient;
}

static const char *few_rows_refuses(const nn_plan *plan, const nn_net *net) {
    if (!plan->stages_count) return "workers own columns, of all rows";
    return net->size > NN_SMALL_NET ? "the weights leave no room in the first-level cache" : NULL;
}
/* a and dz of so many rows stay in the first-level cache. */
static void few_rows_rewrite(nn_plan *plan, const nn_net *net) {
    ptrdiff_t floats = 0;
    for (int i = 0; i < net->count; i++) floats += 2 * net->ops[i].outputs;
    const ptrdiff_t rows = NN_SMALL_NET / floats / NN_ROWS_UNIT * NN_ROWS_UNIT;
    plan->chunk_rows = rows < NN_ROWS_UNIT ? NN_ROWS_UNIT : rows;
}

const nn_path nn_paths[NN_PATHS] = {
    {"fused_update", "gradients go through the rule in registers", fused_update_refuses,
     fused_update_rewrite},
    {"skip_zeros", "the first layer skips zeros of the inputs", nn_skip_zeros_refuses, nn_skip_zeros_rewrite},
    {"packed_slices", "each worker's columns lie packed", packed_slices_refuses, packed_slices_rewrite},
    {"idle_inputs", "inputs that were always zero are not updated", idle_inputs_refuses, idle_inputs_rewrite},
    {"single_output", "the hidden gradient is formed where it is used", nn_single_output_refuses,
     nn_single_output_rewrite},
    {"serial_layers", "in blocks of few rows worker 0 has the small layers", serial_layers_refuses,
     serial_layers_rewrite},
    {"dx_from_w", "input gradients from w itself, not from a transpose", dx_from_w_refuses,
     dx_from_w_rewrite},
    {"twin_update", "the transpose gets the same update as w", twin_update_refuses, twin_update_rewrite},
    {"few_rows", "few rows go through all layers together", few_rows_refuses, few_rows_rewrite},
};

static atomic_uint paths_off;

bool nn_set_paths(const char *list) {
    unsigned off = 0;
    while (*list) {
        const size_t length = strcspn(list, ",");
        int id = 0;
        while (id < NN_PATHS && !(length > 1 && *list == '-' && strlen(nn_paths[id].name) == length - 1 &&
                                  !strncmp(nn_paths[id].name, list + 1, length - 1)))
            id++;
        if (id == NN_PATHS) return false;
        off |= 1u << id;
        list += length + (list[length] == ',');
    }
    atomic_store(&paths_off, off);
    return true;
}

static void try_paths(nn_plan *plan) {
    const unsigned off = atomic_load(&paths_off);
    for (int id = 0; id < NN_PATHS; id++) {
        const bool needed =
            id == NN_PATH_SKIP_ZEROS && plan->traits.csr; /* there is no other way for rows without zeros */
        plan->refused[id] = off >> id & 1 && !needed ? "turned off" : nn_paths[id].refuses(plan, plan->net);
        plan->taken[id] = !plan->refused[id];
        if (plan->taken[id]) nn_paths[id].rewrite(plan, plan->net);
    }
}

/* Rows of a block: as many as the caches like, fewer where a block would take longer than Ctrl-C may wait. */
static ptrdiff_t rows_of_block(const nn_plan *plan) {
    const ptrdiff_t most = plan->skips_zeros ? NN_SPARSE_BLOCK_ROWS : NN_BLOCK_ROWS,
                    batch_size = plan->traits.batch_size;
    const ptrdiff_t soon = nn_rows_at_once(plan->net, 3), rows = soon < most ? soon : most;
    return batch_size < rows ? batch_size : rows;
}

/* In a wide net a block takes long: worker 0 asks behind each of its large ops, too. Nothing has been written
 * then that counts. */
static void insert_polls(nn_plan *plan) {
    for (int s = 0; s < plan->stages_count; s++) {
        const nn_op_plan *op = plan->stages[s].op;
        if (!op || (plan->stages[s].run != nn_dense_forward && plan->stages[s].run != nn_dense_backward))
            continue;
        if ((double)plan->block_rows * (double)op->dense.I * (double)op->dense.O < NN_WIDE_WORK) continue;
        insert_stage(plan, ++s, (nn_stage){"poll", NULL, nn_stage_poll});
    }
}

bool nn_plan_make(nn_plan *plan, const nn_net *net, const nn_traits *traits) {
    const nn_op_plan **at = calloc((size_t)net->count, sizeof *at);
    *plan = (nn_plan){.traits = *traits,
                      .net = net,
                      .chunk_rows = PTRDIFF_MAX,
                      .pack_steps = PTRDIFF_MAX,
                      .idle_steps = PTRDIFF_MAX};
    plan->ops = calloc((size_t)net->count, sizeof *plan->ops);
    plan->stages = calloc(4 * (size_t)net->count + 6, sizeof *plan->stages);
    const bool complete = at && plan->ops && plan->stages;
    if (complete) {
        choose_ops(plan, at);
        list_passes(plan);
        try_paths(plan);
        plan->block_rows = rows_of_block(plan);
        insert_polls(plan);
        nn_layout_make(plan);
    }
    free(at);
    return complete;
}

void nn_plan_free(nn_plan *plan) {
    free(plan->ops);
    free(plan->stages);
    *plan = (nn_plan){.ops = NULL};
}
