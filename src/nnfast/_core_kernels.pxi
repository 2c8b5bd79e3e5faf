# Random streams, and single kernels for arrays of one's own.

# Random streams.

cdef double[::1] doubles(n):
    if n < 0:
        raise ValueError(f"n: expected at least 0, received {shown(n)}")
    return np.empty(max(whole(n, "n", 0, NN_MAX_SIZE), 1), dtype=np.float64)


def uniform(n, seed, stream):
    cdef double[::1] out = doubles(n)
    cdef Py_ssize_t size = n
    cdef uint64_t first = key(seed, "seed"), second = key(stream, "stream")
    with nogil:
        nn_random_uniform(&out[0], size, first, second)
    return np.asarray(out)[:n]


def normal(n, seed, stream):
    cdef double[::1] out = doubles(n)
    cdef Py_ssize_t size = n
    cdef uint64_t first = key(seed, "seed"), second = key(stream, "stream")
    with nogil:
        nn_random_normal(&out[0], size, first, second)
    return np.asarray(out)[:n]


def truncated_normal(n, seed, stream):
    cdef double[::1] out = doubles(n)
    cdef Py_ssize_t size = n
    cdef uint64_t first = key(seed, "seed"), second = key(stream, "stream")
    with nogil:
        nn_random_truncated_normal(&out[0], size, first, second)
    return np.asarray(out)[:n]


def shuffle(order, seed, epoch):
    cdef uint32_t *rows
    cdef Py_ssize_t n
    cdef uint64_t first = key(seed, "seed"), second = key(epoch, "epoch")
    if not fits(order, cnp.NPY_UINT32, 1, -1, -1, True):
        raise fail(order, "order", "uint32 C-contiguous array of shape (n,), writable")
    rows = <uint32_t *> cnp.PyArray_DATA(<cnp.ndarray> order)
    n = cnp.PyArray_DIM(<cnp.ndarray> order, 0)
    with nogil:
        nn_random_shuffle(rows, n, first, second)


def first_nonfinite(x):
    cdef const float *values = flat(x, "x")
    cdef Py_ssize_t n = cnp.PyArray_SIZE(<cnp.ndarray> x), at
    with nogil:
        at = -1 if kernels.all_finite(values, n) else nn_first_not_finite(values, n)
    return at


def is_ready(x, Py_ssize_t columns):
    cdef cbool finite
    if type(x) is not np.ndarray or not fits(x, cnp.NPY_FLOAT32, 2, -1, columns, False):
        return False
    cdef const float *values = <const float *> cnp.PyArray_DATA(<cnp.ndarray> x)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(<cnp.ndarray> x)
    with nogil:
        finite = n > 0 and kernels.all_finite(values, n)
    return finite


# Single kernels, for arrays of one's own. Outputs first; kernels.py allocates them.

cdef const nn_activation *activation_row(activation) except NULL:
    return &kernels.activations[row_id(activation_ids, activation, "activation")]


def dense_forward(out, x, w, b, activation, float parameter):
    cdef const float *px = matrix(x, "x", -1, -1)
    cdef Py_ssize_t R = cnp.PyArray_DIM(<cnp.ndarray> x, 0)
    cdef nn_dense layer
    layer.I = cnp.PyArray_DIM(<cnp.ndarray> x, 1)
    layer.w = matrix(w, "w", layer.I, -1)
    layer.O = cnp.PyArray_DIM(<cnp.ndarray> w, 1)
    layer.b = NULL if b is None else vector(b, "b", layer.O)
    cdef float *po = matrix(out, "out", R, layer.O, True)
    layer.activation = activation_row(activation)
    layer.parameter = parameter
    cdef uint32_t mode
    with nogil:
        mode = nn_float_mode_enter()
        kernels.dense_forward(po, px, &layer, R)
        nn_float_mode_leave(mode)


cdef nn_outer outer(dz, x) except *:
    """The operands of a weight gradient."""
    cdef nn_outer g
    g.dz = matrix(dz, "dz", -1, -1)
    g.R, g.O = cnp.PyArray_DIM(<cnp.ndarray> dz, 0), cnp.PyArray_DIM(<cnp.ndarray> dz, 1)
    g.x = matrix(x, "x", g.R, -1)
    g.I = cnp.PyArray_DIM(<cnp.ndarray> x, 1)
    return g


cdef void input_gradient(float *dx, float *wt, const float *w, const nn_outer *g) noexcept nogil:
    """dx (R,I), by way of the transpose wt (O,I) of w (I,O); dx NULL: none."""
    cdef nn_slope none
    if dx == NULL:
        return
    none.activation, none.parameter, none.a = NULL, 0.0, NULL
    kernels.transpose(wt, w, g.I, g.O, 0, g.I)
    kernels.dense_dx(dx, g.dz, wt, &none, g.R, g.I, g.O)


def dense_backward(dw, db, dx, dz, x, w, wt):
    """dx and its scratch wt (O,I) may be None."""
    cdef nn_outer g = outer(dz, x)
    cdef const float *pw = matrix(w, "w", g.I, g.O)
    cdef float *pdw = matrix(dw, "dw", g.I, g.O, True)
    cdef float *pdb = vector(db, "db", g.O, True)
    cdef float *pdx = NULL if dx is None else matrix(dx, "dx", g.R, g.I, True)
    cdef float *pwt = NULL if dx is None else matrix(wt, "wt", g.O, g.I, True)
    cdef uint32_t mode
    with nogil:
        mode = nn_float_mode_enter()
        kernels.dense_dw(pdw, NULL, &g, 0, g.I)
        kernels.dense_db(pdb, NULL, g.dz, g.R, g.O, g.O)
        input_gradient(pdx, pwt, pw, &g)
        nn_float_mode_leave(mode)


cdef const nn_rule *rule_step(rule, hyper, step, nn_step *constants) except NULL:
    """The row of a rule, and its constants for one step."""
    cdef const nn_rule *row = &kernels.rules[row_id(rule_ids, rule, "rule")]
    cdef double values[NN_MAX_HYPER]
    fill_hyper(values, row, hyper)
    if step < 1:
        raise ValueError(f"step: expected the number of this update, from 1, received {shown(step)}")
    row.prepare(constants, values, whole(step, "step", 1, INT64_MAX))
    return row


cdef nn_weights weights_of(object w, float *memory, slots, const nn_rule *row) except *:
    """The memory of w and of its slots under a rule."""
    cdef nn_weights found
    expected = names(<const char *const *> row.slots)
    if len(slots) != len(expected):
        raise ValueError(f"slots: expected {len(expected)} arrays ({', '.join(expected) or 'none'}), received {len(slots)}")
    found.w = memory
    for i in range(NN_MAX_SLOTS):
        found.slots[i] = like(slots[i], expected[i], w, True) if i < len(expected) else NULL
    return found


cdef nn_area row_of(Py_ssize_t n) noexcept nogil:
    """n weights in one row."""
    cdef nn_area area
    area.rows, area.n, area.ldw, area.ldg = 1, n, n, n
    return area


def dense_backward_update(w, b, dx, dz, x, wt, rule, hyper, slots_w, slots_b, step):
    """b, and dx with its scratch wt (O,I), may be None."""
    cdef nn_outer g = outer(dz, x)
    cdef float *pw = matrix(w, "w", g.I, g.O, True)
    cdef float *pb = NULL if b is None else vector(b, "b", g.O, True)
    cdef float *pdx = NULL if dx is None else matrix(dx, "dx", g.R, g.I, True)
    cdef float *pwt = NULL if dx is None else matrix(wt, "wt", g.O, g.I, True)
    cdef float *pdb = NULL
    cdef float[::1] scratch = np.empty(kernels.dw_scratch + 1 if nn_dw_wants_scratch(g.R, g.O) else 1, dtype=np.float32)
    cdef nn_weights kernel, bias
    cdef nn_step constants
    cdef nn_update update
    update.rule, update.step = rule_step(rule, hyper, step, &constants), &constants
    kernel = weights_of(w, pw, slots_w, update.rule)
    if b is not None:
        bias = weights_of(b, pb, slots_b, update.rule)
        db = np.empty(g.O, dtype=np.float32)
        pdb = vector(db, "db", g.O, True)
    cdef uint32_t mode
    with nogil:
        mode = nn_float_mode_enter()
        input_gradient(pdx, pwt, pw, &g)
        kernels.dense_dw_update(&kernel, NULL, &g, 0, g.I, &update, &scratch[0])
        if pb != NULL:
            kernels.dense_db(pdb, NULL, g.dz, g.R, g.O, g.O)
            update.rule.update(&bias, pdb, row_of(g.O), &constants, False)
        nn_float_mode_leave(mode)


def activation_forward(a, activation, float parameter):
    """In place: a holds z."""
    cdef float *pa = matrix(a, "z", -1, -1, True)
    cdef Py_ssize_t R = cnp.PyArray_DIM(<cnp.ndarray> a, 0), n = cnp.PyArray_DIM(<cnp.ndarray> a, 1)
    cdef const nn_activation *row = activation_row(activation)
    cdef uint32_t mode
    with nogil:
        mode = nn_float_mode_enter()
        row.forward(pa, R, n, parameter)
        nn_float_mode_leave(mode)


def activation_backward(dz, da, a, activation, float parameter):
    cdef const float *pa = matrix(a, "a", -1, -1)
    cdef Py_ssize_t R = cnp.PyArray_DIM(<cnp.ndarray> a, 0), n = cnp.PyArray_DIM(<cnp.ndarray> a, 1)
    cdef const float *pda = matrix(da, "da", R, n)
    cdef float *pdz = matrix(dz, "dz", R, n, True)
    cdef const nn_activation *row = activation_row(activation)
    cdef uint32_t mode
    with nogil:
        mode = nn_float_mode_enter()
        row.backward(pdz, pda, pa, R, n, parameter)
        nn_float_mode_leave(mode)


def loss_rows(row_loss, gradient, scratch, outputs, y, loss, sample_weight, bint from_logits):
    """Row losses, and the gradient of their mean; scratch has the shape of outputs and is used with from_logits."""
    cdef const float *po = matrix(outputs, "outputs", -1, -1)
    cdef Py_ssize_t R = cnp.PyArray_DIM(<cnp.ndarray> outputs, 0), K = cnp.PyArray_DIM(<cnp.ndarray> outputs, 1)
    cdef const nn_loss *row = &kernels.losses[row_id(loss_ids, loss, "loss")]
    if R < 1 or K < 1:
        raise ValueError(f"outputs: expected at least one row and one column, received shape ({R}, {K})")
    cdef nn_targets t
    t.labels, t.values = NULL, NULL
    if row.sparse:
        y = labels(y, "targets", R, K)
        t.labels = <const int32_t *> cnp.PyArray_DATA(<cnp.ndarray> y)
    else:
        t.values = matrix(y, "targets", R, K)
    cdef const float *weight = NULL if sample_weight is None else vector(sample_weight, "sample_weight", R)
    cdef float *losses = vector(row_loss, "row_loss", R, True)
    cdef float *g = matrix(gradient, "gradient", R, K, True)
    cdef float *p = NULL
    cdef uint32_t mode
    if from_logits:
        if row.link == NULL:
            raise ValueError(f"from_logits: expected False for {loss}, which has no link, received True")
        p = matrix(scratch, "scratch", R, K, True)
        scratch[...] = outputs
    with nogil:
        mode = nn_float_mode_enter()
        if from_logits:
            row.from_logits(losses, g, p, t, weight, R, K, <float> 1.0 / R)
        else:
            row.from_outputs(losses, g, po, t, weight, R, K, <float> 1.0 / R)
        nn_float_mode_leave(mode)


def update(w, g, slots, rule, hyper, step):
    cdef float *pw = flat(w, "w", True)
    cdef const float *pg = like(g, "g", w)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(<cnp.ndarray> w)
    cdef nn_step constants
    cdef const nn_rule *row = rule_step(rule, hyper, step, &constants)
    cdef nn_weights weights = weights_of(w, pw, slots, row)
    cdef uint32_t mode
    with nogil:
        mode = nn_float_mode_enter()
        row.update(&weights, <float *> pg, row_of(n), &constants, False)  # not cleared: not written
        nn_float_mode_leave(mode)


def math(str function, x):
    """An elementary function of vmath.h on a float32 array; for the tests."""
    cdef const float *px = flat(x, "x")
    out = np.empty_like(x)
    cdef float *po = flat(out, "out", True)
    cdef Py_ssize_t n = cnp.PyArray_SIZE(<cnp.ndarray> x)
    cdef bytes name = function.encode()
    cdef const char *pname = name
    cdef bint known
    cdef uint32_t mode
    with nogil:
        mode = nn_float_mode_enter()
        known = kernels.math(po, px, n, pname)
        nn_float_mode_leave(mode)
    if not known:
        raise ValueError(f"function: expected exp, log, log1p, tanh or sigmoid, received {function!r}")
    return out
