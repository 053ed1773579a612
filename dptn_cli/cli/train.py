"""`dptn train`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dptn_cli.cli.console import ProgressLine, error_boundary, say
from dptn_cli.cli.options import Quiet, parse_size
from dptn_cli.errors import ExitCode, InputError, MissingDependency

if TYPE_CHECKING:
    from dptn_cli.train.loop import Progress


class Precision(StrEnum):
    """Arithmetic of the forward pass."""

    FP32 = "fp32"
    BF16 = "bf16"


class Initialisation(StrEnum):
    """Where the weights start."""

    PUBLISHED = "published"
    TORCH = "torch"


@error_boundary
def train(
    data: Annotated[Path, typer.Argument(help="Folder in the published layout.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the run.")],
    dataset: Annotated[
        str, typer.Option(help="fashion, market, or a name of your own with --image-size.")
    ] = "fashion",
    image_size: Annotated[
        str | None, typer.Option(help="Own data: size of the pictures, HEIGHTxWIDTH.")
    ] = None,
    network_size: Annotated[
        str | None, typer.Option(help="Own data: size in the network; default: as on disk.")
    ] = None,
    width: Annotated[int, typer.Option(help="Width of the generator; 64 is the paper's.")] = 64,
    batch_size: Annotated[int, typer.Option(help="Pairs a step.")] = 32,
    epochs: Annotated[int, typer.Option(help="Passes over the pair list.")] = 200,
    constant_epochs: Annotated[
        int, typer.Option(help="Epochs at the full rate, before it falls linearly.")
    ] = 100,
    learning_rate: Annotated[float, typer.Option(help="Adam's learning rate.")] = 2e-4,
    precision: Annotated[Precision, typer.Option(help="Arithmetic.")] = Precision.FP32,
    initialisation: Annotated[
        Initialisation,
        typer.Option("--init", help="The published weights, or torch's, faster in short runs."),
    ] = Initialisation.PUBLISHED,
    seed: Annotated[int, typer.Option(help="Of the initial weights and the order.")] = 0,
    save_every: Annotated[int, typer.Option(help="Steps between two checkpoints.")] = 500,
    quiet: Quiet = False,
) -> ExitCode:
    """Train a generator on both branches with L1; the same command again resumes.

    OUT/generator-last.pth is for `dptn export`, OUT/checkpoint-last.pth for going on.
    """
    try:
        from dptn_cli.network.config import FRAMES, GeneratorConfig
        from dptn_cli.records import Frame
        from dptn_cli.train.loop import TrainConfig, Trainer
    except ImportError as error:
        raise MissingDependency("dptn train", "torch", "pip install 'dptn-cli[train]'") from error

    if image_size:
        on_disk = parse_size(image_size)
        frame = Frame(dataset, on_disk, parse_size(network_size) if network_size else on_disk)
    elif dataset in FRAMES:
        frame = FRAMES[dataset]
    else:
        raise InputError(f"--dataset {dataset}: fashion or market, or give --image-size")
    config = TrainConfig(
        generator=GeneratorConfig(width=width, feed_forward=4 * width),
        frame=frame,
        batch_size=batch_size,
        epochs=epochs,
        constant_epochs=constant_epochs,
        learning_rate=learning_rate,
        precision=precision.value,
        initialisation=initialisation.value,
        seed=seed,
    )
    trainer = Trainer(data, out, config)
    line = ProgressLine(trainer.steps, "training", quiet=quiet)
    line.done = trainer.step
    with line.shown():
        complete = trainer.train(lambda p: line.advance(_note(p)), save_every)
    say(f"{out}: step {trainer.step:,} of {trainer.steps:,}", quiet=quiet)
    return ExitCode.DONE if complete else ExitCode.INTERRUPTED


def _note(progress: "Progress") -> str:
    return (
        f"epoch {progress.epoch + 1}  rate {progress.rate:.2g}  "
        f"L1 target {progress.target_l1:.3f} source {progress.source_l1:.3f}"
    )
