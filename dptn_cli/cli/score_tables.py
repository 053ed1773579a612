"""The tables of `dptn evaluate` on the terminal."""

from collections.abc import Sequence

from rich import box
from rich.columns import Columns
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dptn_cli.cli.console import results
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

ARROWS = {True: "↑", False: "↓"}
COLOURS = {"better": "green", "worse": "red"}


def show_report(report: Report) -> None:
    """One run: its scores beside DPTN's published ones, then the published table."""
    results.print(_titled(_summary(report)))
    results.print(_scores(report))
    results.print(_published([report]))
    _show_notes([report])


def show_comparison(comparison: Comparison) -> None:
    """Several runs side by side, their differences from the first, and the published table."""
    side_by_side = _side_by_side(comparison, "..")
    unbounded = results.options.update(width=10_000)
    if results.measure(side_by_side, options=unbounded).maximum > results.width:
        side_by_side = _side_by_side(comparison, "..\n")
    results.print(_titled(f"{len(comparison.reports)} runs, with bootstrap 95 % intervals"))
    results.print(side_by_side)
    for difference in comparison.differences:
        _show_differences(difference, comparison.reports[0].run)
    results.print(_published(comparison.reports))
    _show_notes(comparison.reports)


def _summary(report: Report) -> str:
    counts = f"{len(report.table.pairs):,} pairs"
    counts += f", {len(report.unpaired):,} unpaired" if report.unpaired else ""
    counts += f", {len(report.failed):,} failed" if report.failed else ""
    counts += f", {report.real:,} real" if report.real else ""
    formats = ", ".join(sorted(report.formats)).upper()
    return f"{report.run}: {counts} ({formats})"


def _scores(report: Report) -> Table:
    table = _table()
    table.add_column("metric", no_wrap=True)
    table.add_column("yours", justify="right", style="bold", no_wrap=True)
    table.add_column("95 % interval", justify="right", style="dim", no_wrap=True)
    table.add_column("DPTN\npublished", justify="right", no_wrap=True)
    table.add_column("difference", justify="right", no_wrap=True)
    rows = {row.metric: row for row in score_rows(report)}
    missing = {one.metric for one in report.not_computed}
    for protocol in Protocol:
        named = [m for m in METRICS if m.protocol == protocol and (m in rows or m.id in missing)]
        if named:
            table.add_section()
            table.add_row(f"{protocol} protocol")
        for metric in named:
            if metric in rows:
                table.add_row(*_score_cells(rows[metric]))
            else:
                table.add_row(f"  [dim]{_title(metric)}[/]", "", "not computed")
    return table


def _score_cells(row: ScoreRow) -> tuple[str, ...]:
    return (
        f"  {_title(row.metric)}",
        format_score(row.metric, row.value),
        format_range(row.metric, row.interval),
        format_score(row.metric, row.published),
        _difference(row),
    )


def _side_by_side(comparison: Comparison, to: str) -> Table:
    """The runs as columns; `to` stands between the ends of an interval, a line end to save room."""
    table = _table()
    table.add_column("metric", no_wrap=True)
    for report in comparison.reports:
        table.add_column(escape(report.run), justify="right", overflow="fold")
    datasets = datasets_of(comparison.reports)
    for dataset in datasets:
        table.add_column(f"DPTN on\n{DATASET_TITLES[dataset]}", justify="right", no_wrap=True)
    found = [{row.metric: row for row in score_rows(one)} for one in comparison.reports]
    for metric in METRICS:
        if any(metric in one for one in found):
            table.add_row(
                f"{metric.protocol} {_title(metric)}",
                *(_with_range(one.get(metric), to) for one in found),
                *(format_score(metric, published_score(metric.id, one)) for one in datasets),
            )
    return table


def _show_differences(difference: Difference, baseline: str) -> None:
    title = f"{difference.run} minus {baseline}"
    if not difference.common:
        results.print(_titled(f"{title}: no pair in common, so no differences"))
        return
    results.print(_titled(f"{title}, paired, {difference.common:,} common pairs"))
    table = _table()
    table.add_column("metric")
    table.add_column("difference", justify="right")
    table.add_column("95 % interval", justify="right", style="dim")
    table.add_column("")
    for metric in METRICS:
        interval = difference.by_metric.get(metric.id)
        if interval is not None:
            word = verdict(clearly_better(metric, interval))
            table.add_row(
                f"{metric.protocol} {_title(metric)}",
                format_gap(metric, interval.mean),
                format_gap_range(metric, interval),
                f"[{COLOURS[word]}]{word}[/]" if word else "[dim]no clear difference[/]",
            )
    results.print(table)


def _published(reports: Sequence[Report]) -> Columns:
    """The ten systems and these runs, a table a data set; side by side where there is room."""
    return Columns([_published_half(dataset, reports) for dataset in DATASETS], padding=(0, 3))


def _published_half(dataset: str, reports: Sequence[Report]) -> Group:
    table = _table()
    table.add_column("", no_wrap=True)
    table.add_column("params M", justify="right")
    for name in COLUMNS:
        table.add_column(_title(BY_ID[f"paper.{name}"]), justify="right")
    for row in published_table():
        cells = [row.scores.get((dataset, name)) for name in COLUMNS]
        table.add_row(row.model, f"{row.parameters_millions:.2f}", *map(_four_decimals, cells))
    table.add_section()
    for report in reports:
        yours = [report.scores.get(f"paper.{name}") for name in COLUMNS]
        if report.dataset == dataset and any(score is not None for score in yours):
            table.add_row(escape(report.run), "", *map(_four_decimals, yours), style="bold")
    title = f"Published on {DATASET_TITLES[dataset]}, paper protocol"
    return Group(_titled(title), table)


def _four_decimals(score: float | None) -> str:
    return "" if score is None else f"{score:.4f}"


def _titled(title: str) -> Text:
    """A table's title: its own would be folded at the table's width."""
    return Text(title, style="bold")


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)


def _show_notes(reports: Sequence[Report]) -> None:
    for note in dict.fromkeys(note for report in reports for note in report.notes):
        results.print(f"[dim]Note: {escape(note)}[/]", highlight=False)


def _title(metric: Metric) -> str:
    return f"{metric.name} {ARROWS[metric.higher_is_better]}"


def _with_range(row: ScoreRow | None, to: str) -> str:
    if row is None:
        return ""
    value = f"[bold]{format_score(row.metric, row.value)}[/]"
    interval = format_range(row.metric, row.interval, to)
    return f"{value}\n[dim]{interval}[/]" if interval else value


def _difference(row: ScoreRow) -> str:
    if row.difference is None:
        return ""
    text, word = format_gap(row.metric, row.difference), verdict(row.better)
    return f"[{COLOURS[word]}]{text} {word}[/]" if word else text
