"""The networks of a run before its first step."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from dptn_cli.errors import ModelError
from dptn_cli.network.checkpoint import (
    check_tensors,
    load_generator,
    published_to_own_names,
    read_checkpoint,
)
from dptn_cli.network.discriminator import Discriminator
from dptn_cli.network.generator import Generator
from dptn_cli.network.initialization import init_generator, init_kernels, zero_biases
from dptn_cli.train.recipe import TrainConfig


@dataclass(frozen=True)
class Networks:
    """What is trained, and the generator's moving average.

    Attributes:
        generator: made anew or read.
        average: equal to it at the start.
        discriminator: None where the adversarial loss has no weight.
    """

    generator: Generator
    average: Generator
    discriminator: Discriminator | None


def start_weights(config: TrainConfig, checkpoints: Mapping[str, Path]) -> Networks:
    """Make the networks; the same in every process, since the seed decides.

    Args:
        config: the run's.
        checkpoints: to start from, by `generator` and `discriminator`; either may be absent.

    Raises:
        ModelError: a checkpoint cannot be read or is of another shape.
    """
    torch.manual_seed(config.seed)
    generator = Generator(config.generator)
    if path := checkpoints.get("generator"):
        generator = _read_generator(path, config)
    elif config.initialisation == "published":
        init_generator(generator)
    discriminator = _discriminator(config, checkpoints.get("discriminator"))
    return Networks(generator.train(), copy.deepcopy(generator).eval(), discriminator)


def _read_generator(path: Path, config: TrainConfig) -> Generator:
    generator = load_generator(path).generator
    if generator.config != config.generator:
        raise ModelError(
            f"{path}: a generator of other sizes ({generator.config}) than asked for; "
            f"--width {generator.config.width} would fit"
        )
    return generator


def _discriminator(config: TrainConfig, path: Path | None) -> Discriminator | None:
    if not config.weights.adversarial:
        return None
    discriminator = Discriminator(config.discriminator_layers)
    if path:
        found = published_to_own_names(path, read_checkpoint(path))
        check_tensors(path, found, discriminator.state_dict())
        discriminator.load_state_dict(found)
    elif config.discriminator_initialisation == "orthogonal":
        init_kernels(discriminator)
    else:  # The published run meant orthogonal kernels too, and set a tensor that is not used.
        zero_biases(discriminator)
    return discriminator.train()
