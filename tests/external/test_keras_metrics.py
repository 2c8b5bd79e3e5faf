"""Every metric against Keras itself. `python -m tests.external.test_keras_metrics` writes what Keras gives into
`tests/metric_values.json`, with which `tests/test_metrics_values.py` compares where there is no Keras."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="the oracle of the metrics is not installed", exc_type=ImportError)

from nnfast import metrics  # noqa: E402

from ..metric_cases import CASES, identify, values  # noqa: E402

FILE = Path(__file__).parents[1] / "metric_values.json"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES, ids=identify)
def test_value(case) -> None:
    np.testing.assert_allclose(
        np.concatenate(values(metrics, case)), np.concatenate(values(keras.metrics, case)), rtol=2e-5, atol=1e-6
    )


if __name__ == "__main__":
    lines = [f'"{identify(case)}": {json.dumps(values(keras.metrics, case))}' for case in CASES]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
