"""The histograms of the HTML report, as SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import numpy.typing as npt

from dptn_cli.evaluate.types import Report
from dptn_cli.metrics.protocols import BY_ID, Metric
from dptn_cli.report.tables import format_score, metric_ids

MAX_BINS = 30
# The size of a plot, in SVG units: the bars, a label above them and the axis labels below.
WIDTH, HEAD, BARS, FOOT = 300, 14, 100, 16
BASE = HEAD + BARS


@dataclass(frozen=True)
class _Axes:
    """The axes that the plots of a metric share.

    Attributes:
        edges: the edges of the bins, ascending.
        max_share: the share of a run's values in the fullest bin of all runs.
    """

    edges: npt.NDArray[np.float64]
    max_share: float

    def x(self, value: float) -> float:
        low, high = float(self.edges[0]), float(self.edges[-1])
        return (value - low) / (high - low) * WIDTH


def histograms(reports: Sequence[Report]) -> str:
    """Draw a figure for each pairwise metric, with a plot for each run."""
    several = len(reports) > 1
    charts = (
        histogram(
            BY_ID[metric_id],
            [
                (report.run if several else "", report.table.values.get(metric_id, np.empty(0)))
                for report in reports
            ],
        )
        for metric_id in metric_ids(reports)
    )
    drawn = "".join(charts)
    if not drawn:
        return ""
    axes = (
        '<p class="muted">The plots of a metric share both axes. '
        "A bar is the share of its run's pairs.</p>"
    )
    return f'<h2>Histograms</h2>{axes if several else ""}<div class="charts">{drawn}</div>'


def histogram(metric: Metric, runs: Sequence[tuple[str, npt.NDArray[np.float64]]]) -> str:
    """Draw the distribution of a metric over the pairs of each run, with a line at the mean.

    Args:
        metric: the metric.
        runs: name of each run, which may be empty, and its values. The plots share the edges of
            the bins and the ranges of both axes. Values that are not finite are only counted.

    Returns:
        HTML; empty if no value is finite.
    """
    finite = [values[np.isfinite(values)] for _, values in runs]
    if not any(map(len, finite)):
        return ""
    edges = _bin_edges(np.concatenate(finite), max(map(len, finite)))
    counts = [np.histogram(values, edges)[0] for values in finite]
    axes = _Axes(edges, max(float(n.max()) / max(1, int(n.sum())) for n in counts))
    plots = "".join(
        _plot_title(metric, run, values) + (_plot(metric, run, count, axes, float(known.mean())))
        if len(known)
        else _plot_title(metric, run, values)
        for (run, values), known, count in zip(runs, finite, counts, strict=True)
    )
    return (
        f'<figure class="chart" data-metric="{metric.id}">'
        f"<figcaption>{metric.id}</figcaption>{plots}</figure>"
    )


def _bin_edges(finite: npt.NDArray[np.float64], largest_run: int) -> npt.NDArray[np.float64]:
    """Return the edges of the bins. If all values are equal, they span a range around the value."""
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
        margin = max(abs(low), 1.0) * 0.5
        low, high = low - margin, high + margin
    return np.linspace(low, high, min(MAX_BINS, max(5, largest_run // 2)) + 1)


def _plot_title(metric: Metric, run: str, values: npt.NDArray[np.float64]) -> str:
    """Name the run, its mean, and the number of pairs with and without a finite value."""
    finite = values[np.isfinite(values)]
    facts = [f"mean {format_score(metric, float(finite.mean()))}"] if len(finite) else []
    facts.append(f"n = {len(finite):,}")
    infinite, undefined = int(np.isinf(values).sum()), int(np.isnan(values).sum())
    facts += [f"{infinite:,} infinite"] if infinite else []
    facts += [f"{undefined:,} without a value"] if undefined else []
    name = f"<bdi>{escape(run)}</bdi><br>" if run else ""
    return f'<p class="plot">{name}<span class="muted">{", ".join(facts)}</span></p>'


def _plot(metric: Metric, run: str, counts: npt.NDArray[np.int64], axes: _Axes, mean: float) -> str:
    label = f"Histogram of {metric.id}" + (f", {escape(run)}" if run else "")
    x = axes.x(mean)
    return (
        f'<svg viewBox="0 0 {WIDTH} {BASE + FOOT}" role="img" aria-label="{label}">'
        f"{''.join(_bars(counts, axes))}"
        f'<line class="axis" x1="0" y1="{BASE}" x2="{WIDTH}" y2="{BASE}"/>'
        f'<line class="axis" x1="0" y1="{HEAD}" x2="{WIDTH}" y2="{HEAD}"/>'
        f'<line x1="{x:.1f}" y1="{HEAD}" x2="{x:.1f}" y2="{BASE}"/>'
        f'<text x="0" y="{HEAD - 4}">{axes.max_share:.0%} of pairs</text>'
        f'<text x="0" y="{BASE + 12}">{axes.edges[0]:.4g}</text>'
        f'<text x="{WIDTH}" y="{BASE + 12}" text-anchor="end">{axes.edges[-1]:.4g}</text></svg>'
    )


def _bars(counts: npt.NDArray[np.int64], axes: _Axes) -> Iterator[str]:
    step = WIDTH / len(counts)
    heights = (counts / (counts.sum() * axes.max_share) * BARS).tolist()
    for i, n in enumerate(counts.tolist()):
        height = max(heights[i], 1.0) if n else 0.0  # A single pair is seen too.
        yield (
            f'<rect x="{i * step:.1f}" y="{BASE - height:.1f}" width="{step - 1:.1f}" '
            f'height="{height:.1f}"><title>{axes.edges[i]:.4g} to {axes.edges[i + 1]:.4g}: '
            f"{n:,} pairs</title></rect>"
        )
