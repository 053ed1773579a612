"""One training step: first the discriminator, then the generator against the updated one.

The code is the same for one CPU, one GPU, several GPUs and several machines: Accelerate tells each
process its device and averages the gradients. Instance norm and attention work on each pair
separately, so splitting a batch over processes does not change its gradient.
"""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from dptn_cli.errors import ModelError
from dptn_cli.network.checkpoint import check_tensors
from dptn_cli.network.discriminator import Discriminator
from dptn_cli.network.generator import Generator
from dptn_cli.network.tensors import image_to_tensor, keypoint_maps
from dptn_cli.train.data import PairBatch
from dptn_cli.train.initial_weights import create_networks
from dptn_cli.train.losses import (
    Branches,
    Vgg19,
    branch_terms,
    discriminator_loss,
    generator_loss,
    lsgan,
)
from dptn_cli.train.recipe import LearningRates, TrainConfig

_MIXED_PRECISION = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def connect(precision: str) -> Accelerator:
    """Join the other training processes, if there are any, and choose this one's device.

    Args:
        precision: `fp32`, `bf16` or `fp16`.
    """
    return Accelerator(
        mixed_precision=_MIXED_PRECISION[precision],
        # The only buffers are the vectors of spectral norm. They change in every forward pass, in
        # the same way in all processes, so they need not be sent around.
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )


class GANStep:
    """The networks, their optimisers, the moving average, and the step that updates them.

    Args:
        config: the configuration of the run.
        accelerator: from `connect`.
        vgg: network of the perceptual losses; required if these have a weight.
        initial_checkpoints: checkpoints to start from, by `generator` and `discriminator`; both
            keys are optional.

    Attributes:
        average: the generator with the moving average of its weights.
        notes: which weights were used, for files that hold more, one line each.

    Raises:
        ModelError: a checkpoint to start from cannot be read or does not fit the configuration.
    """

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        vgg: Vgg19 | None = None,
        initial_checkpoints: Mapping[str, Path] | None = None,
    ) -> None:
        self._config, self._accelerator, self._device = config, accelerator, accelerator.device
        if config.weights.perceptual and vgg is None:
            raise ValueError("the perceptual losses have a weight, but there is no VGG")
        self._vgg = vgg.to(self._device) if vgg is not None and config.weights.perceptual else None
        networks = create_networks(config, initial_checkpoints or {})
        self.notes = networks.notes
        self.average = networks.average.to(self._device).requires_grad_(False)
        prepare = _prepare(accelerator)
        self._generator: nn.Module = prepare(networks.generator)
        self._optimiser = prepare(_adam(networks.generator, config))
        self._discriminator: nn.Module | None = None
        if networks.discriminator is not None:
            self._discriminator = prepare(networks.discriminator)
            self._discriminator_optimiser = prepare(_adam(networks.discriminator, config))

    @property
    def generator(self) -> Generator:
        """The generator itself, without Accelerate's wrappers."""
        return cast(Generator, self._accelerator.unwrap_model(self._generator))

    @property
    def discriminator(self) -> Discriminator | None:
        """The discriminator itself; None if the adversarial loss has no weight."""
        if self._discriminator is None:
            return None
        return cast(Discriminator, self._accelerator.unwrap_model(self._discriminator))

    def step(
        self, batch: PairBatch, learning_rates: LearningRates, loss_weight: float
    ) -> dict[str, float]:
        """Update the discriminator, then the generator.

        Args:
            batch: this process's pairs.
            learning_rates: learning rates of this step.
            loss_weight: weight of this process's loss, from `BatchOrder.loss_weight`.

        Returns:
            The loss terms, not weighted, and the totals `generator` and `discriminator`. All are
            means over the whole batch, not only over this process's pairs.

        Raises:
            ModelError: a loss is not finite; the generator was not updated.
        """
        self._set_learning_rates(learning_rates)
        truth, generated = self._generate(batch.to(self._device))

        reported: dict[str, Tensor] = {}
        if self._discriminator is not None:
            reported["discriminator"] = self._update_discriminator(
                truth.target, generated.target, loss_weight
            )

        terms = branch_terms(generated, truth, self._vgg)
        if self.discriminator is not None:
            terms["adversarial"] = self._adversarial_loss(self.discriminator, generated.target)
        loss = generator_loss(terms, self._config.weights)
        # Checked before the update: a loss that is not finite must not reach the weights.
        losses = self._reduce(reported | terms | {"generator": loss}, loss_weight)
        self._optimiser.zero_grad()
        self._accelerator.backward(loss * loss_weight)
        self._optimiser.step()
        return losses

    def _generate(self, batch: PairBatch) -> tuple[Branches, Branches]:
        """Return the true images and the generated ones."""
        spec = self._config.spec
        truth = Branches(image_to_tensor(batch.target), image_to_tensor(batch.source))
        source_maps, target_maps = (
            keypoint_maps(pose, spec.network_size, spec.sigma_px)
            for pose in (batch.source_pose, batch.target_pose)
        )
        return truth, Branches(*self._generator(truth.source, source_maps, target_maps))

    def _update_discriminator(self, real: Tensor, generated: Tensor, loss_weight: float) -> Tensor:
        assert self._discriminator is not None
        self._discriminator_optimiser.zero_grad()
        loss = discriminator_loss(self._discriminator, real, generated)
        self._accelerator.backward(loss * loss_weight)
        self._discriminator_optimiser.step()
        return loss.detach()

    def _adversarial_loss(self, discriminator: Discriminator, generated: Tensor) -> Tensor:
        """Return the generator's loss for targets that the discriminator does not take as real.

        Args:
            discriminator: the network without wrappers, and frozen in here, so that its gradient
                is neither computed nor sent to other processes.
            generated: (N, 3, H, W) in [-1, 1].
        """
        discriminator.requires_grad_(False)
        with self._accelerator.autocast():
            loss = lsgan(discriminator(generated), True)
        discriminator.requires_grad_(True)
        return loss

    def _reduce(self, terms: Mapping[str, Tensor], loss_weight: float) -> dict[str, float]:
        """Return the terms' means over all processes."""
        values = torch.stack([term.detach().float() * loss_weight for term in terms.values()])
        means = cast(Tensor, self._accelerator.reduce(values, "mean"))
        losses = dict(zip(terms, means.tolist(), strict=True))
        if not means.isfinite().all():
            raise ModelError(f"a loss is not finite: {losses}")
        return losses

    def _set_learning_rates(self, learning_rates: LearningRates) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rates.generator
        if self._discriminator is not None:
            for group in self._discriminator_optimiser.param_groups:
                group["lr"] = learning_rates.discriminator

    @torch.no_grad()
    def update_average(self, step: int) -> None:
        """Update the moving average of the generator's weights.

        Args:
            step: number of finished steps. The decay grows with it, so that the initial weights
                are forgotten quickly.
        """
        decay = self._config.ema_decay and min(self._config.ema_decay, (1 + step) / (10 + step))
        averages: list[Tensor] = list(self.average.parameters())
        current: list[Tensor] = list(self.generator.parameters())
        torch._foreach_lerp_(averages, current, 1 - decay)

    def is_finite(self) -> bool:
        """Return whether all weights are finite."""
        networks = (self.generator, self.average, self.discriminator)
        weights = [w for network in networks if network is not None for w in network.parameters()]
        return all(bool(weight.isfinite().all()) for weight in weights)

    def state(self) -> dict[str, Any]:
        """Return everything needed to resume: weights and optimisers."""
        state: dict[str, Any] = {
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        if self.discriminator is not None:
            state["discriminator"] = self.discriminator.state_dict()
            state["discriminator_optimiser"] = self._discriminator_optimiser.state_dict()
        if self._accelerator.scaler is not None:
            state["scaler"] = self._accelerator.scaler.state_dict()
        return state

    def load_state(self, path: Path, state: Mapping[str, Any]) -> None:
        """Restore the output of `state`.

        Args:
            path: the checkpoint that it was read from, for messages.
            state: the content of the checkpoint.

        Raises:
            ModelError: the state is incomplete or does not fit the networks.
        """
        networks: dict[str, nn.Module] = {"generator": self.generator, "average": self.average}
        if self.discriminator is not None:
            networks["discriminator"] = self.discriminator
        try:
            for name, network in networks.items():
                check_tensors(path, state[name], network.state_dict())
                network.load_state_dict(state[name])
            _load_adam(self._optimiser, state["optimiser"])
            if self.discriminator is not None:
                _load_adam(self._discriminator_optimiser, state["discriminator_optimiser"])
            # A run that had another precision before has no state of the scaler.
            if self._accelerator.scaler is not None and "scaler" in state:
                self._accelerator.scaler.load_state_dict(state["scaler"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"{path}: not a complete checkpoint of `dptn train`: {error}"
            ) from error


def _prepare(accelerator: Accelerator) -> Callable[[Any], Any]:
    """Return `Accelerator.prepare` without a warning that only Accelerate can fix.

    torch deprecated the option `broadcast_buffers` that Accelerate passes.
    """

    def prepare(part: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
            return accelerator.prepare(part)

    return prepare


def _adam(network: nn.Module, config: TrainConfig) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=config.betas)


def _load_adam(optimiser: Any, state: Any) -> None:
    """Restore an optimiser's state.

    Raises:
        ValueError: its moments do not have the shapes of the weights.
        KeyError: a weight has a state without moments.
    """
    optimiser.load_state_dict(state)  # It does not compare shapes.
    for group in optimiser.param_groups:
        for weight in group["params"]:
            moments = optimiser.state.get(weight)
            if moments and any(
                moments[name].shape != weight.shape for name in ("exp_avg", "exp_avg_sq")
            ):
                raise ValueError("the optimiser belongs to other weights")
