"""Types of the native extension (csrc/ behind _core.pyx)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graph import Op

Float32 = NDArray[np.float32]
Progress = Callable[[int], object] | None

ACTIVATIONS: dict[str, float | None]
"""Name -> default parameter, None where it takes none."""
LOSSES: dict[str, str | None]
"""Name -> the activation whose logits it fuses with."""
METRICS: tuple[str, ...]
SCHEDULES: tuple[str, ...]
"""Who works on a step: worker 0 alone, or all."""
OP_KINDS: tuple[str, ...]
PATHS: dict[str, str]
"""Fast path -> what it does."""
RULES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[float, ...]]]
"""Update rule -> names of its hyperparameters, names of its slots, what the slots begin with by default."""

def available_instruction_sets() -> tuple[str, ...]: ...
def instruction_set() -> str: ...
def set_instruction_set(name: str) -> None:
    """Of nets made and kernels called from now on; "" is the widest. ValueError if this machine cannot run it."""

def set_paths(names: str) -> None:
    """Turns fast paths off, of runs prepared from now on: "-skip_zeros,-few_rows"; "" turns all on. The environment's NNFAST_PATHS is taken at
    import. Changes no bit. ValueError for an unknown name."""

def num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...
def build_info() -> dict[str, str]: ...

class SparseRows:
    """A CSR matrix as the engine reads it: start (rows + 1,) int64, which is copied, index and value (entries,) int32 and float32, which are not.
    Entry k of row r is start[r] + k; index ascends in a row. A slice of rows shares the entries."""

    def __init__(
        self, start: NDArray[np.int64], index: NDArray[np.int32], value: Float32, inputs: int
    ) -> None: ...
    ndim: int
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def start(self) -> NDArray[np.int64]: ...
    @property
    def index(self) -> NDArray[np.int32]: ...
    @property
    def value(self) -> Float32: ...
    def __len__(self) -> int: ...
    def __getitem__(self, rows: slice) -> SparseRows: ...
    def toarray(self, rows: Sequence[int] | NDArray[np.integer[Any]] | None = None) -> Float32:
        """All rows, or these, as a dense array: for tests and the reference."""

class Exclusive:
    """Who may work on a network: one thread at a time, one fit at a time. Predictions need not ask.

    In `with`, for anything short: waits for another thread's turn, but not for its fit (RuntimeError). A thread may take what it holds once more.
    In a forked child the thread that forked goes on with what it holds; what others held is free."""

    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...
    @property
    def fitting(self) -> bool:
        """Whether a fit has it, of this thread or of another one."""
    def fit(self) -> Fit:
        """For `with`: holds the network for a fit; RuntimeError while another one runs, in this thread or elsewhere."""
    def require_free(self, what: str) -> None:
        """RuntimeError during a fit, for what may not even happen in a callback."""

class Fit:
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...

class Run:
    """A network over some data, checked and planned once for any number of steps. Its memory, and what was measured of its schedules, go to the next
    run of the network that is prepared after it is gone."""

    @property
    def ns_per_row(self) -> dict[str, float]:
        """Nanoseconds that a row has been measured to take by each schedule; 0: not known yet."""
    def explain(self) -> str:
        """The plan: ops, passes and what workers share in each, fast paths taken and for each other one why not, memory."""
    def step(
        self,
        order: NDArray[np.uint32] | None,
        start: int,
        stop: int,
        hyper: Sequence[float],
        totals: NDArray[np.float64],
        progress: Progress,
        rates: NDArray[np.float64] | None = None,
        outputs: Float32 | None = None,
    ) -> None:
        """Steps over rows order[start:stop] in batches (without training: looks at rows [start, stop)); adds row losses and metrics of the steps
        made to totals. rates: the learning rate of each step, in place of the first of hyper. outputs (stop - start, K): filled with what the network
        gives for each row, of a run that keeps outputs."""

class Net:
    """A dense network in native memory, of ops from inputs to outputs."""

    def __init__(self, input_size: int, ops: Sequence[Op]) -> None: ...
    @property
    def instruction_set(self) -> str: ...
    @property
    def params(self) -> Float32:
        """All parameters, flat and writable: per op b (O,), then w (I,O), each on a cache line."""
    @property
    def tensors(self) -> list[Float32]:
        """Writable views: kernel (I,O), bias (O,) of each op with weights."""
    def split(self, flat: Float32) -> list[Float32]:
        """The same views of any flat array of the size of `params`."""
    def compile(
        self,
        loss: str,
        from_logits: bool,
        rule: str,
        metrics: Sequence[str],
        initial: Sequence[float] | None = None,
    ) -> None:
        """`initial`: what each slot begins with; None: the rule's own values."""
    @property
    def slots(self) -> tuple[Float32, ...]:
        """Views of the slots of this `compile`; after the next one they are nobody's, and still memory."""
    @property
    def step(self) -> int: ...
    @step.setter
    def step(self, value: int) -> None: ...
    @property
    def trainable(self) -> list[bool]:
        """Whether training changes weights and slots, for each op with weights; of runs prepared from now on."""
    @trainable.setter
    def trainable(self, values: Sequence[bool]) -> None: ...
    @property
    def skip_zeros(self) -> bool | None:
        """Whether the zeros of the inputs are skipped in training: where they are many (None), wherever possible, never. Of runs prepared from now
        on. Changes no bit."""
    @skip_zeros.setter
    def skip_zeros(self, value: bool | None) -> None: ...
    @property
    def schedule(self) -> str | None:
        """Who works on a step that is worth several workers, a name in SCHEDULES; None: whichever is measured to be the faster. Changes no bit."""
    @schedule.setter
    def schedule(self, value: str | None) -> None: ...
    def prepare(
        self,
        x: Float32 | SparseRows,
        y: NDArray[np.generic],
        sample_weight: Float32 | None,
        batch_size: int,
        train: bool = True,
        keeps_outputs: bool = False,
    ) -> Run:
        """These data, checked and planned once. Labels are copied, as each decides what memory is read; the other arrays are not.
        A batch_size above the number of rows is that number."""
    def train(
        self,
        x: Float32 | SparseRows,
        y: NDArray[np.generic],
        sample_weight: Float32 | None,
        order: NDArray[np.uint32] | None,
        start: int,
        stop: int,
        batch_size: int,
        hyper: Sequence[float],
        totals: NDArray[np.float64],
        progress: Progress,
    ) -> None:
        """`prepare`, and `Run.step` over rows order[start:stop]."""
    def evaluate(
        self,
        x: Float32 | SparseRows,
        y: NDArray[np.generic],
        sample_weight: Float32 | None,
        totals: NDArray[np.float64],
        progress: Progress,
    ) -> None: ...
    def predict(self, x: Float32 | SparseRows, out: Float32, progress: Progress) -> None: ...

def uniform(n: int, seed: int, stream: int) -> NDArray[np.float64]: ...
def normal(n: int, seed: int, stream: int) -> NDArray[np.float64]: ...
def truncated_normal(n: int, seed: int, stream: int) -> NDArray[np.float64]: ...
def shuffle(order: NDArray[np.uint32], seed: int, epoch: int) -> None: ...
def first_nonfinite(x: Float32) -> int: ...
def is_ready(x: object, columns: int) -> bool:
    """Whether x is inputs as the engine takes them, with nothing left to check or convert: an ndarray of no
    subclass, float32, of shape (N, columns) with N >= 1, C-contiguous, aligned and finite."""

def dense_forward(
    out: Float32, x: Float32, w: Float32, b: Float32 | None, activation: str, parameter: float
) -> None: ...
def dense_backward(
    dw: Float32, db: Float32, dx: Float32 | None, dz: Float32, x: Float32, w: Float32, wt: Float32 | None
) -> None: ...
def dense_backward_update(
    w: Float32,
    b: Float32 | None,
    dx: Float32 | None,
    dz: Float32,
    x: Float32,
    wt: Float32 | None,
    rule: str,
    hyper: Sequence[float],
    slots_w: Sequence[Float32],
    slots_b: Sequence[Float32 | None],
    step: int,
) -> None: ...
def activation_forward(a: Float32, activation: str, parameter: float) -> None: ...
def activation_backward(dz: Float32, da: Float32, a: Float32, activation: str, parameter: float) -> None: ...
def loss_rows(
    row_loss: Float32,
    gradient: Float32,
    scratch: Float32 | None,
    outputs: Float32,
    y: NDArray[np.generic],
    loss: str,
    sample_weight: Float32 | None,
    from_logits: bool,
) -> None: ...
def update(
    w: Float32, g: Float32, slots: Sequence[Float32], rule: str, hyper: Sequence[float], step: int
) -> None: ...
def math(function: str, x: Float32) -> Float32: ...
