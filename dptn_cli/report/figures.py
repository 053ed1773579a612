"""The images of the HTML report: pairs that differ between runs, and worst and best pairs."""

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

from PIL import Image

from dptn_cli.errors import InputError
from dptn_cli.evaluate.compare import pair_key
from dptn_cli.evaluate.types import Comparison, Difference, ImagePair, Report
from dptn_cli.io.images import read_image
from dptn_cli.metrics.protocols import Metric
from dptn_cli.report.ranking import Ranking, rank
from dptn_cli.report.tables import common_pairs, format_gap, format_score

MAX_EXTREMES = 6
"""Worst pairs shown of one or two runs, and best pairs; of more runs, fewer for each."""
MAX_PICTURED_RUNS = 8
MAX_SIDE_PX = 320  # of an image; the page shows none larger
JPEG_QUALITY = 85
GONE = '<span class="gone">cannot be read</span>'


def pair_figures(comparison: Comparison) -> str:
    """Show the pairs that differ most between runs, then the worst and best pairs of each run.

    The number of images is bounded, whatever the number of pairs and of runs.
    """
    gallery = _Gallery(comparison.reports[:MAX_PICTURED_RUNS])
    shown = gallery.reports
    sections = [
        section
        for difference, report in zip(comparison.differences, shown[1:], strict=False)
        for section in gallery.difference_sections(difference, report)
    ]
    sections += [section for report in shown for section in gallery.extreme_sections(report)]
    if left_out := len(comparison.reports) - len(shown):
        sections.append(
            f'<p class="muted">Images are shown of the first {len(shown)} runs, '
            f"not of the other {left_out:,}.</p>"
        )
    return "".join(sections)


@dataclass(frozen=True)
class _Gallery:
    """Draws pairs, with the results of all runs side by side.

    Attributes:
        reports: the runs; the first one is the baseline.
    """

    reports: Sequence[Report]

    @cached_property
    def rows(self) -> Sequence[Mapping[str, int]]:
        """The row of each pair in each run's table, by the pair's key."""
        return [
            {pair_key(pair): row for row, pair in enumerate(report.table.pairs)}
            for report in self.reports
        ]

    @property
    def max_extremes(self) -> int:
        return min(MAX_EXTREMES, 2 * MAX_EXTREMES // len(self.reports))

    def extreme_sections(self, report: Report) -> Iterator[str]:
        """Show the worst and the best pairs of a run, and pairs that have no value."""
        pairs, values = report.table.pairs, report.table.values
        ranking = rank(values, len(pairs))
        run = f", {_name(report.run)}" if len(self.reports) > 1 else ""
        metric, ranked = ranking.metric, ranking.worst_first
        worst = ranked[: min(self.max_extremes, (len(ranked) + 1) // 2)]
        best = ranked[::-1][: min(self.max_extremes, len(ranked) - len(worst))]
        without = ranking.without_value[: self.max_extremes]
        by = f"by {metric.id}" if metric else ""
        missing = f"Pairs without {metric.id}" if metric else "Pairs, none with a score"
        for title, kind, rows, note in (
            (f"Worst pairs {by}", "worst", worst, _passed_over(ranking)),
            (f"Best pairs {by}", "best", best, ""),
            (missing, "without", without, _shown_of(without, ranking.without_value)),
        ):
            headlines = [_score(report, row, metric) for row in rows]
            figures = [
                self._figure(pairs[row], metric, headline)
                for row, headline in zip(rows, headlines, strict=True)
            ]
            yield self._section(f"{title}{run}", kind, note, figures)

    def difference_sections(self, difference: Difference, report: Report) -> Iterator[str]:
        """Show the common pairs in which a run is worse or better than the baseline by most."""
        baseline = self.reports[0]
        ranking = rank(difference.gaps, len(difference.rows))
        metric, worst_first = ranking.metric, ranking.worst_first
        gaps = difference.gaps[metric.id] if metric else ()
        sign = 1 if metric is None or metric.higher_is_better else -1
        worse = [row for row in worst_first if sign * gaps[row] < 0]
        better = [row for row in worst_first[::-1] if sign * gaps[row] > 0]
        equal = [row for row in worst_first if gaps[row] == 0] if not (worse or better) else []
        by = f", by {metric.id}" if metric else ""
        run, other = _name(report.run), _name(baseline.run)
        without = [] if worst_first else list(ranking.without_value)
        for verb, kind, rows in (
            ("worse than", "worst", worse),
            ("better than", "best", better),
            ("equal to", "equal", equal),
            ("beside", "without", without),
        ):
            shown = rows[: self.max_extremes]
            note = f"{common_pairs(difference, report, baseline)}; {_shown_of(shown, rows)}"
            figures = [
                self._figure(
                    report.table.pairs[difference.rows[row][0]],
                    metric,
                    format_gap(metric, float(gaps[row])) if metric else "",
                )
                for row in shown
            ]
            yield self._section(f"{run} {verb} {other}{by}", f"{kind} common", note, figures)

    def _section(self, title: str, kind: str, note: str, figures: Sequence[str]) -> str:
        if not figures:
            return ""
        kind += " several" if len(self.reports) > 1 else ""
        note = f'<p class="muted">{note}</p>' if note else ""
        return f'<h2>{title}</h2>{note}<div class="images {kind}">{"".join(figures)}</div>'

    def _figure(self, pair: ImagePair, metric: Metric | None, headline: str) -> str:
        """Draw the source, the true image, and the result of each run."""
        source = [_labelled("source", pair.source)] if pair.source else []
        truth = _labelled("true", pair.truth)
        if len(self.reports) == 1:
            images = [*source, _labelled("generated", pair.generated), truth]
        else:
            images = [*source, truth, *self._results(pair_key(pair), metric)]
        score = f"<b>{headline}</b> " if headline else ""
        return (
            f'<figure><div class="row">{"".join(images)}</div>'
            f"<figcaption>{score}{_name(pair.name)}</figcaption></figure>"
        )

    def _results(self, key: str, metric: Metric | None) -> Iterator[str]:
        for report, rows in zip(self.reports, self.rows, strict=True):
            row = rows.get(key)
            if row is None:
                yield f'<div><span class="gone">no such pair</span>{_name(report.run)}</div>'
            else:
                generated = report.table.pairs[row].generated
                yield _labelled(report.run, generated, _score(report, row, metric))


def _passed_over(ranking: Ranking) -> str:
    if not ranking.passed_over or ranking.metric is None:
        return ""
    return f"No pair has a value of {', '.join(ranking.passed_over)}."


def _shown_of(shown: Sequence[int], rows: Sequence[int]) -> str:
    return f"{len(shown):,} of {len(rows):,} are shown"


def _score(report: Report, row: int, metric: Metric | None) -> str:
    if metric is None or metric.id not in report.table.values:
        return ""
    return format_score(metric, float(report.table.values[metric.id][row]))


def _name(text: str) -> str:
    """Escape a name, and keep the directions of its letters from what surrounds it."""
    return f"<bdi>{escape(text)}</bdi>"


def _labelled(label: str, path: Path, score: str = "") -> str:
    score = f"<b>{score}</b><br>" if score else ""
    try:
        image = f'<img alt="{escape(label)}" src="{_data_url(path)}">'
    except InputError:  # An unreadable source does not affect the scores.
        image = GONE
    return f"<div>{image}{score}{_name(label)}</div>"


def _data_url(path: Path) -> str:
    """Return the image as a data URL, no larger than the page can show it."""
    image = Image.fromarray(read_image(path))
    image.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
