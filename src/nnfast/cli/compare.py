"""`nnfast compare`."""

from __future__ import annotations

import argparse

from .. import compare, plot
from ..files import paths
from .nets import compiled, describe
from .tables import load, scaled


def run(arguments: argparse.Namespace) -> int:
    """Train a net with several optimizers and batch sizes."""
    out = None if arguments.out is None else paths.make_folder(arguments.out, "--out")
    if out is not None:
        for name in ("comparison.csv", "comparison.json", "comparison.png"):
            paths.require_writable(out / name, "--out", in_place=name.endswith("png"))
    table = scaled(load(arguments))
    model = compiled(arguments, table, arguments.optimizers[0])
    describe(arguments, model, table)
    further = {} if arguments.learning_rates is None else {"learning_rate": arguments.learning_rates}
    result = compare.grid(
        model,
        table.x,
        table.y,
        optimizers=arguments.optimizers,
        batch_sizes=arguments.batch_sizes,
        epochs=arguments.epochs,
        repeats=arguments.repeats,
        seed=arguments.seed,
        test_data=(table.x_test, table.y_test),
        path=None if out is None else out / "runs.jsonl",
        jobs=arguments.jobs,
        verbose=arguments.verbose,
        **further,
    )
    print(result)
    if out is not None:
        result.to_csv(out / "comparison.csv")
        result.to_json(out / "comparison.json")
        print(f"wrote {out / 'comparison.csv'} and {out / 'comparison.json'}")
        try:
            plot.comparison(result, path=out / "comparison.png")
            print(f"drew {out / 'comparison.png'}")
        except ImportError as error:
            print(f"drew nothing. {error}")
    return 0
