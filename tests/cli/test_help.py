"""Every command has help and is documented; exit codes are what is promised."""

import re
from collections.abc import Iterator
from enum import EnumMeta
from pathlib import Path
from typing import Any

import pytest
from support import ROOT, dptn
from typer.core import TyperGroup

from dptn_cli import cli
from dptn_cli.errors import ExitCode, InputError
from dptn_cli.transfer.plan import TransferRequest

PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
DOCUMENTATION = "\n".join(page.read_text() for page in PAGES)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its words, as in `prepare own`."""
    for name in cli.COMMANDS:
        command = cli.load_command(name)
        if isinstance(command, TyperGroup):
            yield from ((f"{name} {word}", part) for word, part in command.commands.items())
        else:
            yield name, command


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_is_documented(name: str) -> None:
    result = dptn(*name.split(), "--help")
    assert result.exit_code == 0
    assert name == "doctor" or "--out" in result.stdout
    assert f"dptn {name}" in DOCUMENTATION


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_no_brackets_which_rich_would_take_for_markup(name: str) -> None:
    params = COMMANDS[name].params
    assert [p.name for p in params if "[" in (getattr(p, "help", None) or "")] == []


def test_the_list_of_commands_shows_the_first_line_of_their_help() -> None:
    """It is kept apart, so that listing the commands does not import them."""
    for name, text in cli.COMMANDS.items():
        assert (cli.load_command(name).help or "").partition("\n")[0] == text


def test_h_is_help() -> None:
    assert dptn("-h").stdout == dptn("--help").stdout
    assert dptn("transfer", "-h").stdout == dptn("transfer", "--help").stdout


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No option's name is cut off, and no choice is broken in the middle of a word."""
    monkeypatch.setenv("COLUMNS", "80")
    result = dptn(*name.split(), "--help")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "…" not in result.stdout
    command = COMMANDS.get(name)
    shown = [option for option in command.params if not option.hidden] if command else []
    for option in shown:
        choices = option.type_descriptor.annotation
        texts = [*option.opts, *getattr(option, "secondary_opts", ())]
        texts += choices if isinstance(choices, EnumMeta) else []
        for text in texts:
            assert re.search(rf"(?<![\w-]){re.escape(text)}(?![\w-])", result.stdout), text


def test_exit_codes_are_fixed() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0, "SOME_FAILED": 1, "UNUSABLE": 2, "DEFECT": 70, "INTERRUPTED": 130,
    }  # fmt: skip


def test_an_unknown_option_is_wrong_use() -> None:
    assert dptn("transfer", "--no-such-option").exit_code == 2
    assert dptn("no-such-command").exit_code == 2


def test_options_are_named_alike_everywhere() -> None:
    """A name stands for one option: the same other names, a flag or not, repeatable or not."""
    options: dict[str, dict[object, set[str]]] = {}
    for command, parsed in COMMANDS.items():
        for option in (p for p in parsed.params if p.param_type_name == "option"):
            names = sorted([*option.opts, *option.secondary_opts])
            for name in names:
                variants = options.setdefault(name, {})
                variants.setdefault((*names, option.is_flag, option.multiple), set()).add(command)
    assert {name: variants for name, variants in options.items() if len(variants) > 1} == {}
    for name in ("-o", "--out", "-q", "--quiet"):
        (users,) = options[name].values()
        assert users == set(COMMANDS) - {"doctor"}, name  # which writes nothing and is short


def test_a_defect_is_no_partial_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script must not take a crash for `some items failed`."""

    def broken(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("dptn_cli.cli.transfer.read_model", broken)
    result = dptn("transfer", "--pairs", "p.csv", "--model", "m.onnx")
    assert result.exit_code == 70
    assert "unforeseen" in result.stderr
    assert "defect of dptn" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "transfer --pairs p.csv -o {}",
        "transfer {} --poses p.csv",
        "detect-poses {}",
        "detect-poses . -o {}",
        "detect-poses . --preview {}",
    ],
)
def test_a_name_that_no_file_system_takes_is_no_defect(arguments: str, tmp_path: Path) -> None:
    (tmp_path / "1.png").touch()
    model = ROOT / "models" / "figures.onnx"
    more = ["--model", model] if arguments.startswith("transfer") else []
    words = arguments.replace(" . ", f" {tmp_path} ").format(tmp_path / ("x" * 256)).split()
    result = dptn(*words, *more)
    assert result.exit_code == 2
    assert "File name too long" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "detect-poses s3://a/photos",
        "detect-poses . -o s3://a/k.csv",
        "bench -o s3://a/b.json",
        "export g.pth -o s3://a/m.onnx",
        "transfer --pairs s3://a/p.csv --model s3://a/m.onnx",
    ],
)
def test_a_url_where_none_is_taken_makes_no_folder_of_that_name(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = dptn(*arguments.split())
    assert result.exit_code == 2
    assert "a URL cannot be used here" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "order", ["a.png b.png --poses 1.png 2.png", "--poses 1.png 2.png -q -- a.png b.png"]
)
def test_an_option_takes_what_the_shell_puts_after_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, order: str
) -> None:
    """`--poses *.png` is several words; none of them may become a source."""
    seen = []

    def look(request: TransferRequest, *_: object) -> None:
        seen.append((request.sources, request.poses))
        raise InputError("far enough")

    monkeypatch.setattr("dptn_cli.cli.transfer.make_job", look)
    model = ROOT / "models" / "figures.onnx"
    assert dptn("transfer", "--model", model, *order.split()).exit_code == 2
    (given,) = seen
    assert [[path.name for path in paths] for paths in given] == [
        ["a.png", "b.png"],
        ["1.png", "2.png"],
    ]
