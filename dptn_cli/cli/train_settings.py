"""From the words of `dptn train` to a recipe's settings."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dptn_cli.cli.options import parse_size
from dptn_cli.errors import InputError

if TYPE_CHECKING:
    from dptn_cli.train.recipe import LossWeights
    from dptn_cli.types import ImageSpec


def frame_of(dataset: str, image_size: str | None, network_size: str | None) -> "ImageSpec":
    """The sizes of a published data set, or of one's own.

    Raises:
        InputError: neither.
    """
    from dptn_cli.network.config import IMAGE_SPECS
    from dptn_cli.types import ImageSpec

    if image_size:
        on_disk = parse_size(image_size)
        return ImageSpec(dataset, on_disk, parse_size(network_size) if network_size else on_disk)
    if dataset in IMAGE_SPECS:
        return IMAGE_SPECS[dataset]
    raise InputError(f"--dataset {dataset}: fashion or market, or give --image-size")


def loss_weights(
    dataset: str, given: dict[str, float | None], *, perceptual: bool
) -> "LossWeights":
    """The data set's published weights, with what was given in their place.

    Raises:
        InputError: weights of what is left out.
    """
    from dptn_cli.train.recipe import PUBLISHED_WEIGHTS, LossWeights

    weights = PUBLISHED_WEIGHTS.get(dataset, LossWeights())
    if not perceptual and (given["content"] or given["style"]):
        raise InputError("--no-perceptual leaves out what --content and --style are weights of")
    if not perceptual:
        weights = replace(weights, content=0.0, style=0.0)
    return replace(weights, **{name: value for name, value in given.items() if value is not None})


def published_layers(dataset: str) -> int:
    """Of the discriminator."""
    from dptn_cli.train.recipe import PUBLISHED_DISCRIMINATOR_LAYERS

    return PUBLISHED_DISCRIMINATOR_LAYERS.get(dataset, 4)


def starting_checkpoints(initialisations: dict[str, str]) -> dict[str, Path]:
    """The checkpoints among the answers to --init and --init-discriminator.

    Raises:
        InputError: neither a checkpoint nor a word that is known.
    """
    words = {"generator": ("published", "torch"), "discriminator": ("torch", "orthogonal")}
    paths = {}
    for network, answer in initialisations.items():
        if answer in words[network]:
            continue
        if not Path(answer).is_file():
            options = " or ".join(words[network])
            raise InputError(f"{answer}: no such checkpoint to start from, and not {options}")
        paths[network] = Path(answer)
    return paths


def name_of_start(initialisation: str, checkpoint: Path | None) -> str:
    """What the run's settings keep of where its weights came from."""
    if checkpoint is None:
        return initialisation
    return f"sha256 {hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:16]}"
