"""From a checked plan to a report: pixels, then LPIPS, then the features of whole sets."""

import contextlib
import math
import platform
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dptn_cli import __version__
from dptn_cli.errors import ModelError
from dptn_cli.evaluate.bootstrap import bootstrap
from dptn_cli.evaluate.feature_sets import FeatureExtractor, ImageSet, SetFeatures
from dptn_cli.evaluate.image_batches import image_batches
from dptn_cli.evaluate.networks import Networks
from dptn_cli.evaluate.notes import notes
from dptn_cli.evaluate.pixels import Rules, read_pair, score_pairs
from dptn_cli.evaluate.plan import Plan
from dptn_cli.evaluate.progress import SILENT, EvalProgress
from dptn_cli.evaluate.types import (
    DEFAULT_OPTIONS,
    EvalOptions,
    ImagePair,
    NotComputed,
    PairTable,
    Problem,
    Report,
)
from dptn_cli.metrics.fid import frechet_distance
from dptn_cli.metrics.protocols import Kind, Metric, Undefined
from dptn_cli.metrics.weights import NETWORKS
from dptn_cli.processor import available_cores

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


def evaluate(
    plan: Plan,
    networks: Networks,
    *,
    options: EvalOptions = DEFAULT_OPTIONS,
    progress: EvalProgress = SILENT,
) -> Report:
    """Compute the metrics of a plan.

    Args:
        plan: the plan. None of its metrics needs a network that is broken (`without_broken`).
        networks: the networks of the learned metrics.
        options: batch size and number of processes.
        progress: receives the stages of the work.
    """
    options = replace(options, workers=options.workers or available_cores())
    evaluation = _Evaluation(plan, networks, options, progress)
    evaluation.score_pixels()
    evaluation.score_lpips()
    evaluation.score_sets()
    return evaluation.report()


@dataclass
class _Evaluation:
    plan: Plan
    networks: Networks
    options: EvalOptions
    progress: EvalProgress
    pairs: list[ImagePair] = field(default_factory=list)
    columns: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    set_scores: dict[str, float] = field(default_factory=dict)
    unread_references: int = 0
    # An ordered set: several stages may meet the same problem, which is reported once.
    failed: dict[Problem, None] = field(default_factory=dict)
    undefined: dict[str, Counter[str]] = field(default_factory=dict)
    not_computed: list[NotComputed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def score_pixels(self) -> None:
        """Score the pixels of every pair. Pairs that cannot be read fail here."""
        plan = self.plan
        metrics = self._metrics(Kind.PIXELS)
        rules = Rules(tuple({metric.protocol for metric in metrics}), plan.dataset)
        pairs = plan.pairing.pairs if metrics else ()
        rows: dict[str, list[float]] = {metric.id: [] for metric in metrics}
        with self.progress.stage("pixels", len(pairs)) as advance:
            outcomes = score_pairs(pairs, rules, self.options.workers)
            for pair, outcome in zip(pairs, outcomes, strict=True):
                if isinstance(outcome, Problem):
                    self.failed[outcome] = None
                else:
                    self.pairs.append(pair)
                    for metric_id, value in outcome.values.items():
                        rows[metric_id].append(value)
                    for metric_id, reason in outcome.undefined.items():
                        self._leave_out(metric_id, reason)
                advance(1)
        for metric_id, values in rows.items():
            column = self.columns[metric_id] = np.array(values)
            if infinite := int(np.isinf(column).sum()):
                self._leave_out(metric_id, INFINITE, infinite)

    def score_lpips(self) -> None:
        """Compute LPIPS once for each network, and enter it under every protocol that has it."""
        if not self.pairs:
            return
        for network, metrics in self._by_network(Kind.LPIPS):
            try:
                values = self._lpips(network, metrics)
            except ModelError as error:
                self._give_up(metrics, str(error))
                continue
            self.columns |= {metric.id: values for metric in metrics}

    def score_sets(self) -> None:
        """Compute FID and KID, with one pass over the images for each network."""
        for network, metrics in self._by_network(Kind.FEATURES):
            try:
                with tempfile.TemporaryDirectory(prefix="dptn-evaluate-") as scratch:
                    generated, reference = self._set_features(network, metrics, Path(scratch))
                    self._compare_sets(metrics, generated, reference)
            except ModelError as error:
                self._give_up(metrics, str(error))
            except OSError as error:
                reason, scratch_root = error.strerror or str(error), tempfile.gettempdir()
                if error.filename and not str(error.filename).startswith(scratch_root):
                    self._give_up(metrics, f"{error.filename}: {reason}")
                else:
                    way_out = "$TMPDIR names a folder for the features"
                    self._give_up(metrics, f"{scratch_root}: {reason}; {way_out}")

    def report(self) -> Report:
        """Gather everything into a report."""
        plan, table = self.plan, PairTable(tuple(self.pairs), self.columns)
        intervals = bootstrap(self.columns) if self.pairs else {}
        means = {metric_id: interval.mean for metric_id, interval in intervals.items()}
        values = means | self.set_scores
        scores = {m.id: values[m.id] for m in plan.metrics if m.id in values}
        explained = {missing.metric for missing in self.not_computed}
        for metric in plan.metrics:
            if metric.id not in scores and metric.id not in explained:
                self.not_computed.append(NotComputed(metric.id, self._why_no_score(metric.id)))
        return Report(
            run=plan.request.run_name,
            results=plan.request.results,
            dataset=plan.dataset,
            formats=plan.pairing.formats,
            scores=scores,
            intervals=intervals,
            table=table,
            unpaired=plan.pairing.unpaired,
            failed=(*plan.pairing.failed_items, *self.failed),
            reference=len(plan.reference.names) - self.unread_references if plan.reference else 0,
            not_computed=(*plan.not_computed, *self.not_computed),
            required=plan.required,
            notes=(
                *plan.pairing.notes,
                *notes(plan, scores, self.undefined, len(self.pairs)),
                *self.notes,
            ),
            versions=_versions(),
            provenance=plan.provenance,
            trained_on=plan.trained_on,
        )

    def _metrics(self, kind: Kind) -> list[Metric]:
        return [metric for metric in self.plan.metrics if metric.kind == kind]

    def _by_network(self, kind: Kind) -> Iterator[tuple[str, list[Metric]]]:
        metrics = self._metrics(kind)
        for network in dict.fromkeys(metric.network for metric in metrics):
            yield network, [metric for metric in metrics if metric.network == network]

    def _leave_out(self, metric_id: str, reason: str, pairs: int = 1) -> None:
        self.undefined.setdefault(metric_id, Counter())[reason] += pairs

    def _give_up(self, metrics: Sequence[Metric], reason: str) -> None:
        self.not_computed += [NotComputed(metric.id, reason) for metric in metrics]

    def _why_no_score(self, metric_id: str) -> str:
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
                batch_size=self.options.batch_size,
                workers=self.options.workers,
            ):
                for index, reason in batch.failed:
                    self.failed[Problem(self.pairs[index].name, reason)] = None
                if batch.stacks:
                    try:
                        values[list(batch.indices)] = model.distances(*batch.stacks)
                    except Undefined as error:
                        for metric in metrics:
                            self._leave_out(metric.id, str(error), len(batch.indices))
                advance(batch.items)
        return values

    def _set_features(
        self, network: str, metrics: Sequence[Metric], scratch: Path
    ) -> tuple[SetFeatures, SetFeatures]:
        statistics = self.plan.statistics
        if statistics:
            generated, reference = self.plan.generated, ImageSet(Path(), ())
        else:
            generated, reference = self.plan.feature_sets(metrics[0].protocol)
        total = len(generated.names) + len(reference.names)
        with self.progress.stage(NETWORKS[network].title, total) as advance:
            extractor = FeatureExtractor(
                network=network,
                run_network=self.networks.inceptions[network],
                batch_size=self.options.batch_size,
                workers=self.options.workers,
                scratch=scratch,
                advance=advance,
                note=self.notes.append,
            )
            of_generated = extractor.extract(generated)
            of_reference = (
                SetFeatures(statistics, Path(), ())
                if statistics
                else extractor.extract_cached(reference)
            )
        self.failed |= dict.fromkeys((*of_generated.failed, *of_reference.failed))
        self.unread_references = len(of_reference.failed)
        return of_generated, of_reference

    def _compare_sets(
        self, metrics: Sequence[Metric], generated: SetFeatures, reference: SetFeatures
    ) -> None:
        if generated.gaussian is None or reference.gaussian is None:
            which = "results" if generated.gaussian is None else "real set"
            self._give_up(metrics, f"fewer than two images of the {which} could be read")
            return
        for metric in metrics:
            if metric.name == "kid":
                from dptn_cli.metrics.kid import kid

                self.set_scores[metric.id] = kid(generated.features(), reference.features())
            else:
                self.set_scores[metric.id] = frechet_distance(
                    generated.gaussian, reference.gaussian
                )


def _versions() -> dict[str, str]:
    """Return the versions of dptn, Python and the packages that compute the scores."""
    versions = {"dptn": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
