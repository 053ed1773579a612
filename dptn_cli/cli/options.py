"""Options that several commands share: the same name, meaning and help everywhere."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from dptn_cli.enums import Arithmetic, Fit, Provider
from dptn_cli.errors import InputError
from dptn_cli.types import Model, Size

MODEL_VARIABLE = "DPTN_MODEL"
DRAWN_FIGURES = "figures"  # the data set of the model in the repository
OUTPUT = "Output"
"""The panel of the options that say what is printed."""
POSES = "Poses and framing"
"""The panel of the options that say where poses come from, and how people are framed."""
SPEED = "Speed"
"""The panel of the options that change how fast the work is done; of them, only `--arithmetic`
changes images by more than a level."""

Quiet = Annotated[
    bool,
    typer.Option("-q", "--quiet", help="Print errors only.", rich_help_panel=OUTPUT),
]
Verbose = Annotated[
    bool,
    typer.Option("-v", "--verbose", help="Print a line for every item.", rich_help_panel=OUTPUT),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document on stdout.", rich_help_panel=OUTPUT),
]
LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log-file",
        metavar="FILE",
        help="Append all messages to this file, with --quiet too.",
        rich_help_panel=OUTPUT,
    ),
]
"""Obeyed by `boundary.error_boundary`, so that the commands themselves need not."""
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Check everything, and say what would be done."),
]
ModelOption = Annotated[
    Path | None,
    typer.Option(
        "--model", help=f"ONNX file. Default: ${MODEL_VARIABLE}, else the only one in ./models."
    ),
]
FitOption = Annotated[
    Fit,
    typer.Option(
        "--fit",
        help="How images of other sizes are fitted to the model's. person: crop around the "
        "person. pad: add borders. stretch: stretch. auto: stretch if the person fills an "
        "image of the model's aspect, else person.",
        rich_help_panel=POSES,
    ),
]
ProviderOption = Annotated[
    Provider,
    typer.Option(
        "--provider",
        metavar="NAME",
        help="Where to run: cuda, tensorrt, openvino, cpu or auto, which takes CUDA if it "
        "works, else OpenVINO if it is installed, else the CPU.",
        rich_help_panel=SPEED,
    ),
]
ArithmeticOption = Annotated[
    Arithmetic,
    typer.Option(
        "--arithmetic",
        help="model: as the file says. bf16: faster with OpenVINO on some processors, with "
        "slightly different images. auto: bf16 where it is faster and close.",
        rich_help_panel=SPEED,
    ),
]


def batch_size_option(text: str) -> Any:
    """Return the option `--batch-size` for a command that always has a number for it."""
    return typer.Option(min=1, max=1024, metavar="N", help=text, rich_help_panel=SPEED)


def detector_option(text: str, panel: str) -> Any:
    """Return the option `--detector`, whose help begins with what the detector is for."""
    return typer.Option(
        "--detector",
        metavar="NAME",
        help=f"{text}: movenet (built in), openpifpaf, or a checkpoint of openpifpaf. auto: "
        "openpifpaf if it is installed with a checkpoint, else movenet.",
        rich_help_panel=panel,
    )


def workers_option(text: str) -> Any:
    """Return the option `--workers`; 0 stands for the command's own choice."""
    return typer.Option(min=0, max=256, metavar="N", help=text, rich_help_panel=SPEED)


class ListOptions(TyperCommand):
    """A command whose repeatable options take all words up to the next option.

    A shell puts several words where `*.png` stands, and they belong to the option before them.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option's name before each of its words."""
        list_options = {
            name
            for parameter in self.params
            if parameter.param_type_name == "option" and parameter.multiple
            for name in parameter.opts
        }
        expanded: list[str] = []
        option = ""
        for index, word in enumerate(args):
            if word == "--":
                return list(super().parse_args(ctx, expanded + args[index:]))
            if word.startswith("-"):
                option = word if word in list_options else ""
            elif option and expanded[-1] != option:
                expanded.append(option)
            expanded.append(word)
        return list(super().parse_args(ctx, expanded))


def default_model() -> Path:
    """Return the model of `$DPTN_MODEL`, else the only one in ./models.

    Raises:
        InputError: there is no model, or more than one.
    """
    if named := os.environ.get(MODEL_VARIABLE):
        return Path(named)
    models = sorted(Path("models").glob("*.onnx"))
    if len(models) != 1:
        count = f"{len(models)} .onnx files" if models else "no .onnx file"
        raise InputError(f"which model? {count} in ./models: give --model or set ${MODEL_VARIABLE}")
    return models[0]


def default_model_note(named: Path | None, model: Model) -> str:
    """Return what to know of a model that the user did not name; empty if there is nothing."""
    if named is None and model.spec.dataset == DRAWN_FIGURES:
        return f"{model.path} knows drawn figures, not photos. Name another with --model."
    return ""


def parse_size(text: str) -> Size:
    """Parse HEIGHTxWIDTH.

    Raises:
        InputError: the text is anything else.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip())
    if not match:
        raise InputError(f"{text!r} is not a size: write HEIGHTxWIDTH, as in 256x176")
    return int(match[1]), int(match[2])


def parse_batch_size(text: str) -> int | None:
    """Parse a batch size; None for `auto`.

    Raises:
        InputError: the text is neither `auto` nor a number from 1 to 1024.
    """
    if text == "auto":
        return None
    if not re.fullmatch(r"\d{1,4}", text) or not 1 <= int(text) <= 1024:
        raise InputError(f"--batch-size {text}: must be `auto` or a number from 1 to 1024")
    return int(text)


def parse_devices(text: str | None) -> tuple[int | str, ...]:
    """Parse numbers of GPUs, as in 0,1, or OpenVINO's names; none if the option was not given.

    Raises:
        InputError: the text is anything else, or names a device twice.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,3}|[A-Z]+(\.\d{1,3})?", part, re.ASCII) for part in parts):
        raise InputError(
            f"--devices {text}: must be numbers with commas, as in 0,1, or OpenVINO's names, as in "
            "GPU.0"
        )
    devices = tuple(int(part) if part.isdecimal() else part for part in parts)
    if len(set(devices)) != len(devices):
        raise InputError(f"--devices {text}: a device is named twice")
    return devices
