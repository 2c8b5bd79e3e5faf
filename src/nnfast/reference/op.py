"""Ops (csrc/op.h) over flat parameters, forward and backward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..graph import Op
from .activation import ACTIVATIONS, Activation
from .common import Array, row
from .dropout import dropout_mask
from .loss import LOSSES, weighted_mean
from .metric import METRICS
from .optimizer import RULES, Rule

BLOCK_ROWS = 1024  # that pass through the ops together where nothing is learned


@dataclass
class Node:
    """An op of a network, with views of its parameters and of their gradient."""

    op: Op
    place: int
    source: int  # place of the op that it reads, -1 for the inputs
    activation: Activation
    kernel: Array | None = None
    bias: Array | None = None
    kernel_gradient: Array | None = None
    bias_gradient: Array | None = None
    trainable: bool = True


class Ops:
    """The ops of a network over flat parameters, forward and backward; what `Net` and its runs work on."""

    def __init__(self, input_size: int, ops: Sequence[Op], *, dtype: DTypeLike = np.float32) -> None:
        if input_size < 1 or not ops:
            raise ValueError(
                f"Net: expected at least one input and one op, received {input_size} and {len(ops)}"
            )
        self.input_size = input_size
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._nodes: list[Node] = []
        self._shapes: list[tuple[int, ...]] = []
        for place, op in enumerate(ops):
            source = place - 1 if op.input is None else op.input
            size = self._nodes[source].op.units if source >= 0 else input_size
            if op.units < 1 or not (op.kind == "dense" or op.units == size):
                raise ValueError(
                    f"ops[{place}]: expected units >= 1 (without kernel: {size}), received {op.units}"
                )
            self._nodes.append(Node(op, place, source, row("activation", op.activation, ACTIVATIONS)))
            if op.kind == "dense":
                self._shapes += [(size, op.units), (op.units,)] if op.use_bias else [(size, op.units)]
        self.params: Array = np.zeros(sum(map(math.prod, self._shapes)), self.dtype)
        self._gradient = np.empty_like(self.params)
        self._scratch = np.empty_like(self.params)
        views = iter(zip(self.tensors, self.split(self._gradient), strict=True))
        for node in self._weighted:
            node.kernel, node.kernel_gradient = next(views)
            if node.op.use_bias:
                node.bias, node.bias_gradient = next(views)
        self._rule: Rule | None = None
        self._compiled = 0  # how often
        self.slots: tuple[Array, ...] = ()
        self.step = 0

    @property
    def _weighted(self) -> list[Node]:
        """The ops with weights."""
        return [node for node in self._nodes if node.op.kind == "dense"]

    @property
    def tensors(self) -> list[Array]:
        return self.split(self.params)

    def split(self, flat: Array) -> list[Array]:
        """Views of a flat array of the size of `params`, of the shapes of `tensors`."""
        if flat.shape != (size := sum(map(math.prod, self._shapes)),):
            raise ValueError(f"flat: expected shape ({size},), received {flat.shape}")
        views, at = [], 0
        for shape in self._shapes:
            views.append(flat[at : at + math.prod(shape)].reshape(shape))
            at += math.prod(shape)
        return views

    @property
    def trainable(self) -> list[bool]:
        return [node.trainable for node in self._weighted]

    @trainable.setter
    def trainable(self, values: Sequence[bool]) -> None:
        if len(values) != len(self._weighted):
            raise ValueError(
                f"trainable: expected one flag for each of {len(self._weighted)} ops with weights, "
                f"received {len(values)}"
            )
        for node, value in zip(self._weighted, values, strict=True):
            node.trainable = bool(value)

    def _trained(self) -> list[slice]:
        """The parts of the flat arrays that are updated: all, or one for each op that is trained."""
        if all(self.trainable):
            return [slice(0, self.params.size)]
        parts, at = [], 0
        for node in self._weighted:
            assert node.kernel is not None
            size = node.kernel.size + (0 if node.bias is None else node.bias.size)
            if node.trainable:
                parts.append(slice(at, at + size))
            at += size
        return parts

    def compile(
        self,
        loss: str,
        from_logits: bool,
        rule: str,
        metrics: Sequence[str],
        initial: Sequence[float] | None = None,
    ) -> None:
        """Choose what `train` and `evaluate` do, with slots of `initial` values (None: the rule's own) and no
        steps made.

        A loss whose link is the last activation (softmax; sigmoid of slope 1) is computed from the logits;
        with `from_logits` it takes the outputs for logits. Predictions and metrics are those of the outputs.
        """
        loss_row, rule_row = row("loss", loss, LOSSES), row("rule", rule, RULES)
        metric_rows = [row("metric", name, METRICS) for name in metrics]
        for name, metric in zip(metrics, metric_rows, strict=True):
            if metric.sparse != loss_row.sparse:
                raise ValueError(f"metrics: {name} does not fit the targets of {loss}")
        self._loss, self._rule, self._metrics = loss_row, rule_row, metric_rows
        last = self._nodes[-1]
        by_default = last.activation.parameter in (None, last.op.parameter)
        self._from_logits = from_logits and loss_row.from_logits is not None
        self._linked = not from_logits and last.op.activation == loss_row.link and by_default
        values = rule_row.initial if initial is None else tuple(initial)
        if len(values) != len(rule_row.slots) or not np.isfinite(np.array(values, np.float32)).all():
            names = ", ".join(rule_row.slots) or "none"
            raise ValueError(
                f"initial: expected None or a finite float32 for each slot ({names}), received {initial!r}"
            )
        self.slots = tuple([np.full_like(self.params, value) for value in values])
        self.step = 0
        self._compiled += 1

    # The passes

    def _room(self, rows: int) -> list[Array]:
        """Memory for the outputs of all ops, or for their gradients."""
        return [np.empty((rows, node.op.units), self.dtype) for node in self._nodes]

    def _forward(self, x: Array, room: list[Array], linked: bool, step: int | None = None) -> list[Array]:
        """The outputs of all ops, in room; a linked last one stops at its logits.

        Parameters
        ----------
        x : (B,I)
        room : memory for B rows or more
        linked : whether the loss takes logits
        step : the number of the update that this is the forward pass of; None: nothing is dropped.
        """
        outputs: list[Array] = []
        for node, memory in zip(self._nodes, room, strict=True):
            below = outputs[node.source] if node.source >= 0 else x
            if node.op.kind == "dropout":
                outputs.append(below if step is None else self._dropped(node, below, step))
                continue
            a = memory[: len(x)]
            if node.kernel is None:
                a[...] = below
            else:
                np.dot(below, node.kernel, out=a)
            if node.bias is not None:
                a += node.bias
            outputs.append(a)
            if not (linked and node is self._nodes[-1]):
                node.activation.forward(a, node.op.parameter)
        return outputs

    def _dropped(self, node: Node, a: Array, step: int) -> Array:
        """What Dropout leaves of a, divided by the part that is kept; of a gradient as of an output."""
        rate = node.op.rate
        kept = dropout_mask(rate, node.op.seed or 0, node.place, step, *a.shape)
        scale = self.dtype.type(np.float32(0.0 if rate >= 1.0 else 1.0 / (1.0 - rate)))
        dropped: Array = np.where(kept, a * scale, self.dtype.type(0.0))
        return dropped

    def _row_loss(self, a: Array, y: Any, sample_weight: Array | None) -> tuple[Array, Array]:
        """Weighted row losses, and the gradient of their mean with respect to z of the last op.

        Where linked, a holds z and becomes the probabilities.
        """
        last = self._nodes[-1]
        if self._linked or self._from_logits:
            assert self._loss.from_logits is not None
            row_loss, gradient = self._loss.from_logits(a if self._linked else a.copy(), y)
        else:
            row_loss, gradient = self._loss.from_outputs(a, y)
        weighted_mean(row_loss, gradient, sample_weight)
        if not self._linked:
            last.activation.backward(gradient, a, last.op.parameter)
        return row_loss, gradient

    def _backward(self, x: Array, outputs: list[Array], dz: Array, room: list[Array], step: int) -> None:
        """The gradient of all parameters, from dz of the last op down (thesis, Algorithm 4); room is scratch."""
        node = self._nodes[-1]
        while True:
            below = outputs[node.source] if node.source >= 0 else x
            if node.kernel is not None:
                np.dot(below.T, dz, out=node.kernel_gradient)
            if node.bias is not None:
                np.add.reduce(dz, axis=0, out=node.bias_gradient)
            if node.source < 0:
                return
            if node.kernel is not None:
                dz = np.dot(dz, node.kernel.T, out=room[node.source][: len(x)])
            elif node.op.kind == "dropout":
                dz = self._dropped(node, dz, step)
            node = self._nodes[node.source]
            node.activation.backward(dz, below, node.op.parameter)
