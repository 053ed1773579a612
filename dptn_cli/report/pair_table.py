"""The pair table of the HTML report: its rows are JSON in the page, which page.js displays."""

import json
import math
from collections.abc import Iterator, Sequence

from dptn_cli.evaluate.types import Report
from dptn_cli.report.ranking import rank
from dptn_cli.report.tables import metric_ids

MAX_ROWS = 40_000
"""Rows of the table, over all runs: enough for three runs of Market's 12,000 test pairs."""


def pair_table(reports: Sequence[Report]) -> str:
    """Return the table of the pairs with its filter, or nothing if no pair was scored.

    If there are more pairs than `MAX_ROWS`, each run has the same share, and the table has the
    worst pairs.
    """
    several = len(reports) > 1
    metrics = metric_ids(reports)
    limit = max(1, MAX_ROWS // len(reports))
    rows = [row for report in reports for row in _rows(report, metrics, limit, with_run=several)]
    if not rows:
        return ""
    titles = [*(["run"] if several else []), "generated", *metrics]
    data = {"texts": 2 if several else 1, "rows": rows}
    # `<` is escaped so that no name can close the script element.
    content = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    head = "".join(
        f'<th scope="col"><button type="button">{_two_lines(title)}</button></th>'
        for title in titles
    )
    total = sum(len(report.table.pairs) for report in reports)
    heading = "<h2>Every pair</h2>"
    if len(rows) < total:
        heading = (
            f'<h2>Pairs</h2><p class="muted">The table has the {len(rows):,} worst of {total:,} '
            "pairs. All are in pairs.csv.</p>"
        )
    return (
        f"{heading}"
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


def _rows(
    report: Report, metrics: Sequence[str], limit: int, *, with_run: bool
) -> Iterator[list[object]]:
    run = [report.run] if with_run else []
    pairs, values = report.table.pairs, report.table.values
    shown: Sequence[int] = range(len(pairs))
    if len(pairs) > limit:
        ranking = rank(values, len(pairs))
        shown = sorted((*ranking.worst_first, *ranking.without_value)[:limit])
    for row in shown:
        scores = (
            _json_number(float(values[metric_id][row])) if metric_id in values else None
            for metric_id in metrics
        )
        yield [*run, pairs[row].name, *scores]


def _json_number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return round(value, 6) if math.isfinite(value) else "inf"
