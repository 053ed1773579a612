"""The tables of a report as plain text. The terminal, HTML, Markdown and LaTeX only draw them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from dptn_cli.enums import Dataset, Protocol
from dptn_cli.evaluate.types import Comparison, Difference, Interval, Report
from dptn_cli.metrics.protocols import BY_ID, METRICS, Metric
from dptn_cli.metrics.published import COLUMNS, DATASET_TITLES, published_score, published_table

Style: TypeAlias = Literal["", "value", "muted", "better", "worse"]
"""The look of a cell, named by a class of the HTML report's style sheet."""


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        text: the text of the cell.
        detail: smaller text below, such as an interval.
        style: how the cell looks.
    """

    text: str = ""
    detail: str = ""
    style: Style = ""


@dataclass(frozen=True)
class Row:
    """A row: a label and its cells.

    Attributes:
        label: text of the first column.
        cells: the other columns; empty for the title of a group.
        kind: `group` for the title of the rows below, `missing` for a metric without a score,
            `yours` for a run among published systems.
        hint: more about the label, which a browser shows on hover.
    """

    label: str
    cells: tuple[Cell, ...] = ()
    kind: Literal["", "group", "missing", "yours"] = ""
    hint: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """A table of scores.

    Attributes:
        title: the title of the table.
        columns: titles of the columns, the labels' column first; may contain line breaks.
        rows: the rows.
        column_groups: title and number of columns of each group, from left to right.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    column_groups: tuple[tuple[str, int], ...] = ()


def score_table(report: Report) -> ScoreTable:
    """Return the scores of one run beside DPTN's published ones, grouped by protocol."""
    missing = {metric.metric for metric in report.not_computed}
    rows: list[Row] = []
    for protocol in Protocol:
        group = [
            _score_row(report, metric)
            for metric in METRICS
            if metric.protocol == protocol and (metric.id in report.scores or metric.id in missing)
        ]
        if group:
            rows += [Row(f"{protocol} protocol", kind="group"), *group]
    columns = ("metric", "yours", "95 % interval", "DPTN\npublished", "difference")
    formats = ", ".join(sorted(report.formats)).upper()
    title = f"{run_title(report)}: {', '.join(count_facts(report))} ({formats})"
    return ScoreTable(title, columns, tuple(rows))


def _score_row(report: Report, metric: Metric) -> Row:
    value = report.scores.get(metric.id)
    if value is None:
        cells = (Cell(), Cell("not computed", style="muted"), Cell(), Cell())
        return Row(_label(metric), cells, "missing")
    published = published_score(metric, report.published_on)
    difference = Cell()
    if published is not None:
        gap = value - published
        verdict = _verdict(metric, gap) if gap else ""
        difference = Cell(f"{format_gap(metric, gap)} {verdict}".rstrip(), style=verdict)
    return Row(
        _label(metric),
        (
            Cell(format_score(metric, value), style="value"),
            Cell(_format_range(metric, report.intervals.get(metric.id)), style="muted"),
            Cell(format_score(metric, published)),
            difference,
        ),
    )


def comparison_table(reports: Sequence[Report]) -> ScoreTable:
    """Return the scores of several runs side by side, beside DPTN's published ones."""
    datasets = published_datasets(reports)
    rows = [
        Row(
            _full_label(metric),
            (
                *(_score_cell(report, metric) for report in reports),
                *(Cell(format_score(metric, published_score(metric, d))) for d in datasets),
            ),
        )
        for metric in _scored_metrics(reports)
    ]
    published = (f"DPTN\npublished on\n{DATASET_TITLES[dataset]}" for dataset in datasets)
    return ScoreTable(
        f"{len(reports)} runs, with bootstrap 95 % intervals",
        ("metric", *map(run_title, reports), *published),
        tuple(rows),
    )


def _score_cell(report: Report, metric: Metric) -> Cell:
    interval = _format_range(metric, report.intervals.get(metric.id))
    return Cell(format_score(metric, report.scores.get(metric.id)), interval, "value")


def difference_tables(comparison: Comparison) -> list[ScoreTable]:
    """Return the paired differences of each run from the first one."""
    baseline, *others = comparison.reports
    return [
        _difference_table(difference, other, baseline)
        for difference, other in zip(comparison.differences, others, strict=False)
    ]


def _difference_table(difference: Difference, other: Report, baseline: Report) -> ScoreTable:
    title = f"{run_title(other)} minus {run_title(baseline)}"
    columns = ("metric", "difference", "95 % interval", "")
    common = common_pairs(difference, other, baseline)
    if not difference.by_metric:
        why = "no metric can be compared in them" if difference.common else "so no differences"
        return ScoreTable(f"{title}: {common}, {why}", columns, ())
    rows = []
    for metric in METRICS:
        interval = difference.by_metric.get(metric.id)
        if interval is None:
            continue
        verdict: Style = "muted"
        if not interval.low <= 0 <= interval.high:
            verdict = _verdict(metric, interval.mean)
        cells = (
            Cell(format_gap(metric, interval.mean), style="value"),
            Cell(
                f"{format_gap(metric, interval.low)}..{format_gap(metric, interval.high)}",
                style="muted",
            ),
            Cell("no clear difference" if verdict == "muted" else verdict, style=verdict),
        )
        rows.append(Row(_full_label(metric), cells))
    return ScoreTable(f"{title}, paired, {common}", columns, tuple(rows))


def common_pairs(difference: Difference, other: Report, baseline: Report) -> str:
    """Return the number of pairs that two runs share, and the number of pairs of each."""
    n = difference.common
    common = "1 common pair" if n == 1 else f"{n:,} common pairs"
    sizes = f"{len(other.table.pairs):,} and {len(baseline.table.pairs):,}"
    return f"{common if n else 'no pair in common'} of {sizes}"


def published_datasets(reports: Sequence[Report]) -> list[Dataset]:
    """Return the data sets whose published scores may stand beside a run's."""
    return [d for d in Dataset if any(report.published_on == d for report in reports)]


def leaderboard(reports: Sequence[Report], datasets: Sequence[Dataset]) -> ScoreTable:
    """Return the published systems and the runs, by the paper's protocol.

    Args:
        reports: the runs; one appears if it has a score on one of the data sets.
        datasets: the data sets whose scores are shown, from left to right.
    """
    rows = [
        Row(
            system.model,
            (
                Cell(f"{system.parameters_millions:.2f}"),
                *(_paper_cell(system.scores.get((d, name))) for d in datasets for name in COLUMNS),
            ),
            hint=system.venue,
        )
        for system in published_table()
    ]
    for report in reports:
        scores = [
            report.scores.get(f"paper.{name}") if report.published_on == dataset else None
            for dataset in datasets
            for name in COLUMNS
        ]
        if any(score is not None for score in scores):
            rows.append(Row(run_title(report), (Cell(), *map(_paper_cell, scores)), "yours"))
    labels = [_label(BY_ID[f"paper.{name}"]) for name in COLUMNS]
    titles = [DATASET_TITLES[dataset] for dataset in datasets]
    return ScoreTable(
        f"Published on {' and '.join(titles)}, paper protocol",
        ("system", "params M", *(labels * len(datasets))),
        tuple(rows),
        (("", 2), *((title, len(COLUMNS)) for title in titles)),
    )


def _paper_cell(score: float | None) -> Cell:
    return Cell("" if score is None else f"{score:.4f}")


def runs_table(
    reports: Sequence[Report], label: Callable[[Metric], str] | None = None
) -> ScoreTable:
    """Return a table with a row for each run and a column for each metric.

    Args:
        reports: the runs.
        label: returns the title of a metric's column; None means its protocol, name and direction.
    """
    metrics = _scored_metrics(reports)
    rows = (
        Row(
            run_title(report),
            tuple(Cell(format_score(m, report.scores.get(m.id))) for m in metrics),
        )
        for report in reports
    )
    return ScoreTable("", ("run", *map(label or _full_label, metrics)), tuple(rows))


def metric_ids(reports: Sequence[Report]) -> list[str]:
    """Return the ids of the pairwise metrics that any run has, without repetition."""
    return list(dict.fromkeys(name for report in reports for name in report.table.values))


def run_title(report: Report) -> str:
    """Return the run's name on one line, without characters that would control a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in report.run)


def count_facts(report: Report) -> list[str]:
    """Return the numbers of pairs, problems and reference images, each with its unit."""
    facts = [f"{len(report.table.pairs):,} pairs"]
    facts += [f"{len(report.unpaired):,} unpaired"] if report.unpaired else []
    facts += [f"{len(report.failed):,} failed"] if report.failed else []
    facts += [f"{report.reference:,} reference images"] if report.reference else []
    return facts


def format_score(metric: Metric, value: float | None) -> str:
    """Format a score with the metric's decimals; empty for None."""
    if value is None or math.isfinite(value):
        return "" if value is None else f"{value:.{metric.digits}f}"
    return "no value" if math.isnan(value) else "∞"


def _format_range(metric: Metric, interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{format_score(metric, interval.low)}..{format_score(metric, interval.high)}"


def format_gap(metric: Metric, gap: float) -> str:
    """Format a difference of scores, with its sign and the metric's decimals."""
    if math.isinf(gap):
        return "+∞" if gap > 0 else "-∞"
    return f"{gap:+.{metric.digits}f}"


def _verdict(metric: Metric, gap: float) -> Literal["better", "worse"]:
    return "better" if (gap > 0) == metric.higher_is_better else "worse"


def _scored_metrics(reports: Sequence[Report]) -> list[Metric]:
    return [m for m in METRICS if any(m.id in report.scores for report in reports)]


def _label(metric: Metric) -> str:
    return f"{metric.name} {'↑' if metric.higher_is_better else '↓'}"


def _full_label(metric: Metric) -> str:
    return f"{metric.protocol} {_label(metric)}"
