"""A report as one HTML file that needs no network: tables, charts, images and methods."""

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from dptn_cli import __version__
from dptn_cli.evaluate.types import Comparison, Problem, Report
from dptn_cli.metrics.protocols import METRICS
from dptn_cli.metrics.published import DATASET_TITLES
from dptn_cli.report.figures import pair_figures
from dptn_cli.report.histograms import histograms
from dptn_cli.report.pair_table import pair_table
from dptn_cli.report.provenance import provenance_section
from dptn_cli.report.tables import (
    Cell,
    Row,
    ScoreTable,
    comparison_table,
    count_facts,
    difference_tables,
    leaderboard,
    published_datasets,
    score_table,
)

# Nothing is loaded from elsewhere, so markup in a file name could do no harm if it got through.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
MAX_PROBLEMS = 1000  # listed of each kind; report.json has all
MAX_TEXT = 500  # characters of a name or a reason
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


def page(comparison: Comparison) -> str:
    """Return the whole page."""
    title = escape(" / ".join(report.run for report in comparison.reports))
    return _PAGE.format(
        policy=POLICY,
        title=title,
        style=_asset("page.css"),
        body="\n".join(section for section in _sections(comparison, title) if section),
        script=_asset("page.js"),
    )


def _asset(name: str) -> str:
    return files("dptn_cli.report").joinpath(name).read_text("utf-8")


def _sections(comparison: Comparison, title: str) -> Iterator[str]:
    reports = comparison.reports
    several = len(reports) > 1
    yield f"<h1>{title}</h1>"
    yield '<p class="muted">Pose transfer, scored by dptn evaluate</p>'
    for report in reports:
        yield _facts(report, with_heading=several)
    yield "<h2>Scores</h2>"
    yield _table(comparison_table(reports) if several else score_table(reports[0]), "scores")
    for table in difference_tables(comparison) if several else ():
        yield f"<h3>{escape(table.title)}</h3>"
        yield _table(table) if table.rows else ""
    for report in reports:
        yield _remarks(report, with_heading=several)
    if datasets := published_datasets(reports):
        yield "<h2>The published table, paper protocol</h2>"
        yield _table(leaderboard(reports, datasets), "published")
    yield histograms(reports)
    yield pair_figures(comparison)
    yield pair_table(reports)
    if any(report.provenance for report in reports):
        yield "<h2>How the results were made</h2>"
    for report in reports:
        yield provenance_section(report, _heading(report, several))
    yield _methods(reports)


def _table(table: ScoreTable, identity: str = "") -> str:
    """Draw a table, which scrolls by itself if the page is too narrow.

    Args:
        table: the table.
        identity: the `id` of the HTML element; empty for none.
    """
    head = "".join(f'<th colspan="{span}">{title}</th>' for title, span in table.column_groups)
    head = f"<tr>{head}</tr>" if head else ""
    titles = "".join(f'<th scope="col">{_label(title)}</th>' for title in table.columns)
    rows = "".join(_row(row, len(table.columns)) for row in table.rows)
    return (
        f'<div class="scroll"><table{_attribute("id", identity)}>'
        f"<thead>{head}<tr>{titles}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(row: Row, columns: int) -> str:
    span = _attribute("colspan", "" if row.cells else str(columns))
    cells = "".join(map(_cell, row.cells))
    label = f"<th{span}{_attribute('title', row.hint)}>{_label(row.label)}</th>"
    return f"<tr{_attribute('class', row.kind)}>{label}{cells}</tr>"


def _cell(cell: Cell) -> str:
    detail = f'<br><small class="muted">{cell.detail}</small>' if cell.detail else ""
    return f"<td{_attribute('class', cell.style)}>{_text(cell.text)}{detail}</td>"


def _attribute(name: str, value: str) -> str:
    return f' {name}="{escape(value)}"' if value else ""


def _label(text: str) -> str:
    """Return the text of a table's heading, which breaks where a run has a long name."""
    return f'<span class="label">{_text(text)}</span>'


def _text(text: str) -> str:
    """Escape a text, and explain the arrows of metrics on hover."""
    marked = escape(text).replace("↑", '<span title="higher is better">↑</span>')
    return marked.replace("↓", '<span title="lower is better">↓</span>')


def _heading(report: Report, show: bool) -> str:
    return f"<h3>{escape(report.run)}</h3>" if show else ""


def _facts(report: Report, *, with_heading: bool) -> str:
    formats = " and ".join(f"{n:,} {name.upper()}" for name, n in sorted(report.formats.items()))
    dataset = DATASET_TITLES[report.dataset] if report.dataset else "unknown data set"
    facts = [*count_facts(report), dataset, f"results: {formats}"]
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return f'{_heading(report, with_heading)}<ul class="facts">{items}</ul>'


def _remarks(report: Report, *, with_heading: bool) -> str:
    by_reason: dict[str, list[str]] = {}
    for missing in report.not_computed:
        by_reason.setdefault(missing.reason, []).append(missing.metric)
    remarks = [
        f"Not computed: <b>{escape(', '.join(metric_ids))}</b>: {escape(reason)}"
        for reason, metric_ids in by_reason.items()
    ]
    remarks += [escape(note) for note in report.notes]
    remarks += [
        _problem_list(title, problems)
        for problems, title in ((report.failed, "failed"), (report.unpaired, "unpaired"))
        if problems
    ]
    if not remarks:
        return ""
    items = "".join(f"<li>{remark}</li>" for remark in remarks)
    return f'{_heading(report, with_heading)}<ul class="muted">{items}</ul>'


def _problem_list(title: str, problems: Sequence[Problem]) -> str:
    """List problems behind their number, at most `MAX_PROBLEMS` of them."""
    items = "".join(
        f"<li><bdi>{escape(_shortened(problem.name))}</bdi>: "
        f"{escape(_shortened(problem.reason))}</li>"
        for problem in problems[:MAX_PROBLEMS]
    )
    if len(problems) > MAX_PROBLEMS:
        items += f"<li>and {len(problems) - MAX_PROBLEMS:,} more, in report.json</li>"
    return f"<details><summary>{len(problems):,} {title}</summary><ul>{items}</ul></details>"


def _shortened(text: str) -> str:
    """Cut a text that comes from a file of others, where its length has no limit."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _methods(reports: Sequence[Report]) -> str:
    requested = {metric_id for report in reports for metric_id in report.scores}
    requested |= {missing.metric for report in reports for missing in report.not_computed}
    items = "".join(
        f"<dt>{metric.id}</dt><dd>{escape(metric.method)}</dd>"
        for metric in METRICS
        if metric.id in requested
    )
    versions = ", ".join(f"{escape(k)} {escape(v)}" for k, v in reports[0].versions.items())
    return (
        f'<h2>How each score is computed</h2><dl id="methods">{items}</dl>'
        "<p>Intervals: bootstrap over pairs, 2,000 resamples, percentiles 2.5 and 97.5. "
        "Sums are in float64.</p>"
        f'<p class="muted">dptn {__version__}; {versions}</p>'
    )
