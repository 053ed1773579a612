"""From a checked plan to a report: pixels, then LPIPS, then the features of whole sets."""

import contextlib
import math
import platform
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Protocol as Interface

import numpy as np
import numpy.typing as npt

from dptn_cli import __version__
from dptn_cli.errors import ModelError
from dptn_cli.evaluate.bootstrap import bootstrap
from dptn_cli.evaluate.feature_sets import Measuring, SetFeatures, measure, measure_cached
from dptn_cli.evaluate.image_batches import image_batches
from dptn_cli.evaluate.networks import Networks
from dptn_cli.evaluate.notes import notes
from dptn_cli.evaluate.pixels import Rules, read_pair, score_pairs
from dptn_cli.evaluate.plan import Plan
from dptn_cli.evaluate.types import ImagePair, NotComputed, PairTable, Problem, Report
from dptn_cli.io.images import read_image
from dptn_cli.metrics.fid import frechet_distance
from dptn_cli.metrics.protocols import Kind, Metric
from dptn_cli.metrics.undefined import Undefined
from dptn_cli.metrics.weights import NETWORKS

PACKAGES = (
    "numpy",
    "pillow",
    "scikit-image",
    "scipy",
    "torch",
    "torchvision",
    "lpips",
    "torch-fidelity",
)
INFINITE = "its images are identical, which makes the value infinite"


class Progress(Interface):
    """Whoever wants to know how far it is."""

    def stage(
        self, label: str, total: int
    ) -> contextlib.AbstractContextManager[Callable[[int], None]]:
        """Enter a stage of `total` images or pairs; what it gives is told of those done."""


@dataclass(frozen=True)
class Effort:
    """How much is done at once; the results do not depend on it.

    Attributes:
        batch_size: images in a batch of a learned metric.
        workers: processes of the pixel metrics, and threads that decode.
    """

    batch_size: int
    workers: int


def evaluate(plan: Plan, networks: Networks, *, effort: Effort, progress: Progress) -> Report:
    """Compute what the plan says.

    Args:
        plan: what; none of its metrics needs a network that is broken (`plan.without`).
        networks: of the learned metrics.
        effort: how much at once.
        progress: is told how far it is.
    """
    scores = _Scores(plan, networks, effort, progress)
    scores.score_pixels()
    scores.score_lpips()
    scores.score_sets()
    return scores.report()


@dataclass
class _Scores:
    plan: Plan
    networks: Networks
    effort: Effort
    progress: Progress
    unread_real: int = 0
    pairs: list[ImagePair] = field(default_factory=list)
    columns: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    of_sets: dict[str, float] = field(default_factory=dict)
    failed: dict[Problem, None] = field(default_factory=dict)
    """Each told once, though several stages meet it."""
    undefined: dict[str, Counter[str]] = field(default_factory=dict)
    not_computed: list[NotComputed] = field(default_factory=list)

    def score_pixels(self) -> None:
        """Every pair's pixels; pairs that cannot be read fail here."""
        plan = self.plan
        metrics = self._metrics(Kind.PIXELS)
        rules = Rules(tuple({metric.protocol for metric in metrics}), plan.dataset)
        pairs = plan.pairing.pairs if metrics else ()
        rows: dict[str, list[float]] = {metric.id: [] for metric in metrics}
        with self.progress.stage("pixels", len(pairs)) as advance:
            scored = score_pairs(pairs, rules, self.effort.workers)
            for pair, outcome in zip(pairs, scored, strict=True):
                if isinstance(outcome, Problem):
                    self._fail(outcome)
                else:
                    self.pairs.append(pair)
                    for metric_id, value in outcome.values.items():
                        rows[metric_id].append(value)
                    for metric_id, reason in outcome.undefined.items():
                        self._leave_out(metric_id, reason)
                advance(1)
        for metric_id, values in rows.items():
            self.columns[metric_id] = np.array(values)
            for _ in range(int(np.isinf(self.columns[metric_id]).sum())):
                self._leave_out(metric_id, INFINITE)

    def score_lpips(self) -> None:
        """LPIPS, once for each network, in whichever protocols it is wanted."""
        metrics = self._metrics(Kind.LPIPS)
        for network in dict.fromkeys(metric.network for metric in metrics):
            named = [metric for metric in metrics if metric.network == network]
            if not self.pairs:
                continue
            try:
                values = self._lpips(network, named)
            except ModelError as error:
                self._give_up(named, str(error))
                continue
            self.columns |= {metric.id: values for metric in named}

    def score_sets(self) -> None:
        """FID and KID, once for each network."""
        metrics = self._metrics(Kind.FEATURES)
        for network in dict.fromkeys(metric.network for metric in metrics):
            named = [metric for metric in metrics if metric.network == network]
            with tempfile.TemporaryDirectory(prefix="dptn-evaluate-") as scratch:
                try:
                    generated, real = self._set_features(named, Path(scratch))
                except ModelError as error:
                    self._give_up(named, str(error))
                    continue
                self._compare_sets(named, generated, real)

    def report(self) -> Report:
        """What was found out."""
        plan, table = self.plan, PairTable(tuple(self.pairs), self.columns)
        intervals = bootstrap(self.columns) if self.pairs else {}
        scores = {name: interval.mean for name, interval in intervals.items()} | self.of_sets
        ordered = {m.id: scores[m.id] for m in plan.metrics if m.id in scores}
        told = {one.metric for one in self.not_computed}
        silent = [m for m in plan.metrics if m.id not in scores and m.id not in told]
        for metric in silent:
            self.not_computed.append(NotComputed(metric.id, self._why_none(metric.id)))
        return Report(
            run=plan.request.results.resolve().name,
            results=plan.request.results,
            dataset=plan.dataset,
            formats=Counter(PurePosixPath(n).suffix.lower()[1:] for n in plan.pairing.images),
            scores=ordered,
            intervals=intervals,
            table=table,
            unpaired=plan.pairing.unpaired,
            failed=(*plan.pairing.not_made, *self.failed),
            real=len(plan.real.names) - self.unread_real if plan.real else 0,
            not_computed=(*plan.not_computed, *self.not_computed),
            notes=tuple(notes(plan, ordered, self.undefined, len(self.pairs))),
            versions=_versions(),
        )

    def _metrics(self, kind: Kind) -> list[Metric]:
        return [metric for metric in self.plan.metrics if metric.kind == kind]

    def _fail(self, problem: Problem) -> None:
        self.failed[problem] = None

    def _leave_out(self, metric_id: str, reason: str) -> None:
        self.undefined.setdefault(metric_id, Counter())[reason] += 1

    def _give_up(self, metrics: Sequence[Metric], reason: str) -> None:
        self.not_computed += [NotComputed(metric.id, reason) for metric in metrics]

    def _why_none(self, metric_id: str) -> str:
        reasons = self.undefined.get(metric_id)
        if reasons:
            return f"no pair has a value: {reasons.most_common(1)[0][0]}"
        return "no pair could be scored"

    def _lpips(self, network: str, metrics: Sequence[Metric]) -> npt.NDArray[np.float64]:
        model = self.networks.lpips[network]
        values = np.full(len(self.pairs), math.nan)
        with self.progress.stage(NETWORKS[network].title, len(self.pairs)) as advance:
            for batch in image_batches(
                self.pairs,
                read_pair,
                batch_size=self.effort.batch_size,
                workers=self.effort.workers,
            ):
                for index, reason in batch.failed:
                    self._fail(Problem(self.pairs[index].name, reason))
                if batch.stacks:
                    try:
                        values[list(batch.indices)] = model.distances(*batch.stacks)
                    except Undefined as reason:
                        for metric in metrics:
                            for _ in batch.indices:
                                self._leave_out(metric.id, str(reason))
                advance(batch.items)
        return values

    def _set_features(
        self, metrics: Sequence[Metric], scratch: Path
    ) -> tuple[SetFeatures, SetFeatures]:
        generated, real = self.plan.feature_sets(metrics[0].protocol)
        network, total = metrics[0].network, len(generated.names) + len(real.names)
        with self.progress.stage(NETWORKS[network].title, total) as advance:
            measuring = Measuring(
                network=network,
                extract=self.networks.extractors[network],
                batch_size=self.effort.batch_size,
                workers=self.effort.workers,
                scratch=scratch,
                advance=advance,
            )
            of_generated = measure(generated, measuring, read_image)
            of_real = measure_cached(real, measuring, read_image)
        for problem in (*of_generated.failed, *of_real.failed):
            self._fail(problem)
        self.unread_real = len(of_real.failed)
        return of_generated, of_real

    def _compare_sets(
        self, metrics: Sequence[Metric], generated: SetFeatures, real: SetFeatures
    ) -> None:
        if generated.gaussian is None or real.gaussian is None:
            which = "results" if generated.gaussian is None else "real set"
            self._give_up(metrics, f"fewer than two images of the {which} could be read")
            return
        for metric in metrics:
            if metric.name == "kid":
                from dptn_cli.metrics.kid import kid

                self.of_sets[metric.id] = kid(generated.features(), real.features())
            else:
                self.of_sets[metric.id] = frechet_distance(generated.gaussian, real.gaussian)


def _versions() -> dict[str, str]:
    """Of what a number may depend on."""
    found = {"dptn": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
