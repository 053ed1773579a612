"""What a training run is made of. The defaults are the published fashion run's values."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dptn_cli.errors import InputError
from dptn_cli.network.config import GeneratorConfig
from dptn_cli.types import ImageSpec


@dataclass(frozen=True)
class LossWeights:
    """What each term counts in the generator's loss.

    t (reconstruction L1 + content + style) of the target branch, plus (1 - t) of the same of
    the source branch, plus the adversarial term, which t does not scale.

    Attributes:
        reconstruction: of the L1 distance.
        content: of the VGG features' distance.
        style: of their Gram matrices' distance.
        adversarial: of the discriminator's verdict on the generated target; 0 trains
            without a discriminator.
        target_share: t.

    Raises:
        InputError: a negative weight, or a t outside 0..1.
    """

    reconstruction: float = 5.0
    content: float = 0.5
    style: float = 500.0
    adversarial: float = 2.0
    target_share: float = 0.5

    def __post_init__(self) -> None:
        if not all(0 <= weight < float("inf") for weight in vars(self).values()):
            raise InputError("a loss's weight must not be negative")
        if self.target_share > 1:
            raise InputError(f"the target branch's share is {self.target_share}, over 1")

    @property
    def perceptual(self) -> bool:
        """Whether the VGG is needed."""
        return self.content > 0 or self.style > 0


PUBLISHED_WEIGHTS = {
    "fashion": LossWeights(),
    "market": LossWeights(reconstruction=2.0, adversarial=5.0, target_share=0.8),
}
PUBLISHED_DISCRIMINATOR_LAYERS = {"fashion": 4, "market": 3}
MAX_SEEDS = 1 << 32


@dataclass(frozen=True)
class TrainConfig:
    """All that the weights of a finished run depend on; a run folder belongs to one of these.

    Attributes:
        generator: widths and depths.
        spec: image and network sizes.
        weights: of the losses.
        discriminator_layers: of the discriminator.
        batch_size: pairs a step, over all processes.
        epochs: passes over the pair list.
        constant_epochs: epochs at the full rate, before it falls linearly.
        learning_rate: Adam's, of the generator.
        discriminator_rate: the discriminator's, as a share of it.
        betas: Adam's, of both.
        ema_decay: of the moving average of the generator's weights; 0 takes them as they are.
        precision: of the networks' arithmetic; weights and losses stay float32.
        initialisation: `published` (orthogonal, gain 0.02), `torch`, whose defaults learn faster
            where a run is short, or the digest of a checkpoint.
        discriminator_initialisation: likewise; the published run's was in effect `torch`.
        flip: whether half of the pairs, drawn anew each epoch, are mirrored.
        drop_last: whether an epoch's incomplete last batch is left out, as published.
        seed: of the initial weights, the order and the mirroring.

    Raises:
        InputError: numbers that no run can have.
    """

    generator: GeneratorConfig
    spec: ImageSpec
    weights: LossWeights = field(default_factory=LossWeights)
    discriminator_layers: int = 4
    batch_size: int = 32
    epochs: int = 200
    constant_epochs: int = 100
    learning_rate: float = 2e-4
    discriminator_rate: float = 0.1
    betas: tuple[float, float] = (0.5, 0.999)
    ema_decay: float = 0.999
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    initialisation: str = "published"
    discriminator_initialisation: str = "torch"
    flip: bool = False
    drop_last: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.batch_size, self.epochs) < 1 or self.constant_epochs < 0:
            raise InputError("a run has at least one epoch, and one pair a step")
        if not (0 < self.learning_rate < 1 and 0 <= self.discriminator_rate <= 100):
            raise InputError(f"no learning rate: {self.learning_rate}, {self.discriminator_rate}")
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"a moving average's decay is at least 0 and below 1, not "
                             f"{self.ema_decay}")  # fmt: skip
        if not 2 <= self.discriminator_layers <= 4:
            raise InputError(f"a discriminator has 2 to 4 layers, not {self.discriminator_layers}")
        if not 0 <= self.seed < MAX_SEEDS:
            raise InputError(f"a seed is at least 0 and below {MAX_SEEDS:,}, not {self.seed:,}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"Adam's betas are at least 0 and below 1, not {self.betas}")

    def settings(self) -> dict[str, Any]:
        """Return the settings as checkpoint-last.pth stores them, in nested dicts.

        A run resumes only if its settings are equal to the stored ones, so the keys never change:
        `spec` is stored as `frame`.
        """
        return {"frame" if key == "spec" else key: value for key, value in asdict(self).items()}

    def rate(self, epoch: int) -> float:
        """The generator's learning rate in an epoch, counted from 0, as published."""
        decay_epochs = max(1, self.epochs - self.constant_epochs + 1)
        return self.learning_rate * (1 - max(0, epoch + 1 - self.constant_epochs) / decay_epochs)


@dataclass(frozen=True)
class LoggingConfig:
    """How often a run does what does not change its weights.

    Attributes:
        save_every: steps between two checkpoints.
        log_every: steps between two lines of metrics.
        grid_every: steps between two image grids.
        validate_every: steps between two validations.
        validation_pairs: how many test pairs a validation looks at, spread over the list.
        workers: processes that decode images, for each training process.
    """

    save_every: int = 500
    log_every: int = 50
    grid_every: int = 1000
    validate_every: int = 2000
    validation_pairs: int = 500
    workers: int = 2
