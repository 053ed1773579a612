"""The values of an evaluation that cross module borders: frozen, and free of behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ImagePair:
    """A generated image and the one it should look like.

    Attributes:
        name: of the generated image, relative to the results folder, forward slashes.
        generated: where it is.
        truth: the image that really has the target pose.
        source: the image it was made from, where that is known and there.
    """

    name: str
    generated: Path
    truth: Path
    source: Path | None = None


@dataclass(frozen=True)
class Problem:
    """Something that could not be scored, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class NotComputed:
    """A metric that was asked for and is not in the report."""

    metric: str
    reason: str


@dataclass(frozen=True)
class PairTable:
    """The pairwise scores.

    Attributes:
        pairs: the pairs that were scored, sorted by name.
        values: by metric id, (len(pairs),) float64; NaN where a pair has no value, infinite
            where that is the value.
    """

    pairs: tuple[ImagePair, ...]
    values: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Report:
    """All that was found out about one results folder.

    Attributes:
        run: a short name for it.
        results: the folder.
        dataset: `fashion`, `market`, or None where it is not known.
        formats: number of generated images by file format.
        scores: by metric id; finite numbers only.
        intervals: of the pairwise metrics, by metric id.
        table: the pairwise scores.
        unpaired: images without a partner, and items whose image has gone.
        failed: items that were not made, and images and pairs that could not be scored.
        real: images of the real set that were measured.
        not_computed: metrics that were asked for and have no number.
        notes: what a reader of the numbers must know.
        versions: of what a number may depend on.
    """

    run: str
    results: Path
    dataset: str | None
    formats: Mapping[str, int]
    scores: Mapping[str, float]
    intervals: Mapping[str, Interval]
    table: PairTable
    unpaired: tuple[Problem, ...]
    failed: tuple[Problem, ...]
    real: int
    not_computed: tuple[NotComputed, ...]
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Difference:
    """Another run minus the first one, over the pairs that both have.

    Attributes:
        run: the other run's name.
        common: number of pairs compared.
        by_metric: by metric id.
    """

    run: str
    common: int
    by_metric: Mapping[str, Interval]


@dataclass(frozen=True)
class Comparison:
    """Several runs side by side; the first one is the baseline."""

    reports: tuple[Report, ...]
    differences: tuple[Difference, ...]
