"""The settings of a training run. The defaults are those of the published fashion run."""

import hashlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dptn_cli.errors import InputError
from dptn_cli.network.config import IMAGE_SPECS, GeneratorConfig
from dptn_cli.types import ImageSpec, Size


@dataclass(frozen=True)
class LossWeights:
    """The weight of each term in the generator's loss.

    The loss is t (reconstruction + content + style) of the target branch, plus (1 - t) times the
    same sum of the source branch, plus the adversarial term, which t does not scale.

    Attributes:
        reconstruction: weight of the L1 distance between the images.
        content: weight of the L1 distance between their VGG-19 features.
        style: weight of the L1 distance between the Gram matrices of these features.
        adversarial: weight of the adversarial loss on the generated target; 0 trains without a
            discriminator.
        target_share: t, in 0..1.

    Raises:
        InputError: a weight is negative or not finite, or t is greater than 1.
    """

    reconstruction: float = 5.0
    content: float = 0.5
    style: float = 500.0
    adversarial: float = 2.0
    target_share: float = 0.5

    def __post_init__(self) -> None:
        if not all(0 <= weight < float("inf") for weight in vars(self).values()):
            raise InputError("loss weights must be finite and not negative")
        if self.target_share > 1:
            raise InputError(f"--target-share {self.target_share}: must not be over 1")

    @property
    def perceptual(self) -> bool:
        """Whether the loss has perceptual terms, which need a VGG-19."""
        return self.content > 0 or self.style > 0


PUBLISHED_WEIGHTS = {
    "fashion": LossWeights(),
    "market": LossWeights(reconstruction=2.0, adversarial=5.0, target_share=0.8),
}
PUBLISHED_DISCRIMINATOR_LAYERS = {"fashion": 4, "market": 3}
# By network: the values of --init and --init-discriminator that are not checkpoints.
INITIALISATIONS = {"generator": ("published", "torch"), "discriminator": ("torch", "orthogonal")}
MAX_SEEDS = 1 << 32
SIDE_MULTIPLE = 8  # A network halves the sides of its images three times.


class LearningRates(NamedTuple):
    """The learning rates of one step."""

    generator: float
    discriminator: float


@dataclass(frozen=True)
class TrainConfig:
    """Everything that the weights of a finished run depend on, except the data.

    checkpoint-last.pth stores the configuration. `resume_checks` says what of it may change when
    the run is resumed.

    Attributes:
        generator: widths and depths of the generator.
        spec: image sizes on disk and in the network.
        weights: weights of the loss terms.
        discriminator_layers: number of blocks of the discriminator, 2 to 4.
        batch_size: pairs per step, over all processes.
        epochs: passes over the pair list.
        constant_epochs: epochs at the full learning rate, before it decays linearly.
        learning_rate: the generator's, for Adam.
        discriminator_rate: the discriminator's learning rate as a multiple of the generator's.
        betas: Adam's coefficients, for both networks.
        ema_decay: decay of the moving average of the generator's weights; 0 for no averaging.
        precision: arithmetic of the networks; weights and losses are always float32.
        initialisation: `published` (orthogonal, gain 0.02), `torch` (PyTorch's defaults, which
            learn faster in short runs), or the digest of the checkpoint that the generator
            starts from.
        discriminator_initialisation: `torch` (in effect that of the published run),
            `orthogonal`, or the digest of the checkpoint that the discriminator starts from.
        flip: whether to mirror half of the pairs, chosen at random in each epoch.
        drop_last: whether to leave out an epoch's incomplete last batch, as the published run did.
        seed: random seed of the initial weights, the order of the pairs and the mirroring.

    Raises:
        InputError: a value is out of range.
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
            raise InputError(
                "--batch-size and --epochs must be at least 1, --constant-epochs at least 0"
            )
        if not (0 < self.learning_rate < 1 and 0 <= self.discriminator_rate <= 100):
            raise InputError(
                f"--learning-rate {self.learning_rate} and --discriminator-rate "
                f"{self.discriminator_rate}: must be between 0 and 1, and from 0 to 100"
            )
        if not 0 <= self.ema_decay < 1:
            raise InputError(f"--ema-decay {self.ema_decay}: must be at least 0 and below 1")
        if not 2 <= self.discriminator_layers <= 4:
            raise InputError(
                f"--discriminator-layers {self.discriminator_layers}: must be from 2 to 4"
            )
        if not 0 <= self.seed < MAX_SEEDS:
            raise InputError(f"--seed {self.seed:,}: must be at least 0 and below {MAX_SEEDS:,}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(
                f"--beta1 {self.betas[0]} and --beta2 {self.betas[1]}: must be at least 0 and "
                "below 1"
            )

    def settings(self) -> dict[str, Any]:
        """Return the configuration as checkpoint-last.pth stores it, in nested dicts.

        The keys are part of the file format and never change, so `spec` is stored as `frame`.
        """
        return {"frame" if key == "spec" else key: value for key, value in asdict(self).items()}

    def learning_rates(self, epoch: int) -> LearningRates:
        """Return the learning rates in an epoch, counted from 0.

        They are constant at first and then decay linearly, as in the published training.
        """
        decay_epochs = max(1, self.epochs - self.constant_epochs + 1)
        decayed_epochs = max(0, epoch + 1 - self.constant_epochs)
        generator = self.learning_rate * (1 - decayed_epochs / decay_epochs)
        return LearningRates(generator, generator * self.discriminator_rate)


@dataclass(frozen=True)
class LoggingConfig:
    """Settings of a run that do not change its weights.

    Attributes:
        save_every: steps between checkpoints.
        log_every: steps between lines of metrics.
        grid_every: steps between image grids.
        validate_every: steps between validations.
        validation_pairs: test pairs per validation, spread evenly over the list.
        workers: processes that decode images, per training process; 0 to decode in the training
            process itself.
    """

    save_every: int = 500
    log_every: int = 50
    grid_every: int = 1000
    validate_every: int = 2000
    validation_pairs: int = 500
    workers: int = 2


def image_spec(
    dataset: str, image_size: Size | None = None, network_size: Size | None = None
) -> ImageSpec:
    """Return the image sizes of a published data set or of your own data.

    Args:
        dataset: `fashion`, `market`, or a name of your own.
        image_size: (height, width) of the images, pixels; None for that of a published data set.
        network_size: (height, width) in the network, pixels; None for `image_size`, or for that of
            a published data set whose images have their own size.

    Raises:
        InputError: the data set is not a published one and `image_size` is None.
    """
    if image_size:
        return ImageSpec(dataset, image_size, network_size or image_size)
    if dataset in IMAGE_SPECS:
        spec = IMAGE_SPECS[dataset]
        return replace(spec, network_size=network_size or spec.network_size)
    raise InputError(f"--dataset {dataset}: must be fashion or market, or give --image-size")


def size_options(size: Size) -> str:
    """Return the options with which images of a size can be trained on.

    Args:
        size: (height, width) of the images, pixels.
    """
    for dataset, spec in IMAGE_SPECS.items():
        if size == spec.image_size:
            return f"--dataset {dataset}"
    height, width = size
    options = f"--dataset NAME --image-size {height}x{width}"
    if height % SIDE_MULTIPLE or width % SIDE_MULTIPLE:
        sides = (max(16, -(-side // SIDE_MULTIPLE) * SIDE_MULTIPLE) for side in size)
        options += f" --network-size {'x'.join(map(str, sides))}"
    return options


def loss_weights(
    dataset: str, overrides: dict[str, float | None], *, perceptual: bool = True
) -> LossWeights:
    """Return the published weights of a data set, with some of them replaced.

    Args:
        dataset: a name other than `market` gets the weights of `fashion`.
        overrides: weights by attribute of `LossWeights`; None keeps the published one.
        perceptual: False for no content and style losses.

    Raises:
        InputError: a weight is out of range, or is one of a loss that is turned off.
    """
    weights = PUBLISHED_WEIGHTS.get(dataset, LossWeights())
    if not perceptual:
        if overrides.get("content") or overrides.get("style"):
            raise InputError("--content and --style cannot be used with --no-perceptual")
        weights = replace(weights, content=0.0, style=0.0)
    return replace(
        weights, **{name: value for name, value in overrides.items() if value is not None}
    )


def borrowed_recipe(dataset: str) -> str:
    """Say where the recipe of your own data set comes from; an empty text for a published one."""
    if dataset in PUBLISHED_WEIGHTS:
        return ""
    return (
        f"--dataset {dataset} has no recipe of its own: what the options leave open of the loss "
        "weights and the discriminator is as for fashion"
    )


def find_initial_checkpoint(network: str, initialisation: str) -> Path | None:
    """Return the checkpoint that --init or --init-discriminator names, if it names one.

    Args:
        network: `generator` or `discriminator`.
        initialisation: the option's value.

    Raises:
        InputError: the value is neither a known initialisation nor a file.
    """
    if initialisation in INITIALISATIONS[network]:
        return None
    path = Path(initialisation)
    if not path.is_file():
        names = " or ".join(INITIALISATIONS[network])
        raise InputError(f"{path}: no such checkpoint to start from, and not {names}")
    return path


def checkpoint_digest(path: Path) -> str:
    """Return a checkpoint's digest, for `TrainConfig.initialisation`."""
    with path.open("rb") as file:
        return f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
