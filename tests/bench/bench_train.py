"""Compare the training speed of `dptn train` with a plain PyTorch loop with the same networks.

    python tests/bench/bench_train.py [--width 32] [--batch-size 8] [--steps 20] [--rounds 3]

The plain loop is like a short script: its dataset decodes one pair at a time, draws each joint's
map with NumPy and normalises in the worker; a step makes the two updates. It has no moving
average, no metrics and no checkpoints; `dptn train` has all of those. Both use the same number of
workers, no perceptual losses, and the same precision. Rounds alternate, so that other load on the
machine affects both.
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "figures"))

from make_figures import main as make_figures

from dptn_cli.network.config import GeneratorConfig
from dptn_cli.network.discriminator import Discriminator
from dptn_cli.network.generator import Generator
from dptn_cli.train.data import PairDataset, find_phase, read_data
from dptn_cli.train.loop import Trainer
from dptn_cli.train.recipe import LoggingConfig, LossWeights, TrainConfig
from dptn_cli.train.run_folder import RunFolder
from dptn_cli.train.step import connect
from dptn_cli.types import ImageSpec

SPEC = ImageSpec("figures", (128, 88), (128, 88))


class PlainPairs(Dataset[tuple[torch.Tensor, ...]]):
    """A dataset of single pairs that draws the keypoint maps itself."""

    def __init__(self, pairs: PairDataset) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, ...]:
        """Return the source, the target, and the maps of each."""
        pair = self.pairs.pairs[row]
        images = [self._image(name) for name in (pair.source, pair.target)]
        maps = [self._maps(name) for name in (pair.source, pair.target)]
        return (*images, *maps)

    def _image(self, name: str) -> torch.Tensor:
        with Image.open(self.pairs.folder / name) as image:
            values = np.asarray(image.convert("RGB"), np.float32)
        return torch.from_numpy(values / 127.5 - 1).permute(2, 0, 1)

    def _maps(self, name: str) -> torch.Tensor:
        height, width = SPEC.network_size
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        maps = np.zeros((18, height, width), np.float32)
        for joint, (y, x) in enumerate(self.pairs.poses[name]):
            if y != -1 and x != -1:
                distance = (rows - int(y)) ** 2 + (columns - int(x)) ** 2
                maps[joint] = np.exp(-distance / (2 * 6**2))
        return torch.from_numpy(maps)


def time_plain_loop(data: Path, config: TrainConfig, steps: int, workers: int) -> float:
    """Return the seconds of `steps` steps of the plain loop, after one step to warm up."""
    pairs = PairDataset(find_phase(data, "train"), SPEC)
    generator = Generator(config.generator)
    discriminator = Discriminator(config.discriminator_layers)
    optimisers = [
        torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999))
        for network, rate in ((generator, 2e-4), (discriminator, 2e-5))
    ]
    loader: Any = DataLoader(
        PlainPairs(pairs), config.batch_size, shuffle=True, num_workers=workers
    )
    started_s = 0.0
    for step, batch in zip(range(steps + 1), loader, strict=False):
        if step == 1:
            started_s = time.perf_counter()
        _plain_step(generator, discriminator, optimisers, batch, config)
    return time.perf_counter() - started_s


def _plain_step(
    generator: Generator,
    discriminator: Discriminator,
    optimisers: list[torch.optim.Adam],
    batch: tuple[torch.Tensor, ...],
    config: TrainConfig,
) -> None:
    source, target, source_maps, target_maps = batch
    with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
        fake_target, fake_source = generator(source, source_maps, target_maps)
        optimisers[1].zero_grad()
        real_loss = ((discriminator(target) - 1) ** 2).mean()
        fake_loss = (discriminator(fake_target.detach()) ** 2).mean()
    (0.5 * (real_loss + fake_loss)).backward()
    optimisers[1].step()
    optimisers[0].zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
        loss = 2.5 * ((fake_target - target).abs().mean() + (fake_source - source).abs().mean())
        loss = loss + 2 * ((discriminator(fake_target) - 1) ** 2).mean()
    loss.backward()
    optimisers[0].step()


def time_trainer(data: Path, run: Path, config: TrainConfig, steps: int, workers: int) -> float:
    """Return the seconds of `steps` steps of `dptn train`'s loop, after one step to warm up."""
    times: list[float] = []
    with RunFolder(run) as folder:
        trainer = Trainer(
            read_data(data, config.spec),
            folder,
            config,
            accelerator=connect(config.precision),
            logging=LoggingConfig(
                log_every=5, grid_every=10**9, validate_every=10**9, workers=workers
            ),
        )
        trainer.steps = steps + 1
        trainer.train(lambda _: times.append(time.perf_counter()))
    return times[-1] - times[0]


def main() -> None:
    """Print the samples per second and the ratio of each round."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    options = parser.parse_args()
    config = TrainConfig(
        GeneratorConfig(width=options.width, feed_forward=4 * options.width),
        SPEC,
        LossWeights(content=0, style=0),
        batch_size=options.batch_size,
        precision=options.precision,
    )
    samples = options.steps * options.batch_size
    with tempfile.TemporaryDirectory() as name:
        data = Path(name) / "data"
        people = str(-(-samples // 12) + 2)
        make_figures(
            [str(data), "--train-people", people, "--test-people", "1", "--size", "128x88"]
        )
        ratios = []
        for number in range(options.rounds):
            plain_s = time_plain_loop(data, config, options.steps, options.workers)
            run = Path(name) / f"run{number}"
            seeded = replace(config, seed=number)
            trainer_s = time_trainer(data, run, seeded, options.steps, options.workers)
            ratios.append(plain_s / trainer_s)
            print(
                f"plain loop {samples / plain_s:.2f} samples/s, "
                f"dptn train {samples / trainer_s:.2f} samples/s, "
                f"ratio {plain_s / trainer_s:.3f}"
            )
        print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
