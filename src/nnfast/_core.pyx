# cython: language_level=3, boundscheck=True, wraparound=False, embedsignature=True
"""The seam between Python and the engine in csrc/.

Each function checks its arguments, releases the GIL, makes one C call and turns its status into an exception. No mathematics, no defaults and no memory
management live here; `_core.pyi` gives the types, `kernels.py` and `models.py` the documentation for users.
"""

import os
import weakref
from operator import index as index_of

import numpy as np

from nnfast.errors import NonFiniteError

from cpython.exc cimport PyErr_CheckSignals
from cpython.pythread cimport PyThread_get_thread_ident
from libc.math cimport isfinite
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.unistd cimport usleep
from libcpp cimport bool as cbool  # C11's bool, of the same size

cimport cython
cimport numpy as cnp

cnp.import_array()


cdef extern from *:
    """
    #undef I  /* <complex.h>, which NumPy includes, takes the letter for itself; here it counts inputs */
    """

cdef extern from "kernels.h" nogil:
    enum: NN_MAX_SLOTS, NN_MAX_HYPER, NN_MAX_METRICS
    ctypedef struct nn_activation:
        const char *name
        bint has_parameter
        float parameter
        void (*forward)(float *, ptrdiff_t, ptrdiff_t, float) noexcept nogil
        void (*backward)(float *, const float *, const float *, ptrdiff_t, ptrdiff_t, float) noexcept nogil
    ctypedef struct nn_targets:
        const int32_t *labels
        const float *values
    ctypedef struct nn_loss:
        const char *name
        const char *link
        bint sparse
        void (*from_logits)(float *, float *, float *, nn_targets, const float *, ptrdiff_t, ptrdiff_t, float) noexcept nogil
        void (*from_outputs)(float *, float *, const float *, nn_targets, const float *, ptrdiff_t, ptrdiff_t, float) noexcept nogil
    ctypedef struct nn_metric:
        const char *name
        bint sparse
    ctypedef struct nn_step:
        float c[NN_MAX_HYPER]
    ctypedef struct nn_weights:
        float *w
        float *slots[NN_MAX_SLOTS]
    ctypedef struct nn_area:
        ptrdiff_t rows, n, ldw, ldg
    ctypedef struct nn_dropout:
        pass
    ctypedef struct nn_rule:
        const char *name
        const char *hyper[NN_MAX_HYPER + 1]
        const char *slots[NN_MAX_SLOTS + 1]
        void (*prepare)(nn_step *, const double *, int64_t) noexcept nogil
        void (*update)(const nn_weights *, float *, nn_area, const nn_step *, cbool) noexcept nogil
    ctypedef struct nn_update:
        const nn_rule *rule
        const nn_step *step
    ctypedef struct nn_dense:
        const float *w
        const float *b
        ptrdiff_t I, O
        const nn_activation *activation
        float parameter
    ctypedef struct nn_outer:
        const float *dz
        const float *x
        ptrdiff_t R, I, O
    ctypedef struct nn_slope:
        const nn_activation *activation
        float parameter
        const float *a
    ctypedef struct nn_kernels:
        const char *name
        const nn_activation *activations
        const nn_loss *losses
        const nn_metric *metrics
        const nn_rule *rules
        void (*dense_forward)(float *, const float *, const nn_dense *, ptrdiff_t) noexcept nogil
        void (*dense_dw)(float *, const float *, const nn_outer *, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*dense_dw_update)(const nn_weights *, const float *, const nn_outer *, ptrdiff_t, ptrdiff_t, const nn_update *, float *) noexcept nogil
        ptrdiff_t dw_scratch
        void (*dense_db)(float *, const float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*dense_dx)(float *, const float *, const float *, const nn_slope *, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*transpose)(float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        cbool (*all_finite)(const float *, ptrdiff_t) noexcept nogil
        cbool (*math)(float *, const float *, ptrdiff_t, const char *) noexcept nogil
    bint nn_dw_wants_scratch(ptrdiff_t, ptrdiff_t)
    const nn_kernels *nn_kernels_select(const char *)
    const nn_kernels *nn_kernels_available(int)
    uint32_t nn_float_mode_enter()
    void nn_float_mode_leave(uint32_t)

cdef extern from "op.h" nogil:
    const int NN_INPUT
    ctypedef struct nn_op_kind:
        const char *name
        cbool has_weights, train_only
    ctypedef struct nn_op:
        const nn_op_kind *kind
        int input
        ptrdiff_t inputs, outputs
        const nn_activation *activation
        float parameter
        cbool bias, trainable
        nn_dropout dropout
        uint64_t seed
        ptrdiff_t w, b
    const nn_op_kind *nn_op_kinds(int)
    nn_dropout nn_dropout_of(double)

cdef extern from "net.h" nogil:
    ctypedef enum nn_status:
        NN_OK, NN_NO_MEMORY, NN_NOT_FINITE, NN_INTERRUPTED, NN_FORKED, NN_TOO_MANY_STEPS
    const ptrdiff_t NN_MAX_SIZE
    ctypedef struct nn_net:
        int count
        nn_op *ops
        ptrdiff_t size
        nn_weights weights
        int64_t step
        ptrdiff_t metrics_count
        int skip_choice
        int schedule_choice
    enum: NN_SCHEDULES
    const char *nn_schedule_names[]
    ctypedef struct nn_csr:
        const int64_t *start
        const int32_t *index
        const float *value
    ctypedef struct nn_data:
        const float *x
        nn_csr csr
        nn_targets y
        const float *weight
        ptrdiff_t n
    ctypedef struct nn_compilation:
        const nn_loss *loss
        cbool from_logits
        const nn_rule *rule
        float *slots[NN_MAX_SLOTS]
        const nn_metric *metrics[NN_MAX_METRICS]
        ptrdiff_t metrics_count
    ctypedef int (*nn_poll)(void *, int64_t) noexcept
    nn_net *nn_net_new(const nn_kernels *, const nn_op *, int, ptrdiff_t)
    void nn_net_free(nn_net *)
    void nn_net_compile(nn_net *, const nn_compilation *)
    void nn_set_num_threads(int)
    int nn_num_threads()
    nn_status nn_predict(const nn_net *, float *, const nn_data *, nn_poll, void *)

cdef extern from "plan.h" nogil:
    enum: NN_PARALLEL, NN_PATHS
    ctypedef struct nn_plan:
        pass
    ctypedef struct nn_path:
        const char *name
        const char *what
    const nn_path nn_paths[]
    cbool nn_set_paths(const char *)
    size_t nn_plan_explain(const nn_plan *, char *, size_t)

cdef extern from "run.h" nogil:
    ctypedef struct nn_tuner:
        double *ns_per_row
    ctypedef struct nn_run:
        nn_data data
        nn_plan *plans
        nn_tuner tuner
    ctypedef struct nn_purpose:
        cbool train, keeps_outputs
        ptrdiff_t batch_size
    ctypedef struct nn_steps:
        const uint32_t *order
        ptrdiff_t start, stop
        const double *hyper
        const double *rates
        double *totals
        float *outputs
        nn_poll poll
        void *context
    nn_run *nn_run_new()
    void nn_run_free(nn_run *)
    nn_status nn_run_prepare(nn_run *, nn_net *, const nn_data *, nn_purpose)
    nn_status nn_run_step(nn_run *, const nn_steps *, int64_t *)

cdef extern from "memory.h" nogil:
    void *nn_alloc(size_t)
    void nn_free(void *)

cdef extern from "check.h" nogil:
    ptrdiff_t nn_first_not_finite(const float *, ptrdiff_t)
    ptrdiff_t nn_first_label_outside(const int32_t *, ptrdiff_t, ptrdiff_t)
    ptrdiff_t nn_first_row_outside(const uint32_t *, ptrdiff_t, ptrdiff_t)
    ptrdiff_t nn_first_row_disordered(const int64_t *, const int32_t *, ptrdiff_t, ptrdiff_t)

cdef extern from "random.h" nogil:
    void nn_random_uniform(double *, ptrdiff_t, uint64_t, uint64_t)
    void nn_random_normal(double *, ptrdiff_t, uint64_t, uint64_t)
    void nn_random_truncated_normal(double *, ptrdiff_t, uint64_t, uint64_t)
    void nn_random_shuffle(uint32_t *, ptrdiff_t, uint64_t, uint64_t)

cdef extern from *:
    """
    #if defined(__clang__)
    #define NN_COMPILER "clang " __clang_version__
    #else
    #define NN_COMPILER "gcc " __VERSION__
    #endif
    #if defined(__SANITIZE_ADDRESS__)
    #define NN_BUILD "sanitized"
    #else
    #define NN_BUILD "release"
    #endif
    """
    const char *NN_COMPILER
    const char *NN_BUILD


# Numbers. Those of Python have no end: each is compared with what C can hold before it gets there.

cdef object shown(value):
    """How a number stands in a message; Python refuses to print those of thousands of digits."""
    return repr(value) if not isinstance(value, int) or value.bit_length() < 512 else f"one of {value.bit_length()} bits"


cdef object whole(value, str name, least, most):
    try:
        number = index_of(value)
    except TypeError:
        raise TypeError(f"{name}: expected a whole number, received {type(value).__name__}") from None
    if not least <= number <= most:
        raise ValueError(f"{name}: expected a whole number from {least} to {most}, received {shown(number)}")
    return number


cdef object key(value, str name):
    """The seed or the number of a random stream."""
    return whole(value, name, 0, 0xffffffffffffffff)


cdef int fill_hyper(double *constants, const nn_rule *rule, hyper) except -1:
    expected = names(<const char *const *> rule.hyper)
    if len(hyper) != len(expected):
        raise ValueError(f"hyper: expected {', '.join(expected)}, received {len(hyper)} values")
    for h, value in enumerate(hyper):
        try:
            constants[h] = value
        except OverflowError:
            constants[h] = float("inf")
        if not isfinite(constants[h]):
            raise ValueError(f"hyper: expected finite numbers, received {shown(value)} for {expected[h]}")
    return 0


# The instruction set of this process.

cdef const nn_kernels *kernels = NULL


def available_instruction_sets():
    names = []
    while nn_kernels_available(len(names)) != NULL:
        names.append((<bytes> nn_kernels_available(len(names)).name).decode())
    return tuple(names)


def instruction_set():
    return (<bytes> kernels.name).decode()


def set_instruction_set(name):
    global kernels
    known = available_instruction_sets()
    if name and name not in known:  # compared here: a name from the environment may be no text at all
        raise ValueError(f"instruction set (NNFAST_ISA): expected one of {', '.join(known)} on this machine, received {name!r}")
    cdef bytes wanted = name.encode()
    kernels = nn_kernels_select(wanted)


set_instruction_set(os.environ.get("NNFAST_ISA", ""))


def set_paths(names):
    """Turns fast paths off: "-skip_zeros,-few_rows"; "" turns all on. See _core.pyi."""
    if not nn_set_paths(names.encode("ascii", "replace")):
        known = ", ".join("-" + nn_paths[i].name.decode() for i in range(NN_PATHS))
        raise ValueError(f"paths (NNFAST_PATHS): expected some of {known}, with commas between, received {names!r}")


set_paths(os.environ.get("NNFAST_PATHS", ""))


def num_threads():
    return nn_num_threads()


def set_num_threads(threads):
    nn_set_num_threads(<int> whole(threads, "threads", 1, 0x7fffffff))


def build_info():
    return {"compiler": (<bytes> NN_COMPILER).decode(), "build": (<bytes> NN_BUILD).decode()}


# The tables, read once; ids are places in them and the same in every instruction set.

cdef dict read_activations():
    cdef dict table = {}
    cdef const nn_activation *row = kernels.activations
    while row.name != NULL:
        table[(<bytes> row.name).decode()] = row.parameter if row.has_parameter else None
        row += 1
    return table


cdef dict read_losses():
    cdef dict table = {}
    cdef const nn_loss *row = kernels.losses
    while row.name != NULL:
        table[(<bytes> row.name).decode()] = (<bytes> row.link).decode() if row.link != NULL else None
        row += 1
    return table


cdef tuple read_metrics():
    cdef list table = []
    cdef const nn_metric *row = kernels.metrics
    while row.name != NULL:
        table.append((<bytes> row.name).decode())
        row += 1
    return tuple(table)


cdef tuple names(const char *const *row):
    cdef list found = []
    while row[0] != NULL:
        found.append((<bytes> row[0]).decode())
        row += 1
    return tuple(found)


cdef dict read_rules():
    cdef dict table = {}
    cdef const nn_rule *row = kernels.rules
    while row.name != NULL:
        table[(<bytes> row.name).decode()] = (names(<const char *const *> row.hyper), names(<const char *const *> row.slots))
        row += 1
    return table


cdef tuple read_op_kinds():
    cdef list table = []
    while nn_op_kinds(len(table)) != NULL:
        table.append((<bytes> nn_op_kinds(len(table)).name).decode())
    return tuple(table)


ACTIVATIONS = read_activations()
LOSSES = read_losses()
METRICS = read_metrics()
RULES = read_rules()
SCHEDULES = tuple(nn_schedule_names[i].decode() for i in range(NN_SCHEDULES))
PATHS = {nn_paths[i].name.decode(): nn_paths[i].what.decode() for i in range(NN_PATHS)}
OP_KINDS = read_op_kinds()

cdef dict activation_ids = {name: i for i, name in enumerate(ACTIVATIONS)}
cdef dict loss_ids = {name: i for i, name in enumerate(LOSSES)}
cdef dict metric_ids = {name: i for i, name in enumerate(METRICS)}
cdef dict op_ids = {name: i for i, name in enumerate(OP_KINDS)}
cdef dict rule_ids = {name: i for i, name in enumerate(RULES)}


cdef Py_ssize_t row_id(dict ids, object name, str argument) except -1:
    if name not in ids:
        raise ValueError(f"{argument}: expected one of {', '.join(ids)}, received {name!r}")
    return ids[name]


# Checks. Each returns the array's memory.

cdef object fail(object a, str name, str expected):
    if not isinstance(a, np.ndarray):
        return TypeError(f"{name}: expected {expected}, received {type(a).__name__}; convert it with numpy.asarray")
    array = <cnp.ndarray> a
    layout = "" if array.flags.c_contiguous else ", not C-contiguous (remedy: numpy.ascontiguousarray)"
    if array.flags.c_contiguous and not array.flags.writeable:
        layout = ", read-only"
    error = TypeError if (expected.split()[0] != str(array.dtype)) else ValueError
    return error(f"{name}: expected {expected}, received {array.dtype} of shape {(<object> array).shape}{layout}")


cdef bint fits(object a, int kind, int ndim, Py_ssize_t d0, Py_ssize_t d1, bint write):
    """Whether a is an ndarray of that type, C-contiguous and aligned, of shape (d0, d1); -1: any size."""
    if not cnp.PyArray_Check(a):
        return False
    cdef cnp.ndarray array = <cnp.ndarray> a
    if cnp.PyArray_TYPE(array) != kind or cnp.PyArray_NDIM(array) != ndim:
        return False
    cdef int wanted = cnp.NPY_ARRAY_CARRAY if write else cnp.NPY_ARRAY_CARRAY_RO
    if not cnp.PyArray_CHKFLAGS(array, wanted) or not cnp.PyArray_ISNOTSWAPPED(array):
        return False
    if ndim >= 1 and d0 >= 0 and cnp.PyArray_DIM(array, 0) != d0:
        return False
    return not (ndim >= 2 and d1 >= 0 and cnp.PyArray_DIM(array, 1) != d1)


cdef str extent(Py_ssize_t size, str letter):
    return letter if size < 0 else str(size)


cdef float *matrix(object a, str name, Py_ssize_t rows, Py_ssize_t columns, bint write=False) except? NULL:
    if not fits(a, cnp.NPY_FLOAT32, 2, rows, columns, write):
        raise fail(a, name, f"float32 C-contiguous array of shape ({extent(rows, 'rows')}, {extent(columns, 'columns')}){', writable' if write else ''}")
    if cnp.PyArray_SIZE(<cnp.ndarray> a) == 0:
        raise ValueError(f"{name}: expected at least one row and one column, received shape {a.shape}")
    return <float *> cnp.PyArray_DATA(<cnp.ndarray> a)


cdef float *vector(object a, str name, Py_ssize_t size, bint write=False) except? NULL:
    if not fits(a, cnp.NPY_FLOAT32, 1, size, -1, write):
        raise fail(a, name, f"float32 C-contiguous array of shape ({extent(size, 'n')},){', writable' if write else ''}")
    return <float *> cnp.PyArray_DATA(<cnp.ndarray> a)


cdef float *like(object a, str name, cnp.ndarray other, bint write=False) except? NULL:
    """Memory of an array of any shape, the same as other's."""
    cdef cnp.ndarray array
    if fits(a, cnp.NPY_FLOAT32, cnp.PyArray_NDIM(other), -1, -1, write):
        array = <cnp.ndarray> a
        if cnp.PyArray_SAMESHAPE(array, other):
            return <float *> cnp.PyArray_DATA(array)
    raise fail(a, name, f"float32 C-contiguous array of shape {(<object> other).shape}{', writable' if write else ''}")


cdef float *flat(object a, str name, bint write=False) except? NULL:
    """Memory of a float32 array of any shape."""
    if not cnp.PyArray_Check(a) or not fits(a, cnp.NPY_FLOAT32, cnp.PyArray_NDIM(<cnp.ndarray> a), -1, -1, write):
        raise fail(a, name, f"float32 C-contiguous array{', writable' if write else ''}")
    return <float *> cnp.PyArray_DATA(<cnp.ndarray> a)


cdef cnp.ndarray labels(object y, str name, Py_ssize_t rows, Py_ssize_t outputs):
    """A copy of the labels, checked: each decides what memory is read, and the array they come from may change any time."""
    cdef Py_ssize_t at
    if not fits(y, cnp.NPY_INT32, 1, rows, -1, False):
        raise fail(y, name, f"int32 C-contiguous array of labels of shape ({rows},)")
    copy = np.empty(rows, dtype=np.int32)
    cdef int32_t *own = <int32_t *> cnp.PyArray_DATA(<cnp.ndarray> copy)
    cdef const int32_t *given = <const int32_t *> cnp.PyArray_DATA(<cnp.ndarray> y)
    with nogil:
        memcpy(own, given, rows * sizeof(int32_t))
        at = nn_first_label_outside(own, rows, outputs)
    if at >= 0:
        raise ValueError(f"{name}: expected labels from 0 to {outputs - 1}, received {own[at]} in row {at}")
    return copy


cdef cnp.ndarray view(object owner, float *memory, Py_ssize_t d0, Py_ssize_t d1):
    """A writable array over memory that belongs to owner; d1 < 0: one-dimensional."""
    cdef cnp.npy_intp shape[2]
    shape[0], shape[1] = d0, d1
    array = cnp.PyArray_SimpleNewFromData(1 if d1 < 0 else 2, shape, cnp.NPY_FLOAT32, memory)
    cnp.set_array_base(array, owner)
    return array


cdef class Memory:
    """Zeroed floats of the engine, which live as long as the network or any view of them."""
    cdef float *floats

    def __cinit__(self, Py_ssize_t size):
        self.floats = <float *> nn_alloc(size * sizeof(float))
        if self.floats == NULL:
            raise MemoryError(f"no memory for {size} floats")
        cdef Py_ssize_t at, piece = 1 << 22
        for at in range(0, size, piece):  # pages are made now, where a signal gets through, and not within a step
            with nogil:
                memset(self.floats + at, 0, min(piece, size - at) * sizeof(float))
            PyErr_CheckSignals()

    def __dealloc__(self):
        nn_free(self.floats)


cdef class SparseRows:
    """A CSR matrix as the engine reads it. See _core.pyi."""
    cdef readonly tuple shape
    cdef readonly object start, index, value
    cdef nn_csr csr

    ndim = 2

    def __init__(self, start, index, value, Py_ssize_t inputs):
        cdef Py_ssize_t rows, entries, at
        if not fits(start, cnp.NPY_INT64, 1, -1, -1, False) or len(start) < 1:
            raise fail(start, "start", "int64 C-contiguous array of shape (rows + 1,)")
        start = start.copy()  # where rows begin decides what memory is read: it must not change any more
        rows = len(start) - 1
        if not fits(index, cnp.NPY_INT32, 1, -1, -1, False):
            raise fail(index, "index", "int32 C-contiguous array of shape (entries,)")
        entries = len(index)
        self.csr.value = vector(value, "value", entries)
        self.csr.start = <const int64_t *> cnp.PyArray_DATA(<cnp.ndarray> start)
        self.csr.index = <const int32_t *> cnp.PyArray_DATA(<cnp.ndarray> index)
        if self.csr.start[0] < 0 or self.csr.start[rows] > entries or (np.diff(start) < 0).any():
            raise ValueError(f"start: expected places from 0 to {entries} that do not descend, received {start[0]} to {start[rows]}")
        at = nn_first_row_disordered(self.csr.start, self.csr.index, rows, inputs)
        if at >= 0:
            raise ValueError(f"index: expected ascending numbers from 0 to {inputs - 1} in each row, received others in row {at}; scipy's sum_duplicates() sorts them")
        self.start, self.index, self.value = start, index, value
        self.shape = (rows, inputs)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise TypeError(f"rows: expected a slice without step, received {rows!r}")
        first, last, _ = rows.indices(self.shape[0])
        cdef SparseRows part = SparseRows.__new__(SparseRows)
        part.start, part.index, part.value = self.start[first:max(first, last) + 1], self.index, self.value
        part.csr = self.csr
        part.csr.start = self.csr.start + <Py_ssize_t> first
        part.shape = (max(0, last - first), self.shape[1])
        return part

    def toarray(self, rows=None):
        cdef Py_ssize_t n, r
        cdef int64_t row, k
        places = np.arange(self.shape[0]) if rows is None else np.asarray(rows, dtype=np.intp)
        n = len(places)
        out = np.zeros((n, self.shape[1]), dtype=np.float32)
        cdef float[:, ::1] dense = out
        for r in range(n):
            row = places[r]
            for k in range(self.csr.start[row], self.csr.start[row + 1]):
                dense[r, self.csr.index[k]] = self.csr.value[k]
        return out


cdef object exclusives = weakref.WeakSet()


def renew_exclusives():
    cdef Exclusive exclusive
    for exclusive in list(exclusives):
        if exclusive.owner != PyThread_get_thread_ident():
            exclusive.owner = exclusive.depth = 0
            exclusive.in_fit = False


if hasattr(os, "register_at_fork"):  # in a child only the thread that forked goes on, with what it holds
    os.register_at_fork(after_in_child=renew_exclusives)


cdef class Exclusive:
    """Who may work on a network. See _core.pyi.

    To take it is one step for Python: no signal handler can come between that and the block of `with`, which gives it back.
    """
    cdef size_t owner  # thread, 0: nobody
    cdef int depth
    cdef bint in_fit
    cdef object __weakref__

    def __init__(self):
        exclusives.add(self)

    cdef void take(self) noexcept:
        self.owner = PyThread_get_thread_ident()
        self.depth += 1

    cdef void give_back(self) noexcept:
        self.depth -= 1
        if self.depth == 0:
            self.owner = 0

    def __enter__(self):
        while self.owner and self.owner != PyThread_get_thread_ident():
            if self.in_fit:
                raise RuntimeError("the model is being trained by another thread. Until that ends only predict can be used.")
            with nogil:
                usleep(100)
            PyErr_CheckSignals()
        self.take()

    def __exit__(self, *error):
        self.give_back()

    @property
    def fitting(self):
        return self.in_fit

    def fit(self):
        return Fit(self)

    def require_free(self, what):
        if self.in_fit:
            raise RuntimeError(f"{what}: the model is being trained. Wait until fit has returned.")


@cython.no_gc_clear
cdef class Fit:
    """The turn of one fit. It ends with the block, at the latest with this object."""
    cdef Exclusive use
    cdef bint held

    def __cinit__(self, Exclusive use not None):
        self.use = use

    def __enter__(self):
        if self.use.owner and self.use.owner != PyThread_get_thread_ident():
            raise RuntimeError("the model is already in use by another thread. Give each thread a copy of its own: copy.deepcopy(model).")
        self.use.require_free("fit")
        self.use.take()
        self.use.in_fit = self.held = True

    cdef void end(self) noexcept:
        if self.held:
            self.held = self.use.in_fit = False
            self.use.give_back()

    def __exit__(self, *error):
        self.end()

    def __dealloc__(self):
        self.end()


cdef class Poll:
    """What a native call comes back for now and then: signals and progress."""
    cdef object progress
    cdef object error

    def __cinit__(self, progress):
        self.progress = progress


cdef int poll(void *context, int64_t rows) noexcept nogil:
    with gil:
        self = <Poll> context
        try:
            PyErr_CheckSignals()
            if self.progress is not None:
                self.progress(rows)
        except BaseException as error:
            self.error = error
            return 1
    return 0


cdef int fill_op(nn_op *row, int place, op, Py_ssize_t inputs) except -1:
    """One op of a network, which reads `inputs` floats of a row."""
    cdef str name = f"ops[{place}]"
    row.kind = nn_op_kinds(row_id(op_ids, op.kind, f"{name}: kind"))
    row.outputs = whole(op.units, f"{name}: units", 1, NN_MAX_SIZE)
    if not row.kind.has_weights and row.outputs != inputs:
        raise ValueError(f"{name}: expected units {inputs}, as many as are read, of kind {op.kind}, received {op.units}")
    row.activation = &kernels.activations[row_id(activation_ids, op.activation, f"{name}: activation")]
    row.parameter = op.parameter
    row.bias = row.kind.has_weights and op.use_bias
    row.trainable = True
    if not 0.0 <= op.rate <= 1.0:
        raise ValueError(f"{name}: expected a rate from 0 to 1, received {op.rate}")
    row.dropout = nn_dropout_of(op.rate)
    row.seed = key(0 if op.seed is None else op.seed, f"{name}: seed")
    return 0


cdef class Net:
    """A dense network in native memory. See _core.pyi."""
    cdef nn_net *net
    cdef const nn_kernels *kernels
    cdef const nn_loss *loss
    cdef const nn_rule *rule
    cdef list metrics
    cdef Memory memory       # of the parameters
    cdef list slot_memory
    cdef int64_t compiled    # how often
    cdef nn_run *spare[2]    # memory and tuner of the last run that is over, for evaluation and for training
    cdef Exclusive busy      # held in train and evaluate
    cdef object __weakref__

    def __cinit__(self, input_size, ops):
        cdef list given = list(ops)
        cdef int i, count = len(given)
        cdef Py_ssize_t size = whole(input_size, "input_size", 1, NN_MAX_SIZE)
        if count < 1:
            raise ValueError(f"Net: expected at least one op, received {count}")
        self.busy = Exclusive()
        self.kernels = kernels
        self.metrics = []
        self.slot_memory = []
        memory = bytearray(count * sizeof(nn_op))
        cdef unsigned char[::1] room = memory
        cdef nn_op *rows = <nn_op *> &room[0]
        for i, op in enumerate(given):
            rows[i].input = whole(i - 1 if op.input is None else op.input, f"ops[{i}]: input", NN_INPUT, i - 1)
            fill_op(&rows[i], i, op, size if rows[i].input == NN_INPUT else rows[rows[i].input].outputs)
        if not any(rows[i].kind.has_weights for i in range(count)):
            raise ValueError("ops: expected at least one with weights, received none")
        self.net = nn_net_new(kernels, rows, count, size)
        if self.net == NULL:
            raise MemoryError(f"no memory for a network of {size} inputs and ops of {[op.units for op in given]} units")
        self.memory = Memory(self.net.size)
        self.net.weights.w = self.memory.floats

    def __dealloc__(self):
        nn_run_free(self.spare[0])
        nn_run_free(self.spare[1])
        nn_net_free(self.net)

    @property
    def instruction_set(self):
        return (<bytes> self.kernels.name).decode()

    @property
    def params(self):
        return view(self.memory, self.memory.floats, self.net.size, -1)

    @property
    def tensors(self):
        return self.split(self.params)

    def split(self, flat):
        cdef float *memory = vector(flat, "flat", self.net.size)
        cdef list result = []
        cdef int i
        cdef nn_op *op
        for i in range(self.net.count):
            op = &self.net.ops[i]
            if op.kind.has_weights:
                result.append(view(flat, memory + op.w, op.inputs, op.outputs))
                if op.bias:
                    result.append(view(flat, memory + op.b, op.outputs, -1))
        return result

    def compile(self, loss, from_logits, rule, metrics):
        cdef nn_compilation wanted
        cdef Py_ssize_t m, s
        cdef Memory memory
        self.require_idle("compile")
        wanted.loss = &self.kernels.losses[row_id(loss_ids, loss, "loss")]
        wanted.from_logits = from_logits
        wanted.rule = &self.kernels.rules[row_id(rule_ids, rule, "rule")]
        cdef list new_metrics = list(metrics)
        if len(new_metrics) > NN_MAX_METRICS:
            raise ValueError(f"metrics: expected at most {NN_MAX_METRICS}, received {len(new_metrics)}")
        wanted.metrics_count = len(new_metrics)
        for m in range(len(new_metrics)):
            wanted.metrics[m] = &self.kernels.metrics[row_id(metric_ids, new_metrics[m], "metrics")]
        cdef list new_memory = [Memory(self.net.size) for _ in names(<const char *const *> wanted.rule.slots)]
        for s in range(NN_MAX_SLOTS):
            wanted.slots[s] = (<Memory> new_memory[s]).floats if s < len(new_memory) else NULL
        nn_net_compile(self.net, &wanted)
        self.slot_memory = new_memory
        self.loss = wanted.loss
        self.rule = wanted.rule
        self.metrics = new_metrics
        self.compiled += 1

    @property
    def slots(self):
        cdef Memory memory
        return tuple([view(memory, memory.floats, self.net.size, -1) for memory in self.slot_memory])

    @property
    def step(self):
        return self.net.step

    @step.setter
    def step(self, value):
        if value < 0:
            raise ValueError(f"step: expected a count of updates >= 0, received {shown(value)}")
        self.net.step = whole(value, "step", 0, INT64_MAX)

    @property
    def trainable(self):
        return [bool(self.net.ops[i].trainable) for i in range(self.net.count) if self.net.ops[i].kind.has_weights]

    @trainable.setter
    def trainable(self, values):
        cdef list flags = [bool(value) for value in values]
        self.require_idle("trainable")
        if len(flags) != len(self.trainable):
            raise ValueError(f"trainable: expected one flag for each of {len(self.trainable)} ops with weights, received {len(flags)}")
        for i in range(self.net.count):
            if self.net.ops[i].kind.has_weights:
                self.net.ops[i].trainable = flags.pop(0)

    @property
    def skip_zeros(self):
        return None if self.net.skip_choice < 0 else self.net.skip_choice == 1

    @skip_zeros.setter
    def skip_zeros(self, value):
        self.net.skip_choice = -1 if value is None else 1 if value else 0

    @property
    def schedule(self):
        return None if self.net.schedule_choice < 0 else SCHEDULES[self.net.schedule_choice]

    @schedule.setter
    def schedule(self, value):
        if value is not None and value not in SCHEDULES:
            raise ValueError(f"schedule: expected None or one of {', '.join(SCHEDULES)}, received {value!r}")
        self.net.schedule_choice = -1 if value is None else SCHEDULES.index(value)

    cdef int inputs(self, nn_data *result, x) except -1:
        """The inputs of x, an array or SparseRows."""
        cdef nn_op *first = &self.net.ops[0]
        result.x = NULL
        if isinstance(x, SparseRows):
            if x.shape[1] != first.inputs:
                raise ValueError(f"x: expected {first.inputs} columns, received {x.shape[1]}")
            if not first.kind.has_weights:
                raise ValueError("x: expected an array, as the first layer has no kernel, received a sparse matrix; convert it with toarray()")
            result.csr = (<SparseRows> x).csr
            result.n = x.shape[0]
        else:
            result.x = matrix(x, "x", -1, first.inputs)
            result.n = cnp.PyArray_DIM(<cnp.ndarray> x, 0)
        if result.n < 1:
            raise ValueError("x: expected at least one row, received none")
        return 0

    cdef Py_ssize_t outputs(self) noexcept:
        return self.net.ops[self.net.count - 1].outputs

    cdef int targets(self, nn_data *result, y, sample_weight) except -1:
        if self.loss == NULL:
            raise RuntimeError("the network has no loss yet: call compile first")
        result.y.labels, result.y.values, result.weight = NULL, NULL, NULL
        if self.loss.sparse:
            if not fits(y, cnp.NPY_INT32, 1, result.n, -1, False):
                raise fail(y, "y", f"int32 C-contiguous array of labels of shape ({result.n},)")
            result.y.labels = <const int32_t *> cnp.PyArray_DATA(<cnp.ndarray> y)
        else:
            result.y.values = matrix(y, "y", result.n, self.outputs())
        if sample_weight is not None:
            result.weight = vector(sample_weight, "sample_weight", result.n)
        for name in self.metrics:
            if self.kernels.metrics[metric_ids[name]].sparse != self.loss.sparse:
                raise ValueError(f"metrics: {name} does not fit the targets of {(<bytes> self.loss.name).decode()}")
        return 0

    def prepare(self, x, y, sample_weight, batch_size, train=True, keeps_outputs=False):
        cdef Run run = Run.__new__(Run)
        cdef nn_purpose purpose
        cdef nn_data data
        cdef nn_status status
        cdef Py_ssize_t at
        self.inputs(&data, x)
        self.targets(&data, y, sample_weight)
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, received {shown(batch_size)}")
        purpose.train, purpose.keeps_outputs = train, keeps_outputs
        purpose.batch_size = run.batch_size = min(index_of(batch_size), data.n)
        run.net, run.train, run.keeps_outputs, run.compiled, run.arrays = self, train, keeps_outputs, self.compiled, (x, y, sample_weight)
        run.run, self.spare[run.train] = self.spare[run.train], NULL
        if run.run == NULL:
            run.run = nn_run_new()
        if run.run == NULL:
            raise MemoryError("no memory for a run")
        with nogil:
            status = nn_run_prepare(run.run, self.net, &data, purpose)
        if status != NN_OK:
            raise MemoryError("no memory for the workspace of a block of rows")
        if run.run.data.y.labels != NULL:  # its own copy: what is checked here is what is used
            at = nn_first_label_outside(run.run.data.y.labels, data.n, self.outputs())
            if at >= 0:
                raise ValueError(f"y: expected labels from 0 to {self.outputs() - 1}, received {run.run.data.y.labels[at]} in row {at}")
        return run

    cdef int require_idle(self, str what) except -1:
        if self.busy.owner:
            raise RuntimeError(f"{what}: the network is being trained or evaluated by another thread; give each thread a model of its own")
        return 0

    def train(self, x, y, sample_weight, order, Py_ssize_t start, Py_ssize_t stop, batch_size, hyper, totals, progress):
        self.prepare(x, y, sample_weight, batch_size).step(order, start, stop, hyper, totals, progress)

    def evaluate(self, x, y, sample_weight, totals, progress):
        cdef Run run = self.prepare(x, y, sample_weight, len(x) if len(x) else 1, False)
        run.step(None, 0, len(x), (), totals, progress)

    def predict(self, x, out, progress):
        cdef nn_data data
        self.inputs(&data, x)
        cdef float *result = matrix(out, "out", data.n, self.outputs(), True)
        cdef nn_status status
        context = Poll(progress)
        with nogil:
            status = nn_predict(self.net, result, &data, poll, <void *> context)
        check(status, context, 0, 0)


@cython.no_gc_clear
cdef class Run:
    """A network over some data, checked and planned once for any number of steps. See _core.pyi."""
    cdef nn_run *run
    cdef Net net
    cdef tuple arrays  # that the memory belongs to
    cdef Py_ssize_t batch_size
    cdef int train
    cdef bint keeps_outputs
    cdef int64_t compiled

    def __dealloc__(self):
        if self.net is not None and self.net.spare[self.train] == NULL:
            self.net.spare[self.train] = self.run
        else:
            nn_run_free(self.run)

    cdef int require_current(self) except -1:
        if self.compiled != self.net.compiled:
            raise RuntimeError("the network was compiled again after this run was prepared; prepare another one")
        return 0

    @property
    def ns_per_row(self):
        return {name: self.run.tuner.ns_per_row[i] for i, name in enumerate(SCHEDULES)}

    def explain(self):
        self.require_current()
        cdef size_t size = nn_plan_explain(&self.run.plans[NN_PARALLEL], NULL, 0)
        text = bytearray(size + 1)
        cdef char *memory = text
        nn_plan_explain(&self.run.plans[NN_PARALLEL], memory, size + 1)
        return text[:size].decode()

    cdef int rows(self, nn_steps *steps, order, Py_ssize_t start, Py_ssize_t stop) except -1:
        cdef Py_ssize_t at, n = self.run.data.n
        if not 0 <= start < stop <= n:
            raise ValueError(f"start, stop: expected 0 <= start < stop <= {n}, received {start}, {stop}")
        steps.start, steps.stop, steps.order = start, stop, NULL
        if order is None:
            return 0
        if not self.train:
            raise ValueError("order: expected None, as rows are looked at as they lie, received an array")
        if not fits(order, cnp.NPY_UINT32, 1, n, -1, False):
            raise fail(order, "order", f"uint32 C-contiguous array of shape ({n},)")
        steps.order = <const uint32_t *> cnp.PyArray_DATA(<cnp.ndarray> order)
        at = nn_first_row_outside(steps.order + start, stop - start, n)
        if at >= 0:
            raise ValueError(f"order: expected rows from 0 to {n - 1}, received {steps.order[start + at]} at place {start + at}")
        return 0

    def step(self, order, Py_ssize_t start, Py_ssize_t stop, hyper, totals, progress, rates=None, outputs=None):
        cdef nn_steps steps
        cdef double constants[NN_MAX_HYPER]
        cdef int64_t batches = 0
        cdef Net net = self.net
        cdef nn_status status
        self.require_current()
        self.rows(&steps, order, start, stop)
        if self.train:
            fill_hyper(constants, net.rule, hyper)
        if not fits(totals, cnp.NPY_FLOAT64, 1, 1 + net.net.metrics_count, -1, True):
            raise fail(totals, "totals", f"float64 array of shape ({1 + net.net.metrics_count},), writable")
        steps.hyper, steps.totals, steps.rates, steps.outputs = constants, <double *> cnp.PyArray_DATA(<cnp.ndarray> totals), NULL, NULL
        if rates is not None:
            count = -(-(stop - start) // self.batch_size)
            if not fits(rates, cnp.NPY_FLOAT64, 1, count, -1, False) or not np.isfinite(rates).all():
                raise fail(rates, "rates", f"float64 C-contiguous array of finite numbers, one a step, of shape ({count},)")
            steps.rates = <const double *> cnp.PyArray_DATA(<cnp.ndarray> rates)
        if self.keeps_outputs != (outputs is not None):
            raise ValueError("outputs: expected an array for a run that keeps outputs, and None for others")
        if outputs is not None:
            steps.outputs = matrix(outputs, "outputs", stop - start, net.outputs(), True)
        net.require_idle("train" if self.train else "evaluate")
        context = Poll(progress)
        steps.poll, steps.context = poll, <void *> context
        with net.busy:
            with nogil:
                status = nn_run_step(self.run, &steps, &batches)
        check(status, context, start // self.batch_size + batches, net.net.step)


cdef object check(nn_status status, Poll context, int64_t batch, int64_t steps):
    if status == NN_NO_MEMORY:
        raise MemoryError("no memory for the workspace of a block of rows")
    if status == NN_NOT_FINITE:
        raise NonFiniteError(batch)
    if status == NN_INTERRUPTED:
        raise context.error
    if status == NN_FORKED:
        raise RuntimeError(
            "the process was forked inside a native call of several threads, by a signal handler or a progress hook, and this child has one: the call "
            "is incomplete. Fork between calls, or with set_num_threads(1)."
        )
    if status == NN_TOO_MANY_STEPS:
        raise RuntimeError(f"{steps} updates have been made, and at most {INT64_MAX} can be counted: no step was made. Set optimizer.iterations to a smaller number.")


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
