"""What all optimizers share: the settings that take effect while training goes on, and the arguments that
Keras gives to each of them."""

from __future__ import annotations

import copy
import inspect
import math
import weakref
from typing import Any, ClassVar, Protocol, Self, TypedDict, overload

from .. import _core
from ..attributes import refuse_ignored_methods
from ..errors import warn
from ..names import nearest, represent
from .rate import Rated, Schedule, checked_number


class Named(Protocol):
    """What an optimizer needs of a model: a name for its messages."""

    @property
    def name(self) -> str: ...


class Stepper(Protocol):
    """What an optimizer needs of the trainer that holds its slots."""

    iterations: int

    @property
    def model(self) -> Named: ...


class OptionsBesideDecay(TypedDict, total=False):
    """The arguments of `Options`, for an optimizer with a weight decay of its own."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: float | None
    gradient_accumulation_steps: int | None
    name: str | None
    lr: float | Schedule
    decay: float | None


class Options(OptionsBesideDecay, total=False):
    """The arguments, by keyword, that every optimizer of Keras takes after its own.

    `ema_momentum` and `ema_overwrite_frequency` have, as in Keras, no effect without `use_ema`; `lr` and
    `decay` are of older Keras.
    """

    weight_decay: float | None


_UNSUPPORTED = (
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)


class Optimizer(Rated):
    """Base of the optimizers.

    The arguments of the constructor are attributes, and to set one takes effect from the next step that the
    engine is called for (a whole epoch, unless a callback listens to batches).

    Attributes
    ----------
    learning_rate : float
        Finite, >= 0; callbacks may set it between steps. Of an optimizer that was made with a schedule it is the
        rate of the next step, and can be set to another schedule only.
    rule : str
        Row of the engine's table that does the update.
    iterations : int
        Number of updates made so far.

    Raises
    ------
    AttributeError
        An attribute is set that does nothing here, or one that would choose another update rule (a momentum
        in the place of none) for a model that is compiled with this one.
    """

    name: str
    _remedies: ClassVar = {
        "": "Make a new optimizer and call compile again.",
        "rule": "It follows from the other settings.",
    }

    def __init__(self, learning_rate: float | Schedule, options: Options, **hyper: float | None) -> None:
        self._trainer: weakref.ref[Stepper] | None = None
        self._refuse(options)
        settings: dict[str, float | Schedule | None] = {"learning_rate": learning_rate, **hyper}
        self._rename(settings, options)
        self.name = options.get("name") or type(self).__name__
        for key, value in settings.items():
            setattr(self, key, value)

    def _refuse(self, options: Options) -> None:
        """Refuse arguments that there are not, and values that would change the steps and would not here."""
        kind = type(self).__name__
        for key, value in options.items():
            if key not in Options.__optional_keys__:
                known = [*inspect.signature(type(self)).parameters, *Options.__optional_keys__]
                raise TypeError(f"{kind} has no argument {key!r}.{nearest(key, known)}")
            if key in _UNSUPPORTED and value:
                remedy = " AdamW has one." if key == "weight_decay" else ""
                raise ValueError(
                    f"{kind}: {key} must be {False if key == 'use_ema' else None}, as it is not supported yet, "
                    f"got {value!r}.{remedy}"
                )
        if options.get("decay"):
            raise ValueError(
                f"{kind}: decay must be 0, as it is not supported yet, got {options['decay']!r}. The rate "
                "that it gave is learning_rate=optimizers.schedules.InverseTimeDecay(learning_rate, 1, decay)."
            )

    def _rename(self, settings: dict[str, float | Schedule | None], options: Options) -> None:
        """Take arguments of older Keras for what they are now, with one warning for all."""
        said = []
        if "lr" in options:
            settings["learning_rate"] = options["lr"]
            said.append("lr is older Keras: it is called learning_rate now")
        if "decay" in options:
            said.append("decay is a schedule now, and 0 is none")
        if settings.get("epsilon", 0.0) is None:
            settings["epsilon"] = 1e-7
            said.append("epsilon=None is 1e-07 now")
        if said:
            warn(FutureWarning(f"{type(self).__name__}: {'; '.join(said)}."))

    @property
    def rule(self) -> str:
        raise TypeError(
            f"{type(self).__name__} has no update rule that the engine knows. "
            "Use, or derive from, one of those of nnfast.optimizers, as SGD or Adam."
        )

    def __setattr__(self, name: str, value: object) -> None:
        trainer = vars(self).get("_trainer") and self._trainer and self._trainer()
        if trainer and name[0] != "_" and name not in ("name", "learning_rate", "iterations"):
            changed = copy.copy(self)  # what it would be: nothing has changed where that is refused
            setattr(changed, name, value)
            if changed.rule != self.rule:
                raise AttributeError(
                    f"{type(self).__name__}.{name} cannot become {value!r} while it serves a compiled model: "
                    f"the update rule would change from {self.rule!r} to {changed.rule!r}, which keeps another "
                    "state. Make a new optimizer and call compile again.",
                    name=name,
                    obj=self,
                )
        super().__setattr__(name, value)

    def hyper(self) -> tuple[float, ...]:
        """Current hyperparameters, in the order of the engine's table."""
        return tuple([getattr(self, key) for key in _core.RULES[self.rule][0]])

    def initial_slots(self) -> tuple[float, ...]:
        """What each slot of the rule begins with."""
        return _core.RULES[self.rule][2]

    @property
    def iterations(self) -> int:
        trainer = self._trainer and self._trainer()
        return trainer.iterations if trainer else 0

    @iterations.setter
    def iterations(self, value: int) -> None:
        trainer = self._trainer and self._trainer()
        if not trainer:
            raise RuntimeError(f"optimizer {self.name} has no steps to count yet. Give it to compile first.")
        trainer.iterations = value

    def attach(self, trainer: Stepper) -> None:
        """Tie this optimizer to the trainer that holds its slots.

        Raises
        ------
        ValueError
            It serves another model already.
        """
        self.check(trainer.model)
        self._trainer = weakref.ref(trainer)

    def check(self, model: Named) -> None:
        """Whether it can train this model.

        Raises
        ------
        ValueError
            It serves another one already.
        TypeError
            It is of a user's own class with an update of its own, which the engine cannot run.
        """
        refuse_ignored_methods(
            self,
            ("update_step", "apply_gradients", "apply", "minimize", "build", "stateless_apply"),
            "The update is the engine's: change learning_rate and its like from a callback.",
        )
        if self.rule not in _core.RULES:
            raise TypeError(
                f"{type(self).__name__}.rule must be one of {', '.join(_core.RULES)}, got {self.rule!r}."
            )
        served = self._trainer and self._trainer()
        if served and served.model is not model:
            raise ValueError(
                f"optimizer {self.name} already serves the model {served.model.name!r}. Make one for each: "
                f"{type(self).__name__}.from_config(optimizer.get_config())."
            )

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, with the current values."""
        return {"learning_rate": self._rate_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A new optimizer from `get_config()`, with no steps made."""
        return cls(**config)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_trainer": None}

    def __repr__(self) -> str:
        return represent(self)


class Hyper:
    """A hyperparameter that may be set at any time: a number from 0 (`positive`: above 0) up to, and without, a
    bound."""

    def __init__(self, bound: float = math.inf, positive: bool = False) -> None:
        self.bound = bound
        self.positive = positive

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, optimizer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, optimizer: Optimizer, owner: type) -> float: ...
    def __get__(self, optimizer: Optimizer | None, owner: type) -> Self | float:
        return self if optimizer is None else float(vars(optimizer)[self.name])

    def __set__(self, optimizer: Optimizer, value: float) -> None:
        number = checked_number(self.name, value, self.bound)
        if self.positive and number == 0:
            raise ValueError(f"{self.name} must be above 0, got {value!r}.")
        vars(optimizer)[self.name] = number


UP_TO_ONE = math.nextafter(1.0, 2.0)
"""The bound of a momentum: Keras allows 1."""
