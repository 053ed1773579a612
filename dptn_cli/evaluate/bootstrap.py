"""Bootstrap intervals of means over pairs, with a fixed seed so that reports are reproducible."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from dptn_cli.evaluate.types import Interval

RESAMPLES = 2000
SEED = 0
LOW, HIGH = 2.5, 97.5
"""Percentiles of the interval."""
MAX_DRAWS = 200_000
"""Maximum number of random row numbers in memory."""


def mean_of(values: npt.NDArray[np.float64]) -> float | None:
    """Return the mean of the finite values, or None if there are none.

    The sum is rounded once, so the mean does not depend on the order of the values.
    """
    finite = values[np.isfinite(values)]
    return math.fsum(finite.tolist()) / len(finite) if len(finite) else None


def bootstrap(columns: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, Interval]:
    """Return the mean of each column with its percentile interval over 2,000 resamples of the rows.

    Args:
        columns: columns by name, each (N,). Values that are not finite do not count in the mean.

    Returns:
        Intervals by name, without the columns that have no finite value.
    """
    means = {name: mean_of(values) for name, values in columns.items()}
    known = {name: mean for name, mean in means.items() if mean is not None}
    if not known:
        return {}
    values = np.stack([columns[name] for name in known], axis=1)
    low, high = np.nanpercentile(_resampled_means(values), [LOW, HIGH], axis=0)
    return {
        name: Interval(mean, float(low[i]), float(high[i]))
        for i, (name, mean) in enumerate(known.items())
    }


def _resampled_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the (2000, C) means of (N, C) values, each over N rows drawn with replacement."""
    rows = len(values)
    generator = np.random.default_rng(SEED)
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0.0)
    all_finite = bool(finite.all())
    means = []
    step = max(1, MAX_DRAWS // rows)
    for start in range(0, RESAMPLES, step):
        draws = generator.integers(0, rows, (min(step, RESAMPLES - start), rows))
        for draw in draws:
            count = rows if all_finite else finite[draw].sum(axis=0)
            with np.errstate(invalid="ignore"):  # 0 / 0: the draw has no finite value.
                means.append(filled[draw].sum(axis=0) / count)
    return np.array(means)
