"""The networks of a run before its first step."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from dptn_cli.errors import ModelError
from dptn_cli.network.checkpoint import load_discriminator, load_generator
from dptn_cli.network.discriminator import Discriminator
from dptn_cli.network.generator import Generator
from dptn_cli.network.initialization import init_generator, init_kernels, zero_biases
from dptn_cli.train.recipe import TrainConfig


@dataclass(frozen=True)
class Networks:
    """The networks that are trained, and the generator's moving average.

    Attributes:
        generator: in training mode.
        average: a copy of the generator, in evaluation mode.
        discriminator: in training mode; None if the adversarial loss has no weight.
        notes: which weights were used, for files that hold more, one line each.
    """

    generator: Generator
    average: Generator
    discriminator: Discriminator | None
    notes: tuple[str, ...] = ()


def create_networks(config: TrainConfig, checkpoints: Mapping[str, Path]) -> Networks:
    """Create the networks with their initial weights.

    The weights depend on the seed and the checkpoints alone, so all processes get the same.

    Args:
        config: the configuration of the run.
        checkpoints: checkpoints to start from, by `generator` and `discriminator`; both keys are
            optional.

    Raises:
        ModelError: a checkpoint cannot be read or does not fit the configuration.
    """
    torch.manual_seed(config.seed)
    # Also created if a checkpoint replaces it, so that the discriminator draws the same numbers.
    generator = Generator(config.generator)
    notes: list[str] = []
    if path := checkpoints.get("generator"):
        generator = _read_generator(path, config, notes)
    elif config.initialisation == "published":
        init_generator(generator)
    discriminator = _create_discriminator(config, checkpoints.get("discriminator"), notes)
    average = copy.deepcopy(generator).eval()
    return Networks(generator.train(), average, discriminator, tuple(notes))


def _read_generator(path: Path, config: TrainConfig, notes: list[str]) -> Generator:
    loaded = load_generator(path)
    generator = loaded.generator
    _add_note(notes, path, loaded.note)
    if generator.config != config.generator:
        raise ModelError(
            f"{path}: a generator of other sizes ({generator.config}) than this run's; "
            f"--width {generator.config.width} would fit"
        )
    return generator


def _add_note(notes: list[str], path: Path, note: str) -> None:
    if note:
        notes.append(f"{path}: {note}")


def _create_discriminator(
    config: TrainConfig, path: Path | None, notes: list[str]
) -> Discriminator | None:
    if not config.weights.adversarial:
        return None
    discriminator = Discriminator(config.discriminator_layers)
    if path:
        _add_note(notes, path, load_discriminator(path, discriminator))
    elif config.discriminator_initialisation == "orthogonal":
        init_kernels(discriminator)
    else:
        # The published code meant to set orthogonal kernels here too, but under spectral norm it
        # set a tensor that is recomputed in every pass. So the kernels stayed PyTorch's.
        zero_biases(discriminator)
    return discriminator.train()
