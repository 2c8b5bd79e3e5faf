"""The only place with tolerances, each with its reason."""

from __future__ import annotations

# A kernel's sum against float64, relative to the sum of the magnitudes added: n additions of one rounding (6e-8) each, n < 200, grow like sqrt(n).
KERNEL_RTOL = 2e-6

# Pointwise functions of float32: a few ULP (1.2e-7 each); the absolute part is for results that cancel.
POINTWISE_RTOL = 5e-6
POINTWISE_ATOL = 2e-6

# 50 steps of training in float32 against float64, relative to the largest weight of each tensor (parity.md asks for 1e-5). Rules that divide by the root of a
# small second moment amplify the rounding of the first steps.
TRAJECTORY_RTOL = 1e-5

# Largest error of the elementary functions, in units in the last place; vmath.h states the same.
ULP = {"exp": 1.2, "log": 1.0, "log1p": 1.5, "tanh": 1.5, "sigmoid": 2.5}

# AS 241 is good to 1e-16; log and sqrt add their roundings.
NORMAL_QUANTILE_RTOL = 1e-14

# Central differences of the float64 reference: step 1e-6, so truncation 1e-12 and cancellation 1e-10, relative to gradients of size 0.01 to 1.
GRADIENT_RTOL = 1e-6
GRADIENT_ATOL = 1e-8

# Example 3 of the thesis carries rounded values on.
THESIS_EXAMPLE_ATOL = 2e-5
