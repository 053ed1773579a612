"""`dptn train`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dptn_cli.cli.console import ProgressLine, echo, error_boundary
from dptn_cli.cli.options import Quiet
from dptn_cli.cli.train_settings import (
    frame_of,
    loss_weights,
    name_of_start,
    published_layers,
    starting_checkpoints,
)
from dptn_cli.enums import TrainPrecision
from dptn_cli.errors import ExitCode, MissingDependency

if TYPE_CHECKING:
    from dptn_cli.train.loop import Progress, Trainer
    from dptn_cli.train.recipe import LoggingConfig, TrainConfig

INSTALL = "pip install 'dptn-cli[train]'"
DATA, LOSSES, RATES, PACE = "Data", "Losses", "Optimisation", "Keeping"


def _option(text: str, panel: str, **more: object) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(help=text, rich_help_panel=panel, **more)  # type: ignore[arg-type]
    return option


app = typer.Typer(add_completion=False)


@app.command()
@error_boundary
def train(
    data: Annotated[Path, typer.Argument(help="Folder in the published layout.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the run.")],
    dataset: Annotated[
        str, _option("fashion, market, or a name of your own with --image-size.", DATA)
    ] = "fashion",
    image_size: Annotated[
        str | None, _option("Own data: size of the images, HEIGHTxWIDTH.", DATA)
    ] = None,
    network_size: Annotated[
        str | None, _option("Own data: size in the network; default: as on disk.", DATA)
    ] = None,
    skip_missing: Annotated[
        bool, _option("Leave out pairs whose images or keypoints cannot be used.", DATA)
    ] = False,
    flip: Annotated[
        bool, _option("Mirror half of the pairs, left and right joints swapped.", DATA)
    ] = False,
    drop_last: Annotated[
        bool, _option("Leave out each epoch's incomplete last batch, as the paper's run.", DATA)
    ] = False,
    workers: Annotated[
        int | None, _option("Processes that decode images; default: by the cores.", DATA, min=0)
    ] = None,
    perceptual: Annotated[
        bool, _option("Content and style losses, which need VGG-19's weights.", LOSSES)
    ] = True,
    reconstruction: Annotated[
        float | None, _option("Weight of L1 (fashion 5, market 2).", LOSSES)
    ] = None,
    content: Annotated[float | None, _option("Weight of the VGG content loss (0.5).", LOSSES)] = (
        None
    ),
    style: Annotated[float | None, _option("Weight of the VGG style loss (500).", LOSSES)] = None,
    adversarial: Annotated[
        float | None, _option("Weight of the discriminator (fashion 2, market 5); 0: none.", LOSSES)
    ] = None,
    target_share: Annotated[
        float | None,
        _option(
            "Share of the target branch; the rest is the source's (fashion 0.5, market 0.8).",
            LOSSES,
        ),
    ] = None,
    discriminator_layers: Annotated[
        int | None, _option("Of the discriminator (fashion 4, market 3).", LOSSES, min=2, max=4)
    ] = None,
    width: Annotated[int, _option("Width of the generator; 64 is the paper's.", RATES)] = 64,
    batch_size: Annotated[int, _option("Pairs a step, over all processes.", RATES)] = 32,
    epochs: Annotated[int, _option("Passes over the pair list.", RATES)] = 200,
    constant_epochs: Annotated[
        int,
        _option(
            "Epochs at the full rate, before it falls linearly; not below --epochs: never.", RATES
        ),
    ] = 100,
    learning_rate: Annotated[float, _option("Adam's, of the generator.", RATES)] = 2e-4,
    discriminator_rate: Annotated[
        float, _option("The discriminator's rate, as a share of the generator's.", RATES)
    ] = 0.1,
    beta1: Annotated[float, _option("Adam's, of both networks.", RATES)] = 0.5,
    beta2: Annotated[float, _option("Likewise.", RATES)] = 0.999,
    ema_decay: Annotated[
        float, _option("Of the generator's moving average, which is exported; 0: none.", RATES)
    ] = 0.999,
    precision: Annotated[
        TrainPrecision, _option("Arithmetic of the networks.", RATES)
    ] = TrainPrecision.FP32,
    initialisation: Annotated[
        str,
        typer.Option(
            "--init",
            help="published (orthogonal, gain 0.02), torch (faster in short runs), or a "
            "checkpoint to go on from.",
            rich_help_panel=RATES,
        ),
    ] = "published",
    discriminator_initialisation: Annotated[
        str,
        typer.Option(
            "--init-discriminator",
            help="torch (what the paper's run had, by an accident), orthogonal, or a checkpoint.",
            rich_help_panel=RATES,
        ),
    ] = "torch",
    seed: Annotated[int, _option("Of initial weights, order and mirroring.", RATES)] = 0,
    save_every: Annotated[int, _option("Steps between checkpoints.", PACE, min=1)] = 500,
    log_every: Annotated[int, _option("Steps between lines of metrics.", PACE, min=1)] = 50,
    grid_every: Annotated[int, _option("Steps between image grids.", PACE, min=1)] = 1000,
    validate_every: Annotated[int, _option("Steps between validations.", PACE, min=1)] = 2000,
    validation_pairs: Annotated[
        int, _option("Test pairs of a validation, spread over the list.", PACE, min=1)
    ] = 500,
    quiet: Quiet = False,
) -> ExitCode:
    """Train a DPTN with the paper's dual-task recipe; the same command again resumes.

    Paper values are the defaults. OUT/generator-last.pth and generator-best.pth are for
    `dptn export`. On several GPUs or machines: accelerate launch -m dptn_cli train ...
    """
    try:
        from dptn_cli.network.config import GeneratorConfig
        from dptn_cli.train.recipe import LoggingConfig, TrainConfig
    except ImportError as error:
        raise MissingDependency("dptn train", error.name or "torch", INSTALL) from error

    weights = loss_weights(
        dataset,
        perceptual=perceptual,
        given={
            "reconstruction": reconstruction,
            "content": content,
            "style": style,
            "adversarial": adversarial,
            "target_share": target_share,
        },
    )
    start = starting_checkpoints(
        {"generator": initialisation, "discriminator": discriminator_initialisation}
    )
    config = TrainConfig(
        generator=GeneratorConfig(width=width, feed_forward=4 * width),
        spec=frame_of(dataset, image_size, network_size),
        weights=weights,
        discriminator_layers=discriminator_layers or published_layers(dataset),
        batch_size=batch_size,
        epochs=epochs,
        constant_epochs=constant_epochs,
        learning_rate=learning_rate,
        discriminator_rate=discriminator_rate,
        betas=(beta1, beta2),
        ema_decay=ema_decay,
        precision=precision.value,
        initialisation=name_of_start(initialisation, start.get("generator")),
        discriminator_initialisation=name_of_start(
            discriminator_initialisation, start.get("discriminator")
        ),
        flip=flip,
        drop_last=drop_last,
        seed=seed,
    )
    pace = LoggingConfig(
        save_every,
        log_every,
        grid_every,
        validate_every,
        validation_pairs,
        workers if workers is not None else max(1, min(8, (os.cpu_count() or 2) - 1)),
    )
    return _train(data, out, config, pace, start, skip_missing=skip_missing, quiet=quiet)


def _train(
    data: Path,
    out: Path,
    config: "TrainConfig",
    pace: "LoggingConfig",
    start: dict[str, Path],
    *,
    skip_missing: bool,
    quiet: bool,
) -> ExitCode:
    try:
        from dptn_cli.train.data import read_data
        from dptn_cli.train.loop import Trainer
        from dptn_cli.train.run_folder import RunFolder
        from dptn_cli.train.step import connect
        from dptn_cli.train.vgg import load_vgg
    except ImportError as error:
        raise MissingDependency("dptn train", error.name or "torch", INSTALL) from error

    accelerator = connect(config.precision)
    quiet = quiet or not accelerator.is_main_process
    with accelerator.local_main_process_first():  # It fetches the weights; the others find them.
        vgg = load_vgg() if config.weights.perceptual else None
    with RunFolder(out, writes=accelerator.is_main_process) as folder:
        trainer = Trainer(
            read_data(data, config.spec, skip_missing=skip_missing),
            folder,
            config,
            accelerator=accelerator,
            pace=pace,
            vgg=vgg,
            start=start,
        )
        _tell_start(trainer, accelerator.num_processes, accelerator.device.type, quiet=quiet)
        line = ProgressLine(trainer.steps, "training", quiet=quiet, done=trainer.step)
        with line.shown():
            complete = trainer.train(lambda progress: line.advance(detail=_detail(progress)))
    _tell_end(trainer, out, quiet=quiet)
    return ExitCode.DONE if complete else ExitCode.INTERRUPTED


def _tell_start(trainer: "Trainer", processes: int, device: str, *, quiet: bool) -> None:
    config = trainer.config
    each = "" if processes == 1 else f", {config.batch_size // processes} on each of {processes}"
    echo(
        f"{len(trainer.data.train):,} pairs, {config.batch_size} a step{each} ({device}), "
        f"{trainer.steps:,} steps in {config.epochs} epochs",
        quiet=quiet,
    )
    for name, pairs in (("training", trainer.data.train), ("test", trainer.data.test)):
        if pairs is not None and pairs.unusable:
            some = "; ".join(pairs.unusable[:5])
            echo(f"{len(pairs.unusable):,} {name} images left out: {some}", quiet=quiet)
    if trainer.data.test is None:
        echo("No test/ in the data: no validation, and no generator-best.pth.", quiet=quiet)
    if trainer.step:
        echo(f"Going on after step {trainer.step:,}.", quiet=quiet)


def _tell_end(trainer: "Trainer", out: Path, *, quiet: bool) -> None:
    if trainer.unreadable:
        some = "; ".join(sorted(trainer.unreadable)[:5])
        echo(f"{len(trainer.unreadable):,} test pairs could not be read: {some}", quiet=quiet)
    echo(f"{out}: step {trainer.step:,} of {trainer.steps:,}", quiet=quiet)


def _detail(progress: "Progress") -> str:
    shown = {"L1": "target_l1", "G": "generator", "D": "discriminator"}
    losses = "  ".join(
        f"{short} {progress.losses[name]:.3f}"
        for short, name in shown.items()
        if name in progress.losses
    )
    return (
        f"{progress.samples_per_s:.1f} samples/s  epoch {progress.epoch + 1}  "
        f"rate {progress.rates[0]:.2g}  {losses}"
    )
