"""Adam, with AMSGrad, and AdamW."""

from __future__ import annotations

from typing import Any, ClassVar, Unpack

from .base import Hyper, Optimizer, Options, OptionsBesideDecay
from .rate import Schedule


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
    amsgrad : bool, default False
        Divide by the root of the largest v so far (Reddi, Kale and Kumar, 2018).
    epsilon_form : {"uncorrected", "corrected"}, default "uncorrected"
    **options
        What every optimizer takes: `Options`.

    Examples
    --------
    >>> Adam().hyper()
    (0.001, 0.9, 0.999, 1e-07)
    """

    _rule: ClassVar = "adam"
    beta_1 = Hyper(1.0)
    beta_2 = Hyper(1.0)
    epsilon = Hyper()
    amsgrad: bool

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        *,
        epsilon_form: str = "uncorrected",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, options, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        self.amsgrad = bool(amsgrad)
        self.epsilon_form = epsilon_form

    @property
    def epsilon_form(self) -> str:
        return self._epsilon_form

    @epsilon_form.setter
    def epsilon_form(self, value: str) -> None:
        if value not in ("uncorrected", "corrected"):
            raise ValueError(f"epsilon_form must be 'uncorrected' or 'corrected', got {value!r}.")
        self._epsilon_form = value

    @property
    def rule(self) -> str:
        corrected = "_corrected" if self.epsilon_form == "corrected" else ""
        return f"{self._rule}{corrected}{'_amsgrad' if self.amsgrad else ''}"

    def get_config(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("beta_1", "beta_2", "epsilon", "amsgrad", "epsilon_form")}
        return {**super().get_config(), **own}


class AdamW(Adam):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter, 2019).

    `w -= learning_rate weight_decay w`, and then the step of `Adam`. All weights decay, biases too, as in Keras.

    Parameters
    ----------
    learning_rate : float, schedule or callable, default 0.001
        A number; a schedule of `optimizers.schedules`; a function of nothing, called before each step, or of the
        step, from 0.
    weight_decay : float, default 0.004
    beta_1, beta_2 : float, default 0.9 and 0.999
        At least 0, below 1.
    epsilon : float, default 1e-7
    amsgrad : bool, default False
        Divide by the root of the largest v so far.
    epsilon_form : {"uncorrected", "corrected"}, default "uncorrected"
        As in `Adam`; "corrected" is PyTorch's.
    **options
        What every optimizer takes: `OptionsBesideDecay`.

    Examples
    --------
    >>> AdamW().hyper()
    (0.001, 0.9, 0.999, 1e-07, 0.004)
    """

    _rule: ClassVar = "adamw"
    weight_decay = Hyper()

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        *,
        epsilon_form: str = "uncorrected",
        **options: Unpack[OptionsBesideDecay],
    ) -> None:
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, epsilon_form=epsilon_form, **options
        )
        self.weight_decay = weight_decay

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weight_decay": self.weight_decay}
