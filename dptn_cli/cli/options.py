"""Options that several commands share: same name, same meaning, same help."""

import re
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from dptn_cli.enums import Provider
from dptn_cli.errors import InputError

if TYPE_CHECKING:
    from dptn_cli.types import Size


Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, no messages.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="A line for every item.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything and say what would be done.")
]
ProviderOption = Annotated[
    Provider, typer.Option("--provider", help="Where to run; auto: CUDA if it works, else CPU.")
]


class ListOptions(TyperCommand):
    """A command whose options that may be repeated take all words up to the next option.

    A shell puts several words where `*.png` stands; they belong to the option before them.
    """

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Repeat the option's name before each of its words."""
        lists = {
            name
            for parameter in self.params
            if parameter.param_type_name == "option" and parameter.multiple
            for name in parameter.opts
        }
        spread: list[str] = []
        option = ""
        for at, word in enumerate(args):
            if word == "--":
                return list(super().parse_args(ctx, spread + args[at:]))
            if word.startswith("-"):
                option = word if word in lists else ""
            elif option and spread[-1] != option:
                spread.append(option)
            spread.append(word)
        return list(super().parse_args(ctx, spread))


def parse_size(text: str) -> "Size":
    """Read HEIGHTxWIDTH.

    Raises:
        InputError: anything else.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip())
    if not match:
        raise InputError(f"{text!r} is not a size: HEIGHTxWIDTH is wanted, as in 256x176")
    return int(match[1]), int(match[2])


def parse_batch_size(text: str) -> int | None:
    """Read a batch size; None for `auto`.

    Raises:
        InputError: neither `auto` nor a number from 1 to 1024.
    """
    if text == "auto":
        return None
    if not re.fullmatch(r"\d{1,4}", text) or not 1 <= int(text) <= 1024:
        raise InputError(f"--batch-size {text}: `auto`, or a number from 1 to 1024")
    return int(text)


def parse_devices(text: str | None) -> tuple[int, ...]:
    """Read numbers of GPUs, as in 0,1; none of them where nothing is given.

    Raises:
        InputError: anything else, or a device twice.
    """
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,3}", part, re.ASCII) for part in parts):
        raise InputError(f"--devices {text}: numbers with commas are wanted, as in 0,1")
    devices = tuple(map(int, parts))
    if len(set(devices)) != len(devices):
        raise InputError(f"--devices {text}: a device is named twice")
    return devices
