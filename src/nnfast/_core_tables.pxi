# Numbers, the instruction set of this process, and the tables of the engine.

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
    cdef Py_ssize_t s
    while row.name != NULL:
        slots = names(<const char *const *> row.slots)
        table[(<bytes> row.name).decode()] = (names(<const char *const *> row.hyper), slots, tuple([row.initial[s] for s in range(len(slots))]))
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
