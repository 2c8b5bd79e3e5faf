# Runs: prepared once, stepped many times.


@cython.no_gc_clear
cdef class Run:
    """A network over some data, checked and planned once for any number of steps. See _core.pyi."""
    cdef nn_run *run
    cdef Net net
    cdef tuple arrays  # that the memory belongs to
    cdef Py_ssize_t batch_size
    cdef int train
    cdef bint keeps_outputs
    cdef int64_t compiled, frozen  # those of the network when this was planned

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
            if self.train and self.frozen != net.frozen:
                check(nn_run_plan_again(self.run), context, 0, 0)
                self.frozen = net.frozen
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
