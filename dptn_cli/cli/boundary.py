"""The one boundary where what stops a command becomes a message, a document and an exit code."""

import errno
import functools
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import typer

from dptn_cli import __version__
from dptn_cli.cli.console import (
    command_output,
    echo,
    first_of,
    log,
    open_log,
    print_error,
    print_json,
    print_traceback,
)
from dptn_cli.cli.durations import format_duration
from dptn_cli.cli.progress import heartbeat
from dptn_cli.errors import DptnError, ExitCode, InputError, RunStopped

P = ParamSpec("P")
T = TypeVar("T")
_URL_AS_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
# What even a question for a file's existence may raise: the user gave a name that cannot be used.
_UNUSABLE_NAME = (errno.ENAMETOOLONG, errno.EACCES)


def error_boundary(command: Callable[P, ExitCode]) -> Callable[P, None]:
    """Turn a command's result into the exit code, and its expected errors into one line.

    The options `--quiet`, `--json` and `--log-file` are obeyed here too, where a command has them.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.get("as_json"))
        started_s = time.monotonic()
        with command_output(errors_only=as_json or bool(kwargs.get("quiet")), as_json=as_json):
            code = _guarded(lambda: _start(command, *args, **kwargs))
            elapsed = format_duration(time.monotonic() - started_s)
            log(f"Ended with exit code {int(code)} after {elapsed}.")
        raise typer.Exit(int(code))

    return run


def _start(command: Callable[P, ExitCode], *args: P.args, **kwargs: P.kwargs) -> ExitCode:
    log_file = kwargs.get("log_file")
    if isinstance(log_file, Path):
        _check_no_urls([log_file])
        rest = [value for name, value in kwargs.items() if name != "log_file"]
        open_log(log_file, _paths(rest))
        log(f"dptn {__version__} {_name(command)}")
    _check_no_urls(kwargs.values())
    with heartbeat():
        return command(*args, **kwargs)


def _name(command: Callable[..., object]) -> str:
    """Return a command's words, as in `prepare own`."""
    words = (command.__module__.rpartition(".")[2], command.__name__)
    return " ".join(dict.fromkeys(words)).replace("_", "-")


def _guarded(command: Callable[[], ExitCode]) -> ExitCode:
    """Run a command, and report what stops it."""
    try:
        return command()
    except DptnError as error:
        return _report_error(error)
    except KeyboardInterrupt:
        echo("Interrupted.")
        _print_stop(ExitCode.INTERRUPTED, "interrupted", "Interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _UNUSABLE_NAME and error.filename:
            return _report_error(InputError(f"{error.filename}: {error.strerror}"))
        print_traceback(error)
        echo("This is a defect of dptn. Please report it, with the lines above.")
        _print_stop(ExitCode.DEFECT, "error", f"{type(error).__name__}: {error}")
        return ExitCode.DEFECT


def _report_error(error: DptnError) -> ExitCode:
    print_error(error)
    if isinstance(error, RunStopped):  # what was done before is kept
        _print_stop(ExitCode.SOME_FAILED, "stopped", str(error))
        return ExitCode.SOME_FAILED
    problems = error.problems if isinstance(error, InputError) else ()
    _print_stop(ExitCode.UNUSABLE, "error", str(error), problems)
    return ExitCode.UNUSABLE


def _print_stop(code: ExitCode, state: str, error: str, problems: tuple[str, ...] = ()) -> None:
    """Print the JSON document of a command that was stopped, if `--json` wants one."""
    print_json(
        {"state": state, "exit_code": int(code), "error": error}
        | first_of("problems", list(problems))
    )


def report_usage_error(error: typer.exceptions.TyperException, words: list[str]) -> ExitCode:
    """Report a command line that cannot be parsed, in one line and as `--json` promises.

    Args:
        error: the error.
        words: the command line, without the program's name.
    """
    message = " ".join(error.format_message().split()).removesuffix(".")
    message = message.replace("Value error, ", "")  # Typer's word for a choice that is none
    if not message:  # a group without a command, which has printed its help
        return ExitCode.UNUSABLE
    context = getattr(error, "ctx", None)
    help_command = f"{context.command_path if context else 'dptn'} --help"
    return _report_as_asked(InputError(f"{message}. See {help_command}"), words)


def loaded(load: Callable[[], T], words: list[str]) -> T:
    """Import a command; an interruption or a broken package is reported as those of commands are.

    Args:
        load: imports the command.
        words: the command line, which is not yet parsed.
    """
    commands: list[T] = []

    def start() -> ExitCode:
        commands.append(load())
        return ExitCode.DONE

    with _output_as_asked(words):
        code = _guarded(start)
    if code:
        raise typer.Exit(int(code))
    return commands[0]


@contextmanager
def _output_as_asked(words: list[str]) -> Iterator[None]:
    """Send output where a command line wants it that is not parsed, or cannot be."""
    options = words[: words.index("--")] if "--" in words else words
    with command_output(errors_only=True, as_json="--json" in options):
        yield


def _report_as_asked(error: InputError, words: list[str]) -> ExitCode:
    with _output_as_asked(words):
        try:
            words = [part for word in words for part in _split_log_option(word)]
            if "--log-file" in words[:-1]:
                index = words.index("--log-file")
                open_log(Path(words[index + 1]), _paths(words[:index] + words[index + 2 :]))
        except InputError as log_error:
            return _report_error(log_error)
        return _report_error(error)


def _split_log_option(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--log-file=") else [word]


def _values(options: Iterable[object]) -> Iterator[object]:
    for option in options:
        yield from option if isinstance(option, list) else [option]


def _paths(options: Iterable[object]) -> list[Path]:
    """Return what options name, as far as it may be a path."""
    return [Path(value) for value in _values(options) if isinstance(value, str | Path)]


def _check_no_urls(options: Iterable[object]) -> None:
    """Refuse a URL where a path is expected: pathlib would make it a folder `s3:`."""
    for path in _values(options):
        if isinstance(path, Path) and _URL_AS_PATH.match(path.as_posix()) and not path.exists():
            raise InputError(
                f"{path}: a URL cannot be used here. Only `dptn transfer` accepts URLs, and not "
                "for --model or --log-file"
            )
