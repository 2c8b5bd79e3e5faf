# Who may work on a network.


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
