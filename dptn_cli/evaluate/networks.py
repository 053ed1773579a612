"""The learned metrics' networks, loaded once, before any long work."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dptn_cli.errors import ModelError
from dptn_cli.evaluate.feature_sets import Extract
from dptn_cli.metrics.protocols import Kind, Metric

if TYPE_CHECKING:
    from dptn_cli.metrics.lpips import Lpips


@dataclass(frozen=True)
class Networks:
    """What could be loaded, and what could not.

    Attributes:
        lpips: by key of `NETWORKS`.
        extractors: the Inceptions, likewise.
        broken: why a network could not be loaded, likewise.
    """

    lpips: Mapping[str, "Lpips"]
    extractors: Mapping[str, Extract]
    broken: Mapping[str, str]


def load_networks(metrics: Iterable[Metric]) -> Networks:
    """Load what the metrics need onto the GPU, if there is one.

    Weights that are not what they should be are found out here, not after hours.
    """
    lpips: dict[str, Lpips] = {}
    extractors: dict[str, Extract] = {}
    broken: dict[str, str] = {}
    needed = {metric.network: metric.kind for metric in metrics if metric.network}
    for network, kind in needed.items():
        try:
            if kind == Kind.LPIPS:
                lpips[network] = _load_lpips(network)
            else:
                extractors[network] = _load_inception(network)
        except ModelError as error:
            broken[network] = str(error)
    return Networks(lpips, extractors, broken)


def _load_lpips(network: str) -> "Lpips":
    from dptn_cli.metrics.devices import pick_device
    from dptn_cli.metrics.lpips import Lpips

    return Lpips(network, pick_device())


def _load_inception(network: str) -> Extract:
    from dptn_cli.metrics.devices import pick_device
    from dptn_cli.metrics.inception import load_inception

    return load_inception(network, pick_device())
