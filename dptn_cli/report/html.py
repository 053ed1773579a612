"""A report as one HTML file that needs no network: tables, charts, pictures, methods."""

import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from dptn_cli import __version__
from dptn_cli.metrics.protocols import BY_ID, METRICS, Metric
from dptn_cli.metrics.published import COLUMNS, DATASET_TITLES, DATASETS, published_table
from dptn_cli.report.formats import HTML_NAME, ScoreRow, format_score, score_rows, write_file
from dptn_cli.report.pictures import histogram, picture_cards
from dptn_cli.scores import Comparison, Difference, Interval, Report

# Nothing from anywhere: a file name that holds markup could do nothing even if it got through.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def write_html(folder: Path, comparison: Comparison) -> None:
    """Write `report.html`.

    Raises:
        InputError: it cannot be written.
    """
    write_file(folder / HTML_NAME, page(comparison))


def page(comparison: Comparison) -> str:
    """The whole page."""
    reports = comparison.reports
    several = len(reports) > 1
    title = " / ".join(report.run for report in reports)
    sections = [
        f"<h1>{escape(title)}</h1>",
        '<p class="quiet">Pose transfer, scored by dptn evaluate</p>',
        *(_head(report, named=several) for report in reports),
        "<h2>Scores</h2>",
        _side_by_side(reports) if several else _scores(reports[0]),
        *(_differences(one, reports[0].run) for one in comparison.differences),
        *(_remarks(report, named=several) for report in reports),
        "<h2>The published table, paper protocol</h2>",
        _published(reports),
        *(_pictures(report, named=several) for report in reports),
        _pair_table(reports),
        _methods(reports),
    ]
    return _PAGE.format(
        policy=POLICY,
        title=escape(title),
        style=_asset("page.css"),
        body="\n".join(section for section in sections if section),
        script=_asset("page.js"),
    )


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}: dptn evaluate</title>
<style>
{style}</style>
</head>
<body>
{body}
<script>
{script}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return files("dptn_cli.report").joinpath(name).read_text("utf-8")


def _head(report: Report, *, named: bool) -> str:
    facts = [f"{len(report.table.pairs):,} pairs"]
    facts += [f"{len(report.unpaired):,} without a partner"] if report.unpaired else []
    facts += [f"{len(report.failed):,} failed"] if report.failed else []
    facts += [f"{report.real:,} real pictures"] if report.real else []
    facts.append(DATASET_TITLES.get(report.dataset or "", "data set not known"))
    formats = " and ".join(f"{n:,} {name.upper()}" for name, n in sorted(report.formats.items()))
    facts.append(f"results: {formats}")
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    heading = f"<h3>{escape(report.run)}</h3>" if named else ""
    return f'{heading}<ul class="facts">{items}</ul>'


def _table(identity: str, head: Iterable[str], rows: Iterable[str]) -> str:
    name = f' id="{identity}"' if identity else ""
    return (
        f'<div class="scroll"><table{name}><thead><tr>{"".join(head)}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _th(*titles: str) -> list[str]:
    return [f'<th scope="col">{title}</th>' for title in titles]


def _scores(report: Report) -> str:
    rows, before = [], ""
    for row in score_rows(report):
        protocol = row.metric.protocol
        start = ' class="start"' if before and protocol != before else ""
        rows.append(
            f"<tr{start}>"
            f"<th>{protocol}</th>"
            f'<td class="left">{_title(row.metric)}</td>'
            f'<td class="value">{format_score(row.metric, row.value)}</td>'
            f'<td class="quiet">{_range(row.metric, row.interval)}</td>'
            f"<td>{'' if row.published is None else format_score(row.metric, row.published)}</td>"
            f"<td>{_difference(row)}</td></tr>"
        )
        before = protocol
    head = [*_th("protocol"), '<th class="left" scope="col">metric</th>']
    head += _th("yours", "95 % interval", "DPTN, published", "difference")
    return _table("scores", head, rows)


def _side_by_side(reports: Sequence[Report]) -> str:
    found = [{row.metric: row for row in score_rows(report)} for report in reports]
    rows = [
        f"<tr><th>{metric.protocol} {_title(metric)}</th>"
        + "".join(_cell(one.get(metric)) for one in found)
        + "</tr>"
        for metric in METRICS
        if any(metric in one for one in found)
    ]
    return _table("scores", _th("metric", *(escape(report.run) for report in reports)), rows)


def _cell(row: ScoreRow | None) -> str:
    if row is None:
        return "<td></td>"
    interval = _range(row.metric, row.interval)
    small = f'<br><small class="quiet">{interval}</small>' if interval else ""
    return f'<td class="value">{format_score(row.metric, row.value)}{small}</td>'


def _differences(difference: Difference, baseline: str) -> str:
    rows = []
    for metric_id, interval in difference.by_metric.items():
        metric = BY_ID[metric_id]
        clear = not interval.low <= 0 <= interval.high
        better = (interval.mean > 0) == metric.higher_is_better
        verdict = ("better" if better else "worse") if clear else "no clear difference"
        rows.append(
            f"<tr><th>{metric.protocol} {_title(metric)}</th>"
            f'<td class="value">{interval.mean:+.{metric.digits}f}</td>'
            f'<td class="quiet">{_range(metric, interval)}</td>'
            f'<td class="{verdict if clear else "quiet"}">{verdict}</td></tr>'
        )
    return (
        f"<h3>{escape(difference.run)} minus {escape(baseline)}, paired over "
        f"{difference.common:,} pairs</h3>"
        + _table("", _th("metric", "difference", "95 % interval", ""), rows)
    )


def _remarks(report: Report, *, named: bool) -> str:
    by_reason: dict[str, list[str]] = {}
    for one in report.not_computed:
        by_reason.setdefault(one.reason, []).append(one.metric)
    remarks = [
        f"Not computed: <b>{escape(', '.join(names))}</b>: {escape(reason)}"
        for reason, names in by_reason.items()
    ]
    remarks += [escape(note) for note in report.notes]
    for problems, what in ((report.failed, "failed"), (report.unpaired, "without a partner")):
        if problems:
            items = "".join(f"<li>{escape(p.name)}: {escape(p.reason)}</li>" for p in problems)
            summary = f"<summary>{len(problems):,} {what}</summary>"
            remarks.append(f"<details>{summary}<ul>{items}</ul></details>")
    heading = f"<h3>{escape(report.run)}</h3>" if named else ""
    items = "".join(f"<li>{remark}</li>" for remark in remarks)
    return f'{heading}<ul class="quiet">{items}</ul>' if remarks else ""


def _published(reports: Sequence[Report]) -> str:
    wide = "".join(f'<th colspan="{len(COLUMNS)}">{DATASET_TITLES[d]}</th>' for d in DATASETS)
    names = _th("system", "parameters, M")
    names += _th(*(_title(BY_ID[f"paper.{name}"]) for _ in DATASETS for name in COLUMNS))
    head = [f'<th colspan="2"></th>{wide}</tr><tr>', *names]
    rows = [
        f'<tr><th title="{escape(row.venue)}">{row.model}</th>'
        f"<td>{row.parameters_millions:.2f}</td>"
        + _four_decimals(row.scores.get((d, name)) for d in DATASETS for name in COLUMNS)
        + "</tr>"
        for row in published_table()
    ]
    for report in reports:
        scores = [
            report.scores.get(f"paper.{name}") if report.dataset == dataset else None
            for dataset in DATASETS
            for name in COLUMNS
        ]
        if any(score is not None for score in scores):
            cells = _four_decimals(scores)
            rows.append(f'<tr class="yours"><th>{escape(report.run)}</th><td></td>{cells}</tr>')
    return _table("published", head, rows)


def _four_decimals(scores: Iterable[float | None]) -> str:
    return "".join(f"<td>{'' if score is None else f'{score:.4f}'}</td>" for score in scores)


def _pictures(report: Report, *, named: bool) -> str:
    """The histograms and the extremes of one run."""
    run = f", {escape(report.run)}" if named else ""
    charts = "".join(histogram(BY_ID[name], values) for name, values in report.table.values.items())
    if not charts:
        return ""
    return f'<h2>Histograms{run}</h2><div class="charts">{charts}</div>{picture_cards(report, run)}'


def _pair_table(reports: Sequence[Report]) -> str:
    """The rows as JSON, which the page's script shows; `<` is escaped for the script element."""
    several = len(reports) > 1
    names = list(dict.fromkeys(name for report in reports for name in report.table.values))
    if not names:
        return ""
    rows: list[list[object]] = []
    for report in reports:
        columns = [
            [_json_number(value) for value in report.table.values[name].tolist()]
            if name in report.table.values
            else [None] * len(report.table.pairs)
            for name in names
        ]
        first = (
            [[report.run]] * len(report.table.pairs) if several else [[]] * len(report.table.pairs)
        )
        rows += [
            [*start, pair.name, *scores]
            for start, pair, *scores in zip(first, report.table.pairs, *columns, strict=True)
        ]
    titles = [*(["run"] if several else []), "generated", *names]
    data = {"texts": 2 if several else 1, "rows": rows}
    content = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    head = [
        f'<th scope="col"><button type="button" data-title="{escape(t)}">{escape(t)}</button></th>'
        for t in titles
    ]
    return (
        "<h2>Every pair</h2>"
        '<div class="controls"><input id="filter" type="search" placeholder="Part of a name" '
        'aria-label="Part of a name"><button id="previous" type="button">Previous</button>'
        '<button id="next" type="button">Next</button><span id="pairs-status"></span></div>'
        + _table("pairs", head, [])
        + f'<script type="application/json" id="pair-data">{content}</script>'
    )


def _json_number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return round(value, 6) if math.isfinite(value) else "inf"


def _methods(reports: Sequence[Report]) -> str:
    known = {name for report in reports for name in report.scores}
    known |= {one.metric for report in reports for one in report.not_computed}
    items = "".join(
        f"<dt>{metric.id}</dt><dd>{escape(metric.method)}</dd>"
        for metric in METRICS
        if metric.id in known
    )
    versions = ", ".join(f"{escape(k)} {escape(v)}" for k, v in reports[0].versions.items())
    return (
        f'<h2>How every number was computed</h2><dl id="methods">{items}</dl>'
        "<p>Intervals: bootstrap over pairs, 2,000 resamples, percentiles 2.5 and 97.5. "
        "Sums in float64.</p>"
        f'<p class="quiet">dptn {__version__}; {versions}</p>'
    )


def _title(metric: Metric) -> str:
    arrow, words = ("↑", "higher") if metric.higher_is_better else ("↓", "lower")
    return f'{metric.name} <span title="{words} is better">{arrow}</span>'


def _range(metric: Metric, interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{interval.low:.{metric.digits}f} … {interval.high:.{metric.digits}f}"


def _difference(row: ScoreRow) -> str:
    if row.difference is None:
        return ""
    text = f"{row.difference:+.{row.metric.digits}f}"
    if row.better is None:
        return text
    word = "better" if row.better else "worse"
    return f'<span class="{word}">{text} {word}</span>'
