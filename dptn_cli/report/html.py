"""A report as one HTML file that needs no network: tables, charts, images, methods."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from dptn_cli import __version__
from dptn_cli.enums import Protocol
from dptn_cli.evaluate.types import Comparison, Difference, Report
from dptn_cli.metrics.protocols import BY_ID, METRICS, Metric
from dptn_cli.metrics.published import (
    COLUMNS,
    DATASET_TITLES,
    DATASETS,
    published_score,
    published_table,
)
from dptn_cli.report.formats import HTML_NAME, write_file
from dptn_cli.report.images import histogram, image_cards
from dptn_cli.report.markup import headings, table
from dptn_cli.report.pair_table import pair_table
from dptn_cli.report.rows import (
    ScoreRow,
    clearly_better,
    datasets_of,
    format_gap,
    format_gap_range,
    format_range,
    format_score,
    score_rows,
    verdict,
)

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
        *(_images(report, named=several) for report in reports),
        pair_table(reports),
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
    facts += [f"{report.real:,} real images"] if report.real else []
    facts.append(DATASET_TITLES.get(report.dataset or "", "data set not known"))
    formats = " and ".join(f"{n:,} {name.upper()}" for name, n in sorted(report.formats.items()))
    facts.append(f"results: {formats}")
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    heading = f"<h3>{escape(report.run)}</h3>" if named else ""
    return f'{heading}<ul class="facts">{items}</ul>'


def _scores(report: Report) -> str:
    head = headings("metric", "yours", "95 % interval", "DPTN, published", "difference")
    rows: list[str] = []
    for protocol in Protocol:
        named = [row for row in score_rows(report) if row.metric.protocol == protocol]
        if named:
            rows.append(
                f'<tr class="group"><th colspan="{len(head)}">{protocol} protocol</th></tr>'
            )
            rows += map(_score_row, named)
    return table("scores", head, rows)


def _score_row(row: ScoreRow) -> str:
    return (
        f"<tr><th>{_title(row.metric)}</th>"
        f'<td class="value">{format_score(row.metric, row.value)}</td>'
        f'<td class="quiet">{format_range(row.metric, row.interval)}</td>'
        f"<td>{format_score(row.metric, row.published)}</td>"
        f"<td>{_difference(row)}</td></tr>"
    )


def _side_by_side(reports: tuple[Report, ...]) -> str:
    found = [{row.metric: row for row in score_rows(report)} for report in reports]
    datasets = datasets_of(reports)
    rows = [
        f"<tr><th>{metric.protocol} {_title(metric)}</th>"
        + "".join(_cell(one.get(metric)) for one in found)
        + "".join(
            f"<td>{format_score(metric, published_score(metric.id, one))}</td>" for one in datasets
        )
        + "</tr>"
        for metric in METRICS
        if any(metric in one for one in found)
    ]
    published = [f"DPTN, published on {DATASET_TITLES[one]}" for one in datasets]
    runs = [escape(report.run) for report in reports]
    return table("scores", headings("metric", *runs, *published), rows)


def _cell(row: ScoreRow | None) -> str:
    if row is None:
        return "<td></td>"
    interval = format_range(row.metric, row.interval)
    small = f'<br><small class="quiet">{interval}</small>' if interval else ""
    return f'<td class="value">{format_score(row.metric, row.value)}{small}</td>'


def _differences(difference: Difference, baseline: str) -> str:
    if not difference.common:
        return (
            f"<h3>{escape(difference.run)} minus {escape(baseline)}</h3>"
            '<p class="quiet">No pair in common, so no differences.</p>'
        )
    rows = []
    for metric_id, interval in difference.by_metric.items():
        metric = BY_ID[metric_id]
        word = verdict(clearly_better(metric, interval))
        rows.append(
            f"<tr><th>{metric.protocol} {_title(metric)}</th>"
            f'<td class="value">{format_gap(metric, interval.mean)}</td>'
            f'<td class="quiet">{format_gap_range(metric, interval)}</td>'
            f'<td class="{word or "quiet"}">{word or "no clear difference"}</td></tr>'
        )
    return (
        f"<h3>{escape(difference.run)} minus {escape(baseline)}, paired over "
        f"{difference.common:,} pairs</h3>"
        + table("", headings("metric", "difference", "95 % interval", ""), rows)
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
    names = headings("system", "parameters, M")
    names += headings(*(_title(BY_ID[f"paper.{name}"]) for _ in DATASETS for name in COLUMNS))
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
    return table("published", head, rows)


def _four_decimals(scores: Iterable[float | None]) -> str:
    return "".join(f"<td>{'' if score is None else f'{score:.4f}'}</td>" for score in scores)


def _images(report: Report, *, named: bool) -> str:
    """The histograms and the extremes of one run."""
    run = f", {escape(report.run)}" if named else ""
    charts = "".join(histogram(BY_ID[name], values) for name, values in report.table.values.items())
    if not charts:
        return ""
    return f'<h2>Histograms{run}</h2><div class="charts">{charts}</div>{image_cards(report, run)}'


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


def _difference(row: ScoreRow) -> str:
    if row.difference is None:
        return ""
    text, word = format_gap(row.metric, row.difference), verdict(row.better)
    return f'<span class="{word}">{text} {word}</span>' if word else text
