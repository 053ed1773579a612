"""What the tables show of a metric, on the terminal as in HTML: the rows, and the words in them."""

from dataclasses import dataclass

from dptn_cli.evaluate.types import Interval, Report
from dptn_cli.metrics.protocols import BY_ID, Metric
from dptn_cli.metrics.published import DATASETS, published_score


@dataclass(frozen=True)
class ScoreRow:
    """One metric of a report beside the published table.

    Attributes:
        metric: which.
        value: the report's.
        interval: bootstrap 95 %, of a pairwise metric.
        published: the table's, where it has one.
    """

    metric: Metric
    value: float
    interval: Interval | None
    published: float | None

    @property
    def difference(self) -> float | None:
        """The report's minus the published."""
        return None if self.published is None else self.value - self.published

    @property
    def better(self) -> bool | None:
        """Whether the difference is in the metric's direction; None for none."""
        if not self.difference:
            return None
        return (self.difference > 0) == self.metric.higher_is_better


def score_rows(report: Report) -> list[ScoreRow]:
    """The report's metrics in the protocols' order."""
    return [
        ScoreRow(
            BY_ID[metric_id],
            value,
            report.intervals.get(metric_id),
            published_score(metric_id, report.dataset),
        )
        for metric_id, value in report.scores.items()
    ]


def datasets_of(reports: tuple[Report, ...]) -> list[str]:
    """The published data sets that the reports are of: whose published numbers to show."""
    return [one for one in DATASETS if any(report.dataset == one for report in reports)]


def format_score(metric: Metric, value: float | None) -> str:
    """A score with the metric's decimals; nothing for none."""
    return "" if value is None else f"{value:.{metric.digits}f}"


def format_range(metric: Metric, interval: Interval | None, to: str = "..") -> str:
    """An interval of scores, with `to` between its ends."""
    if interval is None:
        return ""
    return f"{format_score(metric, interval.low)}{to}{format_score(metric, interval.high)}"


def format_gap(metric: Metric, gap: float) -> str:
    """A difference of two scores, with its sign."""
    return f"{gap:+.{metric.digits}f}"


def format_gap_range(metric: Metric, interval: Interval) -> str:
    """An interval of differences."""
    return f"{format_gap(metric, interval.low)}..{format_gap(metric, interval.high)}"


def verdict(better: bool | None) -> str:
    """`better`, `worse`, or nothing where there is nothing to tell."""
    return "" if better is None else "better" if better else "worse"


def clearly_better(metric: Metric, interval: Interval) -> bool | None:
    """Whether a difference is in the metric's direction; None where its interval holds zero."""
    if interval.low <= 0 <= interval.high:
        return None
    return (interval.mean > 0) == metric.higher_is_better
