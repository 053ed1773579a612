"""The command line: one thin module for each command.

A command's module is imported when the command is chosen, so that `dptn --help` loads nothing
heavy. That is why the first line of each command's help stands here as well.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from dptn_cli import __version__

COMMANDS = {
    "transfer": "Generate people in new poses, from a pair list or every source in every pose.",
    "detect-poses": "Detect people's poses in images, and write a pose file.",
    "pose": "Draw a pose in the browser, see the person in it, and save it.",
    "export": "Convert a trained generator to one ONNX file and verify it against PyTorch.",
    "evaluate": "Score results by the paper's protocol and by current standard metrics.",
    "train": "Train a DPTN with the paper's dual-task recipe.",
    "prepare": "Arrange images in the layout that `dptn train` reads.",
    "bench": "Measure this machine: inference, decoding, encoding, and the whole pipeline.",
    "doctor": "Check this machine's setup, and print a fix for each missing piece.",
}


class LazyGroup(TyperGroup):
    """A group that lists its commands without importing them, and reports wrong use in one line."""

    def __init__(self, **attributes: Any) -> None:
        stand_ins = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}
        super().__init__(**attributes | {"commands": stand_ins})

    def main(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> Any:
        """Run the command line, and end the process with its exit code."""
        words = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(words, *more, **settings | {"standalone_mode": False})
        except typer.exceptions.TyperException as error:
            from dptn_cli.cli.boundary import report_usage_error

            code = report_usage_error(error, words)
        sys.exit(code)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command that was chosen."""
        name, command, rest = super().resolve_command(ctx, args)
        if name and command:
            from dptn_cli.cli.boundary import loaded

            command = loaded(lambda: load_command(name), rest)
        return name, command, rest


def load_command(name: str) -> Any:
    """Import a command's module, and return its click command."""
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    command = typer.main.get_command(module.app)
    command.name = name
    return command


app = typer.Typer(
    name="dptn",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"dptn {__version__}")
        raise typer.Exit()


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Pose transfer with DPTN: give a photo of a person and a pose, get the person in that pose."""
