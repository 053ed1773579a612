"""`dptn prepare`: bring images into the layout that `dptn train` reads."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dptn_cli.cli.boundary import error_boundary
from dptn_cli.cli.console import echo, print_table
from dptn_cli.cli.options import LogFile, Quiet
from dptn_cli.cli.progress import ProgressLine
from dptn_cli.errors import ExitCode, InputError
from dptn_cli.processor import available_cores

if TYPE_CHECKING:
    from dptn_cli.prepare.common import PrepareResult

MAX_SHOWN = 20

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Arrange images in the layout that `dptn train` reads.",
)

Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for the prepared data.")]


@app.command()
@error_boundary
def deepfashion(
    raw: Annotated[Path, typer.Argument(help="Folder of the raw 256x256 In-shop images.")],
    out: Out,
    lists: Annotated[
        Path | None,
        typer.Option(help="Folder of train.lst, test.lst and the published CSVs; default: RAW."),
    ] = None,
    quiet: Quiet = False,
    log_file: LogFile = None,
) -> ExitCode:
    """Crop DeepFashion's images to columns 40 to 215 and name them as the published lists do.

    Exit code: 0 everything is there, 1 something is missing, 2 nothing could be prepared.
    """
    from dptn_cli.prepare.deepfashion import count_listed, prepare_deepfashion

    lists = lists or raw
    progress = ProgressLine(count_listed(lists), "cropping", quiet=quiet)
    with progress.shown():
        result = prepare_deepfashion(
            raw,
            lists,
            out,
            workers=min(8, available_cores()),
            advance=lambda items: progress.advance(items=items),
        )
    return _print_result(result, out, quiet=quiet)


@app.command()
@error_boundary
def own(
    images: Annotated[Path, typer.Argument(help="Folder of the images, all of one size.")],
    out: Out,
    keypoints: Annotated[
        list[Path] | None,
        typer.Option(help="Annotation CSV with the keypoints; default: IMAGES/keypoints.csv."),
    ] = None,
    identities: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns name,identity: who is in each image."),
    ] = None,
    identity_pattern: Annotated[
        str,
        typer.Option(
            help="Without --identities: regular expression for image names; its first group is "
            "the identity."
        ),
    ] = r"^(.+)_",
    test_share: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of the people kept for testing.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the random split.")] = 0,
    quiet: Quiet = False,
    log_file: LogFile = None,
) -> ExitCode:
    """Pair your own images: all ordered pairs of each person's images, split by person.

    Exit code: 0 all images in IMAGES are used, 1 some are not, 2 nothing could be prepared.
    Listed images that are not in IMAGES are passed over and counted.
    """
    from dptn_cli.keypoints import Annotations
    from dptn_cli.prepare.own import identities_of, prepare_own, read_identities

    if not images.is_dir():
        raise InputError(f"{images}: no such folder")
    poses = Annotations(*(keypoints or [images / "keypoints.csv"]))
    identity_by_name = (
        read_identities(identities) if identities else identities_of(poses, identity_pattern)
    )
    result = prepare_own(images, poses, identity_by_name, out, test_share=test_share, seed=seed)
    return _print_result(result, out, quiet=quiet)


def _print_result(result: "PrepareResult", out: Path, *, quiet: bool) -> ExitCode:
    """Print counts and problems; problems, which make the exit code 1, appear with --quiet too."""
    print_table({label: f"{count:,}" for label, count in result.counts.items()}, quiet=quiet)
    for note in result.notes:
        echo(f"  {note}", quiet=quiet)
    for problem in result.problems[:MAX_SHOWN]:
        echo(f"  {problem}")
    if len(result.problems) > MAX_SHOWN:
        echo(f"  and {len(result.problems) - MAX_SHOWN:,} more")
    if result.ready:
        echo(f"{out}: ready for `dptn train`", quiet=quiet)
    else:
        echo(f"{out}: not ready for `dptn train`, which needs training images and both lists")
    return ExitCode.SOME_FAILED if result.problems else ExitCode.DONE
