"""The networks of the learned metrics, loaded once, before any long work."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dptn_cli.errors import ModelError
from dptn_cli.metrics.fid import FeatureNetwork
from dptn_cli.metrics.protocols import Kind, Metric

if TYPE_CHECKING:
    from dptn_cli.metrics.lpips import Lpips


@dataclass(frozen=True)
class Networks:
    """The networks that were loaded, and those that could not be. All keys are `NETWORKS`' keys.

    Attributes:
        lpips: the LPIPS networks.
        inceptions: the Inceptions.
        broken: reasons why a network could not be loaded.
    """

    lpips: Mapping[str, "Lpips"]
    inceptions: Mapping[str, FeatureNetwork]
    broken: Mapping[str, str]


def load_networks(metrics: Iterable[Metric]) -> Networks:
    """Load the networks that the metrics need, onto the GPU if there is one.

    Damaged weights are noticed here, not after hours of work.
    """
    lpips: dict[str, Lpips] = {}
    inceptions: dict[str, FeatureNetwork] = {}
    broken: dict[str, str] = {}
    kinds = {metric.network: metric.kind for metric in metrics if metric.network}
    for network, kind in kinds.items():
        try:
            if kind == Kind.LPIPS:
                lpips[network] = _load_lpips(network)
            else:
                inceptions[network] = _load_inception(network)
        except ModelError as error:
            broken[network] = str(error)
    return Networks(lpips, inceptions, broken)


def _load_lpips(network: str) -> "Lpips":
    from dptn_cli.metrics.devices import pick_device
    from dptn_cli.metrics.lpips import Lpips

    return Lpips(network, pick_device())


def _load_inception(network: str) -> FeatureNetwork:
    from dptn_cli.metrics.devices import pick_device
    from dptn_cli.metrics.inception import load_inception

    return load_inception(network, pick_device())
