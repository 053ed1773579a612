"""Shared by the tests of training: drawn data, quick settings, runs, and a plain step."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from make_figures import main as make_figures
from support import TINY_CONFIG
from torch import Tensor, nn

from dptn_cli.network.checkpoint import load_generator
from dptn_cli.network.tensors import image_to_tensor, keypoint_maps
from dptn_cli.train.data import PairBatch, read_data
from dptn_cli.train.loop import StepReport, Trainer
from dptn_cli.train.recipe import LoggingConfig, LossWeights, TrainConfig
from dptn_cli.train.run_folder import RunFolder
from dptn_cli.train.step import connect
from dptn_cli.types import ImageSpec

SPEC = ImageSpec("figures", image_size=(64, 48), network_size=(64, 48))
NO_VGG = LossWeights(content=0, style=0)
CONFIG = TrainConfig(
    TINY_CONFIG, SPEC, NO_VGG, discriminator_layers=2, batch_size=4, epochs=3, constant_epochs=1
)
L1_ONLY = replace(CONFIG, weights=replace(NO_VGG, adversarial=0))
LOGGING = LoggingConfig(workers=0)


def draw_data(path: Path, *, people: int = 2, images: int = 3, size: str = "64x48") -> Path:
    """Draw people to train on, one more to test on, and all ordered pairs of a person's images."""
    make_figures([str(path), "--train-people", str(people), "--test-people", "1", "--images",
                  str(images), "--size", size, "--workers", "1"])  # fmt: skip
    return path


def trainer(
    data: Path, folder: RunFolder, config: TrainConfig = CONFIG, logging: LoggingConfig = LOGGING
) -> Trainer:
    return Trainer(
        read_data(data, config.spec),
        folder,
        config,
        accelerator=connect(config.precision),
        logging=logging,
    )


def train(
    data: Path, run: Path, config: TrainConfig = CONFIG, logging: LoggingConfig = LOGGING
) -> list[StepReport]:
    """Train to the end and return the progress after each step."""
    steps: list[StepReport] = []
    with RunFolder(run) as folder:
        assert trainer(data, folder, config, logging).train(steps.append)
    return steps


def weights(run: Path, version: str = "last") -> Mapping[str, Tensor]:
    return load_generator(run / f"generator-{version}.pth").generator.state_dict()


def equal(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def plain_step(
    generator: nn.Module,
    discriminator: nn.Module,
    optimisers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    sample: PairBatch,
    loss_weights: LossWeights,
) -> None:
    """Train one step without the perceptual losses, written directly from the paper."""
    source, target = image_to_tensor(sample.source), image_to_tensor(sample.target)
    source_maps, target_maps = (
        keypoint_maps(pose, (source.shape[2], source.shape[3]))
        for pose in (sample.source_pose, sample.target_pose)
    )
    generated_target, generated_source = generator(source, source_maps, target_maps)

    optimisers[1].zero_grad()
    on_real = ((discriminator(target) - 1) ** 2).mean()
    on_generated = (discriminator(generated_target.detach()) ** 2).mean()
    (0.5 * (on_real + on_generated)).backward()
    optimisers[1].step()

    optimisers[0].zero_grad()
    t = loss_weights.target_share
    loss = loss_weights.reconstruction * (
        t * (generated_target - target).abs().mean()
        + (1 - t) * (generated_source - source).abs().mean()
    )
    loss = loss + loss_weights.adversarial * ((discriminator(generated_target) - 1) ** 2).mean()
    loss.backward()
    optimisers[0].step()
