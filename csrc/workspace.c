/* See workspace.h; and how a net gets its parameters and slots. */

#define _GNU_SOURCE /* madvise */

#include "workspace.h"

#include "pool.h"

#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#define LARGE_PAGE ((size_t)2 << 20)

/* Zeros of the first layer are skipped where the groups that are not all zero make less than this part of the inputs (docs/roofline.md). */
#define SKIP_DENSITY 0.7
#define SKIP_SAMPLE 64
#define SKIP_MIN_INPUTS 32
#define SKIP_MIN_ROWS 16 /* of a forward pass; to look for the zeros of fewer takes as long */

void *nn_alloc(size_t bytes) {
    const size_t alignment = bytes >= LARGE_PAGE ? LARGE_PAGE : NN_CACHE_LINE;
    if (bytes > SIZE_MAX - 2 * LARGE_PAGE) return NULL;
    const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    /* What calloc takes fresh from the system is zero already; to clear gigabytes here would take seconds in which nobody asks for Ctrl-C. */
    char *whole = calloc(1, rounded + alignment);
    if (!whole) return NULL;
    char *memory = whole + alignment - (uintptr_t)whole % alignment; /* at least a pointer behind `whole`, as calloc aligns to 16 bytes */
    memcpy(memory - sizeof whole, &whole, sizeof whole);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (alignment == LARGE_PAGE) madvise(memory, rounded, MADV_HUGEPAGE); /* advice: a refusal is no error */
#endif
    return memory;
}

void nn_free(void *memory) {
    char *whole;
    if (!memory) return;
    memcpy(&whole, (char *)memory - sizeof whole, sizeof whole);
    free(whole);
}

void nn_workspace_free(nn_workspace *ws) {
    if (!ws) return;
    nn_free(ws->memory);
    free(ws->sparse);
    free(ws->a);
    free(ws->dz);
    free(ws);
}

/* Gives the next rows x columns floats of the arena and moves on; before the arena exists (base NULL) only counts. */
static float *take(float *base, ptrdiff_t *used, ptrdiff_t rows, ptrdiff_t columns, bool *fits) {
    ptrdiff_t floats;
    float *piece = base ? base + *used : NULL;
    if (!multiply(rows, columns, &floats) || __builtin_add_overflow(*used, line(floats), used)) *fits = false;
    return piece;
}

void nn_take_sparse(nn_sparse *s, ptrdiff_t rows, ptrdiff_t inputs, bool marks, float *base, ptrdiff_t *used, bool *fits) {
    const ptrdiff_t widest = ((inputs + NN_SPARSE_MAX_BLOCKS - 1) / NN_SPARSE_MAX_BLOCKS + 63) / 64 * 64;
    *s = (nn_sparse){.inputs = inputs, .words = (inputs + 15) / 16, .block = widest > NN_SPARSE_BLOCK ? widest : NN_SPARSE_BLOCK};
    s->touched = (uint16_t *)take(base, used, 1, (s->words + 1) / 2, fits);
    if (!marks) return;
    s->height = (rows + 63) / 64 * 64;
    s->marks = (uint16_t *)take(base, used, s->words, s->height / 2, fits);
    s->groups = (nn_group *)take(base, used, inputs / 2 + 1, sizeof(nn_group) / sizeof(float), fits);
    s->few = (int32_t *)take(base, used, NN_FEW_ROWS / 2, inputs + NN_FEW_MARGIN, fits);
}

static bool wants_dw_scratch(const nn_net *net, nn_needs needs) {
    for (ptrdiff_t l = needs.skips ? 1 : 0; l < net->depth; l++) {
        if (net->layers[l].dense && nn_dw_wants_scratch(needs.rows, net->layers[l].outputs)) return true;
    }
    return false;
}

/* Two passes over the same list: the first adds up, the second hands out. */
static nn_workspace *workspace_new(const nn_net *net, nn_needs needs) {
    nn_workspace *ws = calloc(1, sizeof *ws);
    if (!ws) return NULL;
    ws->has = needs;
    ws->sparse = calloc((size_t)needs.workers + 1, sizeof *ws->sparse);
    ws->a = calloc((size_t)net->depth, sizeof *ws->a);
    ws->dz = calloc((size_t)net->depth, sizeof *ws->dz);
    if (!ws->a || !ws->dz || !ws->sparse) goto no_memory;
    const ptrdiff_t rows = needs.rows, inputs = net->layers[0].inputs, outputs = net->layers[net->depth - 1].outputs;
    for (int pass = 0; pass < 2; pass++) {
        float *base = ws->memory;
        ptrdiff_t used = 0;
        bool fits = true;
        if (needs.skips) {
            const ptrdiff_t apart = NN_APART * needs.workers;
            for (int i = 0; i < needs.workers; i++) {
                nn_take_sparse(&ws->sparse[i], rows, inputs, needs.marks, base, &used, &fits);
                take(base, &used, 1, NN_APART, &fits);
            }
            ws->moving_words = line((inputs + 31) / 32) / 2 + NN_APART / 2;
            ws->moving = (uint64_t *)take(base, &used, needs.workers, 2 * ws->moving_words, &fits);
            ws->strip = take(base, &used, ws->sparse[0].block, net->layers[0].outputs, &fits);
            take(base, &used, 1, apart, &fits);
            ws->panel = take(base, &used, rows, line(net->layers[0].outputs), &fits);
            take(base, &used, 1, apart, &fits);
            ptrdiff_t weights = 0;
            if (needs.pack && !multiply(net->layers[0].inputs, net->layers[0].outputs, &weights)) fits = false;
            ws->packed_size = line(weights) + apart;
            ws->packed = take(base, &used, needs.pack ? 1 + NN_MAX_SLOTS : 0, ws->packed_size, &fits);
        } else {
            ws->x = take(base, &used, rows, inputs, &fits);
        }
        if (needs.columns) {
            ws->panel = take(base, &used, rows, line(net->layers[0].outputs), &fits);
            take(base, &used, needs.workers, NN_APART, &fits);
            ws->own_x = take(base, &used, needs.workers, nn_own_x(rows, inputs), &fits);
            ws->sums = take(base, &used, needs.workers, nn_own_sums(rows), &fits);
        }
        for (ptrdiff_t l = 0; l < net->depth; l++) {
            ws->a[l] = take(base, &used, rows, net->layers[l].outputs, &fits);
            ws->dz[l] = take(base, &used, rows, net->layers[l].outputs, &fits);
        }
        ws->wt = take(base, &used, net->size, 1, &fits);
        ws->gradient = needs.several_blocks ? take(base, &used, net->size, 1, &fits) : NULL;
        ws->dw_scratch = wants_dw_scratch(net, needs) ? take(base, &used, needs.workers, net->kernels->dw_scratch, &fits) : NULL;
        ws->row_loss = take(base, &used, rows, 1, &fits);
        ws->weight = take(base, &used, rows, 1, &fits);
        ws->values = take(base, &used, rows, outputs, &fits);
        ws->probability = take(base, &used, rows, outputs, &fits);
        ws->labels = (int32_t *)take(base, &used, rows, 1, &fits);
        if (!fits || used > PTRDIFF_MAX / 64) goto no_memory;
        if (pass == 0) ws->memory = nn_alloc((size_t)used * sizeof(float));
        if (!ws->memory) goto no_memory;
    }
    return ws;
no_memory:
    nn_workspace_free(ws);
    return NULL;
}

bool nn_reserve(nn_net *net, nn_needs needs) {
    nn_workspace *ws = net->workspace;
    if (ws && ws->has.skips == needs.skips) {
        const nn_needs has = ws->has;
        if (has.rows >= needs.rows && has.several_blocks >= needs.several_blocks && has.marks >= needs.marks && has.workers >= needs.workers &&
            has.pack >= needs.pack && has.columns >= needs.columns)
            return true;
        if (has.rows > needs.rows) needs.rows = has.rows;
        if (has.workers > needs.workers) needs.workers = has.workers;
        needs.several_blocks |= has.several_blocks;
        needs.marks |= has.marks;
        needs.pack |= has.pack;
        needs.columns |= has.columns;
    }
    nn_workspace *larger = workspace_new(net, needs);
    if (!larger) return false;
    nn_workspace_free(ws);
    net->workspace = larger;
    return true;
}

/* Whether most of what the first layer multiplies with is zero. Looks at some rows, spread evenly; the answer changes the speed and nothing else. */
bool nn_worth_skipping(const nn_net *net, const nn_data *data) {
    const nn_layer *first = &net->layers[0];
    if (!data->x) return true;
    if (!first->dense) return false;
    if (net->skip_choice >= 0) return net->skip_choice == 1;
    if (first->inputs < SKIP_MIN_INPUTS || first->outputs < 2) return false;
    const ptrdiff_t rows = data->n < SKIP_SAMPLE ? data->n : SKIP_SAMPLE;
    ptrdiff_t grouped = 0;
    for (ptrdiff_t r = 0; r < rows; r++) grouped += net->kernels->count_grouped(data->x + data->n / rows * r * first->inputs, first->inputs);
    return (double)grouped < SKIP_DENSITY * (double)rows * (double)first->inputs;
}

bool nn_forward_skips(const nn_net *net, const nn_data *data) {
    const nn_layer *first = &net->layers[0];
    return !data->x || (data->n >= SKIP_MIN_ROWS && nn_worth_skipping(net, data) &&
                        net->kernels->all_finite(net->params + first->w, first->inputs * first->outputs));
}

nn_net *nn_net_new(const nn_kernels *kernels, const nn_layer *layers, ptrdiff_t depth, ptrdiff_t inputs) {
    nn_net *net = calloc(1, sizeof *net);
    if (!net) return NULL;
    net->kernels = kernels;
    net->skip_choice = -1;
    net->way_choice = -1;
    net->depth = depth;
    net->layers = calloc((size_t)depth, sizeof *net->layers);
    if (!net->layers) goto no_memory;
    for (ptrdiff_t l = 0; l < depth; l++) {
        nn_layer *layer = &net->layers[l];
        *layer = layers[l];
        layer->inputs = inputs;
        inputs = layer->outputs;
        if (layer->inputs > NN_MAX_SIZE || layer->outputs > NN_MAX_SIZE) goto no_memory;
        if (!layer->dense) continue;
        ptrdiff_t weights;
        if (!multiply(layer->inputs, layer->outputs, &weights)) goto no_memory;
        /* Biases first: those of the first layer are written by all workers, the next layer's weights by one of them, and processors fetch lines
         * ahead. */
        layer->b = net->size;
        layer->w = layer->b + (layer->bias ? line(layer->outputs) : 0);
        net->size = layer->w + line(weights);
        if (net->size > PTRDIFF_MAX / 64) goto no_memory;
    }
    net->params = nn_alloc((size_t)net->size * sizeof(float));
    if (!net->params) goto no_memory;
    return net;
no_memory:
    nn_net_free(net);
    return NULL;
}

void nn_net_free(nn_net *net) {
    if (!net) return;
    nn_workspace_free(net->workspace);
    nn_free(net->params);
    free(net->metrics);
    free(net->layers);
    free(net);
}

nn_status nn_net_compile(nn_net *net, const nn_loss *loss, bool from_logits, const nn_rule *rule, const nn_metric *const *metrics,
                         ptrdiff_t metrics_count, float *const *slots) {
    const nn_metric **copy = calloc((size_t)metrics_count + 1, sizeof *copy);
    if (!copy) return NN_NO_MEMORY;
    for (int s = 0; s < NN_MAX_SLOTS; s++) net->slots[s] = rule->slots[s] ? slots[s] : NULL;
    free(net->metrics);
    if (metrics_count) memcpy(copy, metrics, (size_t)metrics_count * sizeof *copy);
    net->metrics = copy;
    net->metrics_count = metrics_count;
    net->loss = loss;
    net->rule = rule;
    net->step = 0;
    const nn_layer *last = &net->layers[net->depth - 1];
    net->from_logits = from_logits && loss->link;
    net->linked = loss->link && !from_logits && !strcmp(loss->link, last->activation->name) && last->parameter == last->activation->parameter;
    return NN_OK;
}
