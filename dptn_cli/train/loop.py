"""The training loop, stoppable and resumable at any step."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from dptn_cli.errors import InputError, ModelError
from dptn_cli.interrupt import StopRequest, ignore_interrupt
from dptn_cli.train.data import BatchOrder, PairDataset, Sample, find_phase
from dptn_cli.train.losses import Vgg19
from dptn_cli.train.recipe import Pace, TrainConfig
from dptn_cli.train.run_folder import LAST, RunFolder
from dptn_cli.train.step import Learner
from dptn_cli.train.validation import Scores, grid, spread, validate


@dataclass(frozen=True)
class Progress:
    """Where a run stands, after one step.

    Attributes:
        step: steps made.
        steps: steps in all.
        epoch: of this step, from 0.
        rates: learning rates of generator and critic.
        losses: as `Learner.step` gives them.
        samples_per_s: pairs a second since the run was started or resumed.
    """

    step: int
    steps: int
    epoch: int
    rates: tuple[float, float]
    losses: Mapping[str, float]
    samples_per_s: float

    def values(self) -> dict[str, float]:
        """All of it as named numbers, in groups."""
        return {
            "epoch": self.epoch + 1,
            "rate/generator": self.rates[0],
            "rate/discriminator": self.rates[1],
            "samples_per_s": round(self.samples_per_s, 3),
            **{f"loss/{name}": value for name, value in self.losses.items()},
        }


@dataclass(frozen=True)
class TrainData:
    """What a run learns from.

    Attributes:
        train: its pairs.
        test: those that validations look at; None where the data has no test phase.
    """

    train: PairDataset
    test: PairDataset | None


def read_data(data: Path, config: TrainConfig, *, skip_missing: bool = False) -> TrainData:
    """Read and check a folder in the published layout.

    Raises:
        InputError: as `PairDataset`.
    """
    train, *test = (
        PairDataset(find_phase(data, phase), config.frame, skip_missing=skip_missing)
        for phase in ("train", "test")
        if phase == "train" or (data / phase).is_dir()
    )
    return TrainData(train, test[0] if test else None)


class Trainer:
    """One run: its place in the pair list, and what it leaves in its folder.

    Args:
        data: from `read_data`.
        folder: of the run; resumed if it holds a checkpoint.
        config: must equal the run folder's, if that has one.
        accelerator: from `connect`.
        pace: how often to save, log and validate.
        vgg: of the perceptual losses; needed where they have a weight.
        start: checkpoints to start from, by `generator` and `discriminator`.

    Attributes:
        step: steps made.
        steps: steps in all.

    Raises:
        InputError: a batch that the processes cannot share, or the run folder of another
            configuration.
        ModelError: the run's checkpoint cannot be read.
    """

    def __init__(
        self,
        data: TrainData,
        folder: RunFolder,
        config: TrainConfig,
        *,
        accelerator: Accelerator,
        pace: Pace | None = None,
        vgg: Vgg19 | None = None,
        start: Mapping[str, Path] | None = None,
    ) -> None:
        self.data, self.folder, self.config, self.pace = data, folder, config, pace or Pace()
        self._accelerator = accelerator
        if config.batch_size % accelerator.num_processes:
            raise InputError(
                f"--batch-size {config.batch_size} is over all processes and must be a "
                f"multiple of their number, {accelerator.num_processes}"
            )
        self.order = BatchOrder(
            len(data.train), config.batch_size, config.flip, config.drop_last, config.seed
        )
        self.steps = self.order.steps_per_epoch * config.epochs
        self.step = 0
        self.best: dict[str, float] = {}
        state = folder.read_state()
        if state is not None:
            _check_config(folder.path / LAST, state.get("config"), asdict(config))
        self.learner = Learner(config, accelerator, vgg, start if state is None else None)
        if state is not None:
            self._resume(state)
        folder.go_on_from(self.step)

    def train(self, report: Callable[[Progress], None]) -> bool:
        """Train to the end, or until SIGINT or SIGTERM.

        Args:
            report: called after every step.

        Returns:
            Whether the run is complete.

        Raises:
            InputError: a picture cannot be read; the state is saved first.
            ModelError: a loss is not finite; the last checkpoint is kept as it was.
        """
        started_s, first = time.monotonic(), self.step
        with StopRequest() as stop:
            for sample in self._samples():
                losses = self._train_step(self._readable(sample))
                elapsed_s = time.monotonic() - started_s
                pairs = (self.step - first) * self.config.batch_size
                progress = self._progress(losses, pairs / max(elapsed_s, 1e-9))
                report(progress)
                if self._anywhere(stop.asked):
                    self.save()
                    return False
                self._keep(progress)
        self.save()
        return True

    def _samples(self) -> Iterable[Sample | InputError]:
        """This process's share of the rest of the run's batches."""
        process, processes = self._accelerator.process_index, self._accelerator.num_processes
        loader: Any = DataLoader(
            self.data.train,
            batch_sampler=self.order.rest(self.step, self.steps, process, processes),
            num_workers=self.pace.workers,
            collate_fn=_as_it_is,
            pin_memory=self._accelerator.device.type == "cuda",
            worker_init_fn=ignore_interrupt,
        )
        return cast(Iterable[Sample | InputError], loader)

    def _readable(self, sample: Sample | InputError) -> Sample:
        """Save, and end the run in every process, where one could not read its pictures."""
        unreadable = isinstance(sample, InputError)
        if self._anywhere(unreadable) and not unreadable:
            sample = InputError("another process could not read its pictures; see its message")
        if isinstance(sample, InputError):
            self.save()
            raise sample
        return sample

    def _anywhere(self, flag: bool) -> bool:
        """Whether a flag is set in any process."""
        if self._accelerator.num_processes == 1:
            return flag
        value = torch.tensor([float(flag)], device=self._accelerator.device)
        return bool(cast(Tensor, self._accelerator.reduce(value, "sum")).item())

    def _train_step(self, sample: Sample) -> dict[str, float]:
        accelerator = self._accelerator
        share = self.order.share(self.step, accelerator.process_index, accelerator.num_processes)
        try:
            losses = self.learner.step(sample, self._rates(), share)
        except ModelError as error:
            raise ModelError(
                f"step {self.step + 1}: {error}; the checkpoint before it in {self.folder.path} "
                "is kept; a lower --learning-rate may help"
            ) from error
        self.step += 1
        self.learner.update_average(self.step)
        return losses

    def _rates(self) -> tuple[float, float]:
        rate = self.config.rate(self.step // self.order.steps_per_epoch)
        return rate, rate * self.config.discriminator_rate

    def _progress(self, losses: Mapping[str, float], samples_per_s: float) -> Progress:
        epoch = (self.step - 1) // self.order.steps_per_epoch
        rate = self.config.rate(epoch)
        rates = (rate, rate * self.config.discriminator_rate)
        return Progress(self.step, self.steps, epoch, rates, losses, samples_per_s)

    def _keep(self, progress: Progress) -> None:
        """What is due after a step: metrics, a validation, a grid, a checkpoint."""
        step, pace, test = self.step, self.pace, self.data.test

        def due(every: int) -> bool:
            return step % every == 0 or step == self.steps

        if due(pace.log_every):
            self.folder.log(step, progress.values())
        if test is not None and due(pace.validate_every):
            self._validate(test)
        if due(pace.grid_every) and self._accelerator.is_main_process:
            self.folder.write_grid(step, grid(self.learner.average, test or self.data.train))
        if step % pace.save_every == 0:
            self.save()

    def _validate(self, pairs: PairDataset) -> None:
        """Score the average; keep it where it is the best so far, by SSIM."""
        accelerator, average = self._accelerator, self.learner.average
        rows = spread(range(len(pairs)), self.pace.validation_pairs)
        own = rows[accelerator.process_index :: accelerator.num_processes]
        scores = validate(average, pairs, own, self.config.batch_size)
        sums = torch.tensor(list(asdict(scores).values()), device=accelerator.device)
        sums = cast(Tensor, accelerator.reduce(sums, "sum"))
        means = Scores(*sums.tolist()).means()
        self.folder.log(self.step, {f"validation/{name}": value for name, value in means.items()})
        if means["ssim"] > self.best.get("ssim", -1.0):
            self.best = {"step": self.step, **means}
            self.folder.save_generator("best", average, self.config.frame)

    def save(self) -> None:
        """Write the whole state, and the networks by themselves."""
        learner, frame = self.learner, self.config.frame
        head = {"config": asdict(self.config), "step": self.step, "best": self.best}
        self.folder.save_state(head | learner.state())
        self.folder.save_generator("last", learner.average, frame)
        self.folder.save_generator("last-raw", learner.generator, frame)
        if learner.discriminator is not None:
            self.folder.save_discriminator(learner.discriminator.state_dict())

    def _resume(self, state: Mapping[str, Any]) -> None:
        path = self.folder.path / LAST
        self.learner.load_state(path, state)
        try:
            self.step, self.best = int(state["step"]), dict(state["best"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path}: not a whole checkpoint of `dptn train`: {error}") from error


def _check_config(path: Path, found: Any, wanted: dict[str, Any]) -> None:
    """Raise an InputError that names the settings in which two runs differ."""
    here, there = _settings(wanted), _settings(found if isinstance(found, dict) else {})
    differing = [
        f"{name} {there.get(name, 'unknown')} there, {here.get(name, 'unknown')} asked for"
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    ]
    if differing:
        raise InputError(
            f"{path.parent} belongs to a run with other settings ({'; '.join(differing)}); "
            "name another folder, or give the same settings"
        )


def _settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested configuration, flat, with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            flat |= _settings(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = tuple(value) if isinstance(value, list) else value
    return flat


def _as_it_is(sample: Any) -> Any:
    """The dataset has made a batch already."""
    return sample
