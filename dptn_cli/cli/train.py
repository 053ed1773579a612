"""`dptn train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dptn_cli.cli.boundary import error_boundary
from dptn_cli.cli.console import echo, use_errors_only
from dptn_cli.cli.options import LogFile, Quiet, parse_size
from dptn_cli.cli.progress import ProgressLine
from dptn_cli.enums import TrainPrecision
from dptn_cli.errors import ExitCode, MissingDependency
from dptn_cli.processor import available_cores

if TYPE_CHECKING:
    from dptn_cli.train.loop import StepReport, Trainer
    from dptn_cli.train.recipe import LoggingConfig, TrainConfig

INSTALL = "pip install 'dptn-cli[train]'"
MAX_SHOWN = 5
# The panels of --help.
DATA, LOSSES, NETWORKS, OPTIMISATION = "Data", "Losses", "Networks", "Optimisation"
LOGGING = "Checkpoints and logging"


def _option(text: str, panel: str, **settings: object) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(help=text, rich_help_panel=panel, **settings)  # type: ignore[arg-type]
    return option


app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def train(
    data: Annotated[Path, typer.Argument(help="Data folder in the published layout.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="Folder of the run; resumed if it holds one.")
    ],
    dataset: Annotated[
        str, _option("fashion, market, or any name for your own data, with --image-size.", DATA)
    ] = "fashion",
    image_size: Annotated[
        str | None, _option("Your own data: size of the images, HEIGHTxWIDTH.", DATA)
    ] = None,
    network_size: Annotated[
        str | None,
        _option(
            "Size of the images in the network, HEIGHTxWIDTH, in multiples of 8; default: "
            "--image-size, or the published one.",
            DATA,
        ),
    ] = None,
    skip_missing: Annotated[
        bool, _option("Leave out pairs whose images or keypoints cannot be used.", DATA)
    ] = False,
    flip: Annotated[
        bool, _option("Mirror half of the pairs, with left and right joints swapped.", DATA)
    ] = False,
    drop_last: Annotated[
        bool, _option("Leave out each epoch's incomplete last batch, as the paper's run did.", DATA)
    ] = False,
    workers: Annotated[
        int | None,
        _option(
            "Processes that decode images; default: one less than the cores, at most 8.",
            DATA,
            min=0,
        ),
    ] = None,
    perceptual: Annotated[
        bool, _option("Use the content and style losses, which need the weights of VGG-19.", LOSSES)
    ] = True,
    reconstruction: Annotated[
        float | None, _option("Weight of the L1 loss (fashion 5, market 2).", LOSSES)
    ] = None,
    content: Annotated[float | None, _option("Weight of the VGG content loss (0.5).", LOSSES)] = (
        None
    ),
    style: Annotated[float | None, _option("Weight of the VGG style loss (500).", LOSSES)] = None,
    adversarial: Annotated[
        float | None,
        _option(
            "Weight of the adversarial loss (fashion 2, market 5); 0: no discriminator.", LOSSES
        ),
    ] = None,
    target_share: Annotated[
        float | None,
        _option(
            "Share of the target branch in the loss; the source branch gets the rest (fashion 0.5, "
            "market 0.8).",
            LOSSES,
        ),
    ] = None,
    discriminator_layers: Annotated[
        int | None,
        _option(
            "Layers of the discriminator (fashion 4, market 3).",
            NETWORKS,
            min=2,
            max=4,
            metavar="N",
        ),
    ] = None,
    width: Annotated[
        int, _option("Width of the generator (the paper: 64).", NETWORKS, metavar="N")
    ] = 64,
    batch_size: Annotated[int, _option("Pairs per step, over all processes.", OPTIMISATION)] = 32,
    epochs: Annotated[int, _option("Passes over the pair list.", OPTIMISATION)] = 200,
    constant_epochs: Annotated[
        int,
        _option(
            "Epochs at the full learning rate, before it decays linearly; no decay if this is at "
            "least --epochs.",
            OPTIMISATION,
        ),
    ] = 100,
    learning_rate: Annotated[
        float, _option("Adam's learning rate for the generator.", OPTIMISATION)
    ] = 2e-4,
    discriminator_rate: Annotated[
        float,
        _option(
            "Learning rate of the discriminator, as a multiple of --learning-rate.", OPTIMISATION
        ),
    ] = 0.1,
    beta1: Annotated[float, _option("Adam's beta1, for both networks.", OPTIMISATION)] = 0.5,
    beta2: Annotated[float, _option("Adam's beta2, for both networks.", OPTIMISATION)] = 0.999,
    ema_decay: Annotated[
        float,
        _option(
            "Decay of the moving average of the generator's weights; 0: no averaging.", OPTIMISATION
        ),
    ] = 0.999,
    precision: Annotated[
        TrainPrecision,
        _option("Arithmetic of the networks; weights and losses stay fp32.", OPTIMISATION),
    ] = TrainPrecision.FP32,
    initialisation: Annotated[
        str,
        typer.Option(
            "--init",
            help="Initial generator: published (orthogonal, gain 0.02), torch (PyTorch's; learns "
            "faster in short runs), or a checkpoint.",
            rich_help_panel=NETWORKS,
        ),
    ] = "published",
    discriminator_initialisation: Annotated[
        str,
        typer.Option(
            "--init-discriminator",
            help="Initial discriminator: torch (PyTorch's; the paper's run had it by accident), "
            "orthogonal, or a checkpoint.",
            rich_help_panel=NETWORKS,
        ),
    ] = "torch",
    seed: Annotated[
        int,
        _option(
            "Random seed of the initial weights, the order of the pairs and the mirroring.",
            OPTIMISATION,
        ),
    ] = 0,
    save_every: Annotated[int, _option("Steps between checkpoints.", LOGGING, min=1)] = 500,
    log_every: Annotated[int, _option("Steps between lines of metrics.", LOGGING, min=1)] = 50,
    grid_every: Annotated[int, _option("Steps between image grids.", LOGGING, min=1)] = 1000,
    validate_every: Annotated[int, _option("Steps between validations.", LOGGING, min=1)] = 2000,
    validation_pairs: Annotated[
        int, _option("Test pairs per validation, spread evenly over the list.", LOGGING, min=1)
    ] = 500,
    quiet: Quiet = False,
    log_file: LogFile = None,
) -> ExitCode:
    """Train a DPTN with the paper's dual-task recipe.

    Run the same command again to resume.

    The defaults are the paper's values. Export OUT/generator-last.pth or OUT/generator-best.pth
    with `dptn export`. On several GPUs or machines: accelerate launch -m dptn_cli train ...
    """
    from dptn_cli.network.config import GeneratorConfig
    from dptn_cli.train import recipe

    initial_checkpoints, names = {}, {}
    for network, value in (
        ("generator", initialisation),
        ("discriminator", discriminator_initialisation),
    ):
        names[network] = value
        if checkpoint := recipe.find_initial_checkpoint(network, value):
            initial_checkpoints[network] = checkpoint
            names[network] = recipe.checkpoint_digest(checkpoint)
    config = recipe.TrainConfig(
        generator=GeneratorConfig(width=width, feed_forward=4 * width),
        spec=recipe.image_spec(
            dataset,
            parse_size(image_size) if image_size else None,
            parse_size(network_size) if network_size else None,
        ),
        weights=recipe.loss_weights(
            dataset,
            {
                "reconstruction": reconstruction,
                "content": content,
                "style": style,
                "adversarial": adversarial,
                "target_share": target_share,
            },
            perceptual=perceptual,
        ),
        discriminator_layers=(
            discriminator_layers or recipe.PUBLISHED_DISCRIMINATOR_LAYERS.get(dataset, 4)
        ),
        batch_size=batch_size,
        epochs=epochs,
        constant_epochs=constant_epochs,
        learning_rate=learning_rate,
        discriminator_rate=discriminator_rate,
        betas=(beta1, beta2),
        ema_decay=ema_decay,
        precision=precision.value,
        initialisation=names["generator"],
        discriminator_initialisation=names["discriminator"],
        flip=flip,
        drop_last=drop_last,
        seed=seed,
    )
    logging = recipe.LoggingConfig(
        save_every,
        log_every,
        grid_every,
        validate_every,
        validation_pairs,
        workers if workers is not None else max(1, min(8, available_cores() - 1)),
    )
    return _train(
        data, out, config, logging, initial_checkpoints, skip_missing=skip_missing, quiet=quiet
    )


def _train(
    data: Path,
    out: Path,
    config: "TrainConfig",
    logging: "LoggingConfig",
    initial_checkpoints: dict[str, Path],
    *,
    skip_missing: bool,
    quiet: bool,
) -> ExitCode:
    try:
        from dptn_cli.train.data import read_data
        from dptn_cli.train.loop import Trainer
        from dptn_cli.train.processes import failing_together
        from dptn_cli.train.run_folder import RunFolder
        from dptn_cli.train.step import connect
        from dptn_cli.train.vgg import load_vgg
    except ImportError as error:
        raise MissingDependency("dptn train", error.name or "torch", INSTALL) from error

    accelerator = connect(config.precision)
    if not accelerator.is_main_process:
        quiet = True
        use_errors_only()
    vgg = None
    # One process per machine downloads the weights; the others wait and find them in the cache.
    for is_first in (True, False):
        with failing_together(accelerator):
            if config.weights.perceptual and accelerator.is_local_main_process == is_first:
                vgg = load_vgg()
    with failing_together(accelerator):
        folder = RunFolder(out, writes=accelerator.is_main_process)
    with folder:
        with failing_together(accelerator):
            pairs = read_data(data, config.spec, skip_missing=skip_missing)
        trainer = Trainer(
            pairs,
            folder,
            config,
            accelerator=accelerator,
            logging=logging,
            vgg=vgg,
            initial_checkpoints=initial_checkpoints,
        )
        _print_start(trainer, accelerator.num_processes, accelerator.device.type, quiet=quiet)
        line = ProgressLine(trainer.steps, "training", quiet=quiet, done=trainer.step)
        with line.shown():
            is_complete = trainer.train(lambda progress: line.advance(detail=_detail(progress)))
    _print_end(trainer, out, quiet=quiet)
    return ExitCode.DONE if is_complete else ExitCode.INTERRUPTED


def _print_start(trainer: "Trainer", processes: int, device: str, *, quiet: bool) -> None:
    from dptn_cli.train.recipe import borrowed_recipe

    config = trainer.config
    each = "" if processes == 1 else f", {config.batch_size // processes} on each of {processes}"
    echo(
        f"{len(trainer.data.train):,} pairs, {config.batch_size} per step{each} ({device}), "
        f"{trainer.steps:,} steps in {config.epochs} epochs",
        quiet=quiet,
    )
    if note := borrowed_recipe(config.spec.dataset):
        echo(f"{note}.", quiet=quiet)
    for note in trainer.gan.notes:
        echo(note, quiet=quiet)
    for name, pairs in (("training", trainer.data.train), ("test", trainer.data.test)):
        if pairs is not None and pairs.unusable:
            first = "; ".join(pairs.unusable[:MAX_SHOWN])
            echo(f"{len(pairs.unusable):,} {name} images left out: {first}", quiet=quiet)
    if trainer.data.test is None:
        echo("The data has no test/: no validation and no generator-best.pth.", quiet=quiet)
    if trainer.step:
        echo(f"Resuming after step {trainer.step:,}.", quiet=quiet)
    if trainer.changes:
        echo(f"Changed: {'; '.join(trainer.changes)}.{_schedule(trainer)}", quiet=quiet)


def _schedule(trainer: "Trainer") -> str:
    """Return, as a sentence, the learning rate after the number of epochs has changed."""
    if trainer.step >= trainer.steps or not any("epochs" in text for text in trainer.changes):
        return ""
    epoch = trainer.order.position_of(trainer.step).epoch
    rate = trainer.config.learning_rates(epoch).generator
    return f" The learning rate follows the new schedule: {rate:.2g} in epoch {epoch + 1}."


def _print_end(trainer: "Trainer", out: Path, *, quiet: bool) -> None:
    if trainer.unreadable:
        first = "; ".join(sorted(trainer.unreadable)[:MAX_SHOWN])
        echo(f"{len(trainer.unreadable):,} test pairs could not be read: {first}", quiet=quiet)
    echo(f"{out}: step {trainer.step:,} of {trainer.steps:,}", quiet=quiet)


def _detail(progress: "StepReport") -> str:
    labels = {"L1": "target_l1", "G": "generator", "D": "discriminator"}
    losses = "  ".join(
        f"{label} {progress.losses[name]:.3f}"
        for label, name in labels.items()
        if name in progress.losses
    )
    return (
        f"{progress.samples_per_s:.1f} samples/s  epoch {progress.epoch + 1}  "
        f"learning rate {progress.learning_rates.generator:.2g}  {losses}"
    )
