"""What the user sees: messages, progress, and the one boundary where errors become a line.

stdout carries results, stderr everything else.
"""

import contextlib
import errno
import functools
import io
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
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
PLAIN_INTERVAL_S = 30.0
_URL_AS_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
REFUSED = (errno.ENAMETOOLONG, errno.EACCES)  # what even asking whether a name is there may raise


class _Console(Console):
    """A console whose reader may go away."""

    def print(self, *objects: Any, **how: Any) -> None:
        if isinstance(self.file, io.TextIOWrapper) and self.file.errors == "strict":
            self.file.reconfigure(errors="backslashreplace")  # Names may be in any encoding.
        with _even_unread(self.file):
            super().print(*objects, **how)

    def on_broken_pipe(self) -> None:
        """Leave it to `_even_unread`: rich would end the process."""
        raise


@contextlib.contextmanager
def _even_unread(stream: IO[str]) -> Iterator[None]:
    """Go on where nobody reads any more, or a log's disk is full: the work counts, not the words.

    What is written to the stream from then on is lost.
    """
    try:
        yield
        stream.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # What is left in its buffer must not fail at the end.
        os.close(nowhere)
        if stream is results.file and not isinstance(error, BrokenPipeError):
            echo(f"stdout cannot be written: {error.strerror}")


results = _Console()
messages = _Console(stderr=True)


def error_boundary(command: Callable[P, ExitCode]) -> Callable[P, None]:
    """Turn a command's result into the exit code, and its expected errors into a line."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            _check_local(kwargs.values())
            code = command(*args, **kwargs)
        except DptnError as error:
            show_error(error)
            code = ExitCode.UNUSABLE
        except KeyboardInterrupt:
            messages.print("Interrupted.")
            code = ExitCode.INTERRUPTED
        except Exception as error:
            code = _unforeseen(error)
        raise typer.Exit(int(code))

    return run


def _check_local(options: Iterable[object]) -> None:
    """Make sure that no option for a path was given a URL, which would become a folder `s3:`."""
    values = [one for option in options for one in (option if type(option) is list else [option])]
    for path in values:
        if isinstance(path, Path) and _URL_AS_PATH.match(path.as_posix()) and not path.exists():
            raise InputError(
                f"{path}: a URL cannot be given here. dptn transfer takes them, but for --model"
            )


def _unforeseen(error: Exception) -> ExitCode:
    """Tell of an error that no `DptnError` was made of; the exit code for it."""
    if isinstance(error, OSError) and error.errno in REFUSED and error.filename:
        show_error(InputError(f"{error.filename}: {error.strerror}"))
        return ExitCode.UNUSABLE
    messages.print_exception()
    messages.print("This is a defect of dptn; please report it with the lines above.")
    return ExitCode.DEFECT


def show_error(error: DptnError) -> None:
    """One line for the error; below it, one for each problem it gathered."""
    messages.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
    problems = error.problems if isinstance(error, InputError) else ()
    for problem in problems[:MAX_PROBLEMS]:
        messages.print(f"  - {escape(problem)}", soft_wrap=True)
    if len(problems) > MAX_PROBLEMS:
        messages.print(f"  and {len(problems) - MAX_PROBLEMS:,} more")


def echo(message: str, *, quiet: bool = False) -> None:
    """A message for the person at the terminal."""
    if not quiet:
        messages.print(message, soft_wrap=True, highlight=False, markup=False)


def show_table(rows: dict[str, str]) -> None:
    """A small summary, name and value, on stdout."""
    table = Table(show_header=False, box=box.SIMPLE, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, escape(value))
    results.print(table)


def print_json(document: dict[str, Any]) -> None:
    """The one JSON document of `--json`, on stdout."""
    with _even_unread(results.file):
        results.file.write(json.dumps(document, indent=2) + "\n")


class _DetailedProgress(Progress):
    """A bar with a line of text under it."""

    detail = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.detail:
            yield Text(self.detail, style="dim", overflow="ellipsis", no_wrap=True)


class ProgressLine:
    """Items done out of a total: a bar on a terminal, a plain line now and then elsewhere.

    Args:
        total: items to come.
        label: what is being done.
        quiet: show nothing.
        done: items that were done before.
    """

    def __init__(self, total: int, label: str, *, quiet: bool = False, done: int = 0) -> None:
        self.total, self.label, self.quiet = total, label, quiet
        self.done = self._before = done
        self._started_s = self._said_s = time.monotonic()
        self._bar = _DetailedProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=messages,
            transient=True,
            disable=quiet or not messages.is_terminal,
        )
        self._task = self._bar.add_task(label, total=total, completed=done, note="")

    @contextlib.contextmanager
    def shown(self) -> Iterator["ProgressLine"]:
        """Show the bar while entered."""
        with self._bar:
            yield self

    def advance(self, note: str = "", items: int = 1, detail: str = "") -> None:
        """Count `items` more.

        Args:
            note: short, such as the number failed.
            items: done since the last call.
            detail: a longer text, under the bar.
        """
        self.done += items
        now_s = time.monotonic()
        rate = (self.done - self._before) / max(now_s - self._started_s, 1e-6)
        self._bar.detail = detail
        self._bar.update(self._task, advance=items, note=f"{rate:.1f}/s {note}".rstrip())
        plain = not self.quiet and not messages.is_terminal
        if plain and now_s - self._said_s > PLAIN_INTERVAL_S:
            self._said_s = now_s
            left_s = (self.total - self.done) / max(rate, 1e-6)
            more = "".join(f", {text}" for text in (note, detail) if text)
            echo(
                f"{self.label}: {self.done:,} of {self.total:,}, {rate:.1f}/s{more}, "
                f"{left_s:.0f} s left"
            )
