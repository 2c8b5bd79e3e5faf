"""The public names of the optimizers: what a user sets. The updates are in the C table (csrc/optimizer.h);
nothing is computed here.

An optimizer is accepted as a name ("adam"), a class or an object. Its slots (velocities, moments) live in the
network it updates, so that one object serves one model.
"""

from __future__ import annotations

import copy
import math
import weakref
from typing import Any, ClassVar, Protocol, Self, overload

from .. import _core
from ..attributes import refuse_ignored_methods
from ..names import represent, resolve, unknown_attribute
from . import rate
from . import schedules as schedules
from .rate import checked_number as checked_number


class Named(Protocol):
    """What an optimizer needs of a model: a name for its messages."""

    @property
    def name(self) -> str: ...


class Stepper(Protocol):
    """What an optimizer needs of the trainer that holds its slots."""

    iterations: int

    @property
    def model(self) -> Named: ...


class Optimizer(rate.Rated):
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

    def __init__(self, learning_rate: float | rate.Schedule, name: str | None, **hyper: float) -> None:
        self._trainer: weakref.ref[Stepper] | None = None
        self.name = name or type(self).__name__
        self.learning_rate = learning_rate
        for key, value in hyper.items():
            setattr(self, key, value)

    @property
    def rule(self) -> str:
        raise TypeError(
            f"{type(self).__name__} has no update rule that the engine knows. "
            f"Use, or derive from, one of {', '.join(cls.__name__ for cls in KNOWN.values())}."
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
    """A hyperparameter that may be set at any time: a number from 0 up to, and without, a bound."""

    def __init__(self, bound: float = math.inf) -> None:
        self.bound = bound

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, optimizer: None, owner: type) -> Self: ...
    @overload
    def __get__(self, optimizer: Optimizer, owner: type) -> float: ...
    def __get__(self, optimizer: Optimizer | None, owner: type) -> Self | float:
        return self if optimizer is None else float(vars(optimizer)[self.name])

    def __set__(self, optimizer: Optimizer, value: float) -> None:
        vars(optimizer)[self.name] = checked_number(self.name, value, self.bound)


UP_TO_ONE = math.nextafter(1.0, 2.0)
"""The bound of a momentum: Keras allows 1."""


class SGD(Optimizer):
    """Gradient descent on mini-batches, with momentum or Nesterov's momentum.

    momentum 0: `w -= learning_rate g`. Else `v = momentum v - learning_rate g; w += v`, and with Nesterov `w
    += momentum v - learning_rate g` with the new v. The rate is inside the velocity, as in Keras (PyTorch
    differs).

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.01
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    momentum : float, default 0.0
        At least 0, at most 1.
    nesterov : bool, default False
    name : str, default "SGD"

    Examples
    --------
    >>> SGD(0.1, momentum=0.9).rule
    'momentum'
    """

    def __init__(
        self,
        learning_rate: float | rate.Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name, momentum=momentum)
        self.nesterov = bool(nesterov)

    momentum = Hyper(UP_TO_ONE)
    nesterov: bool

    @property
    def rule(self) -> str:
        if self.momentum == 0:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "momentum": self.momentum, "nesterov": self.nesterov}


class RMSprop(Optimizer):
    """The gradient divided by a running root mean square of itself (Hinton, 2012).

    `v += (1 - rho)(g^2 - v); w -= learning_rate g / sqrt(v + epsilon)`, as in Keras. `centered` subtracts the
    squared running mean of g from v; `momentum` gathers the steps in a velocity.

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.001
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    rho : float, default 0.9
    momentum : float, default 0.0
    epsilon : float, default 1e-7
    centered : bool, default False
    name : str, default "RMSprop"

    Examples
    --------
    >>> RMSprop(centered=True).hyper()
    (0.001, 0.9, 1e-07)
    """

    rho = Hyper(1.0)
    momentum = Hyper(UP_TO_ONE)
    epsilon = Hyper()
    centered: bool

    def __init__(
        self,
        learning_rate: float | rate.Schedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name, rho=rho, momentum=momentum, epsilon=epsilon)
        self.centered = bool(centered)

    @property
    def rule(self) -> str:
        return "rmsprop" + ("_centered" if self.centered else "") + ("_momentum" if self.momentum else "")

    def get_config(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("rho", "momentum", "epsilon", "centered")}
        return {**super().get_config(), **own}


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba, 2015).

    `t` from 1: `m += (1 - beta_1)(g - m); v += (1 - beta_2)(g^2 - v)`, then with `a = learning_rate sqrt(1 -
    beta_2^t) / (1 - beta_1^t)`: `w -= a m / (sqrt(v) + epsilon)`. Epsilon is thus added to the *uncorrected*
    root, the "epsilon hat" of the paper, as in Keras; `epsilon_form="corrected"` is Algorithm 1 of the paper,
    as in PyTorch (which takes 1e-8): `w -= learning_rate (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) +
    epsilon)`.

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.001
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    beta_1, beta_2 : float, default 0.9 and 0.999
        At least 0, below 1.
    epsilon : float, default 1e-7
    epsilon_form : {"uncorrected", "corrected"}, default "uncorrected"
    name : str, default "Adam"

    Examples
    --------
    >>> Adam().hyper()
    (0.001, 0.9, 0.999, 1e-07)
    """

    beta_1 = Hyper(1.0)
    beta_2 = Hyper(1.0)
    epsilon = Hyper()

    def __init__(
        self,
        learning_rate: float | rate.Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        epsilon_form: str = "uncorrected",
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        self.epsilon_form = epsilon_form

    _RULES: ClassVar = {"uncorrected": "adam", "corrected": "adam_corrected"}

    @property
    def epsilon_form(self) -> str:
        return self._epsilon_form

    @epsilon_form.setter
    def epsilon_form(self, value: str) -> None:
        if value not in self._RULES:
            raise ValueError(f"epsilon_form must be 'uncorrected' or 'corrected', got {value!r}.")
        self._epsilon_form = value

    @property
    def rule(self) -> str:
        return self._RULES[self.epsilon_form]

    def get_config(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("beta_1", "beta_2", "epsilon", "epsilon_form")}
        return {**super().get_config(), **own}


KNOWN: dict[str, type[Optimizer]] = {cls.__name__.lower(): cls for cls in (SGD, RMSprop, Adam)}
"""The names that `get` takes."""


def get(identifier: object) -> Optimizer:
    """The optimizer for a name ("sgd"), a class, an object or a saved configuration.

    Raises
    ------
    ValueError
        The name is not known.
    TypeError
        The identifier is none of the above.
    """
    return resolve("optimizer", identifier, Optimizer, KNOWN)


def __getattr__(name: str) -> Any:
    raise unknown_attribute(__name__, name, [cls.__name__ for cls in KNOWN.values()])
