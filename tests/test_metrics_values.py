"""Values of the metrics against those of Keras 3.15 on the same rows (see `external.test_keras_metrics`)."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from nnfast import metrics

from .metric_cases import CASES, identify, values

KERAS = json.loads((Path(__file__).parent / "metric_values.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_value(case) -> None:
    found = values(metrics, case)
    np.testing.assert_allclose(
        np.concatenate(found), np.concatenate(KERAS[identify(case)]), rtol=2e-5, atol=1e-6
    )


def test_every_metric_has_a_case() -> None:
    public = {name for name in metrics.__all__ if inspect.isclass(getattr(metrics, name))}
    assert public - {"Metric", "MeanMetricWrapper", "Mean", "Sum"} == {name for name, _, _ in CASES}


@pytest.mark.parametrize("case", CASES, ids=identify)
def test_configuration_makes_an_equal_metric(case) -> None:
    name, options, _ = case
    metric = getattr(metrics, name)(**options, name="given")
    description = json.loads(json.dumps(metrics.describe(metric)))
    again = metrics.get(description)
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
