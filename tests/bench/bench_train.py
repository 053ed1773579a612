"""Training samples a second, beside a plain PyTorch loop with the same networks, in one run.

    python tests/bench/bench_train.py [--width 32] [--batch-size 8] [--steps 20] [--rounds 3]

The plain loop is what a script would be: a dataset that decodes one pair at a time, draws each
joint's map in numpy and normalises in the worker, and the two updates; no moving average, no
metrics, no checkpoints. `dptn train` does all of those. Both have the same workers, no perceptual
losses, and the same precision. Rounds alternate, so that what else the machine does hits both.
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

FRAME = ImageSpec("figures", (128, 88), (128, 88))


class PlainPairs(Dataset[tuple[torch.Tensor, ...]]):
    """One pair at a time, maps and all."""

    def __init__(self, pairs: PairDataset) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, ...]:
        """Source, target, and their maps."""
        pair = self.pairs.pairs[row]
        images = [self._image(name) for name in (pair.source, pair.target)]
        maps = [self._maps(name) for name in (pair.source, pair.target)]
        return (*images, *maps)

    def _image(self, name: str) -> torch.Tensor:
        with Image.open(self.pairs.folder / name) as image:
            values = np.asarray(image.convert("RGB"), np.float32)
        return torch.from_numpy(values / 127.5 - 1).permute(2, 0, 1)

    def _maps(self, name: str) -> torch.Tensor:
        height, width = FRAME.network_size
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        maps = np.zeros((18, height, width), np.float32)
        for joint, (y, x) in enumerate(self.pairs.poses[name]):
            if y != -1 and x != -1:
                distance = (rows - int(y)) ** 2 + (columns - int(x)) ** 2
                maps[joint] = np.exp(-distance / (2 * 6**2))
        return torch.from_numpy(maps)


def plain_s(data: Path, config: TrainConfig, steps: int, workers: int) -> float:
    """Seconds of the plain loop, its first step left out."""
    pairs = PairDataset(find_phase(data, "train"), FRAME)
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
        made_target, made_source = generator(source, source_maps, target_maps)
        optimisers[1].zero_grad()
        on_real = ((discriminator(target) - 1) ** 2).mean()
        on_made = (discriminator(made_target.detach()) ** 2).mean()
    (0.5 * (on_real + on_made)).backward()
    optimisers[1].step()
    optimisers[0].zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
        loss = 2.5 * ((made_target - target).abs().mean() + (made_source - source).abs().mean())
        loss = loss + 2 * ((discriminator(made_target) - 1) ** 2).mean()
    loss.backward()
    optimisers[0].step()


def trainer_s(data: Path, run: Path, config: TrainConfig, steps: int, workers: int) -> float:
    """Seconds of as many steps of `dptn train`'s loop, its first step left out."""
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
    """Print samples a second and the ratio of each round."""
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
        FRAME,
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
            plain = plain_s(data, config, options.steps, options.workers)
            run = Path(name) / f"run{number}"
            own = trainer_s(data, run, replace(config, seed=number), options.steps, options.workers)
            ratios.append(plain / own)
            print(
                f"plain {samples / plain:.2f} samples/s, dptn train {samples / own:.2f}, "
                f"ratio {plain / own:.3f}"
            )
        print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
