"""The order of pairs from the worst to the best, by the first metric that has values."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from dptn_cli.metrics.protocols import BY_ID, METRICS, Metric

PREFERRED = ("paper.lpips", "standard.lpips_alex", "paper.ssim", "standard.ssim", "paper.l1")
"""The first of these metrics that has a value decides; if none has, the first of all metrics."""


@dataclass(frozen=True)
class Ranking:
    """Rows in order of a metric.

    Attributes:
        metric: the metric; None if no metric has a value.
        worst_first: the rows with a value, which may be infinite, from the worst to the best.
        without_value: the other rows, in their order.
        passed_over: ids of the preferred metrics that were computed but have no value.
    """

    metric: Metric | None
    worst_first: tuple[int, ...]
    without_value: tuple[int, ...]
    passed_over: tuple[str, ...]


def rank(columns: Mapping[str, npt.NDArray[np.float64]], rows: int) -> Ranking:
    """Rank rows by the first metric that has a value.

    Args:
        columns: (rows,) values, or differences of values, by metric id; NaN for no value.
        rows: number of rows.
    """
    wanted = dict.fromkeys((*PREFERRED, *(metric.id for metric in METRICS)))
    known = [metric_id for metric_id in wanted if metric_id in columns]
    finite = (name for name in known if np.isfinite(columns[name]).any())
    infinite = (name for name in known if np.isinf(columns[name]).any())
    chosen = next(chain(finite, infinite), None)
    if chosen is None:
        return Ranking(None, (), tuple(range(rows)), tuple(known))
    metric, values = BY_ID[chosen], columns[chosen]
    ranked = np.flatnonzero(~np.isnan(values)).tolist()
    ranked.sort(key=lambda row: values[row], reverse=not metric.higher_is_better)
    return Ranking(
        metric,
        tuple(ranked),
        tuple(np.flatnonzero(np.isnan(values)).tolist()),
        tuple(known[: known.index(chosen)]),
    )
