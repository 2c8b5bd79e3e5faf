# Networks.


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
    cdef int64_t frozen      # how often it was decided which ops are trained
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

    def compile(self, loss, from_logits, rule, metrics, initial=None):
        cdef nn_compilation wanted
        cdef Py_ssize_t m, s
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
        cdef tuple own = RULES[rule][2], values = own if initial is None else tuple(initial)
        if len(values) != len(own) or not np.isfinite(np.array(values, dtype=np.float32)).all():
            raise ValueError(f"initial: expected None or a finite float32 for each slot ({', '.join(RULES[rule][1]) or 'none'}), received {initial!r}")
        cdef list new_memory = [Memory(self.net.size, value) for value in values]
        for s in range(NN_MAX_SLOTS):
            wanted.slots[s] = (<Memory> new_memory[s]).floats if s < len(values) else NULL
            wanted.initial[s] = values[s] if s < len(values) else 0.0
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
        self.frozen += 1

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
        run.net, run.train, run.keeps_outputs, run.compiled, run.frozen, run.arrays = self, train, keeps_outputs, self.compiled, self.frozen, (x, y, sample_weight)
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
