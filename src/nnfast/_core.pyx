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
    ctypedef struct nn_rule:
        const char *name
        const char *hyper[NN_MAX_HYPER + 1]
        const char *slots[NN_MAX_SLOTS + 1]
        void (*prepare)(nn_step *, const double *, int64_t) noexcept nogil
        void (*update)(float *, float **, float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, const nn_step *, bint) noexcept nogil
    ctypedef struct nn_kernels:
        const char *name
        const nn_activation *activations
        const nn_loss *losses
        const nn_metric *metrics
        const nn_rule *rules
        void (*dense_forward)(float *, const float *, const float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, const nn_activation *, float) noexcept nogil
        void (*dense_dw)(float *, const float *, const float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*dense_dw_update)(float *, float **, const float *, const float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t,
                                const nn_rule *, const nn_step *, float *) noexcept nogil
        ptrdiff_t dw_scratch
        void (*dense_db)(float *, const float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        void (*dense_dx)(float *, const float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, const nn_activation *, float, const float *) noexcept nogil
        void (*transpose)(float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t) noexcept nogil
        cbool (*all_finite)(const float *, ptrdiff_t) noexcept nogil
        cbool (*math)(float *, const float *, ptrdiff_t, const char *) noexcept nogil
    bint nn_dw_wants_scratch(ptrdiff_t, ptrdiff_t)
    const nn_kernels *nn_kernels_select(const char *)
    const nn_kernels *nn_kernels_available(int)
    uint32_t nn_float_mode_enter()
    void nn_float_mode_leave(uint32_t)

cdef extern from "net.h" nogil:
    ctypedef enum nn_status:
        NN_OK, NN_NO_MEMORY, NN_NOT_FINITE, NN_INTERRUPTED, NN_FORKED, NN_TOO_MANY_STEPS
    const ptrdiff_t NN_MAX_SIZE
    ctypedef struct nn_layer:
        ptrdiff_t inputs, outputs
        const nn_activation *activation
        float parameter
        bint dense, bias, frozen
        ptrdiff_t w, b
    ctypedef struct nn_shape:
        ptrdiff_t batch_size
    ctypedef struct nn_pace:
        double *row_ns
    ctypedef struct nn_net:
        ptrdiff_t depth, size
        nn_layer *layers
        float *params
        float *slots[NN_MAX_SLOTS]
        int64_t step
        ptrdiff_t metrics_count
        int skip_choice
        int way_choice
        uint64_t seen
        nn_shape shape
        nn_pace pace
    enum: NN_WAYS
    const char *nn_way_names[]
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
        uint64_t id
    ctypedef int (*nn_poll)(void *, int64_t) noexcept
    nn_net *nn_net_new(const nn_kernels *, const nn_layer *, ptrdiff_t, ptrdiff_t)
    void nn_net_free(nn_net *)
    nn_status nn_net_compile(nn_net *, const nn_loss *, bint, const nn_rule *, const nn_metric **, ptrdiff_t, float **)
    void *nn_alloc(size_t)
    void nn_free(void *)
    nn_status nn_train(nn_net *, const nn_data *, const uint32_t *, ptrdiff_t, ptrdiff_t, ptrdiff_t, const double *, double *, nn_poll, void *, int64_t *)
    nn_status nn_evaluate(nn_net *, const nn_data *, double *, nn_poll, void *)
    void nn_set_num_threads(int)
    int nn_num_threads()
    nn_status nn_predict(const nn_net *, float *, const nn_data *, nn_poll, void *)

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
    /* The place of the first value that is not finite, or -1: a float is not finite where its exponent is all ones. */
    static ptrdiff_t first_not_finite(const float *x, ptrdiff_t n) {
        for (ptrdiff_t i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, x + i, sizeof bits);
            if ((bits & 0x7f800000u) == 0x7f800000u) return i;
        }
        return -1;
    }
    /* The place of the first integer outside [0, bound), or -1; and the same for rows. */
    static ptrdiff_t first_outside(const int32_t *x, ptrdiff_t n, ptrdiff_t bound) {
        for (ptrdiff_t i = 0; i < n; i++) {
            if (x[i] < 0 || x[i] >= bound) return i;
        }
        return -1;
    }
    /* The first row of a CSR matrix whose entries do not lie in [0, inputs) in ascending order, or -1; and the most entries in a row. */
    static ptrdiff_t first_row_disordered(const int64_t *start, const int32_t *index, ptrdiff_t rows, ptrdiff_t inputs) {
        for (ptrdiff_t r = 0; r < rows; r++) {
            int64_t last = -1;
            for (int64_t k = start[r]; k < start[r + 1]; k++) {
                if (index[k] <= last || index[k] >= inputs) return r;
                last = index[k];
            }
        }
        return -1;
    }
    static ptrdiff_t first_row_outside(const uint32_t *x, ptrdiff_t n, ptrdiff_t bound) {
        uint32_t largest = 0;
        for (ptrdiff_t i = 0; i < n; i++) largest = x[i] > largest ? x[i] : largest;
        if ((ptrdiff_t)largest < bound) return -1;
        for (ptrdiff_t i = 0; i < n; i++) {
            if ((ptrdiff_t)x[i] >= bound) return i;
        }
        return -1;
    }
    """
    const char *NN_COMPILER
    const char *NN_BUILD
    ptrdiff_t first_not_finite(const float *, ptrdiff_t) nogil
    ptrdiff_t first_outside(const int32_t *, ptrdiff_t, ptrdiff_t) nogil
    ptrdiff_t first_row_outside(const uint32_t *, ptrdiff_t, ptrdiff_t) nogil
    ptrdiff_t first_row_disordered(const int64_t *, const int32_t *, ptrdiff_t, ptrdiff_t) nogil


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


ACTIVATIONS = read_activations()
LOSSES = read_losses()
METRICS = read_metrics()
RULES = read_rules()
WAYS = tuple(nn_way_names[i].decode() for i in range(NN_WAYS))

cdef dict activation_ids = {name: i for i, name in enumerate(ACTIVATIONS)}
cdef dict loss_ids = {name: i for i, name in enumerate(LOSSES)}
cdef dict metric_ids = {name: i for i, name in enumerate(METRICS)}
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
        at = first_outside(own, rows, outputs)
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
        at = first_row_disordered(self.csr.start, self.csr.index, rows, inputs)
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


cdef uint64_t prepared_count = 0


cdef class Prepared:
    """Rows for training and evaluation, checked once for any number of calls. See `Net.prepare` in _core.pyi."""
    cdef nn_data data
    cdef tuple arrays  # that the memory belongs to
    cdef Py_ssize_t inputs, outputs

    def __cinit__(self):
        global prepared_count
        prepared_count += 1
        self.data.id = prepared_count


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


cdef class Net:
    """A dense network in native memory. See _core.pyi."""
    cdef nn_net *net
    cdef const nn_kernels *kernels
    cdef const nn_loss *loss
    cdef const nn_rule *rule
    cdef list metrics
    cdef list slot_memory
    cdef Exclusive busy  # held in train and evaluate
    cdef object __weakref__

    def __cinit__(self, input_size, layers):
        cdef list specs = list(layers)
        cdef Py_ssize_t i, depth = len(specs), size
        if input_size < 1 or depth < 1:
            raise ValueError(f"Net: expected at least one input and one layer, received input_size={input_size}, {depth} layers")
        size = whole(input_size, "input_size", 1, NN_MAX_SIZE)
        self.busy = Exclusive()
        self.kernels = kernels
        self.metrics = []
        self.slot_memory = []
        memory = bytearray(depth * sizeof(nn_layer))
        cdef unsigned char[::1] room = memory
        cdef nn_layer *rows = <nn_layer *> &room[0]
        for i, (units, activation, parameter, has_kernel, use_bias) in enumerate(specs):
            if units < 1 or (not has_kernel and units != size):
                raise ValueError(f"layers[{i}]: expected units >= 1 (without kernel: {size}), received {units}")
            rows[i].outputs = whole(units, f"layers[{i}]: units", 1, NN_MAX_SIZE)
            rows[i].activation = &kernels.activations[row_id(activation_ids, activation, f"layers[{i}]: activation")]
            rows[i].parameter = parameter
            rows[i].dense = has_kernel
            rows[i].bias = has_kernel and use_bias
            size = rows[i].outputs
        self.net = nn_net_new(kernels, rows, depth, whole(input_size, "input_size", 1, NN_MAX_SIZE))
        if self.net == NULL:
            raise MemoryError(f"no memory for a network of layers {[input_size] + [spec[0] for spec in specs]}")

    def __dealloc__(self):
        nn_net_free(self.net)

    @property
    def instruction_set(self):
        return (<bytes> self.kernels.name).decode()

    @property
    def params(self):
        return view(self, self.net.params, self.net.size, -1)

    @property
    def tensors(self):
        return self.split(self.params)

    def split(self, flat):
        cdef float *memory = vector(flat, "flat", self.net.size)
        cdef list result = []
        cdef Py_ssize_t l
        cdef nn_layer *layer
        for l in range(self.net.depth):
            layer = &self.net.layers[l]
            if layer.dense:
                result.append(view(flat, memory + layer.w, layer.inputs, layer.outputs))
                if layer.bias:
                    result.append(view(flat, memory + layer.b, layer.outputs, -1))
        return result

    def compile(self, loss, from_logits, rule, metrics):
        cdef const nn_metric *rows[NN_MAX_METRICS]
        cdef float *slots[NN_MAX_SLOTS]
        cdef Py_ssize_t m, s
        cdef Memory memory
        self.require_idle("compile")
        new_loss = row_id(loss_ids, loss, "loss")
        new_rule = row_id(rule_ids, rule, "rule")
        cdef list new_metrics = list(metrics)
        if len(new_metrics) > NN_MAX_METRICS:
            raise ValueError(f"metrics: expected at most {NN_MAX_METRICS}, received {len(new_metrics)}")
        for m in range(len(new_metrics)):
            rows[m] = &self.kernels.metrics[row_id(metric_ids, new_metrics[m], "metrics")]
        cdef list new_memory = [Memory(self.net.size) for _ in names(<const char *const *> self.kernels.rules[new_rule].slots)]
        for s, memory in enumerate(new_memory):
            slots[s] = memory.floats
        if nn_net_compile(self.net, &self.kernels.losses[new_loss], from_logits, &self.kernels.rules[new_rule], rows, len(new_metrics), slots) != NN_OK:
            raise MemoryError("compile: no memory for the list of metrics")
        self.slot_memory = new_memory
        self.loss = &self.kernels.losses[new_loss]
        self.rule = &self.kernels.rules[new_rule]
        self.metrics = new_metrics

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
    def frozen(self):
        return [self.net.layers[l].frozen for l in range(self.net.depth) if self.net.layers[l].dense]

    @frozen.setter
    def frozen(self, value):
        cdef list flags = [bool(flag) for flag in value]
        cdef Py_ssize_t l
        if len(flags) != len(self.frozen):
            raise ValueError(f"frozen: expected one flag for each of {len(self.frozen)} layers with a kernel, received {len(flags)}")
        self.require_idle("frozen")
        for l in range(self.net.depth):
            if self.net.layers[l].dense:
                self.net.layers[l].frozen = flags.pop(0)

    @property
    def skip_zeros(self):
        return None if self.net.skip_choice < 0 else self.net.skip_choice == 1

    @skip_zeros.setter
    def skip_zeros(self, value):
        self.net.skip_choice = -1 if value is None else 1 if value else 0
        self.net.seen = 0

    @property
    def way(self):
        return None if self.net.way_choice < 0 else WAYS[self.net.way_choice]

    @way.setter
    def way(self, value):
        if value is not None and value not in WAYS:
            raise ValueError(f"way: expected None or one of {', '.join(WAYS)}, received {value!r}")
        self.net.way_choice = -1 if value is None else WAYS.index(value)
        self.net.shape.batch_size = 0

    @property
    def pace(self):
        return {way: self.net.pace.row_ns[i] for i, way in enumerate(WAYS)}

    cdef int inputs(self, nn_data *result, x) except -1:
        """The inputs of x, an array or SparseRows."""
        cdef nn_layer *first = &self.net.layers[0]
        result.x = NULL
        if isinstance(x, SparseRows):
            if x.shape[1] != first.inputs:
                raise ValueError(f"x: expected {first.inputs} columns, received {x.shape[1]}")
            if not first.dense:
                raise ValueError("x: expected an array, as the first layer has no kernel, received a sparse matrix; convert it with toarray()")
            result.csr = (<SparseRows> x).csr
            result.n = x.shape[0]
        else:
            result.x = matrix(x, "x", -1, first.inputs)
            result.n = cnp.PyArray_DIM(<cnp.ndarray> x, 0)
        if result.n < 1:
            raise ValueError("x: expected at least one row, received none")
        return 0

    def prepare(self, x, y, sample_weight):
        cdef nn_layer *last = &self.net.layers[self.net.depth - 1]
        cdef Prepared rows = Prepared.__new__(Prepared)
        if self.loss == NULL:
            raise RuntimeError("the network has no loss yet: call compile first")
        self.inputs(&rows.data, x)
        if self.loss.sparse:
            y = labels(y, "y", rows.data.n, last.outputs)
            rows.data.y.labels = <const int32_t *> cnp.PyArray_DATA(<cnp.ndarray> y)
        else:
            rows.data.y.values = matrix(y, "y", rows.data.n, last.outputs)
        if sample_weight is not None:
            rows.data.weight = vector(sample_weight, "sample_weight", rows.data.n)
        rows.arrays = (x, y, sample_weight)
        rows.inputs, rows.outputs = self.net.layers[0].inputs, last.outputs
        return rows

    cdef Prepared rows(self, x, y, sample_weight):
        """What `prepare` made, if x is that, or makes now."""
        cdef nn_layer *last = &self.net.layers[self.net.depth - 1]
        if not isinstance(x, Prepared):
            x = self.prepare(x, y, sample_weight)
        elif y is not None or sample_weight is not None:
            raise ValueError("y, sample_weight: expected None beside prepared rows, which have theirs")
        cdef Prepared rows = x
        if rows.inputs != self.net.layers[0].inputs or rows.outputs != last.outputs or (rows.data.y.labels != NULL) != self.loss.sparse:
            raise ValueError("x: expected rows that were prepared for this network and loss; prepare them again")
        for name in self.metrics:
            if self.kernels.metrics[metric_ids[name]].sparse != self.loss.sparse:
                raise ValueError(f"metrics: {name} does not fit the targets of {(<bytes> self.loss.name).decode()}")
        return rows

    cdef int require_idle(self, str what) except -1:
        if self.busy.owner:
            raise RuntimeError(f"{what}: the network is being trained or evaluated by another thread; give each thread a model of its own")
        return 0

    cdef double *sums(self, totals) except NULL:
        if not fits(totals, cnp.NPY_FLOAT64, 1, 1 + self.net.metrics_count, -1, True):
            raise fail(totals, "totals", f"float64 array of shape ({1 + self.net.metrics_count},), writable")
        return <double *> cnp.PyArray_DATA(<cnp.ndarray> totals)

    def train(self, x, y, sample_weight, order, Py_ssize_t start, Py_ssize_t stop, batch_size, hyper, totals, progress):
        cdef Prepared prepared = self.rows(x, y, sample_weight)
        cdef nn_data data = prepared.data
        cdef double *sums = self.sums(totals)
        cdef double constants[NN_MAX_HYPER]
        cdef const uint32_t *rows = NULL
        cdef int64_t batches = 0
        cdef Py_ssize_t at, size
        cdef nn_status status
        if not 0 <= start < stop <= data.n:
            raise ValueError(f"start, stop: expected 0 <= start < stop <= {data.n}, received {start}, {stop}")
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, received {shown(batch_size)}")
        size = min(index_of(batch_size), data.n)
        if order is not None:
            if not fits(order, cnp.NPY_UINT32, 1, data.n, -1, False):
                raise fail(order, "order", f"uint32 C-contiguous array of shape ({data.n},)")
            rows = <const uint32_t *> cnp.PyArray_DATA(<cnp.ndarray> order)
            at = first_row_outside(rows + start, stop - start, data.n)
            if at >= 0:
                raise ValueError(f"order: expected rows from 0 to {data.n - 1}, received {rows[start + at]} at place {start + at}")
        fill_hyper(constants, self.rule, hyper)
        self.require_idle("train")
        context = Poll(progress)
        with self.busy:
            with nogil:
                status = nn_train(self.net, &data, rows, start, stop, size, constants, sums, poll, <void *> context, &batches)
        self.check(status, context, start // size + batches)

    def evaluate(self, x, y, sample_weight, totals, progress):
        cdef Prepared prepared = self.rows(x, y, sample_weight)
        cdef nn_data data = prepared.data
        cdef double *sums = self.sums(totals)
        cdef nn_status status
        self.require_idle("evaluate")
        context = Poll(progress)
        with self.busy:
            with nogil:
                status = nn_evaluate(self.net, &data, sums, poll, <void *> context)
        self.check(status, context, 0)

    def predict(self, x, out, progress):
        cdef nn_data data
        self.inputs(&data, x)
        cdef float *result = matrix(out, "out", data.n, self.net.layers[self.net.depth - 1].outputs, True)
        cdef nn_status status
        context = Poll(progress)
        with nogil:
            status = nn_predict(self.net, result, &data, poll, <void *> context)
        self.check(status, context, 0)

    cdef object check(self, nn_status status, Poll context, int64_t batch):
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
            raise RuntimeError(
                f"{self.net.step} updates have been made, and at most {INT64_MAX} can be counted: no step was made. Set optimizer.iterations to a smaller number."
            )


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
        at = -1 if kernels.all_finite(values, n) else first_not_finite(values, n)
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
    cdef Py_ssize_t R = cnp.PyArray_DIM(<cnp.ndarray> x, 0), I = cnp.PyArray_DIM(<cnp.ndarray> x, 1)
    cdef const float *pw = matrix(w, "w", I, -1)
    cdef Py_ssize_t O = cnp.PyArray_DIM(<cnp.ndarray> w, 1)
    cdef const float *pb = NULL if b is None else vector(b, "b", O)
    cdef float *po = matrix(out, "out", R, O, True)
    cdef const nn_activation *row = activation_row(activation)
    cdef uint32_t mode
    with nogil:
        mode = nn_float_mode_enter()
        kernels.dense_forward(po, px, pw, pb, R, I, O, row, parameter)
        nn_float_mode_leave(mode)


def dense_backward(dw, db, dx, dz, x, w, wt):
    """dx and its scratch wt (O,I) may be None."""
    cdef const float *pz = matrix(dz, "dz", -1, -1)
    cdef Py_ssize_t R = cnp.PyArray_DIM(<cnp.ndarray> dz, 0), O = cnp.PyArray_DIM(<cnp.ndarray> dz, 1)
    cdef const float *px = matrix(x, "x", R, -1)
    cdef Py_ssize_t I = cnp.PyArray_DIM(<cnp.ndarray> x, 1)
    cdef const float *pw = matrix(w, "w", I, O)
    cdef float *pdw = matrix(dw, "dw", I, O, True)
    cdef float *pdb = vector(db, "db", O, True)
    cdef float *pdx = NULL if dx is None else matrix(dx, "dx", R, I, True)
    cdef float *pwt = NULL if dx is None else matrix(wt, "wt", O, I, True)
    cdef uint32_t mode
    with nogil:
        mode = nn_float_mode_enter()
        kernels.dense_dw(pdw, NULL, pz, px, R, I, O, 0, I)
        kernels.dense_db(pdb, NULL, pz, R, O, O)
        if pdx != NULL:
            kernels.transpose(pwt, pw, I, O, 0, I)
            kernels.dense_dx(pdx, pz, pwt, R, I, O, NULL, 0.0, NULL)
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


cdef object slot_memory(float **memory, slots, const nn_rule *row, cnp.ndarray w, str name):
    expected = names(<const char *const *> row.slots)
    if len(slots) != len(expected):
        raise ValueError(f"{name}: expected {len(expected)} arrays ({', '.join(expected) or 'none'}), received {len(slots)}")
    for i, slot in enumerate(slots):
        memory[i] = like(slot, expected[i], w, True)


def dense_backward_update(w, b, dx, dz, x, wt, rule, hyper, slots_w, slots_b, step):
    """b, and dx with its scratch wt (O,I), may be None."""
    cdef const float *pz = matrix(dz, "dz", -1, -1)
    cdef Py_ssize_t R = cnp.PyArray_DIM(<cnp.ndarray> dz, 0), O = cnp.PyArray_DIM(<cnp.ndarray> dz, 1)
    cdef const float *px = matrix(x, "x", R, -1)
    cdef Py_ssize_t I = cnp.PyArray_DIM(<cnp.ndarray> x, 1)
    cdef float *pw = matrix(w, "w", I, O, True)
    cdef float *pb = NULL if b is None else vector(b, "b", O, True)
    cdef float *pdx = NULL if dx is None else matrix(dx, "dx", R, I, True)
    cdef float *pwt = NULL if dx is None else matrix(wt, "wt", O, I, True)
    cdef float *pdb = NULL
    cdef float[::1] scratch = np.empty(kernels.dw_scratch + 1 if nn_dw_wants_scratch(R, O) else 1, dtype=np.float32)
    cdef float *memory_w[NN_MAX_SLOTS]
    cdef float *memory_b[NN_MAX_SLOTS]
    cdef nn_step constants
    cdef const nn_rule *row = rule_step(rule, hyper, step, &constants)
    cdef uint32_t mode
    slot_memory(memory_w, slots_w, row, w, "slots")
    if b is not None:
        slot_memory(memory_b, slots_b, row, b, "slots")
        db = np.empty(O, dtype=np.float32)
        pdb = vector(db, "db", O, True)
    with nogil:
        mode = nn_float_mode_enter()
        if pdx != NULL:
            kernels.transpose(pwt, pw, I, O, 0, I)
            kernels.dense_dx(pdx, pz, pwt, R, I, O, NULL, 0.0, NULL)
        kernels.dense_dw_update(pw, memory_w, NULL, pz, px, R, I, O, 0, I, row, &constants, &scratch[0])
        if pb != NULL:
            kernels.dense_db(pdb, NULL, pz, R, O, O)
            row.update(pb, memory_b, pdb, O, O, 1, O, &constants, False)
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
    cdef float *memory[NN_MAX_SLOTS]
    cdef nn_step constants
    cdef const nn_rule *row = rule_step(rule, hyper, step, &constants)
    cdef uint32_t mode
    slot_memory(memory, slots, row, w, "slots")
    with nogil:
        mode = nn_float_mode_enter()
        row.update(pw, memory, <float *> pg, n, n, 1, n, &constants, False)  # not cleared: not written
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
