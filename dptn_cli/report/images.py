"""The drawn part of the HTML report: histograms as SVG, the extreme pairs as images."""

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from dptn_cli.errors import InputError
from dptn_cli.evaluate.types import ImagePair, Report
from dptn_cli.io.images import read_image
from dptn_cli.metrics.protocols import BY_ID, Metric
from dptn_cli.report.rows import format_score

BINS = 30
WIDTH, HEIGHT, FOOT = 300, 110, 16
EXTREMES = 6
MAX_SIDE = 320
JPEG_QUALITY = 85
RANKED_BY = ("paper.lpips", "standard.lpips_alex", "paper.ssim", "standard.ssim", "paper.l1")
"""What decides on best and worst: the first of these that was computed."""


def histogram(metric: Metric, values: npt.NDArray[np.float64]) -> str:
    """A chart of a metric's values over the pairs, with a line at the mean."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ""
    counts, edges = np.histogram(finite, _bins(finite))
    low, high = float(edges[0]), float(edges[-1])
    step = WIDTH / len(counts)
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{HEIGHT - _tall(n, counts):.1f}" width="{step - 1:.1f}" '
        f'height="{_tall(n, counts):.1f}"><title>{edges[i]:.4g} to {edges[i + 1]:.4g}: {n:,} pairs'
        "</title></rect>"
        for i, n in enumerate(counts.tolist())
    )
    mean = float(finite.mean())
    at = (mean - low) / (high - low) * WIDTH
    return (
        f'<figure class="chart" data-metric="{metric.id}"><figcaption>{metric.id} '
        f'<span class="quiet">mean {format_score(metric, mean)}</span></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + FOOT}" role="img" '
        f'aria-label="Histogram of {metric.id}">{bars}'
        f'<line class="axis" x1="0" y1="{HEIGHT}" x2="{WIDTH}" y2="{HEIGHT}"/>'
        f'<line x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="{HEIGHT}"/>'
        f'<text x="0" y="{HEIGHT + 12}">{low:.4g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 12}" text-anchor="end">{high:.4g}</text></svg></figure>'
    )


def _bins(finite: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Edges of the bins; equal values get a span of their own, however large they are."""
    low, high = float(finite.min()), float(finite.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
        margin = max(abs(low), 1.0) * 0.5
        low, high = low - margin, high + margin
    return np.linspace(low, high, min(BINS, max(5, len(finite) // 2)) + 1)


def _tall(count: int, counts: npt.NDArray[np.intp]) -> float:
    return float(count / counts.max() * (HEIGHT - 6))


def image_cards(report: Report, run: str) -> str:
    """The worst and the best pairs by the first metric of `RANKED_BY` that there is."""
    table = report.table
    ranked_by = next((name for name in RANKED_BY if name in table.values), None)
    if ranked_by is None:
        return ""
    metric, values = BY_ID[ranked_by], table.values[ranked_by]
    known = [index for index in range(len(table.pairs)) if np.isfinite(values[index])]
    worst_first = sorted(known, key=lambda i: values[i], reverse=not metric.higher_is_better)
    count = min(EXTREMES, (len(known) + 1) // 2)
    best = worst_first[::-1][: min(EXTREMES, len(known) - count)]
    return "".join(
        f'<h2>{title} pairs by {metric.id}{run}</h2><div class="images {title.lower()}">'
        f"{''.join(_card(report, index, metric) for index in indices)}</div>"
        for title, indices in (("Worst", worst_first[:count]), ("Best", best))
        if indices
    )


def _card(report: Report, index: int, metric: Metric) -> str:
    pair = report.table.pairs[index]
    score = format_score(metric, float(report.table.values[metric.id][index]))
    images = "".join(_image(path, label) for label, path in _sides(pair))
    return (
        f'<figure><div class="row">{images}</div>'
        f"<figcaption><b>{score}</b> {escape(pair.name)}</figcaption></figure>"
    )


def _sides(pair: ImagePair) -> Iterable[tuple[str, Path]]:
    if pair.source is not None:
        yield "source", pair.source
    yield "generated", pair.generated
    yield "true", pair.truth


def _image(path: Path, label: str) -> str:
    try:
        address = _data_address(path)
    except InputError:  # A source that cannot be read takes nothing from the pair's scores.
        return ""
    return f'<div><img alt="{label}" src="{address}">{label}</div>'


def _data_address(path: Path) -> str:
    """The image inside the page, no larger than the page can show."""
    image = Image.fromarray(read_image(path))
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
