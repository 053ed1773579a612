"""Bootstrap intervals of means over pairs, seeded, so that a report can be made again."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from dptn_cli.evaluate.types import Interval

RESAMPLES = 2000
SEED = 0
LOW, HIGH = 2.5, 97.5
MAX_DRAWS = 200_000
"""Random numbers in memory at once."""


def mean_of(values: npt.NDArray[np.float64]) -> float | None:
    """The exactly rounded mean of the finite values, whatever their order; None for none."""
    finite = values[np.isfinite(values)]
    return math.fsum(finite.tolist()) / len(finite) if len(finite) else None


def bootstrap(columns: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, Interval]:
    """The mean of each column with its percentile interval over 2,000 resamples of the rows.

    Args:
        columns: (N,) each, of one N; values that are not finite are left out of a column's mean.

    Returns:
        By column; a column without a finite value is left out.
    """
    means = {name: mean_of(values) for name, values in columns.items()}
    known = {name: mean for name, mean in means.items() if mean is not None}
    if not known:
        return {}
    values = np.stack([columns[name] for name in known], axis=1)
    spread = _resampled_means(values)
    low, high = np.nanpercentile(spread, [LOW, HIGH], axis=0)
    return {
        name: Interval(mean, float(low[i]), float(high[i]))
        for i, (name, mean) in enumerate(known.items())
    }


def _resampled_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(2000, columns) means of (N, columns), each over rows drawn with replacement."""
    rows = len(values)
    generator = np.random.default_rng(SEED)
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0.0)
    all_finite = bool(finite.all())
    means = []
    step = max(1, MAX_DRAWS // rows)
    for start in range(0, RESAMPLES, step):
        draws = generator.integers(0, rows, (min(step, RESAMPLES - start), rows))
        for drawn in draws:
            count = rows if all_finite else finite[drawn].sum(axis=0)
            with np.errstate(invalid="ignore"):
                means.append(filled[drawn].sum(axis=0) / count)
    return np.array(means)
