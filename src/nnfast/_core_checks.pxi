# Arrays, checked: each check returns their memory.


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
