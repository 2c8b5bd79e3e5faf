"""The report: one HTML file with its pictures inside, and the same as PNG, SVG, CSV and JSON."""

from __future__ import annotations

import csv
import html
import io
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import _core
from ..files import paths
from ..threads import get_num_threads
from ..version import __version__
from .item import Made, Row, total

STYLE = """
:root { color-scheme: light dark; --ink: #1d1d1f; --paper: #fdfdfb; --soft: #6b6b70; --line: #d8d8d4; --good: #00694c; --bad: #b03a00; --card: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #17181a; --soft: #a0a0a6; --line: #3a3b3f; --good: #4cc9a0; --bad: #ff9a62; --card: #1f2023; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin: 0 0 .3rem; }
a { color: inherit; } .soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
nav { columns: 17rem; font-size: .9rem; margin: 1rem 0; } nav a { display: block; text-decoration: none; padding: .1rem 0; }
section { border-top: 1px solid var(--line); padding: 1.2rem 0; }
.scroll { overflow-x: auto; margin: .6rem 0; } table { border-collapse: collapse; font-size: .88rem; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: .8rem 0; } figure svg { max-width: 100%; height: auto; }
figure.paper { background: #fff; border-radius: .4rem; padding: .4rem; }
blockquote { margin: .4rem 0; padding-left: .8rem; border-left: 3px solid var(--line); color: var(--soft); }
"""

ON_PAPER = ("figure-20-21", "figure-22-23", "figure-12")
"""Pictures that are drawn for a white page."""


def write(made: Sequence[Made], out: Path, quick: bool, seconds: float) -> Path:
    """Write everything into a folder; returns the path of the report."""
    out.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, str] = {}
    for one in made:
        for name, figure in one.findings.figures.items():
            figure.savefig(out / f"{name}.png", dpi=130)
            figure.savefig(out / f"{name}.svg")
            pictures[name] = inline((out / f"{name}.svg").read_text(encoding="utf-8"), name)
        for name, rows in one.findings.tables.items():
            paths.write_file(out / f"{name}.csv", as_csv(rows).encode())
    paths.write_file(
        out / "report.json", json.dumps(as_json(made, quick, seconds), indent=1, allow_nan=False).encode()
    )
    page = document(made, pictures, quick, seconds)
    paths.write_file(out / "report.html", page.encode())
    return out / "report.html"


def inline(svg: str, name: str) -> str:
    """An SVG to stand inside a page: without its declaration, its names of its own, as wide as there is room."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table with its header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_json(made: Sequence[Made], quick: bool, seconds: float) -> dict[str, Any]:
    """Everything but the pictures."""
    return {
        "nnfast": __version__,
        "machine": machine(),
        "quick": quick,
        "seconds": round(seconds, 3),
        "items": [
            {
                "id": one.item.id,
                "title": one.item.title,
                "says": one.item.says,
                "agrees": one.agrees,
                "seconds": round(one.seconds, 3),
                "rows": [
                    {
                        "what": row.what,
                        "printed": row.printed,
                        "computed": row.computed,
                        "difference": row.difference,
                        "within": row.within,
                        "agrees": row.agrees,
                    }
                    for row in one.findings.rows
                ],
                "tables": one.findings.tables,
                "figures": list(one.findings.figures),
                "notes": one.findings.notes,
            }
            for one in made
        ],
    }


def machine() -> str:
    """Where the report was made."""
    return f"{platform.machine()}, {_core.instruction_set()}, {get_num_threads()} threads, Python {platform.python_version()}"


# The page.


def document(made: Sequence[Made], pictures: Mapping[str, str], quick: bool, seconds: float) -> str:
    """The whole page."""
    wrong = [row for one in made for row in one.findings.rows if not row.agrees]
    asked = sum(row.within is not None for one in made for row in one.findings.rows)
    verdict = (
        f'<span class="good">All {asked} values that are compared agree.</span>'
        if not wrong
        else f'<span class="bad">{len(wrong)} of {asked} values that are compared do not agree.</span>'
    )
    short = (
        "<p>This is the quick form: fewer rows and epochs, so that what needs the full length is shown but not compared.</p>"
        if quick
        else ""
    )
    links = "".join(
        f'<a href="#{one.item.id}"><span class="{"good" if one.agrees else "bad"}">{"✓" if one.agrees else "✗"}</span> {escape(one.item.title)}</a>'
        for one in made
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Gradient descent methods, by nnfast</title><style>{STYLE}</style></head><body>"
        "<h1>Gradient descent methods for training neural networks</h1>"
        '<p class="soft">Every algorithm, example, figure and table of Simon Slettevold&rsquo;s bachelor thesis (2024), computed anew by '
        f"nnfast {escape(__version__)} in {total([seconds])}. {escape(machine())}.</p>"
        f"<p>{verdict} The errata of the document are explained where they bite.</p>{short}<nav>{links}</nav>"
        + "".join(section(one, pictures) for one in made)
        + "</body></html>\n"
    )


def escape(value: object) -> str:
    """Text that may stand in the page."""
    return html.escape(str(value), quote=False)


def section(one: Made, pictures: Mapping[str, str]) -> str:
    """One item."""
    figures = "".join(
        f'<figure class="{"paper" if name in ON_PAPER else ""}">{pictures[name]}</figure>'
        for name in one.findings.figures
    )
    tables = "".join(
        f'<div class="scroll">{table(list(rows[0]), ([show(row.get(key)) for key in rows[0]] for row in rows))}</div>'
        for rows in one.findings.tables.values()
        if rows
    )
    notes = "".join(f"<p>{escape(note)}</p>" for note in one.findings.notes)
    return (
        f'<section id="{one.item.id}"><h2>{escape(one.item.title)}</h2><blockquote>{escape(one.item.says)}</blockquote>'
        f"{comparison(one.findings.rows)}{figures}{tables}{notes}"
        f'<p class="soft">Made in {one.seconds:.2f} s.</p></section>'
    )


def comparison(rows: Sequence[Row]) -> str:
    """The rows of an item: printed, computed, difference."""
    if not rows:
        return ""
    lines = []
    for row in rows:
        difference = "" if row.difference is None else f"{row.difference:+.2g}"
        mark = (
            ""
            if row.within is None
            else '<span class="good">✓</span>'
            if row.agrees
            else '<span class="bad">✗ differs</span>'
        )
        allowed = "" if not row.within else f"± {row.within:.2g}"
        note = f' <span class="soft">{escape(row.note)}</span>' if row.note else ""
        lines.append(
            f"<tr><td>{escape(row.what)}{note}</td><td class=number>{show(row.printed)}</td><td class=number>{show(row.computed)}</td>"
            f"<td class=number>{difference}</td><td class=number>{allowed}</td><td>{mark}</td></tr>"
        )
    head = "<th></th><th class=number>thesis</th><th class=number>nnfast</th><th class=number>difference</th><th class=number>allowed</th><th></th>"
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def show(value: Any) -> str:
    """A value in a table, numbers with six digits at most."""
    if value is None:
        return ""
    return escape(f"{value:.6g}" if isinstance(value, float) else value)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    first = "".join(f"<th>{escape(name)}</th>" for name in head)
    rest = "".join(f"<tr>{''.join(f'<td class=number>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{first}</tr>{rest}</table>"
