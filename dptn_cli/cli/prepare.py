"""`dptn prepare`: from images as they come to the layout that `dptn train` reads."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dptn_cli.cli.console import ProgressLine, echo, error_boundary, print_table
from dptn_cli.cli.options import Quiet
from dptn_cli.errors import ExitCode, InputError

if TYPE_CHECKING:
    from dptn_cli.prepare.report import Prepared

MAX_SHOWN = 20

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Bring images into the layout that `dptn train` reads.",
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
) -> ExitCode:
    """Crop DeepFashion's images to columns 40 to 215 and name them as the lists do.

    Exit code: 0 everything is there, 1 something is missing, 2 nothing could be made.
    """
    from dptn_cli.prepare.deepfashion import count_listed, prepare_deepfashion

    lists = lists or raw
    line = ProgressLine(count_listed(lists), "cropping", quiet=quiet)
    with line.shown():
        prepared = prepare_deepfashion(
            raw,
            lists,
            out,
            workers=max(1, min(8, os.cpu_count() or 1)),
            advance=lambda items: line.advance(items=items),
        )
    return _tell(prepared, out, quiet=quiet)


@app.command()
@error_boundary
def own(
    images: Annotated[Path, typer.Argument(help="Folder of the images, all of one size.")],
    out: Out,
    keypoints: Annotated[
        list[Path] | None, typer.Option(help="Keypoints; default: PICTURES/keypoints.csv.")
    ] = None,
    identities: Annotated[
        Path | None, typer.Option(help="Who is on which image: a CSV with name,identity.")
    ] = None,
    identity_pattern: Annotated[
        str,
        typer.Option(help="Or: a regular expression whose first group is who, in the name."),
    ] = r"^(.+)_",
    test_share: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of the people kept for testing.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    quiet: Quiet = False,
) -> ExitCode:
    """Make pairs of your own images: all ordered pairs of one person's, split by person.

    Exit code: 0 every image is used, 1 some are not, 2 nothing could be made.
    """
    from dptn_cli.keypoints import Annotations
    from dptn_cli.prepare.own import identities_of, prepare_own, read_identities

    if not images.is_dir():
        raise InputError(f"{images}: no such folder")
    poses = Annotations(*(keypoints or [images / "keypoints.csv"]))
    who = read_identities(identities) if identities else identities_of(poses, identity_pattern)
    prepared = prepare_own(images, poses, who, out, test_share=test_share, seed=seed)
    return _tell(prepared, out, quiet=quiet)


def _tell(prepared: "Prepared", out: Path, *, quiet: bool) -> ExitCode:
    """Show how it went; problems are told with --quiet too, like all that makes the code 1."""
    if not quiet:
        print_table({name: f"{count:,}" for name, count in prepared.counts.items()})
    for problem in prepared.problems[:MAX_SHOWN]:
        echo(f"  {problem}")
    if len(prepared.problems) > MAX_SHOWN:
        echo(f"  and {len(prepared.problems) - MAX_SHOWN:,} more")
    if prepared.ready:
        echo(f"{out}: ready for `dptn train`", quiet=quiet)
    else:
        echo(f"{out}: not ready for `dptn train`, which needs images and both lists to train on")
    return ExitCode.SOME_FAILED if prepared.problems else ExitCode.DONE
