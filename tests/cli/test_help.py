"""Every command has help and stands in the README; exit codes are what is promised."""

from pathlib import Path

import pytest
import typer
from support import dptn

from dptn_cli.cli import app
from dptn_cli.errors import ExitCode, InputError
from dptn_cli.transfer.plan import Request

README = (Path(__file__).parents[2] / "README.md").read_text()
COMMANDS = sorted(
    c.callback.__name__.replace("_", "-") for c in app.registered_commands if c.callback
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_is_in_the_readme(name: str) -> None:
    result = dptn(name, "--help")
    assert result.exit_code == 0
    assert name == "doctor" or "--out" in result.stdout
    assert f"dptn {name}" in README


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_no_brackets_which_rich_would_take_for_markup(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert [p.name for p in command.params if "[" in (getattr(p, "help", None) or "")] == []


def test_exit_codes_are_fixed() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0, "SOME_FAILED": 1, "UNUSABLE": 2, "DEFECT": 70, "INTERRUPTED": 130,
    }  # fmt: skip


def test_an_unknown_option_is_wrong_use() -> None:
    assert dptn("transfer", "--no-such-option").exit_code == 2
    assert dptn("no-such-command").exit_code == 2


def test_parameters_are_named_alike_everywhere() -> None:
    for name in set(COMMANDS) - {"doctor"}:  # which writes nothing
        assert "-o" in dptn(name, "--help").stdout


def test_a_defect_is_no_partial_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script must not take a crash for `some items failed`."""

    def broken(*_: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("dptn_cli.inference.model_file.read_model", broken)
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
    model = Path(__file__).parents[2] / "models" / "figures.onnx"
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
    assert "a URL cannot be given here" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "order", ["a.png b.png --poses 1.png 2.png", "--poses 1.png 2.png -q -- a.png b.png"]
)
def test_an_option_takes_what_the_shell_puts_after_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, order: str
) -> None:
    """`--poses *.png` is several words; none of them may become a source."""
    seen = []

    def look(request: Request, *_: object) -> None:
        seen.append((request.sources, request.poses))
        raise InputError("far enough")

    monkeypatch.setattr("dptn_cli.transfer.plan.make_job", look)
    model = Path(__file__).parents[2] / "models" / "figures.onnx"
    assert dptn("transfer", "--model", model, *order.split()).exit_code == 2
    (given,) = seen
    assert [[path.name for path in paths] for paths in given] == [
        ["a.png", "b.png"],
        ["1.png", "2.png"],
    ]
