"""The values of an evaluation that modules pass to each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dptn_cli.enums import Dataset


@dataclass(frozen=True)
class EvalOptions:
    """Settings of an evaluation on which the scores do not depend.

    Attributes:
        batch_size: maximum number of images in a batch of a learned metric.
        workers: number of processes that score pixels, and of threads that decode for the learned
            metrics; 0 means one for each core.
        download_weights: download missing weights into torch.hub's cache first.
    """

    batch_size: int = 32
    workers: int = 0
    download_weights: bool = False


DEFAULT_OPTIONS = EvalOptions()


@dataclass(frozen=True)
class ImagePair:
    """A generated image and the true image it is compared with.

    Attributes:
        name: name of the generated image, relative to the results folder, with forward slashes.
        generated: path of the generated image.
        truth: path of the image that really shows the target pose.
        source: path of the source image; None if it is unknown or not in the truth folder.
    """

    name: str
    generated: Path
    truth: Path
    source: Path | None = None


@dataclass(frozen=True)
class Problem:
    """An image, pair or item that could not be scored.

    Attributes:
        name: its name.
        reason: why it has no score.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class NotComputed:
    """A metric that was requested but is not in the report.

    Attributes:
        metric: id of the metric.
        reason: why it is missing, and how to get it.
    """

    metric: str
    reason: str


@dataclass(frozen=True)
class PairTable:
    """The pairwise scores.

    Attributes:
        pairs: the scored pairs, sorted by name.
        values: (len(pairs),) float64 by metric id; NaN if the metric is undefined for a pair,
            infinite if that is its value.
    """

    pairs: tuple[ImagePair, ...]
    values: Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap 95 % interval, which reaches from `low` to `high`."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Report:
    """The evaluation of one results folder.

    Attributes:
        run: short name of the run.
        results: the results folder.
        dataset: the data set; None if it is unknown.
        formats: number of generated images by file format.
        scores: scores by metric id, all finite.
        intervals: intervals of the pairwise metrics, by metric id.
        table: the pairwise scores.
        unpaired: images without a true image, and items whose image is gone.
        failed: items that the transfer could not generate, and images and pairs that could not
            be scored.
        reference: number of images in the reference set that were read.
        not_computed: metrics that were requested but have no score.
        required: ids of the metrics that the report must have.
        notes: caveats for the reader of the scores.
        versions: versions of the packages that the scores may depend on.
        provenance: what the results were made with and of; see `provenance.provenance`.
        trained_on: name of the data set of the model that made the results; None if unknown.
    """

    run: str
    results: Path
    dataset: Dataset | None
    formats: Mapping[str, int]
    scores: Mapping[str, float]
    intervals: Mapping[str, Interval]
    table: PairTable
    unpaired: tuple[Problem, ...]
    failed: tuple[Problem, ...]
    reference: int
    not_computed: tuple[NotComputed, ...]
    required: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    trained_on: str | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Number of pairs that a score is the mean of, or of images in the set, by metric id."""
        images = sum(self.formats.values())
        return {
            metric_id: int(np.isfinite(self.table.values[metric_id]).sum())
            if metric_id in self.table.values
            else images
            for metric_id in self.scores
        }

    @property
    def published_on(self) -> Dataset | None:
        """The data set whose published scores may stand beside these; None if there is none."""
        return self.dataset if self.trained_on in (None, self.dataset) else None

    @property
    def is_complete(self) -> bool:
        """True if nothing failed and no required metric is missing."""
        return not self.failed and not any(n.metric in self.required for n in self.not_computed)


@dataclass(frozen=True)
class Difference:
    """Another run minus the first one, over the pairs that both have.

    Attributes:
        run: name of the other run.
        common: number of pairs compared.
        by_metric: mean difference and its interval, by metric id.
        rows: of each pair compared, the rows in the other run's table and in the first one's.
        gaps: (len(rows),) differences by metric id; NaN if a value is missing or both are infinite.
    """

    run: str
    common: int
    by_metric: Mapping[str, Interval]
    rows: tuple[tuple[int, int], ...] = ()
    gaps: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """One or more runs. The first one is the baseline.

    Attributes:
        reports: the report of each run.
        differences: the difference of every other run from the first one.
    """

    reports: tuple[Report, ...]
    differences: tuple[Difference, ...]

    @property
    def is_complete(self) -> bool:
        """True if every report is complete."""
        return all(report.is_complete for report in self.reports)
