"""How cost grows: epoch time against rows, width and depth, with one worker and with all; and the memory of a full-batch run.

Everything should be a straight line. `python -m benchmarks.scaling` draws docs/img/scaling.png and prints the numbers; where lines bend, and why, is in
docs/roofline.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from . import environment

PICTURE = Path(__file__).parent.parent / "docs/img/scaling.png"
BATCH = 128
REPEATS = 5
SWEEPS: dict[str, Sequence[int]] = {
    "rows": (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
    "width": (8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1000, 1024, 2048, 4096),
    "depth": (1, 2, 4, 8, 16, 32),
}
MEMORY = """
import resource, sys
import numpy as np
import nnfast as nn
rng = np.random.default_rng(0)
x = rng.random((60_000, 784), dtype=np.float32)
x[rng.random(x.shape, dtype=np.float32) < 0.81] = 0
y = rng.integers(0, 10, 60_000)
model = nn.Sequential([nn.layers.Dense(128, "relu"), nn.layers.Dense(10, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x[:64], y[:64], verbose=0)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before = resident()
open("/proc/self/clear_refs", "w").write("5")
model.fit(x, y, batch_size=60_000, epochs=2, verbose=0)
peak = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
print((peak - before) / 2**20)
"""


def net_of(sweep: str, size: int) -> tuple[int, int, list[tuple[int, str]]]:
    """Rows, inputs and layers at one place of a sweep."""
    if sweep == "rows":
        return size, 64, [(64, "relu"), (10, "softmax")]
    if sweep == "width":
        return 4096, 64, [(size, "relu"), (size, "relu"), (10, "softmax")]
    return 8192, 64, [(64, "relu")] * size + [(10, "softmax")]


def epoch_seconds(
    rows: int, inputs: int, layers: list[tuple[int, str]], threads: Sequence[int]
) -> list[float]:
    """The best of some epochs with each number of threads, taken in turns."""
    import numpy as np

    from nnfast import _core
    from nnfast.graph import Op

    rng = np.random.default_rng(0)
    x = rng.random((rows, inputs), dtype=np.float32)
    y = rng.integers(0, 10, rows).astype(np.int32)
    order = np.empty(rows, dtype=np.uint32)
    _core.shuffle(order, 0, 0)
    nets = []
    for _ in threads:
        net = _core.Net(inputs, [Op("dense", units, activation=activation) for units, activation in layers])
        for i, tensor in enumerate(net.tensors):
            if tensor.ndim == 2:
                tensor[...] = (_core.uniform(tensor.size, 0, i).reshape(tensor.shape) - 0.5) / np.sqrt(
                    tensor.shape[0]
                )
        net.compile("sparse_categorical_crossentropy", False, "sgd", ())
        nets.append(net)
    best = [float("inf")] * len(threads)
    for _ in range(REPEATS):
        for place, (count, net) in enumerate(zip(threads, nets, strict=True)):
            _core.set_num_threads(count)
            begin = time.perf_counter()
            net.train(x, y, None, order, 0, rows, BATCH, (1e-4,), np.zeros(1), None)
            best[place] = min(best[place], time.perf_counter() - begin)
    return best


def draw(found: dict[str, list[tuple[int, list[float]]]], threads: Sequence[int], path: Path) -> None:
    """Three panels, log-log, with the slope that a proportional cost has."""
    from matplotlib.figure import Figure

    from nnfast.plot.style import COLOURS, INK

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for ax, (sweep, points) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        sizes = [size for size, _ in points]
        for place, count in enumerate(threads):
            times = [1e3 * seconds[place] for _, seconds in points]
            label = f"{count} worker{'s' * (count > 1)}"
            ax.plot(sizes, times, "os"[place % 2] + "-", color=COLOURS[place], markersize=4, label=label)
        power = 2 if sweep == "width" else 1
        first = 1e3 * points[-1][1][0]
        ax.plot(
            sizes,
            [first * (size / sizes[-1]) ** power for size in sizes],
            ":",
            color=INK,
            label="proportional",
        )
        ax.set(xscale="log", yscale="log", xlabel=sweep, ylabel="ms per epoch", title=f"against {sweep}")
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(color="#dddddd", linewidth=0.6)
        ax.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="do not write the picture")
    arguments = parser.parse_args()
    import nnfast

    threads = (1, nnfast.get_num_threads())
    found: dict[str, list[tuple[int, list[float]]]] = {}
    for sweep, sizes in SWEEPS.items():
        found[sweep] = []
        for size in sizes:
            rows, inputs, layers = net_of(sweep, size)
            seconds = epoch_seconds(rows, inputs, layers, threads)
            found[sweep].append((size, seconds))
            widths = [inputs, *(units for units, _ in layers)]
            weights = [a * b for a, b in pairwise(widths)]
            flops: Any = 2.0 * rows * (3 * sum(weights) - weights[0])
            rates = ", ".join(f"{1e3 * s:.2f} ms ({flops / s / 1e9:.0f} GFLOP/s)" for s in seconds)
            print(f"{sweep} {size}: {rates}", flush=True)
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    print(f"memory of a full-batch fit of 60,000 rows beyond its inputs: {float(done.stdout):.1f} MiB")
    print("; ".join(f"{key} {value}" for key, value in environment.describe().items()))
    if not arguments.dry_run:
        draw(found, threads, PICTURE)
        print(f"wrote {PICTURE.name}")


if __name__ == "__main__":
    main()
