"""From what the user named to a checked evaluation: what can be computed, and what cannot, and why.

Everything is looked at here, before any long work starts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dptn_cli.enums import Protocol
from dptn_cli.errors import InputError
from dptn_cli.evaluate.feature_sets import ImageSet, used_images
from dptn_cli.evaluate.pairing import Pairing, list_images, pair_up, read_run_file
from dptn_cli.evaluate.types import NotComputed
from dptn_cli.metrics.protocols import METRICS, Kind, Metric, find_metrics
from dptn_cli.metrics.published import DATASETS
from dptn_cli.metrics.weights import NETWORKS, WeightFile, missing_for

PUBLISHED_FID_BATCH = 64


@dataclass(frozen=True)
class Request:
    """What `dptn evaluate` was asked for, for one results folder.

    Attributes:
        results: the folder.
        truth: folder of the true images; None: those that `run.json` names.
        real: the real set of FID and KID; None: neither is computed.
        protocols: whose metrics.
        dataset: `fashion` or `market`; None: as `run.json` says.
        drop_last: drop what does not fill a batch of 64 from the paper's FID, as published.
        require: names or ids of metrics without which nothing should start.
    """

    results: Path
    truth: Path | None = None
    real: Path | None = None
    protocols: tuple[Protocol, ...] = tuple(Protocol)
    dataset: str | None = None
    drop_last: bool = False
    require: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A checked evaluation.

    Attributes:
        request: what was asked for.
        dataset: `fashion`, `market`, or None where neither is known.
        pairing: what belongs together.
        real: images of the real set; None where none was given.
        metrics: what will be computed.
        not_computed: what will not, and why.
        required: ids of the metrics that must not be missing.
    """

    request: Request
    dataset: str | None
    pairing: Pairing
    real: ImageSet | None
    metrics: tuple[Metric, ...]
    not_computed: tuple[NotComputed, ...]
    required: frozenset[str]

    @property
    def generated(self) -> ImageSet:
        """Every result."""
        return ImageSet(self.request.results, self.pairing.images)

    def feature_sets(self, protocol: Protocol) -> tuple[ImageSet, ImageSet]:
        """The generated and the real set that a protocol's FID is of."""
        assert self.real is not None
        if protocol == Protocol.PAPER and self.request.drop_last:
            generated, real = used_images([self.generated, self.real], PUBLISHED_FID_BATCH)
            return generated, real
        return self.generated, self.real


def make_plan(request: Request) -> Plan:
    """Read and check everything.

    Raises:
        InputError: nothing can be computed, or not what was required; or an option is wrong.
    """
    run = read_run_file(request.results)
    wanted = [metric for metric in METRICS if metric.protocol in request.protocols]
    required = _required(request, wanted)
    pairing = pair_up(request.results, truth_folders(request, run))
    real = ImageSet(request.real, tuple(list_images(request.real))) if request.real else None
    if not pairing.pairs and real is None:
        raise InputError(_why_no_pairs(request, pairing))
    dataset = _dataset(request, run)
    obstacles = {m.id: _obstacle(m, request, dataset, pairing, real) for m in wanted}
    not_computed = tuple(NotComputed(name, why) for name, why in obstacles.items() if why)
    _check_required(required, not_computed)
    return Plan(
        request=request,
        dataset=dataset,
        pairing=pairing,
        real=real,
        metrics=tuple(metric for metric in wanted if not obstacles[metric.id]),
        not_computed=not_computed,
        required=required,
    )


def without(plan: Plan, broken: Mapping[str, str]) -> Plan:
    """The plan without the metrics whose network could not be loaded.

    Args:
        plan: what was to be computed.
        broken: why, by key of `NETWORKS`.

    Raises:
        InputError: one of them is required.
    """
    lost = tuple(NotComputed(m.id, broken[m.network]) for m in plan.metrics if m.network in broken)
    _check_required(plan.required, lost)
    return replace(
        plan,
        metrics=tuple(metric for metric in plan.metrics if metric.network not in broken),
        not_computed=(*plan.not_computed, *lost),
    )


def missing_weights(protocols: Sequence[Protocol], *, sets: bool) -> list[WeightFile]:
    """The weights that are not in torch.hub's cache.

    Args:
        protocols: whose metrics are wanted.
        sets: whether FID and KID are among them.
    """
    kinds = {Kind.LPIPS, Kind.FEATURES} if sets else {Kind.LPIPS}
    networks = {m.network for m in METRICS if m.protocol in protocols and m.kind in kinds}
    weights = (NETWORKS[network].weights for network in sorted(networks))
    return [one for one in weights if not one.path.is_file()]


def truth_folders(request: Request, run: dict[str, Any]) -> list[Path]:
    """Where the true images are: as the user says, else as `run.json` does."""
    if request.truth:
        return [request.truth]
    noted = run.get("target_folders")
    if not isinstance(noted, list):
        return []
    folders = [Path(one) for one in noted if isinstance(one, str)]
    return [folder for folder in folders if folder.is_dir()]


def _dataset(request: Request, run: dict[str, Any]) -> str | None:
    model = run.get("model")
    noted = model.get("dataset") if isinstance(model, dict) else None
    dataset = request.dataset or noted
    return dataset if dataset in DATASETS else None


def _obstacle(
    metric: Metric,
    request: Request,
    dataset: str | None,
    pairing: Pairing,
    real: ImageSet | None,
) -> str | None:
    """Why a metric cannot be computed; None where it can."""
    if metric.protocol == Protocol.PAPER and dataset is None:
        return (
            "the paper protocol depends on the data set, and run.json names neither: "
            "add --dataset fashion or --dataset market"
        )
    if metric.kind != Kind.FEATURES and not pairing.pairs:
        return _why_no_pairs(request, pairing)
    if metric.kind == Kind.FEATURES:
        if real is None:
            return "no real set: add --real FOLDER, the training images in the paper"
        for folder, names in ((request.results, pairing.images), (real.folder, real.names)):
            if len(names) < 2:
                return f"{folder} holds one image; a covariance needs two"
    return missing_for(metric.network) if metric.network else None


def _why_no_pairs(request: Request, pairing: Pairing) -> str:
    if not pairing.named:
        return (
            f"{request.results}: no manifest.jsonl that lists its images, and none is named "
            "like A_2_B_vis.png: nothing says which true image belongs to which"
        )
    if request.truth:
        first = pairing.unpaired[0]
        return (
            f"{request.truth}: holds none of the true images of {request.results}: "
            f"{first.name}: {first.reason}"
        )
    return f"{request.results}: where are the true images? Add --truth FOLDER"


def _required(request: Request, wanted: Iterable[Metric]) -> frozenset[str]:
    ids = {metric.id for metric in wanted}
    required: set[str] = set()
    for name in request.require:
        meant = {metric.id for metric in find_metrics(name)} & ids
        if not meant:
            raise InputError(f"--require {name}: not in the protocol asked for; see --protocol")
        required |= meant
    return frozenset(required)


def _check_required(required: frozenset[str], not_computed: Sequence[NotComputed]) -> None:
    missing = [one for one in not_computed if one.metric in required]
    if len(missing) == 1:
        raise InputError(f"{missing[0].metric} is required: {missing[0].reason}")
    if missing:
        problems = tuple(f"{one.metric}: {one.reason}" for one in missing)
        raise InputError("required metrics cannot be computed:", problems)
