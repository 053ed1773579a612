"""The training loop, stoppable and resumable at any step."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from dptn_cli.errors import InputError, ModelError
from dptn_cli.signals import StopRequest, ignore_interrupt
from dptn_cli.train.data import BatchOrder, PairDataset, Sample, TrainData
from dptn_cli.train.losses import Vgg19
from dptn_cli.train.recipe import LoggingConfig, TrainConfig
from dptn_cli.train.resume_checks import check_place, check_settings, list_digest
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
        rates: learning rates of generator and discriminator.
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
        unreadable: what to say of test images that validations had to leave out.

    Raises:
        InputError: a batch that the processes cannot share, the run folder of another
            configuration, or one that not all processes see.
        ModelError: the run's checkpoint cannot be read.
    """

    def __init__(
        self,
        data: TrainData,
        folder: RunFolder,
        config: TrainConfig,
        *,
        accelerator: Accelerator,
        pace: LoggingConfig | None = None,
        vgg: Vgg19 | None = None,
        start: Mapping[str, Path] | None = None,
    ) -> None:
        self.data, self.folder, self.config, self.pace = (
            data,
            folder,
            config,
            pace or LoggingConfig(),
        )
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
        self.unreadable: set[str] = set()
        state = folder.read_state()
        if state is not None:
            check_settings(folder.path / LAST, state.get("config"), self._settings())
        self.learner = Learner(config, accelerator, vgg, start if state is None else None)
        self._owed = False
        if state is not None:
            self._resume(state)
        check_place(accelerator, folder.path, self.step)
        folder.go_on_from(self.step)

    def train(self, report: Callable[[Progress], None]) -> bool:
        """Train to the end, or until SIGINT or SIGTERM.

        Args:
            report: called after every step.

        Returns:
            Whether the run is complete.

        Raises:
            InputError: an image cannot be read, and the state is saved first; or a process
                that decodes was killed.
            ModelError: a loss or a weight is not finite; the last checkpoint is kept as it was.
        """
        started_s, first = time.monotonic(), self.step
        with StopRequest() as stop, _told_of_killed_decoders(self.folder.path):
            if self._owed:
                self._look()
            for sample in self._samples():
                losses = self._train_step(self._readable(sample))
                elapsed_s = time.monotonic() - started_s
                pairs = (self.step - first) * self.config.batch_size
                progress = self._progress(losses, pairs / max(elapsed_s, 1e-9))
                report(progress)
                self._log(progress)
                if self.step < self.steps and self._anywhere(stop.asked):
                    self._owed = True  # There may be no time left to validate.
                    self.save()
                    return False
                self._look()
                if self.step % self.pace.save_every == 0:
                    self.save()
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
        """Save, and end the run in every process, where one could not read its images."""
        unreadable = isinstance(sample, InputError)
        if self._anywhere(unreadable) and not unreadable:
            sample = InputError("another process could not read its images; see its message")
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

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.steps

    def _log(self, progress: Progress) -> None:
        if self._due(self.pace.log_every):
            self.folder.log(self.step, progress.values())

    def _look(self) -> None:
        """Validate, and draw a grid, where it is due after this step."""
        test, self._owed = self.data.test, False
        if test is not None and self._due(self.pace.validate_every):
            self._validate(test)
        if self._due(self.pace.grid_every) and self._accelerator.is_main_process:
            drawn = grid(self.learner.average, test or self.data.train)
            if drawn is not None:
                self.folder.write_grid(self.step, drawn)

    def _validate(self, pairs: PairDataset) -> None:
        """Score the average; keep it where it is the best so far, by SSIM."""
        accelerator, average = self._accelerator, self.learner.average
        rows = spread(range(len(pairs)), self.pace.validation_pairs)
        own = rows[accelerator.process_index :: accelerator.num_processes]
        scores, problems = validate(average, pairs, own, self.config.batch_size)
        self.unreadable |= set(problems)
        sums = torch.tensor(list(asdict(scores).values()), device=accelerator.device)
        sums = cast(Tensor, accelerator.reduce(sums, "sum"))
        means = Scores(*sums.tolist()).means()
        self.folder.log(self.step, {f"validation/{name}": value for name, value in means.items()})
        if "ssim" not in means:
            return
        if means["ssim"] > self.best.get("ssim", -1.0):
            self.best = {"step": self.step, **means}
            self.folder.save_generator("best", average, self.config.spec)

    def save(self) -> None:
        """Write the whole state, and the networks by themselves."""
        learner, spec = self.learner, self.config.spec
        if not learner.finite():
            raise ModelError(
                f"step {self.step}: the weights are not finite any more; the checkpoint before it "
                f"in {self.folder.path} is kept; a lower --learning-rate may help"
            )
        head = {
            "config": self._settings(),
            "step": self.step,
            "best": self.best,
            "owed": self._owed,
        }
        self.folder.save_state(head | learner.state())
        self.folder.save_generator("last", learner.average, spec)
        self.folder.save_generator("last-raw", learner.generator, spec)
        if learner.discriminator is not None:
            self.folder.save_discriminator(learner.discriminator.state_dict())

    def _settings(self) -> dict[str, Any]:
        """All that decides what the run makes."""
        return self.config.settings() | {"training list": list_digest(self.data.train.pairs)}

    def _resume(self, state: Mapping[str, Any]) -> None:
        path = self.folder.path / LAST
        self.learner.load_state(path, state)
        try:
            self.step, self.best = int(state["step"]), dict(state["best"])
            self._owed = bool(state.get("owed"))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{path}: not a whole checkpoint of `dptn train`: {error}") from error


@contextmanager
def _told_of_killed_decoders(folder: Path) -> Iterator[None]:
    """A RuntimeError is raised anywhere in a step when a process that decodes has died."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            "a process that decodes images was killed, perhaps for want of memory: fewer "
            f"--workers need less; the same command goes on from the last checkpoint in {folder}"
        ) from error


def _as_it_is(sample: Any) -> Any:
    """The dataset has made a batch already."""
    return sample
