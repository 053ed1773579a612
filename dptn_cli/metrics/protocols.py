"""The list of metrics: the protocol of each, and how each is computed.

A metric's id is `protocol.name`, because the paper's SSIM and the standard SSIM differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dptn_cli.enums import Protocol
from dptn_cli.errors import InputError

KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000
"""Images in a subset; a set of fewer images reduces it."""


class Undefined(ValueError):
    """A metric has no value for a pair of images; the message is the reason.

    The pair is then left out of the metric's mean, and the report counts it.
    """


class Kind(StrEnum):
    """The input of a metric: the pixels of a pair, LPIPS of a pair, or features of two sets."""

    PIXELS = "pixels"
    LPIPS = "lpips"
    FEATURES = "features"


@dataclass(frozen=True)
class Metric:
    """A metric of one protocol.

    Attributes:
        protocol: the rules that the metric follows.
        name: the metric's key in `report.json`.
        kind: the metric's input.
        higher_is_better: the direction of the metric.
        digits: number of decimals to show.
        method: how the metric is computed, for the reader of a report.
        network: key in `NETWORKS` of the network that a learned metric runs; else empty.
    """

    protocol: Protocol
    name: str
    kind: Kind
    higher_is_better: bool
    digits: int
    method: str
    network: str = ""

    @property
    def id(self) -> str:
        """`protocol.name`, which no two metrics share."""
        return f"{self.protocol}.{self.name}"


_PAPER, _STANDARD = Protocol.PAPER, Protocol.STANDARD
_CANVAS = "fashion on a white 256x256 canvas, market without one; values in 0..1"

METRICS: tuple[Metric, ...] = (
    Metric(
        _PAPER,
        "ssim",
        Kind.PIXELS,
        True,
        4,
        "The published SSIM_256: Gaussian window (sigma 1.5, 11 pixels), biased covariance, data "
        f"range = maximum - minimum of the generated image, values x 255; {_CANVAS}. Mean over "
        "pairs. The published table's SSIM is almost certainly this one.",
    ),
    Metric(
        _PAPER,
        "ssim_win51",
        Kind.PIXELS,
        True,
        4,
        "The published code's other SSIM: uniform window of 51 pixels, sample covariance, data "
        f"range 1; {_CANVAS}. Mean over pairs.",
    ),
    Metric(
        _PAPER,
        "psnr",
        Kind.PIXELS,
        True,
        4,
        f"10 log10(1 / mean squared error), dB; {_CANVAS}. The canvas adds 1.63 dB to fashion. "
        "Mean over pairs.",
    ),
    Metric(_PAPER, "l1", Kind.PIXELS, False, 4, f"Mean |a - b|; {_CANVAS}. Mean over pairs."),
    Metric(
        _PAPER,
        "mae",
        Kind.PIXELS,
        False,
        4,
        f"Sum |a - b| / sum (a + b); {_CANVAS}. Mean over pairs.",
    ),
    Metric(
        _PAPER,
        "lpips",
        Kind.LPIPS,
        False,
        4,
        "LPIPS, AlexNet with the linear heads v0.1; images as on disk in -1..1, no canvas. Mean "
        "over pairs.",
        network="alex",
    ),
    Metric(
        _PAPER,
        "fid",
        Kind.FEATURES,
        False,
        4,
        "Frechet distance of 2048 pool features of torchvision's ImageNet Inception-v3; images "
        "in 0..1, resized to 299 (bilinear, not antialiased), then x * std / 0.5 + (mean - 0.5) / "
        "0.5 with ImageNet's mean and std, as published. Not the standard FID. Generated: every "
        "result; reference: every image of --real; covariances with N - 1.",
        network="inception_published",
    ),
    Metric(
        _STANDARD,
        "ssim",
        Kind.PIXELS,
        True,
        4,
        "SSIM by Wang et al.: Gaussian window (sigma 1.5, 11 pixels), biased covariance, data "
        "range 255, no canvas. Mean over channels and pairs.",
    ),
    Metric(
        _STANDARD,
        "psnr",
        Kind.PIXELS,
        True,
        4,
        "10 log10(255^2 / mean squared error), dB, no canvas. Mean over pairs.",
    ),
    Metric(
        _STANDARD,
        "lpips_alex",
        Kind.LPIPS,
        False,
        4,
        "LPIPS, AlexNet with the linear heads v0.1, no canvas. Mean over pairs.",
        network="alex",
    ),
    Metric(
        _STANDARD,
        "lpips_vgg",
        Kind.LPIPS,
        False,
        4,
        "LPIPS, VGG-16 with the linear heads v0.1, no canvas. Mean over pairs.",
        network="vgg",
    ),
    Metric(
        _STANDARD,
        "fid",
        Kind.FEATURES,
        False,
        4,
        "The standard FID: Frechet distance of 2048 features of the TensorFlow Inception "
        "(torch-fidelity, exact to TensorFlow's). Generated: every result; reference: every "
        "image of --real.",
        network="inception_tensorflow",
    ),
    Metric(
        _STANDARD,
        "kid",
        Kind.FEATURES,
        False,
        6,
        "KID by torch-fidelity on the same features: mean of the unbiased MMD^2 with a cubic "
        f"kernel over {KID_SUBSETS} subsets of {KID_SUBSET_SIZE} images, or of the smaller set's "
        "size if that is less.",
        network="inception_tensorflow",
    ),
)
BY_ID: Mapping[str, Metric] = {metric.id: metric for metric in METRICS}


def find_metrics(name: str) -> tuple[Metric, ...]:
    """Return the metrics with a name or an id: `ssim` is two metrics, `paper.ssim` is one.

    Raises:
        InputError: no metric has that name or id.
    """
    metrics = tuple(metric for metric in METRICS if name in (metric.id, metric.name))
    if not metrics:
        raise InputError(f"no metric is called {name!r}: choose from {', '.join(BY_ID)}")
    return metrics
