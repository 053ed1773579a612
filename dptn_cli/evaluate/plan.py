"""From a request to a checked plan: what will be computed, and what will not and why.

All checks happen here, before any long work starts.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dptn_cli.enums import Dataset, Protocol, SplitBy
from dptn_cli.errors import InputError, user_errors
from dptn_cli.evaluate.feature_sets import ImageSet, drop_partial_batches
from dptn_cli.evaluate.pairing import (
    Naming,
    Pairing,
    format_of,
    list_images,
    model_of,
    pair_up,
    read_run_file,
)
from dptn_cli.evaluate.provenance import provenance
from dptn_cli.evaluate.statistics_file import read_statistics
from dptn_cli.evaluate.types import NotComputed
from dptn_cli.io.jsonl import parse_line, read_lines
from dptn_cli.io.results_folder import UNLISTED_NAME
from dptn_cli.io.weights import WeightFile
from dptn_cli.metrics.fid import Gaussian
from dptn_cli.metrics.protocols import METRICS, Kind, Metric, find_metrics
from dptn_cli.metrics.weights import NETWORKS, missing_for

PUBLISHED_FID_BATCH = 64


@dataclass(frozen=True)
class EvalRequest:
    """The evaluation of one results folder, as requested.

    Attributes:
        results: the results folder.
        truth: folder of the true images; None means the folders that `run.json` names.
        reference: folder of the reference set of FID and KID, or a file with its statistics; None
            means that neither is computed.
        protocols: the protocols whose metrics are computed.
        dataset: the data set of the paper's protocol; None means the one that `run.json` names.
        drop_last: for the paper's FID, drop the images that do not fill a batch of 64, as the
            published code does.
        require: names or ids of metrics. If one cannot be computed, nothing starts.
        naming: what tells which images a result was made of.
        all_lists: also score the results of earlier lists, which are not in the last run's list.
        split_by: score the results of each model or file format apart.
        part: with `split_by`, the model's digest or the file format to score; empty for all.
        notes: what the reader of the scores should know of the request, one line each.
    """

    results: Path
    truth: Path | None = None
    reference: Path | None = None
    protocols: tuple[Protocol, ...] = tuple(Protocol)
    dataset: Dataset | None = None
    drop_last: bool = False
    require: tuple[str, ...] = ()
    naming: Naming = field(default_factory=Naming)
    all_lists: bool = False
    split_by: SplitBy | None = None
    part: str = ""
    notes: tuple[str, ...] = ()

    @property
    def run_name(self) -> str:
        """Short name of the run, for the report."""
        name = self.results.resolve().name
        return f"{name} ({self.part[:8]})" if self.part else name

    def is_part(self, name: str, entry: Mapping[str, Any]) -> bool:
        """Return whether an image belongs to the part to score, by its line in the manifest."""
        return not self.part or self.part == self.kind_of(name, entry)

    def kind_of(self, name: str, entry: Mapping[str, Any]) -> str:
        """Return the model's digest or the file format of an image."""
        return model_of(entry) if self.split_by is SplitBy.MODEL else format_of(name)


@dataclass(frozen=True)
class Plan:
    """A checked evaluation of one results folder.

    Attributes:
        request: the request that the plan was made from.
        dataset: the data set; None if neither the request nor `run.json` names a published one.
        pairing: the pairs of generated and true images.
        reference: the reference set; None if the request has none.
        metrics: the metrics that will be computed.
        not_computed: the metrics that will not, and why.
        required: ids of the metrics that the report must have.
        provenance: what the results were made with and of, by `run.json` and the pair list.
        statistics: the reference set's statistics, if a file has them; `reference` is None then.
        trained_on: name of the data set of the model, as `run.json` has it; None if it has none.
    """

    request: EvalRequest
    dataset: Dataset | None
    pairing: Pairing
    reference: ImageSet | None
    metrics: tuple[Metric, ...]
    not_computed: tuple[NotComputed, ...]
    required: frozenset[str]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    statistics: Gaussian | None = None
    trained_on: str | None = None

    @property
    def generated(self) -> ImageSet:
        """The set of all generated images, paired or not."""
        return ImageSet(self.request.results, self.pairing.images)

    def feature_sets(self, protocol: Protocol) -> tuple[ImageSet, ImageSet]:
        """Return the generated set and the reference set of a protocol's FID.

        The plan must have a reference set.
        """
        assert self.reference is not None
        if protocol == Protocol.PAPER and self.request.drop_last:
            generated, reference = drop_partial_batches(
                [self.generated, self.reference], PUBLISHED_FID_BATCH
            )
            return generated, reference
        return self.generated, self.reference


def split_request(request: EvalRequest) -> list[EvalRequest]:
    """Return a request for each model or file format among the results to score.

    Raises:
        InputError: the folder does not exist, or holds nothing to score.
    """
    if request.split_by is None:
        return [request]
    pairing = _pair_up(request, read_run_file(request.results))
    parts = pairing.models if request.split_by is SplitBy.MODEL else pairing.formats
    rest = len(pairing.images) - sum(parts.values())
    notes = (f"{rest:,} images are not scored: no line of the manifest tells their model",)
    return [replace(request, part=part, notes=notes if rest else ()) for part in sorted(parts)] or [
        request
    ]


def make_plan(request: EvalRequest) -> Plan:
    """Read the folders and check the request.

    Raises:
        InputError: an option or a folder cannot be used, no metric can be computed, or a required
            metric cannot.
    """
    run = read_run_file(request.results)
    requested = [metric for metric in METRICS if metric.protocol in request.protocols]
    required = _required_ids(request, requested)
    pairing = _pair_up(request, run)
    _check_alike(request, pairing)
    reference = statistics = None
    if request.reference and request.reference.is_file():
        statistics = read_statistics(request.reference)
    elif request.reference:
        reference = ImageSet(request.reference, tuple(list_images(request.reference)))
    if not pairing.pairs and reference is None and statistics is None:
        raise InputError(_why_no_pairs(request, pairing))
    dataset = _dataset(request, run)
    obstacles = {m.id: _obstacle(m, request, dataset, pairing, reference) for m in requested}
    not_computed = tuple(NotComputed(name, reason) for name, reason in obstacles.items() if reason)
    _check_required(required, not_computed)
    return Plan(
        request=request,
        dataset=dataset,
        pairing=pairing,
        reference=reference,
        metrics=tuple(metric for metric in requested if not obstacles[metric.id]),
        not_computed=not_computed,
        required=required,
        provenance=provenance(request, run),
        statistics=statistics,
        trained_on=_trained_on(run),
    )


def _pair_up(request: EvalRequest, run: dict[str, Any]) -> Pairing:
    """Pair the results that the request wants scored."""
    unlisted = _unlisted(request, run)
    return pair_up(
        request.results,
        _truth_folders(request, run),
        request.naming,
        lambda name, entry: name not in unlisted and request.is_part(name, entry),
        (*request.notes, *_unlisted_notes(request.results, unlisted, run)),
    )


def _unlisted(request: EvalRequest, run: Mapping[str, Any]) -> frozenset[str]:
    """Return the outputs of earlier lists, which are not scored."""
    # Only a run that came to its end knows which they are.
    if request.all_lists or request.naming.pairs or run.get("state") != "finished":
        return frozenset()
    path = request.results / UNLISTED_NAME
    with user_errors(path):
        entries = map(parse_line, (line for _, line in read_lines(path)))
        return frozenset(
            entry["output"]
            for entry in entries
            if isinstance(entry, dict) and isinstance(entry.get("output"), str)
        )


def _unlisted_notes(results: Path, unlisted: Collection[str], run: Mapping[str, Any]) -> list[str]:
    notes = []
    if count := sum((results / name).is_file() for name in unlisted):
        notes.append(f"{count:,} results of earlier lists are not scored: --all-lists adds them")
    if (state := run.get("state")) in ("running", "interrupted", "stopped"):
        notes.append(f"the run that made the results did not come to its end (run.json: {state})")
    return notes


def _check_alike(request: EvalRequest, pairing: Pairing) -> None:
    """Make sure that one score is of results that were made alike.

    Raises:
        InputError: the results are of several models or file formats.
    """
    for kind, counts in ((SplitBy.MODEL, pairing.models), (SplitBy.FORMAT, pairing.formats)):
        if len(counts) > 1:
            found = ", ".join(f"{value[:8]} ({count:,})" for value, count in counts.items())
            raise InputError(
                f"{request.results}: images of more than one {kind}: {found}; score each apart "
                f"with --split-by {kind}"
            )


def without_broken(plan: Plan, broken: Mapping[str, str]) -> Plan:
    """Return the plan without the metrics whose network could not be loaded.

    Args:
        plan: the plan.
        broken: reasons why a network could not be loaded, by key of `NETWORKS`.

    Raises:
        InputError: one of these metrics is required.
    """
    lost = tuple(NotComputed(m.id, broken[m.network]) for m in plan.metrics if m.network in broken)
    _check_required(plan.required, lost)
    return replace(
        plan,
        metrics=tuple(metric for metric in plan.metrics if metric.network not in broken),
        not_computed=(*plan.not_computed, *lost),
    )


def missing_weights(requests: Iterable[EvalRequest]) -> list[WeightFile]:
    """Return the weights that the requests need and that are not in torch.hub's cache."""
    networks = {
        metric.network
        for request in requests
        for metric in METRICS
        if metric.protocol in request.protocols
        and (metric.kind == Kind.LPIPS or (metric.kind == Kind.FEATURES and request.reference))
    }
    weights = (NETWORKS[network].weights for network in sorted(networks))
    return [file for file in weights if not file.path.is_file()]


def _truth_folders(request: EvalRequest, run: dict[str, Any]) -> list[Path]:
    """Return the folders of true images: the request's, else those of `run.json` that exist."""
    if request.truth:
        return [request.truth]
    recorded = run.get("target_folders")
    if not isinstance(recorded, list):
        return []
    folders = [Path(name) for name in recorded if isinstance(name, str)]
    return [folder for folder in folders if folder.is_dir()]


def _dataset(request: EvalRequest, run: dict[str, Any]) -> Dataset | None:
    dataset = request.dataset or _trained_on(run)
    return Dataset(dataset) if dataset in tuple(Dataset) else None


def _trained_on(run: dict[str, Any]) -> str | None:
    model = run.get("model")
    recorded = model.get("dataset") if isinstance(model, dict) else None
    return recorded if isinstance(recorded, str) else None


def _obstacle(
    metric: Metric,
    request: EvalRequest,
    dataset: Dataset | None,
    pairing: Pairing,
    reference: ImageSet | None,
) -> str | None:
    """Return why a metric cannot be computed, or None if it can."""
    if metric.protocol == Protocol.PAPER and dataset is None:
        return (
            "the paper protocol depends on the data set, and run.json names neither: "
            "add --dataset fashion or --dataset market"
        )
    if metric.kind != Kind.FEATURES and not pairing.pairs:
        return _why_no_pairs(request, pairing)
    if metric.kind == Kind.FEATURES:
        if reference is None and request.reference:
            if metric.protocol == Protocol.PAPER or metric.name != "fid":
                return f"statistics hold the standard FID alone: --real FOLDER gives {metric.id}"
            if len(pairing.images) < 2:
                return f"{request.results} holds one image; a covariance needs two"
            return missing_for(metric.network) if metric.network else None
        if reference is None:
            return "no real set: add --real FOLDER, the training images in the paper"
        for folder, names in (
            (request.results, pairing.images),
            (reference.folder, reference.names),
        ):
            if len(names) < 2:
                return f"{folder} holds one image; a covariance needs two"
    return missing_for(metric.network) if metric.network else None


def _why_no_pairs(request: EvalRequest, pairing: Pairing) -> str:
    if not pairing.has_truth_names:
        return (
            f"{request.results}: no manifest.jsonl that lists its images, and none is named "
            "like A_2_B_vis.png: nothing says which true image belongs to which; add --pairs "
            "PAIRS.csv, or say how they are named: --names '{source}_to_{target}.png'"
        )
    if request.truth:
        first = pairing.unpaired[0]
        return (
            f"{request.truth}: holds none of the true images of {request.results}: "
            f"{first.name}: {first.reason}"
        )
    return f"{request.results}: where are the true images? Add --truth FOLDER"


def _required_ids(request: EvalRequest, requested: Iterable[Metric]) -> frozenset[str]:
    requested_ids = {metric.id for metric in requested}
    required: set[str] = set()
    for name in request.require:
        ids = {metric.id for metric in find_metrics(name)} & requested_ids
        if not ids:
            raise InputError(f"--require {name}: not in the protocol chosen by --protocol")
        required |= ids
    return frozenset(required)


def _check_required(required: frozenset[str], not_computed: Sequence[NotComputed]) -> None:
    missing = [metric for metric in not_computed if metric.metric in required]
    if len(missing) == 1:
        raise InputError(f"{missing[0].metric} is required: {missing[0].reason}")
    if missing:
        problems = tuple(f"{metric.metric}: {metric.reason}" for metric in missing)
        raise InputError("required metrics cannot be computed:", problems)
