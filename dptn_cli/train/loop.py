"""The training loop, which can be stopped and resumed at any step."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from dptn_cli.errors import InputError, ModelError, RunStopped
from dptn_cli.signals import StopRequest, ignore_interrupts
from dptn_cli.train.data import BadBatch, BatchOrder, PairBatch, PairDataset, Position, TrainData
from dptn_cli.train.losses import Vgg19
from dptn_cli.train.processes import any_process, failing_together
from dptn_cli.train.recipe import LearningRates, LoggingConfig, TrainConfig
from dptn_cli.train.resume_checks import (
    check_epochs,
    check_same_step,
    check_settings,
    pair_list_digest,
)
from dptn_cli.train.run_folder import LAST, RunFolder
from dptn_cli.train.step import GANStep
from dptn_cli.train.validation import Scores, draw_grid, spread, validate


@dataclass(frozen=True)
class StepReport:
    """What a run reports after each step.

    Attributes:
        step: number of finished steps.
        steps: number of steps of the whole run.
        epoch: epoch of this step, from 0.
        learning_rates: learning rates of this step.
        losses: loss terms by name, as returned by `GANStep.step`.
        samples_per_s: pairs per second since the run was started or resumed.
    """

    step: int
    steps: int
    epoch: int
    learning_rates: LearningRates
    losses: Mapping[str, float]
    samples_per_s: float

    def metrics(self) -> dict[str, float]:
        """Return the numbers by the names that they have in metrics.jsonl and TensorBoard."""
        return {
            "epoch": self.epoch + 1,
            "rate/generator": self.learning_rates.generator,
            "rate/discriminator": self.learning_rates.discriminator,
            "samples_per_s": round(self.samples_per_s, 3),
            **{f"loss/{name}": value for name, value in self.losses.items()},
        }


class Trainer:
    """A training run, new or resumed.

    Args:
        data: the pairs, from `read_data`.
        folder: folder of the run; the run is resumed if the folder holds a checkpoint.
        config: the configuration; of a resumed run's, only what `CHANGEABLE` lists may change.
        accelerator: from `connect`.
        logging: how often to save, log and validate; None for the defaults.
        vgg: network of the perceptual losses; required if these have a weight.
        initial_checkpoints: checkpoints to start from, by `generator` and `discriminator`; both
            keys are optional, and a resumed run ignores them.

    Attributes:
        step: number of finished steps.
        steps: number of steps of the whole run.
        unreadable: a line for each test pair that validations had to leave out.
        changes: a text for each setting that was another before the run was resumed.

    Raises:
        InputError: the batch cannot be divided among the processes, the folder belongs to a run
            with other settings, or the processes do not share the folder.
        ModelError: a checkpoint cannot be read.
    """

    def __init__(
        self,
        data: TrainData,
        folder: RunFolder,
        config: TrainConfig,
        *,
        accelerator: Accelerator,
        logging: LoggingConfig | None = None,
        vgg: Vgg19 | None = None,
        initial_checkpoints: Mapping[str, Path] | None = None,
    ) -> None:
        self.data, self.folder, self.config = data, folder, config
        self.logging = logging or LoggingConfig()
        self._accelerator = accelerator
        if config.batch_size % accelerator.num_processes:
            raise InputError(
                f"--batch-size {config.batch_size} counts the pairs of all processes and must be "
                f"a multiple of their number, {accelerator.num_processes}"
            )
        self.order = BatchOrder(
            len(data.train), config.batch_size, config.flip, config.drop_last, config.seed
        )
        self.step = 0
        self.best: dict[str, float] = {}
        self.unreadable: set[str] = set()
        self.changes: tuple[str, ...] = ()
        self._validation_pending = False

        state = folder.read_state()
        if state is None:
            self.gan = GANStep(config, accelerator, vgg, initial_checkpoints)
        else:
            path, stored = folder.path / LAST, state.get("config")
            self.changes = tuple(check_settings(path, stored, self._settings()))
            self.gan = GANStep(config, accelerator, vgg)
            self._resume(path, state)
        self.steps = self.order.steps(config.epochs)
        check_same_step(accelerator, folder.path, self.step)
        with self._writing_together():
            folder.open_metrics(self.step)

    def train(self, on_step: Callable[[StepReport], None]) -> bool:
        """Train to the end, or until SIGINT or SIGTERM.

        Args:
            on_step: called after every step.

        Returns:
            Whether the run is complete.

        Raises:
            InputError: an image cannot be read, after the state was saved; or a data-loading
                worker was killed.
            RunStopped: a file cannot be written; the last checkpoint is kept.
            ModelError: a loss or a weight is not finite; the last checkpoint is kept.
        """
        started_s, first_step = time.monotonic(), self.step
        with StopRequest() as stop, _explain_killed_worker(self.folder.path):
            if self._validation_pending:
                self._validate_and_preview()
            for loaded in self._data_loader():
                batch = self._stop_on_bad_batch(loaded)
                epoch = self.order.position_of(self.step).epoch
                learning_rates = self.config.learning_rates(epoch)
                losses = self._update(batch, learning_rates)

                elapsed_s = max(time.monotonic() - started_s, 1e-9)
                pairs = (self.step - first_step) * self.config.batch_size
                report = StepReport(
                    self.step, self.steps, epoch, learning_rates, losses, pairs / elapsed_s
                )
                on_step(report)
                if self._is_due(self.logging.log_every):
                    with self._writing_together():
                        self.folder.log(self.step, report.metrics())

                if self.step < self.steps and any_process(self._accelerator, stop.requested):
                    # A batch system kills the process soon after SIGTERM. So the validation after
                    # this step is left to the resumed run.
                    self._validation_pending = True
                    self.save()
                    return False
                self._validate_and_preview()
                if self.step % self.logging.save_every == 0:
                    self.save()
        self.save()
        return True

    def _data_loader(self) -> Iterable[PairBatch | BadBatch]:
        """Load this process's part of each remaining batch of the run."""
        process, processes = self._accelerator.process_index, self._accelerator.num_processes
        loader: Any = DataLoader(
            self.data.train,
            # One loader for the whole run, so that its workers also read ahead across epochs.
            batch_sampler=self.order.batches(self.step, self.steps, process, processes),
            num_workers=self.logging.workers,
            collate_fn=_identity_collate,
            pin_memory=self._accelerator.device.type == "cuda",
            worker_init_fn=ignore_interrupts,
        )
        return cast(Iterable[PairBatch | BadBatch], loader)

    def _stop_on_bad_batch(self, loaded: PairBatch | BadBatch) -> PairBatch:
        """Return the batch; if any process could not read its own, save and stop all of them.

        Raises:
            InputError: this or another process could not read its images.
        """
        if any_process(self._accelerator, isinstance(loaded, BadBatch)):
            self.save()
            if isinstance(loaded, BadBatch):
                raise InputError(loaded.reason)
            raise InputError("another process could not read its images; see its message")
        assert isinstance(loaded, PairBatch)
        return loaded

    def _update(self, batch: PairBatch, learning_rates: LearningRates) -> dict[str, float]:
        """Train one step and return its losses."""
        accelerator = self._accelerator
        loss_weight = self.order.loss_weight(
            self.step, accelerator.process_index, accelerator.num_processes
        )
        try:
            losses = self.gan.step(batch, learning_rates, loss_weight)
        except ModelError as error:
            raise ModelError(self._not_finite(self.step + 1, str(error))) from error
        self.step += 1
        self.gan.update_average(self.step)
        return losses

    def _not_finite(self, step: int, problem: str) -> str:
        return (
            f"step {step}: {problem}; the last checkpoint in {self.folder.path} is kept. "
            "A lower --learning-rate may help"
        )

    def _is_due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.steps

    def _validate_and_preview(self) -> None:
        """Validate and draw an image grid, if they are due after this step."""
        test, self._validation_pending = self.data.test, False
        if test is not None and self._is_due(self.logging.validate_every):
            self._validate(test)
        if self._is_due(self.logging.grid_every):
            with self._writing_together():
                self._preview(test or self.data.train)

    def _preview(self, pairs: PairDataset) -> None:
        """Draw an image grid of fixed pairs, in one process."""
        if self._accelerator.is_main_process:
            grid = draw_grid(self.gan.average, pairs)
            if grid is not None:
                self.folder.write_grid(self.step, grid)

    def _validate(self, pairs: PairDataset) -> None:
        """Score the moving average, and save it if its SSIM is the best so far."""
        accelerator, average = self._accelerator, self.gan.average
        rows = spread(range(len(pairs)), self.logging.validation_pairs)
        own_rows = rows[accelerator.process_index :: accelerator.num_processes]
        scores, problems = validate(average, pairs, own_rows, self.config.batch_size)
        self.unreadable |= set(problems)
        sums = torch.tensor(list(asdict(scores).values()), device=accelerator.device)
        sums = cast(Tensor, accelerator.reduce(sums, "sum"))
        means = Scores(*sums.tolist()).means()
        with self._writing_together():
            self.folder.log(
                self.step, {f"validation/{name}": value for name, value in means.items()}
            )
            if means and means["ssim"] > self.best.get("ssim", -1.0):
                self.best = {"step": self.step, **means}
                self.folder.save_generator("best", average, self.config.spec)

    def _writing_together(self) -> AbstractContextManager[None]:
        """End all processes if the one that writes to the folder cannot.

        Raises:
            RunStopped: a file cannot be written.
        """
        return failing_together(self._accelerator, RunStopped)

    def save(self) -> None:
        """Write the checkpoint, and each network to a file of its own.

        Raises:
            RunStopped: a file cannot be written.
            ModelError: a weight is not finite; nothing was written.
        """
        gan, spec = self.gan, self.config.spec
        if not gan.is_finite():
            raise ModelError(self._not_finite(self.step, "the weights are not finite any more"))
        # These keys are part of the file format and never change.
        state = {
            "config": self._settings(),
            "step": self.step,
            "best": self.best,
            "owed": self._validation_pending,
            "start": list(self.order.start),
        }
        with self._writing_together():
            self.folder.save_state(state | gan.state())
            self.folder.save_generator("last", gan.average, spec)
            self.folder.save_generator("last-raw", gan.generator, spec)
            if gan.discriminator is not None:
                self.folder.save_discriminator(gan.discriminator.state_dict())

    def _settings(self) -> dict[str, Any]:
        """Return everything that the weights of the finished run depend on."""
        return self.config.settings() | {"training list": pair_list_digest(self.data.train.pairs)}

    def _resume(self, path: Path, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint whose settings fit.

        Raises:
            InputError: it has trained more epochs than this run is to have.
            ModelError: it is incomplete.
        """
        self.gan.load_state(path, state)
        try:
            self.step, self.best = int(state["step"]), dict(state["best"])
            self._validation_pending = bool(state.get("owed"))
            batch_size, epochs = int(state["config"]["batch_size"]), state["config"]["epochs"]
            start = Position(*map(int, state.get("start", Position())))
            is_possible = 0 <= start.step <= self.step and 0 <= start.pair < self.order.pairs
            if batch_size < 1 or start.epoch < 0 or not is_possible:
                raise ValueError("its position is not one of a run")
            before = replace(self.order, batch_size=batch_size, start=start)
            if batch_size != self.config.batch_size:
                start = before.position_of(self.step)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{path}: not a complete checkpoint of `dptn train`: {error}"
            ) from error
        check_epochs(path.parent, self.config.epochs, before.position_of(self.step))
        self.order = replace(self.order, start=start)
        if self.config.epochs != epochs and self.step == self.order.steps(self.config.epochs):
            self._validation_pending = True  # this has become the last step


@contextmanager
def _explain_killed_worker(folder: Path) -> Iterator[None]:
    """Turn torch's error about a killed worker into one line that says what to do.

    torch raises it from a signal handler, so it can come from any line of a step.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            "a data-loading worker was killed, possibly because memory ran out: use fewer "
            f"--workers, and run the same command to resume from the last checkpoint in {folder}"
        ) from error


def _identity_collate(batch: Any) -> Any:
    """Return the batch as it is, because the dataset returns whole batches."""
    return batch
