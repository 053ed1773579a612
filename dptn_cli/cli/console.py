"""What the user sees: messages on stderr and in the log file, results on stdout.

Where stderr is not a terminal, each line on it begins with the time.
"""

import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dptn_cli.cli.log_file import LogFile, with_time
from dptn_cli.errors import DptnError, InputError

MAX_PROBLEMS = 20
MAX_LISTED = 1000
"""Items and problems in a JSON document; a key beside them has the number of the others."""


class _Console(Console):
    """A console that goes on when its reader has gone away."""

    def print(self, *objects: Any, **options: Any) -> None:
        if isinstance(self.file, io.TextIOWrapper) and self.file.errors == "strict":
            self.file.reconfigure(errors="backslashreplace")  # names may be in any encoding
        with _surviving_reader(self.file):
            super().print(*objects, **options)

    def control(self, *control: Any) -> None:
        """Write control codes, as the progress bar does at its end."""
        with _surviving_reader(self.file):
            super().control(*control)

    def __exit__(self, *error: Any) -> None:
        """Write what was held back, as the progress bar does at each refresh."""
        with _surviving_reader(self.file):
            super().__exit__(*error)

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
        if stream is not stderr_console.file and not isinstance(error, BrokenPipeError):
            echo(f"stdout cannot be written: {error.strerror}")


# Without emoji: rich would replace a part such as `:cat:` of a file's name.
stdout_console = _Console(emoji=False)
stderr_console = _Console(stderr=True, emoji=False)


@dataclass
class _Output:
    """Where the output of the command that is running goes.

    Attributes:
        log: the file of `--log-file`.
        log_has_failed: whether the user knows that it cannot be written.
        errors_only: whether stderr is kept free of everything but errors.
        is_secondary: whether another process of the same command writes the messages.
        document: stdout, if it is reserved for one JSON document and that is not yet printed.
    """

    log: LogFile | None = None
    log_has_failed: bool = False
    errors_only: bool = False
    is_secondary: bool = False
    document: IO[str] | None = None


_output = _Output()


@contextmanager
def command_output(*, errors_only: bool, as_json: bool) -> Iterator[None]:
    """Set where messages and results go while a command runs.

    Args:
        errors_only: whether stderr gets nothing but errors.
        as_json: whether stdout is for one JSON document, and nothing else.
    """
    global _output
    previous, _output = _output, _Output(errors_only=errors_only)
    try:
        if not as_json:
            yield
            return
        with _reserved_stdout() as _output.document:
            yield
    finally:
        _close_log()
        _output = previous


@contextmanager
def _reserved_stdout() -> Iterator[IO[str]]:
    """Give stdout to the caller alone: what libraries print on it goes to stderr meanwhile."""
    stdout, stderr = stdout_console.file, stderr_console.file
    with redirect_stdout(stderr):
        try:
            descriptor = stdout.fileno()
            copy = os.dup(descriptor)
            os.dup2(stderr.fileno(), descriptor)
        except OSError:  # closed, or a stream in memory
            yield stdout
            return
        with os.fdopen(copy, "w", encoding="utf-8") as document:
            try:
                yield document
            finally:
                os.dup2(copy, descriptor)


def open_log(path: Path, others: Iterable[Path] = ()) -> None:
    """Write all messages to a file too, until the command ends.

    Args:
        path: the file.
        others: the files and folders that other options name.

    Raises:
        InputError: the file cannot be written, or is no log.
    """
    _output.log = LogFile(path, others)


def log(message: str) -> None:
    """Write a message to the log file, if there is one. A full disk does not stop the work."""
    if _output.log is None:
        return
    try:
        _output.log.write(message)
    except OSError as error:
        _report_lost_messages(error)


def _close_log() -> None:
    if _output.log is not None:
        try:
            _output.log.close()
        except OSError as error:
            _report_lost_messages(error)


def _report_lost_messages(error: OSError) -> None:
    if _output.log is not None and not _output.log_has_failed:
        _output.log_has_failed = True
        _print(f"{_output.log.path}: messages are lost: {error.strerror}")


def use_errors_only() -> None:
    """Write nothing but errors from now on: another process of the command writes the rest."""
    _output.errors_only = _output.is_secondary = True


def prints_errors_only() -> bool:
    """Return whether stderr is kept free of everything but errors."""
    return _output.errors_only


def is_terminal() -> bool:
    """Return whether stderr is a terminal on which a line can be drawn again."""
    return stderr_console.file.isatty() and not stderr_console.is_dumb_terminal


def echo(message: str, *, quiet: bool = False) -> None:
    """Print a message for the user on stderr, and write it to the log file.

    Args:
        message: one line or more.
        quiet: whether to write it to the log file only.
    """
    if not (quiet and _output.is_secondary):
        log(message)
    if not quiet:
        _print(message)


def _print(message: str) -> None:
    text = message if is_terminal() else with_time(message)
    stderr_console.print(text, soft_wrap=True, highlight=False, markup=False)


def print_error(error: DptnError) -> None:
    """Print one line for the error, and below it one for each problem that it collects."""
    problems = error.problems if isinstance(error, InputError) else ()
    lines = [f"Error: {error}", *(f"  - {problem}" for problem in problems[:MAX_PROBLEMS])]
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"  and {len(problems) - MAX_PROBLEMS:,} more")
    message = "\n".join(lines)
    log(message)
    markup = escape(message).replace("Error:", "[bold red]Error:[/]", 1)
    stderr_console.print(markup if is_terminal() else with_time(markup), soft_wrap=True)


def print_traceback(error: BaseException) -> None:
    """Print the traceback of a defect; on a terminal with the lines of source around it."""
    import traceback

    text = "".join(traceback.format_exception(error)).rstrip("\n")
    log(text)
    if is_terminal():
        stderr_console.print_exception()
    else:
        _print(text)


def print_table(rows: dict[str, str], *, quiet: bool = False) -> None:
    """Print a small table of names and values on stdout, and write it to the log file.

    Args:
        rows: the values by their names.
        quiet: whether to write it to the log file only.
    """
    log("\n".join(f"{name}: {value}" for name, value in rows.items()))
    if quiet:
        return
    table = Table(show_header=False, box=box.SIMPLE, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, escape(value))
    stdout_console.print(table)


def print_json(document: dict[str, Any]) -> None:
    """Print the one JSON document of `--json` on stdout; a second one is not printed."""
    stream, _output.document = _output.document, None
    if stream is not None:
        with _surviving_reader(stream):
            stream.write(json.dumps(document, indent=2) + "\n")


def describe_crowds(count: int, names: Sequence[str], choice: str = "the largest") -> str:
    """Say which images show several people.

    Args:
        count: number of such images.
        names: names of the first few, with their numbers of people.
        choice: which of the people is taken.
    """
    more = ", ..." if count > len(names) else ""
    images = "1 image shows" if count == 1 else f"{count:,} images show"
    return f"{images} several people, and {choice} is taken: {', '.join(names)}{more}"


def first_of(name: str, values: list[Any], count: int | None = None) -> dict[str, Any]:
    """Return the entries of a JSON document for a list that may be long.

    Args:
        name: the key of the list.
        values: its values, or the first `MAX_LISTED` of them.
        count: number of all values; None for those given.
    """
    listed = values[:MAX_LISTED]
    return {
        name: listed,
        f"{name}_more": (len(values) if count is None else count) - len(listed),
    }
