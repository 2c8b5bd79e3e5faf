# Memory of the engine, and rows that are sparse.


cdef class Memory:
    """Floats of the engine, zeros unless given, which live as long as the network or any view of them."""
    cdef float *floats

    def __cinit__(self, Py_ssize_t size, float value=0.0):
        self.floats = <float *> nn_alloc(size * sizeof(float))
        if self.floats == NULL:
            raise MemoryError(f"no memory for {size} floats")
        cdef Py_ssize_t i, at, piece = 1 << 22
        for at in range(0, size, piece):  # pages are made now, where a signal gets through, and not within a step
            with nogil:
                memset(self.floats + at, 0, min(piece, size - at) * sizeof(float))
                if value != 0.0:
                    for i in range(at, min(at + piece, size)):
                        self.floats[i] = value
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
