"""The pair table of the HTML report: its rows are JSON in the page, which page.js displays."""

import json
import math
from collections.abc import Iterator, Sequence

from dptn_cli.evaluate.types import Report


def pair_table(reports: Sequence[Report]) -> str:
    """Return the table of every pair with its filter, or nothing if no pair was scored."""
    several = len(reports) > 1
    metric_ids = list(dict.fromkeys(name for report in reports for name in report.table.values))
    rows = [row for report in reports for row in _rows(report, metric_ids, with_run=several)]
    if not rows:
        return ""
    titles = [*(["run"] if several else []), "generated", *metric_ids]
    data = {"texts": 2 if several else 1, "rows": rows}
    # `<` is escaped so that no name can close the script element.
    content = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    head = "".join(
        f'<th scope="col"><button type="button">{_two_lines(title)}</button></th>'
        for title in titles
    )
    return (
        "<h2>Every pair</h2>"
        '<div class="controls"><input id="filter" type="search" placeholder="Part of a name" '
        'aria-label="Part of a name"><button id="previous" type="button">Previous</button>'
        '<button id="next" type="button">Next</button><span id="pairs-status"></span></div>'
        f'<div class="scroll"><table id="pairs"><thead><tr>{head}</tr></thead><tbody></tbody>'
        "</table></div>"
        f'<script type="application/json" id="pair-data">{content}</script>'
    )


def _two_lines(title: str) -> str:
    """Put a metric's protocol above its name, so that ten columns fit on a screen."""
    protocol, _, name = title.rpartition(".")
    return f"<small>{protocol}</small><br>{name}" if protocol else title


def _rows(report: Report, metric_ids: Sequence[str], *, with_run: bool) -> Iterator[list[object]]:
    run = [report.run] if with_run else []
    columns = [
        [_json_number(value) for value in report.table.values[metric_id].tolist()]
        if metric_id in report.table.values
        else [None] * len(report.table.pairs)
        for metric_id in metric_ids
    ]
    for pair, *scores in zip(report.table.pairs, *columns, strict=True):
        yield [*run, pair.name, *scores]


def _json_number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return round(value, 6) if math.isfinite(value) else "inf"
