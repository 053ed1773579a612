"""The per-pair table of the HTML report: rows as JSON in the page, which its script shows."""

import json
import math
from collections.abc import Iterator, Sequence

from dptn_cli.evaluate.types import Report
from dptn_cli.report.markup import table


def pair_table(reports: Sequence[Report]) -> str:
    """The table with its filter; nothing where no pair was scored.

    `<` is escaped, so that no name can end the script element.
    """
    several = len(reports) > 1
    names = list(dict.fromkeys(name for report in reports for name in report.table.values))
    rows = [row for report in reports for row in _rows(report, names, named=several)]
    if not rows:
        return ""
    titles = [*(["run"] if several else []), "generated", *names]
    data = {"texts": 2 if several else 1, "rows": rows}
    content = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    head = [f'<th scope="col"><button type="button">{_in_lines(t)}</button></th>' for t in titles]
    return (
        "<h2>Every pair</h2>"
        '<div class="controls"><input id="filter" type="search" placeholder="Part of a name" '
        'aria-label="Part of a name"><button id="previous" type="button">Previous</button>'
        '<button id="next" type="button">Next</button><span id="pairs-status"></span></div>'
        + table("pairs", head, [])
        + f'<script type="application/json" id="pair-data">{content}</script>'
    )


def _in_lines(title: str) -> str:
    """A metric's id with the protocol above the name: ten of them side by side fit a screen."""
    protocol, _, name = title.rpartition(".")
    return f"<small>{protocol}</small><br>{name}" if protocol else title


def _rows(report: Report, names: Sequence[str], *, named: bool) -> Iterator[list[object]]:
    run = [report.run] if named else []
    columns = [
        [_json_number(value) for value in report.table.values[name].tolist()]
        if name in report.table.values
        else [None] * len(report.table.pairs)
        for name in names
    ]
    for pair, *scores in zip(report.table.pairs, *columns, strict=True):
        yield [*run, pair.name, *scores]


def _json_number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return round(value, 6) if math.isfinite(value) else "inf"
