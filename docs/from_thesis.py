"""Takes pictures and tables of the pages out of a finished report: `nnfast thesis --out build/thesis`, then `python docs/from_thesis.py build/thesis`."""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
PICTURES = (
    "figure-01.svg",
    "example-1.svg",
    "figure-18.svg",
    "figure-19.svg",
    "figure-20-21.png",
    "figure-22-23.png",
)
COLUMNS = {
    "figure-20-21": (
        "optimizer",
        "batch size",
        "time, printed",
        "time",
        "loss, printed",
        "loss",
        "accuracy %",
        "test accuracy %",
    ),
    "figure-22-23": (
        "optimizer",
        "batch size",
        "time, printed",
        "time",
        "loss, printed",
        "loss",
        "test loss",
    ),
}


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def markdown(rows: list[dict[str, str]], columns: tuple[str, ...]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---:|' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row[name] for name in columns)} |" for row in rows)])


def put(page: Path, name: str, text: str) -> None:
    """Write the text between the two comments of that name."""
    begin, end = f"<!-- {name}: made by docs/", f"<!-- end of {name} -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    script, rest = rest.split(" -->\n", 1)
    _, after = rest.split(end)
    page.write_text(f"{before}{begin}{script} -->\n{text}\n{end}{after}", encoding="utf-8")


def main(report: Path) -> None:
    for name in PICTURES:
        shutil.copyfile(report / name, HERE / "img" / name)
    tables = [
        f"**{title}**\n\n{markdown(read(report / f'{name}.csv'), COLUMNS[name])}"
        for name, title in (
            ("figure-20-21", "MNIST 784-128-10, 100 epochs (batch 1: of 10,000 rows drawn at random)"),
            ("figure-22-23", "Wine 11-128-1, 250 epochs (the printed 4898 is the full set of 3,673 rows)"),
        )
    ]
    put(HERE / "learn/batch-size.md", "tables", "\n\n".join(tables))
    seeds = read(report / "dead-start.csv")
    dead = [row["seed"] for row in seeds if row["starts"] == "dead"]
    text = f"of seeds 0 to {len(seeds) - 1}, {len(dead)} start dead: {', '.join(dead)}."
    put(HERE / "learn/dying-relus.md", "seeds", text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
