"""The tables of `dptn evaluate` on the terminal."""

from collections.abc import Sequence

from rich import box
from rich.columns import Columns
from rich.markup import escape
from rich.table import Table

from dptn_cli.cli.console import results
from dptn_cli.metrics.protocols import BY_ID, METRICS, Metric
from dptn_cli.metrics.published import COLUMNS, DATASET_TITLES, DATASETS, published_table
from dptn_cli.report.formats import ScoreRow, format_score, score_rows
from dptn_cli.scores import Comparison, Interval, Report

ARROWS = {True: "↑", False: "↓"}


def show_report(report: Report) -> None:
    """One run: its scores beside DPTN's published ones, then the published table."""
    results.print(_scores(report))
    results.print(_published([report]))
    _show_notes([report])


def show_comparison(comparison: Comparison) -> None:
    """Several runs side by side, their differences from the first, and the published table."""
    results.print(_side_by_side(comparison))
    for difference in comparison.differences:
        results.print(_differences(comparison, difference.run))
    results.print(_published(comparison.reports))
    _show_notes(comparison.reports)


def _scores(report: Report) -> Table:
    counts = f"{len(report.table.pairs):,} pairs"
    counts += f", {len(report.unpaired):,} unpaired" if report.unpaired else ""
    counts += f", {len(report.failed):,} failed" if report.failed else ""
    counts += f", {report.real:,} real" if report.real else ""
    formats = ", ".join(sorted(report.formats)).upper()
    table = _titled_table(f"{escape(report.run)}: {counts} ({formats})")
    table.add_column("protocol")
    table.add_column("metric", no_wrap=True)
    table.add_column("yours", justify="right", style="bold", no_wrap=True)
    table.add_column("95 % interval", justify="right", style="dim", no_wrap=True)
    table.add_column("DPTN\npublished", justify="right")
    table.add_column("difference", justify="right", no_wrap=True)
    before = ""
    for row in score_rows(report):
        if before and before != row.metric.protocol:
            table.add_section()
        table.add_row(
            row.metric.protocol if row.metric.protocol != before else "",
            _title(row.metric),
            format_score(row.metric, row.value),
            _range(row.metric, row.interval),
            "" if row.published is None else format_score(row.metric, row.published),
            _difference(row),
        )
        before = row.metric.protocol
    table.add_section()
    for one in report.not_computed:
        metric = BY_ID[one.metric]
        table.add_row(
            f"[dim]{metric.protocol}[/]", f"[dim]{_title(metric)}[/]", "[dim]not computed[/]"
        )
    return table


def _side_by_side(comparison: Comparison) -> Table:
    table = _titled_table(f"{len(comparison.reports)} runs, with bootstrap 95 % intervals")
    table.add_column("metric", no_wrap=True)
    for report in comparison.reports:
        table.add_column(escape(report.run), justify="right", overflow="fold")
    table.add_column("DPTN\npublished", justify="right")
    for metric in METRICS:
        rows = [
            next((row for row in score_rows(report) if row.metric == metric), None)
            for report in comparison.reports
        ]
        if not any(rows):
            continue
        published = next((row.published for row in rows if row and row.published), None)
        table.add_row(
            f"{metric.protocol} {_title(metric)}",
            *(_with_range(row) for row in rows),
            "" if published is None else format_score(metric, published),
        )
    return table


def _differences(comparison: Comparison, run: str) -> Table:
    difference = next(one for one in comparison.differences if one.run == run)
    table = _titled_table(
        f"{escape(run)} minus {escape(comparison.reports[0].run)}, paired, "
        f"{difference.common:,} common pairs"
    )
    table.add_column("metric")
    table.add_column("difference", justify="right")
    table.add_column("95 % interval", justify="right", style="dim")
    table.add_column("")
    for metric in METRICS:
        interval = difference.by_metric.get(metric.id)
        if interval is not None:
            table.add_row(
                f"{metric.protocol} {_title(metric)}",
                f"{interval.mean:+.{metric.digits}f}",
                f"{interval.low:+.{metric.digits}f}..{interval.high:+.{metric.digits}f}",
                _verdict(metric, interval),
            )
    return table


def _published(reports: Sequence[Report]) -> Columns:
    """The ten systems and these runs, a table a data set; side by side where there is room."""
    return Columns([_published_half(dataset, reports) for dataset in DATASETS], padding=(0, 3))


def _published_half(dataset: str, reports: Sequence[Report]) -> Table:
    table = _titled_table(f"Published on {DATASET_TITLES[dataset]}, paper protocol")
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
    return table


def _four_decimals(score: float | None) -> str:
    return "" if score is None else f"{score:.4f}"


def _titled_table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )


def _show_notes(reports: Sequence[Report]) -> None:
    for note in dict.fromkeys(note for report in reports for note in report.notes):
        results.print(f"[dim]Note: {escape(note)}[/]", highlight=False)


def _title(metric: Metric) -> str:
    return f"{metric.name} {ARROWS[metric.higher_is_better]}"


def _range(metric: Metric, interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{interval.low:.{metric.digits}f}..{interval.high:.{metric.digits}f}"


def _with_range(row: ScoreRow | None) -> str:
    if row is None:
        return ""
    value = f"[bold]{format_score(row.metric, row.value)}[/]"
    interval = _range(row.metric, row.interval)
    return f"{value}\n[dim]{interval}[/]" if interval else value


def _difference(row: ScoreRow) -> str:
    if row.difference is None:
        return ""
    text = f"{row.difference:+.{row.metric.digits}f}"
    if row.better is None:
        return text
    return f"[green]{text} better[/]" if row.better else f"[red]{text} worse[/]"


def _verdict(metric: Metric, interval: Interval) -> str:
    """Better or worse where the interval leaves zero out."""
    if interval.low <= 0 <= interval.high:
        return "[dim]no clear difference[/]"
    better = (interval.mean > 0) == metric.higher_is_better
    return "[green]better[/]" if better else "[red]worse[/]"
