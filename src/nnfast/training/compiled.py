"""What `compile` makes: a network with a loss, a rule and metrics, and the state that a second fit goes on with."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core, losses, optimizers
from .. import metrics as metrics_module
from ..attributes import Guarded
from ..callbacks import Logs
from ..data import arrays
from ..errors import cut, warn
from ..names import serialize, unknown_name
from ..network import BACKENDS, Draft, Network
from .counts import checked_total
from .health import LastFinite
from .last_layers import warn_of_last_layers
from .rows import Data
from .watch import Watch, Watched

if TYPE_CHECKING:
    from ..network import Net


WATCHED = -1
"""Place of a metric that stands in no column of the engine's totals."""


class Compiled(Guarded):
    """A network, compiled; base of the trainer."""

    optimizer: Final[optimizers.Optimizer]
    loss: Final[losses.Loss]
    metrics: Final[tuple[metrics_module.Metric, ...]]
    weighted_metrics: Final[tuple[metrics_module.Metric, ...]]
    backend: Final[str]
    _remedies: ClassVar = {"": "Make a new Trainer, or call compile again.", "slots": "Use set_slots."}

    def __init__(
        self,
        model: Network,
        optimizer: object,
        loss: object,
        metrics: Iterable[object] | str | None = (),
        backend: str = BACKENDS[0],
        weighted_metrics: Iterable[object] | str | None = (),
    ) -> None:
        if backend not in BACKENDS:
            raise unknown_name("backend", str(backend), BACKENDS)
        if not isinstance(model, Network):
            raise TypeError(f"model must be a Sequential, got {cut(model)}.")
        self.optimizer = optimizers.get(optimizer)
        self.loss = losses.get(_of_one_output("loss", loss, model))
        self.metrics = tuple(metrics_module.get_all(metrics))
        self.weighted_metrics = tuple(metrics_module.get_weighted(weighted_metrics, self.metrics))
        self.backend = backend
        self._epoch = 0
        self._epochs_shuffled = 0
        self._warns_of_dead_units = True
        self._model = weakref.ref(model)
        self._held: Network | None = model
        self._net: Net | None = None
        self._last_finite = LastFinite()
        self._head: tuple[int, str] | None = None
        model._lock.require_free("compile")
        with model._lock:
            self.optimizer.check(model)
            draft = model._draft(None, backend) if model.built else None
            if draft is not None:
                self._compile(draft)
            elif model.layers:
                self._bind(model._head)
            model._take(self, draft)  # nothing is refused from here on
            self.optimizer.attach(self)

    def _release_model(self) -> None:
        """Leave it to the model, which holds this trainer, to keep both alive: a circle of the two would be
        freed late."""
        self._held = None

    @property
    def model(self) -> Network:
        model = self._model()
        if model is None:
            raise RuntimeError("the model of this trainer is gone. Keep a reference to the model.")
        return model

    # The network, compiled

    def _current(self) -> Network:
        """The model, if this is its trainer."""
        model = self.model
        if model._trainer is not self:
            raise RuntimeError(
                "the model was compiled again, or its layers were changed. "
                "Use model.trainer, or make a new Trainer."
            )
        return model

    def _network(self, sample_shape: tuple[int, ...] | None = None) -> Net:
        """The model's network with this trainer's loss, rule and metrics; built now if need be, for what has been
        checked: from then on the model takes samples of this shape only."""
        model = self._current()
        if self._net is None:
            with model._lock:
                draft = model._draft(sample_shape, self.backend)
                self._compile(draft)
                model._adopt(draft, self.backend)
        elif self.optimizer.rule != self._rule:
            raise RuntimeError(
                f"the optimizer has changed from rule {self._rule!r} to {self.optimizer.rule!r}. "
                "Call compile again."
            )
        assert self._net is not None
        return self._net

    def _compile(self, draft: Draft) -> None:
        self._bind(draft.head)
        rule = self.optimizer.rule
        initial = self.optimizer.initial_slots()
        draft.net.compile(self.loss.name, self.loss.from_logits, rule, self._rows, initial)
        self._net, self._rule, self._params = draft.net, rule, draft.net.params
        self._last_finite.forget_kernels()

    def _bind(self, head: tuple[int, str]) -> None:
        """Decide what is counted for a model of these outputs: each row of the engine's table once, under as many
        names as are asked for; and what is watched, as the engine does not count it."""
        if head == self._head:
            return
        bound = metrics_module.bind(self.metrics, self.loss, *head)
        metrics_module.bind(self.weighted_metrics, self.loss, *head)
        losses.warn_of_head(self.loss, *head)
        warn_of_last_layers(self.loss, self.model._last_layers())
        bound += [None] * len(self.weighted_metrics)
        self._rows = list(dict.fromkeys(row for row in bound if row is not None))
        self._columns: list[tuple[str, Callable[[float], float], int]] = [("loss", float, 0)]
        self._watched: list[Watched] = []
        for number, (metric, row) in enumerate(zip(self._all_metrics, bound, strict=True)):
            if row is not None:
                self._columns.append((metric.name, metric.finish, 1 + self._rows.index(row)))
                continue
            self._columns.append((metric.name, float, WATCHED))
            concrete = metrics_module.decided(metric, self.loss, head[0])
            self._watched.append(Watched(metric.name, concrete, number >= len(self.metrics)))
        self._head = head

    def _move(self, draft: Draft) -> None:
        """Go on with another network of the same weights; the state of the optimizer comes along."""
        if self._net is None:
            return
        slots, step = self._net.slots, self._net.step
        self._compile(draft)
        for slot, values in zip(draft.net.slots, slots, strict=True):
            np.copyto(slot, values)
        draft.net.step = step

    @property
    def directions(self) -> dict[str, str]:
        """What counts as better for each metric: "min" or "max"."""
        return {metric.name: metric.direction for metric in self._all_metrics if metric.direction}

    @property
    def _all_metrics(self) -> tuple[metrics_module.Metric, ...]:
        return self.metrics + self.weighted_metrics

    @property
    def metrics_names(self) -> list[str]:
        """Keys of the logs: "loss" and the metrics."""
        return ["loss", *(metric.name for metric in self._all_metrics)]

    def _totals(self) -> NDArray[np.float64]:
        return np.zeros(1 + len(self._rows))

    def _watch(self, data: Data, batch_size: int) -> Watch | None:
        """What counts the metrics that the engine does not; None without such metrics."""
        return Watch(self._watched, data, batch_size, self.model._head[0]) if self._watched else None

    def _means(self, totals: NDArray[np.float64], rows: int, watch: Watch | None) -> Logs:
        """Loss and metrics of the first rows, whose batches are complete."""
        sums, counted = totals.tolist(), watch.results(rows) if watch else {}
        logs: Logs = {}
        for name, finish, place in self._columns:
            logs |= counted[name] if place == WATCHED else {name: finish(sums[place] / max(1, rows))}
        return logs

    # Data

    def _data(
        self,
        x: object,
        y: object,
        sample_weight: object,
        prefix: str = "",
        shape: tuple[int, ...] | None = None,
    ) -> tuple[Data, tuple[int, ...]]:
        """Checked rows, and the shape of a sample: `shape`, else that of the model, else of these. Builds nothing."""
        model = self._current()
        if y is None:
            raise ValueError(f"{prefix}y must be given, one target for each row of {prefix}x.")
        array = arrays.to_rows(x, f"{prefix}x")
        model._check_kind(array, f"{prefix}x")
        shape = shape or model._shape_for(array)
        inputs = arrays.as_inputs(array, shape, f"{prefix}x")
        rows = len(inputs)
        targets = losses.as_targets(self.loss, y, rows, model._head[0], f"{prefix}y")
        weight = (
            None
            if sample_weight is None
            else arrays.as_weights(sample_weight, rows, f"{prefix}sample_weight")
        )
        return Data(inputs, targets, weight), shape

    def _weighted(self, data: Data, class_weight: object) -> Data:
        """`class_weight` becomes a sample weight; together they multiply."""
        if class_weight is None:
            return data
        weight = arrays.class_weights(class_weight, data.y, self.model._head[0])
        return data._replace(weight=weight if data.weight is None else data.weight * weight)

    # State, for model files and copies

    def recover(self) -> None:
        """Put back the weights that the last finite epoch of the last fit ended with, and start the optimizer
        afresh.

        For use after `NonFiniteError`, usually followed by a lower learning rate. In the first epoch of a fit
        they are the weights that it began with.

        Raises
        ------
        RuntimeError
            There was no fit since `compile`.
        """
        if self._last_finite.params is None:
            raise RuntimeError("there are no weights to recover: no fit has begun since compile.")
        self._current()
        with self.model._lock:
            net = self._network()
            np.copyto(self._params, self._last_finite.params)
            for slot, value in zip(net.slots, self.optimizer.initial_slots(), strict=True):
                slot.fill(value)
            net.step = 0

    def get_config(self) -> dict[str, Any]:
        """The arguments of `compile`, JSON-able; it takes them back: `model.compile(**config)`.

        Warns
        -----
        UserWarning
            Metrics of a user's own are left out: what they do cannot be written down.
        """
        return {
            "optimizer": serialize(self.optimizer),
            "loss": serialize(self.loss),
            "metrics": _descriptions(self.metrics),
            "backend": self.backend,
            **({"weighted_metrics": _descriptions(self.weighted_metrics)} if self.weighted_metrics else {}),
        }

    @property
    def epoch(self) -> int:
        """Epochs finished, over all fits."""
        return self._epoch

    @epoch.setter
    def epoch(self, value: int) -> None:
        checked = checked_total("epoch", value)
        with self.model._lock:
            self._epoch = checked

    @property
    def epochs_shuffled(self) -> int:
        """Place in the random stream: the number of shuffles made."""
        return self._epochs_shuffled

    @epochs_shuffled.setter
    def epochs_shuffled(self, value: int) -> None:
        checked = checked_total("epochs_shuffled", value)
        with self.model._lock:
            self._epochs_shuffled = checked

    @property
    def warns_of_dead_units(self) -> bool:
        """Whether `fit` is to look for dead layers when weights do not move."""
        return self._warns_of_dead_units

    @warns_of_dead_units.setter
    def warns_of_dead_units(self, value: bool) -> None:
        self._warns_of_dead_units = bool(value)

    @property
    def iterations(self) -> int:
        """Number of updates made."""
        return 0 if self._net is None else self._net.step

    @iterations.setter
    def iterations(self, value: int) -> None:
        checked = checked_total("iterations", value)
        with self.model._lock:
            self._network().step = checked

    @property
    def slots(self) -> dict[str, list[arrays.Floats]]:
        """Name of each slot of the optimizer to its arrays, views in the order of `get_weights`."""
        net = self._network()
        names = _core.RULES[self._rule][1]
        return {name: net.split(slot) for name, slot in zip(names, net.slots, strict=True)}

    def set_slots(self, slots: Mapping[str, Iterable[ArrayLike]]) -> None:
        """Overwrite the slots of the optimizer, all or none.

        Raises
        ------
        ValueError
            Other names, numbers or shapes than those of `slots`.
        RuntimeError
            The model is being trained by another thread.
        """
        with self.model._lock:
            own = self.slots
            if not isinstance(slots, Mapping) or set(slots) != set(own):
                given = sorted(map(str, slots)) if isinstance(slots, Mapping) else cut(slots)
                raise ValueError(f"slots must be {sorted(own)}, those of rule {self._rule!r}, got {given}.")
            arrays.assign(
                [tensor for name in own for tensor in own[name]],
                [value for name in own for value in arrays.listed(slots[name], f"slots[{name!r}]")],
                f"optimizer rule {self._rule!r}",
            )

    def state(self) -> dict[str, int]:
        """Epochs finished and place in the random stream."""
        return {"epoch": self.epoch, "epochs_shuffled": self.epochs_shuffled}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Put back what `state` gave."""
        names = ("epoch", "epochs_shuffled")
        if not isinstance(state, Mapping) or not set(names) <= set(state):
            raise ValueError(
                f"state must be a dict with {' and '.join(names)}, as state() gives it, got {cut(state)}."
            )
        epoch, shuffled = (checked_total(name, state[name]) for name in names)
        with self.model._lock:
            self._epoch, self._epochs_shuffled = epoch, shuffled

    def snapshot(self) -> dict[str, Any]:
        """Everything that pickle and deepcopy need to make an equal trainer for an equal model."""
        built = self._net is not None
        return {
            "arguments": (self.optimizer, self.loss, self.metrics, self.backend, self.weighted_metrics),
            "state": self.state(),
            "iterations": self.iterations,
            "slots": {name: [tensor.copy() for tensor in tensors] for name, tensors in self.slots.items()}
            if built
            else None,
        }

    @classmethod
    def from_snapshot(cls, model: Network, snapshot: dict[str, Any]) -> Self:
        """The trainer for a copy of the model."""
        trainer = cls(model, *snapshot["arguments"])
        trainer.set_state(snapshot["state"])
        if snapshot["slots"] is not None:
            trainer.set_slots(snapshot["slots"])
            trainer.iterations = snapshot["iterations"]
        return trainer

    def __copy__(self) -> Self:
        raise TypeError(
            "copy.copy of a trainer would have to share the model with it. Use copy.deepcopy(model.trainer)."
        )

    def __reduce__(self) -> tuple[Callable[[Network], Compiled], tuple[Network]]:
        return _trainer_of, (self.model,)


def _descriptions(metrics: Iterable[metrics_module.Metric]) -> list[dict[str, Any]]:
    found = {metric.name: metrics_module.describe(metric) for metric in metrics}
    own = [name for name, description in found.items() if description is None]
    if own:
        warn(
            f"metrics of your own are left out of what is saved: {', '.join(own)}. "
            "Pass them to compile again after loading."
        )
    return [description for description in found.values() if description is not None]


def _of_one_output(argument: str, given: object, model: Network) -> object:
    """What is given for the one output of a model, out of a list of one or of a dict under the output's name."""
    if isinstance(given, list | tuple | Mapping) and not (
        isinstance(given, Mapping) and "class_name" in given
    ):
        output = model.layers[-1].name if model.layers else None
        if len(given) != 1 or (isinstance(given, Mapping) and output not in (None, *given)):
            raise ValueError(
                f"{argument} must be one, as the model has one output, {output!r}, got {given!r}. "
                f"Pass it by itself, in a list of one, or in a dict of one under that name."
            )
        return next(iter(given.values() if isinstance(given, Mapping) else given))
    return given


def _trainer_of(model: Any) -> Compiled:
    trainer: Compiled = model.trainer
    trainer._held = model
    return trainer
