"""The command line: one thin module a command. Heavy packages are imported inside them."""

from typing import Annotated

import typer

from dptn_cli import __version__
from dptn_cli.cli import bench, detect_poses, doctor, evaluate, export, prepare, train, transfer
from dptn_cli.cli.options import ListOptions

app = typer.Typer(
    name="dptn",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dptn {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Pose transfer with DPTN: a photo of a person and a pose in, the person in that pose out."""


app.command(cls=ListOptions)(transfer.transfer)  # its sources would take the words in silence
for command in (
    detect_poses.detect_poses,
    export.export,
    evaluate.evaluate,
    train.train,
    doctor.doctor,
    bench.bench,
):
    app.command()(command)
app.add_typer(prepare.app, name="prepare")
