"""The figures of the HTML report: histograms as SVG, and the worst and best pairs as images."""

import base64
import io
from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from dptn_cli.errors import InputError
from dptn_cli.evaluate.types import ImagePair, Report
from dptn_cli.io.images import read_image
from dptn_cli.metrics.protocols import BY_ID, Metric
from dptn_cli.report.tables import format_score

MAX_BINS = 30
WIDTH, HEIGHT, FOOT = 300, 110, 16  # of a histogram and the axis labels below it, in SVG units
MAX_EXTREMES = 6  # worst pairs shown, and best pairs
MAX_SIDE_PX = 320  # of an image; the page shows none larger
JPEG_QUALITY = 85
RANKED_BY = ("paper.lpips", "standard.lpips_alex", "paper.ssim", "standard.ssim", "paper.l1")
"""The first of these metrics that was computed decides which pairs are worst and best."""


def histogram(metric: Metric, values: npt.NDArray[np.float64]) -> str:
    """Draw the distribution of a metric over the pairs, with a line at the mean."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ""
    counts, edges = np.histogram(finite, _bin_edges(finite))
    low, high = float(edges[0]), float(edges[-1])
    step = WIDTH / len(counts)
    heights = (counts / counts.max() * (HEIGHT - 6)).tolist()
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{HEIGHT - heights[i]:.1f}" width="{step - 1:.1f}" '
        f'height="{heights[i]:.1f}"><title>{edges[i]:.4g} to {edges[i + 1]:.4g}: {n:,} pairs'
        "</title></rect>"
        for i, n in enumerate(counts.tolist())
    )
    mean = float(finite.mean())
    mean_x = (mean - low) / (high - low) * WIDTH
    return (
        f'<figure class="chart" data-metric="{metric.id}"><figcaption>{metric.id} '
        f'<span class="muted">mean {format_score(metric, mean)}</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + FOOT}" role="img" '
        f'aria-label="Histogram of {metric.id}">{bars}'
        f'<line class="axis" x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}"/>'
        f'<line x1="{mean_x:.1f}" y1="0" x2="{mean_x:.1f}" y2="{HEIGHT}"/>'
        f'<text x="0" y="{HEIGHT + 12}">{low:.4g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 12}" text-anchor="end">{high:.4g}</text></svg></figure>'
    )


def _bin_edges(finite: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the edges of the bins. If all values are equal, they span a range around the value."""
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
        margin = max(abs(low), 1.0) * 0.5
        low, high = low - margin, high + margin
    return np.linspace(low, high, min(MAX_BINS, max(5, len(finite) // 2)) + 1)


def pair_figures(report: Report, heading_suffix: str) -> str:
    """Show the worst and the best pairs by the first metric of `RANKED_BY` that was computed.

    Args:
        report: the report.
        heading_suffix: HTML added to the headings, which names the run; may be empty.
    """
    table = report.table
    ranked_by = next((name for name in RANKED_BY if name in table.values), None)
    if ranked_by is None:
        return ""
    metric, values = BY_ID[ranked_by], table.values[ranked_by]
    scored = [index for index in range(len(table.pairs)) if np.isfinite(values[index])]
    worst_first = sorted(scored, key=lambda i: values[i], reverse=not metric.higher_is_better)
    count = min(MAX_EXTREMES, (len(scored) + 1) // 2)
    best = worst_first[::-1][: min(MAX_EXTREMES, len(scored) - count)]
    return "".join(
        f'<h2>{title} pairs by {metric.id}{heading_suffix}</h2><div class="images {title.lower()}">'
        f"{''.join(_pair_figure(report, index, metric) for index in indices)}</div>"
        for title, indices in (("Worst", worst_first[:count]), ("Best", best))
        if indices
    )


def _pair_figure(report: Report, index: int, metric: Metric) -> str:
    pair = report.table.pairs[index]
    score = format_score(metric, float(report.table.values[metric.id][index]))
    images = "".join(_image(path, label) for label, path in _labelled_images(pair))
    return (
        f'<figure><div class="row">{images}</div>'
        f"<figcaption><b>{score}</b> {escape(pair.name)}</figcaption></figure>"
    )


def _labelled_images(pair: ImagePair) -> Iterator[tuple[str, Path]]:
    if pair.source is not None:
        yield "source", pair.source
    yield "generated", pair.generated
    yield "true", pair.truth


def _image(path: Path, label: str) -> str:
    try:
        url = _data_url(path)
    except InputError:  # An unreadable source does not affect the scores.
        return ""
    return f'<div><img alt="{label}" src="{url}">{label}</div>'


def _data_url(path: Path) -> str:
    """Return the image as a data URL, no larger than the page can show it."""
    image = Image.fromarray(read_image(path))
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
