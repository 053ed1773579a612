"""One training step: the discriminator first, then the generator against the updated discriminator.

One code path for one CPU, one GPU, several GPUs and several machines: Accelerate says which
process this is and carries gradients between them. Instance norm and attention look at one pair
at a time, so that a batch may be split over processes in any way without changing its gradient.
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
from dptn_cli.train.data import Sample
from dptn_cli.train.initial_weights import start_weights
from dptn_cli.train.losses import (
    Branches,
    Vgg19,
    branch_terms,
    discriminator_loss,
    generator_loss,
    lsgan,
)
from dptn_cli.train.recipe import TrainConfig

_MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def connect(precision: str) -> Accelerator:
    """Join the other processes, if there are any, and pick this one's device.

    Spectral norm's vectors change in every pass and equally in every process, so they are not
    sent between them.
    """
    return Accelerator(
        mixed_precision=_MIXED[precision],
        kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
    )


class Learner:
    """The networks, their optimisers, and the moving average.

    Args:
        config: the recipe.
        accelerator: from `connect`.
        vgg: of the perceptual losses; needed where they have a weight.
        start: checkpoints to start from, by `generator` and `discriminator`.

    Attributes:
        average: the generator's moving average.

    Raises:
        ModelError: a checkpoint to start from cannot be read or is of another shape.
    """

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        vgg: Vgg19 | None = None,
        start: Mapping[str, Path] | None = None,
    ) -> None:
        self._config, self._accelerator, self._device = config, accelerator, accelerator.device
        if config.weights.perceptual and vgg is None:
            raise ValueError("the perceptual losses have a weight, but there is no VGG")
        self._vgg = vgg.to(self._device) if vgg is not None and config.weights.perceptual else None
        networks = start_weights(config, start or {})
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
        """The generator as trained, without wrappers."""
        return cast(Generator, self._accelerator.unwrap_model(self._generator))

    @property
    def discriminator(self) -> Discriminator | None:
        """The discriminator, without wrappers; None where the adversarial loss has no weight."""
        if self._discriminator is None:
            return None
        return cast(Discriminator, self._accelerator.unwrap_model(self._discriminator))

    def step(self, sample: Sample, rates: tuple[float, float], share: float) -> dict[str, float]:
        """Update the discriminator, then the generator.

        Args:
            sample: this process's pairs.
            rates: learning rates of generator and discriminator.
            share: what this process's mean counts in the mean over the processes.

        Returns:
            Every term, unweighted, and the totals `generator` and `discriminator`: means over
            the whole batch, all processes included.

        Raises:
            ModelError: one of them is not finite; the generator was not updated.
        """
        self._set_rates(rates)
        truth, generated = self._generate(sample.to(self._device))
        terms: dict[str, Tensor] = {}
        if self._discriminator is not None:
            terms["discriminator"] = self._update_discriminator(
                truth.target, generated.target, share
            )
        made = branch_terms(generated, truth, self._vgg)
        if self.discriminator is not None:
            made["adversarial"] = self._verdict(self.discriminator, generated.target)
        loss = generator_loss(made, self._config.weights)
        losses = self._means(terms | made | {"generator": loss}, share)
        self._optimiser.zero_grad()
        self._accelerator.backward(loss * share)
        self._optimiser.step()
        return losses

    def _generate(self, sample: Sample) -> tuple[Branches, Branches]:
        """The true images, and the generated ones."""
        spec = self._config.spec
        truth = Branches(image_to_tensor(sample.target), image_to_tensor(sample.source))
        source_maps, target_maps = (
            keypoint_maps(pose, spec.network_size, spec.sigma_px)
            for pose in (sample.source_pose, sample.target_pose)
        )
        return truth, Branches(*self._generator(truth.source, source_maps, target_maps))

    def _update_discriminator(self, real: Tensor, generated: Tensor, share: float) -> Tensor:
        assert self._discriminator is not None
        self._discriminator_optimiser.zero_grad()
        loss = discriminator_loss(self._discriminator, real, generated)
        self._accelerator.backward(loss * share)
        self._discriminator_optimiser.step()
        return loss.detach()

    def _verdict(self, discriminator: Discriminator, generated: Tensor) -> Tensor:
        """How far the updated discriminator is from taking the generated target for real.

        It is frozen meanwhile: its gradient is neither kept nor sent to other processes.
        """
        discriminator.requires_grad_(False)
        with self._accelerator.autocast():
            verdict = lsgan(discriminator(generated), True)
        discriminator.requires_grad_(True)
        return verdict

    def _means(self, terms: Mapping[str, Tensor], share: float) -> dict[str, float]:
        """The terms' means over all processes."""
        values = torch.stack([term.detach().float() * share for term in terms.values()])
        means = cast(Tensor, self._accelerator.reduce(values, "mean"))
        losses = dict(zip(terms, means.tolist(), strict=True))
        if not means.isfinite().all():
            raise ModelError(f"a loss is not finite: {losses}")
        return losses

    def _set_rates(self, rates: tuple[float, float]) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = rates[0]
        if self._discriminator is not None:
            for group in self._discriminator_optimiser.param_groups:
                group["lr"] = rates[1]

    @torch.no_grad()
    def update_average(self, step: int) -> None:
        """Move the average towards the generator, faster in the first steps."""
        decay = self._config.ema_decay and min(self._config.ema_decay, (1 + step) / (10 + step))
        averages: list[Tensor] = list(self.average.parameters())
        current: list[Tensor] = list(self.generator.parameters())
        torch._foreach_lerp_(averages, current, 1 - decay)

    def finite(self) -> bool:
        """Whether every weight is a number."""
        networks = (self.generator, self.average, self.discriminator)
        weights = [w for network in networks if network is not None for w in network.parameters()]
        return all(bool(weight.isfinite().all()) for weight in weights)

    def state(self) -> dict[str, Any]:
        """All that going on needs."""
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
        """Take over what `state` gave.

        Raises:
            ModelError: it is not whole; the message names `path`.
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
            if self._accelerator.scaler is not None:
                self._accelerator.scaler.load_state_dict(state["scaler"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{path}: not a whole checkpoint of `dptn train`: {error}") from error


def _prepare(accelerator: Accelerator) -> Callable[[Any], Any]:
    """`Accelerator.prepare`, without torch's warning about how Accelerate spells an option."""

    def prepare(part: Any) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
            return accelerator.prepare(part)

    return prepare


def _adam(network: nn.Module, config: TrainConfig) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=config.learning_rate, betas=config.betas)


def _load_adam(optimiser: Any, state: Any) -> None:
    """Take over an optimiser's state.

    Raises:
        ValueError: it has moments of other shapes than the weights, or none of some.
    """
    optimiser.load_state_dict(state)
    for group in optimiser.param_groups:
        for weight in group["params"]:
            kept = optimiser.state.get(weight, {})
            if any(kept[name].shape != weight.shape for name in ("exp_avg", "exp_avg_sq") if kept):
                raise ValueError("an optimiser of other weights")
