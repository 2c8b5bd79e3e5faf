/* The memory of a run, region by region. See plan.h. */

#include "run.h"
#include "tune.h"

const char *const nn_region_names[NN_REGIONS] = {
    "gathered rows",
    "masks of non-zeros",
    "active inputs",
    "gradient strip",
    "slices of the first layer",
    "packed slices",
    "rows of each worker",
    "chains",
    "outputs and their gradients",
    "transposed weights",
    "scratch of dx",
    "stored gradient",
    "bias gradients",
    "scratch of dw",
    "row losses",
    "row weights",
    "targets",
    "labels",
    "linked outputs",
};

/* a * b floats, or more than memory can hold. */
static ptrdiff_t times(nn_layout *layout, ptrdiff_t a, ptrdiff_t b) {
    ptrdiff_t product;
    if (!__builtin_mul_overflow(a, b, &product) && product <= PTRDIFF_MAX / 64) return product;
    layout->fits = false;
    return 0;
}

static void want(nn_layout *layout, nn_region region, ptrdiff_t floats) {
    layout->floats[region] = nn_line(floats);
}

static void place_regions(nn_layout *layout) {
    layout->total = 0;
    for (int region = 0; region < NN_REGIONS; region++) {
        layout->at[region] = layout->floats[region] ? layout->total : NN_ABSENT;
        if (__builtin_add_overflow(layout->total, layout->floats[region], &layout->total))
            layout->fits = false;
    }
    if (layout->total > PTRDIFF_MAX / 64) layout->fits = false;
}

/* What a first op without zeros, or whose columns workers own, needs. */
static void want_slices(nn_plan *plan) {
    nn_layout *layout = &plan->layout;
    const nn_op_plan *first = &plan->ops[0];
    const ptrdiff_t rows = plan->block_rows, workers = plan->traits.workers, apart = NN_APART * workers,
                    I = first->op->inputs, O = first->op->outputs;
    if ((plan->skips_zeros && plan->traits.train) || plan->owns_columns)
        want(layout, NN_REGION_SLICES, times(layout, rows, nn_line(O)) + apart);
    if (plan->owns_columns) {
        want(layout, NN_REGION_OWN_X, times(layout, workers, nn_line(times(layout, rows, I)) + NN_APART));
        want(layout, NN_REGION_CHAINS, workers * (rows * NN_CHAINS + NN_APART));
    }
    if (!plan->skips_zeros) return;
    nn_sparse counted;
    want(layout, NN_REGION_NONZERO,
         times(layout, workers, nn_sparse_place(&counted, rows, I, !plan->traits.csr, NULL) + NN_APART));
    if (!plan->traits.train) return;
    want(layout, NN_REGION_ACTIVE, workers * (nn_line((I + 31) / 32) + NN_APART));
    want(layout, NN_REGION_STRIP, times(layout, counted.block, O) + apart);
    if (plan->taken[NN_PATH_PACKED_SLICES])
        want(layout, NN_REGION_PACKED, times(layout, 1 + NN_MAX_SLOTS, nn_line(times(layout, I, O)) + apart));
}

static bool uses_dw_scratch(const nn_plan *plan) {
    for (int i = 0; i < plan->count; i++) {
        const nn_op_plan *op = &plan->ops[i];
        if (op->gradient == nn_dense_gradient && nn_dw_wants_scratch(plan->block_rows, op->dense.O))
            return true;
    }
    return false;
}

/* What training needs beside the outputs. */
static void want_gradients(nn_plan *plan) {
    nn_layout *layout = &plan->layout;
    const ptrdiff_t rows = plan->block_rows, K = nn_net_outputs(plan->net);
    ptrdiff_t biases = 0, transposes = 0;
    for (int i = 0; i < plan->count; i++) {
        if (plan->ops[i].keeps_transpose) transposes += nn_line(plan->ops[i].dense.I * plan->ops[i].dense.O);
        biases += plan->ops[i].op->bias ? nn_line(plan->ops[i].op->outputs) : 0;
    }
    want(layout, NN_REGION_TRANSPOSED, transposes);
    if (plan->dx_row) want(layout, NN_REGION_DX, times(layout, rows, plan->dx_row));
    if (plan->stores_gradient || plan->single_output || plan->traits.batch_size > rows)
        want(layout, NN_REGION_GRADIENT, plan->net->size);
    want(layout, NN_REGION_DB, biases);
    if (uses_dw_scratch(plan))
        want(layout, NN_REGION_DW, plan->traits.workers * plan->net->kernels->dw_scratch);
    want(layout, NN_REGION_ROW_WEIGHT, rows);
    want(layout, NN_REGION_VALUES, times(layout, rows, K));
    want(layout, NN_REGION_LABELS, rows);
    if (!plan->skips_zeros) want(layout, NN_REGION_X, times(layout, rows, nn_net_inputs(plan->net)));
}

void nn_layout_make(nn_plan *plan) {
    nn_layout *layout = &plan->layout;
    const ptrdiff_t rows = plan->block_rows;
    ptrdiff_t outputs = 0;
    *layout = (nn_layout){.fits = true};
    for (int i = 0; i < plan->count; i++) outputs += nn_line(times(layout, rows, plan->ops[i].op->outputs));
    want(layout, NN_REGION_OUTPUTS,
         plan->traits.train ? 2 * outputs : outputs); /* a and dz of an op side by side */
    want(layout, NN_REGION_ROW_LOSS, rows);
    if (plan->net->from_logits)
        want(layout, NN_REGION_LINKED, times(layout, rows, nn_net_outputs(plan->net)));
    if (plan->traits.train) want_gradients(plan);
    want_slices(plan);
    place_regions(layout);
}

void nn_layout_unite(nn_layout *a, nn_layout *b) {
    for (int region = 0; region < NN_REGIONS; region++) {
        if (a->floats[region] < b->floats[region]) a->floats[region] = b->floats[region];
    }
    a->fits &= b->fits;
    place_regions(a);
    *b = *a;
}

/* Tells each op of a plan where its memory is. */
void nn_plan_place(nn_plan *plan, float *memory) {
    const nn_layout *layout = &plan->layout;
    float *a = memory + layout->at[NN_REGION_OUTPUTS], *db = memory + layout->at[NN_REGION_DB];
    float *transposed = memory + layout->at[NN_REGION_TRANSPOSED];
    for (int i = 0; i < plan->count; i++) {
        nn_op_plan *op = &plan->ops[i];
        const ptrdiff_t floats = nn_line(plan->block_rows * op->op->outputs);
        op->a = a;
        a += floats;
        if (!plan->traits.train) continue;
        op->dz = a;
        a += floats;
        op->db = db;
        op->transposed = transposed;
        db += op->op->bias ? nn_line(op->op->outputs) : 0;
        transposed += op->keeps_transpose ? nn_line(op->dense.I * op->dense.O) : 0;
    }
}
