"""The training loop: both branches at once, stoppable and resumable at any step."""

import json
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from dptn_cli.errors import InputError, ModelError
from dptn_cli.files import write_atomic
from dptn_cli.interrupt import StopRequest
from dptn_cli.network.checkpoint import check_tensors, read_checkpoint, save_generator
from dptn_cli.network.config import GeneratorConfig
from dptn_cli.network.generator import Generator
from dptn_cli.network.initial import initialise_generator
from dptn_cli.network.tensors import keypoint_maps, picture_to_tensor
from dptn_cli.records import Frame
from dptn_cli.train.data import PairDataset, Sample, find_phase

LAST = "checkpoint-last.pth"
GENERATOR = "generator-last.pth"


@dataclass(frozen=True)
class TrainConfig:
    """What a run is made of; a run folder belongs to one of these.

    Attributes:
        generator: widths and depths.
        frame: picture and network sizes.
        batch_size: pairs a step.
        epochs: passes over the pair list.
        constant_epochs: epochs at the full rate, before it falls linearly.
        learning_rate: Adam's, with betas (0.5, 0.999).
        target_share: t, the weight of the target branch; the source branch has 1 - t.
        ema_decay: of the moving average of the weights, which is what is exported.
        precision: of the forward pass.
        initialisation: `published` (orthogonal, gain 0.02), or `torch`, whose defaults learn
            faster where a run is short.
        seed: of the initial weights and the order of the pairs.
    """

    generator: GeneratorConfig
    frame: Frame
    batch_size: int = 32
    epochs: int = 200
    constant_epochs: int = 100
    learning_rate: float = 2e-4
    target_share: float = 0.5
    ema_decay: float = 0.999
    precision: Literal["fp32", "bf16"] = "fp32"
    initialisation: Literal["published", "torch"] = "published"
    seed: int = 0

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, counted from 0, as published."""
        decay_epochs = self.epochs - self.constant_epochs + 1
        return self.learning_rate * (1 - max(0, epoch + 1 - self.constant_epochs) / decay_epochs)


@dataclass(frozen=True)
class Progress:
    """Where a run stands, after one step."""

    step: int
    steps: int
    epoch: int
    rate: float
    target_l1: float
    source_l1: float


class Trainer:
    """One run: its networks, its place in the pair list, its folder.

    Args:
        data: folder in the published layout.
        run: folder of the run; made if need be, resumed if it holds a checkpoint.
        config: must equal the run folder's, if that has one.

    Raises:
        InputError: data that cannot be used, or the run folder of another configuration.
    """

    def __init__(self, data: Path, run: Path, config: TrainConfig) -> None:
        self.config, self.run_folder = config, run
        self.pairs = PairDataset(find_phase(data, "train"), config.frame)
        self.steps_per_epoch = math.ceil(len(self.pairs) / config.batch_size)
        self.steps = self.steps_per_epoch * config.epochs
        self.step = 0
        torch.manual_seed(config.seed)
        self.generator = Generator(config.generator)
        if config.initialisation == "published":
            initialise_generator(self.generator)
        self.average = Generator(config.generator)
        self.average.load_state_dict(self.generator.state_dict())
        self.optimiser = torch.optim.Adam(
            self.generator.parameters(), lr=config.learning_rate, betas=(0.5, 0.999)
        )
        run.mkdir(parents=True, exist_ok=True)
        if (run / LAST).exists():
            self._resume(read_checkpoint(run / LAST))

    def train(self, report: Callable[[Progress], None], save_every: int = 500) -> bool:
        """Train to the end, or until SIGINT or SIGTERM.

        Args:
            report: called after every step.
            save_every: steps between two checkpoints.

        Returns:
            Whether the run is complete.
        """
        started_s = time.monotonic()
        with StopRequest() as stop, (self.run_folder / "metrics.jsonl").open("a") as log:
            for sample in self._samples():
                progress = self._train_step(sample)
                report(progress)
                if self.step % 50 == 0:
                    line = asdict(progress) | {"elapsed_s": round(time.monotonic() - started_s, 1)}
                    log.write(json.dumps(line) + "\n")
                    log.flush()
                if stop.asked or self.step % save_every == 0:
                    self.save()
                if stop.asked:
                    return False
        self.save()
        return True

    def _samples(self) -> Iterator[Sample]:
        """The rest of the run's batches. The order depends on seed and epoch alone."""
        while self.step < self.steps:
            epoch, done = divmod(self.step, self.steps_per_epoch)
            order = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
            indices = torch.randperm(len(self.pairs), generator=order)
            batches = torch.split(indices, self.config.batch_size)[done:]
            yield from DataLoader(
                self.pairs,
                batch_sampler=[batch.tolist() for batch in batches],
                num_workers=1,
                worker_init_fn=_ignore_interrupt,
            )

    def _train_step(self, sample: Sample) -> Progress:
        epoch = self.step // self.steps_per_epoch
        rate = self.config.rate(epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        target_l1, source_l1 = self._losses(sample)
        share = self.config.target_share
        loss = share * target_l1 + (1 - share) * source_l1
        if not loss.isfinite():
            raise ModelError(
                f"step {self.step}: the loss is {loss.item()}; the last checkpoint "
                f"in {self.run_folder} is good"
            )
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.step += 1
        self._average()
        return Progress(self.step, self.steps, epoch, rate, target_l1.item(), source_l1.item())

    def _losses(self, sample: Sample) -> tuple[Tensor, Tensor]:
        frame = self.config.frame
        source, target = picture_to_tensor(sample.source), picture_to_tensor(sample.target)
        source_maps, target_maps = (
            keypoint_maps(pose, frame.network_size, frame.sigma_px)
            for pose in (sample.source_pose, sample.target_pose)
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.precision == "bf16"):
            fake_target, fake_source = self.generator(source, source_maps, target_maps)
        return (
            (fake_target.float() - target).abs().mean(),
            (fake_source.float() - source).abs().mean(),
        )

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.ema_decay, (1 + self.step) / (10 + self.step))
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        for average, current in pairs:
            average.lerp_(current, 1 - decay)

    def save(self) -> None:
        """Write the whole state, and the averaged generator for `dptn export`."""
        state = {
            "config": asdict(self.config),
            "step": self.step,
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        write_atomic(self.run_folder / LAST, lambda file: torch.save(state, file))
        save_generator(self.run_folder / GENERATOR, self.average, self.config.frame)

    def _resume(self, state: dict[str, Any]) -> None:
        path = self.run_folder / LAST
        if state.get("config") != asdict(self.config):
            raise InputError(
                f"{self.run_folder} belongs to a run with other settings ({state.get('config')}); "
                "name another folder, or give the same settings"
            )
        check_tensors(path, state["generator"], self.generator.state_dict())
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]


def _ignore_interrupt(_worker: int) -> None:
    """Leave Ctrl-C, which reaches the whole group, to the trainer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
