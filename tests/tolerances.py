"""Every tolerance of the tests, each with the reason for its size. No test has a number of its own.

What is promised to the last bit (instruction sets, fused updates, resumed training) is compared with `==` and
needs no entry here.
"""

from __future__ import annotations

# The reference in float64.

DIFFERENCE_STEP = 1e-5
"""Step h of a central difference, which is off by some h^2 of its value and, rounded, by 1e-16 / h."""

DIFFERENCE_RTOL = 1e-6
"""Gradient against central differences, relative to the largest entry of the tensor, which is at least"""

GRADIENT_MIN = 1e-4
"""so large; where it is smaller nothing is tested."""

DIFFERENCE_MARGIN = 1e-3
"""How far ReLU and absolute error stay from their kinks, so that no difference reaches across one."""

FORMULA_RTOL = 1e-12
"""Double against the same formula in double, its terms in another order, over up to a hundred steps."""

KERAS_RTOL = 1e-5
"""Against Keras, which takes learning rate and powers of beta in float32: 1 - 0.999 is 6.6e-6 off."""

KERAS_DISTANCE = 2e-3
"""A whole training against that of Keras in float32, after fifty steps, relative to the distance that a tensor moved."""

SCHEDULE_ATOL = 1e-7
"""Learning rates of at most 0.1 against Keras, which computes them in float32."""

THESIS_ATOL = 2e-5
"""The thesis prints five places and carries the rounded values on."""

THESIS_LIMIT_ATOL = 1e-3
"""How close to its limit a descent has arrived, where iterations of the thesis are counted; minima are printed to so much too."""

LINE_SEARCH_ATOL = 1e-6
"""Example 1 with a gradient by differences, which is off by some 1e-10."""

CENTRAL_RTOL = 1e-9
"""The gradient that `descent` takes by itself: eps^(2/3) = 4e-11 of the scale of f'' and f."""

# The engine in float32.

ULP = {"exp": 1.2, "log": 1.0, "log1p": 1.5, "tanh": 1.5, "sigmoid": 2.5}
"""Largest errors that vmath.h states, in units of the last place."""

POINTWISE_RTOL = 1e-6
"""An activation, a loss or a gradient: some eight roundings (2^-24) of the result,"""

POINTWISE_ATOL = 1e-6
"""or of what cancelled to make it, of order 1."""

KERNEL_RTOL = 1e-6
"""A sum, relative to the sum of the magnitudes of its terms. A chain of n fused multiply-adds is off by
n 2^-24 at the worst and by sqrt(n) 2^-24 as a rule."""

OUTPUTS_RTOL = 1e-5
"""Outputs in float32 by two ways to compute softmax, after sums in another order: some ten roundings of logits up
to ten."""

TRAJECTORY_RTOL = 1e-5
"""50 steps in float32, relative to the largest entry of each tensor (and of the summed loss)."""

MASK_SIGMAS = 5.0
"""How many standard deviations a mean over a mask of Dropout may lie from what is expected: of thousands of means
one is so far off in 1,700,000."""

NORMAL_QUANTILE_RTOL = 1e-13
"""The rational approximations of AS 241 are good to 1e-16; the tails take a logarithm and a root."""

WINE_LOSS_ATOL = 0.02
"""The thesis' wine loss against ours, of another seed: the spread of tf.keras over seeds."""

WINE_RMSE_ATOL = 0.06
"""The same of its errors; where training stops early moves them."""
