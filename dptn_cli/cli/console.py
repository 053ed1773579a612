"""What the user sees: messages, progress, and the one boundary where errors become a line.

stdout carries results, stderr everything else.
"""

import errno
import functools
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, ParamSpec

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from dptn_cli.errors import DptnError, ExitCode, InputError

P = ParamSpec("P")
MAX_PROBLEMS = 20
PLAIN_INTERVAL_S = 30.0  # between lines of progress where stderr is not a terminal
_URL_AS_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
# What even a question for a file's existence may raise: the user gave a name that cannot be used.
_UNUSABLE_NAME = (errno.ENAMETOOLONG, errno.EACCES)


class _Console(Console):
    """A console that goes on when its reader has gone away."""

    def print(self, *objects: Any, **options: Any) -> None:
        if isinstance(self.file, io.TextIOWrapper) and self.file.errors == "strict":
            self.file.reconfigure(errors="backslashreplace")  # names may be in any encoding
        with _surviving_reader(self.file):
            super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Leave it to `_surviving_reader`: rich would end the process."""
        raise


@contextmanager
def _surviving_reader(stream: IO[str]) -> Iterator[None]:
    """Continue if nobody reads the stream any more, or if the disk of a log is full.

    The work matters, not the messages: from then on, what is written to the stream is dropped.
    """
    try:
        yield
        stream.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())  # else the rest of its buffer would fail at exit
        os.close(null)
        if stream is stdout_console.file and not isinstance(error, BrokenPipeError):
            echo(f"stdout cannot be written: {error.strerror}")


stdout_console = _Console()
stderr_console = _Console(stderr=True)


def error_boundary(command: Callable[P, ExitCode]) -> Callable[P, None]:
    """Turn a command's result into the exit code, and its expected errors into one line."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            _check_no_urls(kwargs.values())
            code = command(*args, **kwargs)
        except DptnError as error:
            print_error(error)
            code = ExitCode.UNUSABLE
        except KeyboardInterrupt:
            stderr_console.print("Interrupted.")
            code = ExitCode.INTERRUPTED
        except Exception as error:
            code = _handle_unexpected(error)
        raise typer.Exit(int(code))

    return run


def _check_no_urls(options: Iterable[object]) -> None:
    """Refuse a URL where a path is expected: pathlib would make it a folder `s3:`."""
    values = [
        value for option in options for value in (option if isinstance(option, list) else [option])
    ]
    for path in values:
        if isinstance(path, Path) and _URL_AS_PATH.match(path.as_posix()) and not path.exists():
            raise InputError(
                f"{path}: a URL cannot be used here. Only `dptn transfer` accepts URLs, and not "
                "for --model"
            )


def _handle_unexpected(error: Exception) -> ExitCode:
    """Report an error that no `DptnError` was made of, and return its exit code."""
    if isinstance(error, OSError) and error.errno in _UNUSABLE_NAME and error.filename:
        print_error(InputError(f"{error.filename}: {error.strerror}"))
        return ExitCode.UNUSABLE
    stderr_console.print_exception()
    stderr_console.print("This is a defect of dptn. Please report it, with the lines above.")
    return ExitCode.DEFECT


def print_error(error: DptnError) -> None:
    """Print one line for the error, and below it one for each problem that it collects."""
    stderr_console.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
    problems = error.problems if isinstance(error, InputError) else ()
    for problem in problems[:MAX_PROBLEMS]:
        stderr_console.print(f"  - {escape(problem)}", soft_wrap=True)
    if len(problems) > MAX_PROBLEMS:
        stderr_console.print(f"  and {len(problems) - MAX_PROBLEMS:,} more")


def echo(message: str, *, quiet: bool = False) -> None:
    """Print a message for the person at the terminal, on stderr."""
    if not quiet:
        stderr_console.print(message, soft_wrap=True, highlight=False, markup=False)


def print_table(rows: dict[str, str]) -> None:
    """Print a small table of names and values on stdout."""
    table = Table(show_header=False, box=box.SIMPLE, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, escape(value))
    stdout_console.print(table)


def print_json(document: dict[str, Any]) -> None:
    """Print the one JSON document of `--json` on stdout."""
    with _surviving_reader(stdout_console.file):
        stdout_console.file.write(json.dumps(document, indent=2) + "\n")


class _DetailedProgress(Progress):
    """A progress bar with a line of text under it."""

    detail = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.detail:
            yield Text(self.detail, style="dim", overflow="ellipsis", no_wrap=True)


class ProgressLine:
    """Items done out of a total: a bar on a terminal, elsewhere a line now and then.

    Args:
        total: number of items.
        label: what is being done.
        quiet: whether to show nothing.
        done: number of items that an earlier run has done.
    """

    def __init__(self, total: int, label: str, *, quiet: bool = False, done: int = 0) -> None:
        self.total, self.label, self.quiet = total, label, quiet
        self.done = self._done_before = done
        self._started_s = self._printed_s = time.monotonic()
        self._bar = _DetailedProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=stderr_console,
            transient=True,
            disable=quiet or not stderr_console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=total, completed=done, note="")

    @contextmanager
    def shown(self) -> Iterator["ProgressLine"]:
        """Show the bar while the context is entered."""
        with self._bar:
            yield self

    def advance(self, note: str = "", items: int = 1, detail: str = "") -> None:
        """Count more items.

        Args:
            note: a short text in the line, such as the number of failures.
            items: number of items done since the last call.
            detail: a longer text under the bar.
        """
        self.done += items
        now_s = time.monotonic()
        rate = (self.done - self._done_before) / max(now_s - self._started_s, 1e-6)
        self._bar.detail = detail
        self._bar.update(self._task, advance=items, note=f"{rate:.1f}/s {note}".rstrip())
        is_plain = not self.quiet and not stderr_console.is_terminal
        if is_plain and now_s - self._printed_s > PLAIN_INTERVAL_S:
            self._printed_s = now_s
            left_s = (self.total - self.done) / max(rate, 1e-6)
            more = "".join(f", {text}" for text in (note, detail) if text)
            echo(
                f"{self.label}: {self.done:,} of {self.total:,}, {rate:.1f}/s{more}, "
                f"{left_s:.0f} s left"
            )
