"""The errors that a user is meant to read, and the exit codes that go with them.

A message says in one line what is wrong, where, and what to do. The command line prints it as
that line (`dptn_cli.cli.boundary.error_boundary`). Any other exception is a defect of dptn and
keeps its traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """The exit status of a command. Documented for scripts, and never renumbered.

    70 is EX_SOFTWARE, "internal software error", of sysexits.h.
    """

    DONE = 0
    SOME_FAILED = 1
    UNUSABLE = 2
    DEFECT = 70
    INTERRUPTED = 130


class DptnError(Exception):
    """An expected error, printed as one line."""


class InputError(DptnError):
    """A file, folder or option that the user gave cannot be used.

    Args:
        message: one line.
        problems: every problem found, one line each, if there is more than one.
    """

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class PoseError(InputError):
    """A pose cannot be used as a source or as a target.

    Args:
        message: one line.
        role: whose pose is to blame, `source` or `target`; empty if the two do not go together.
    """

    def __init__(self, message: str, role: str = "") -> None:
        super().__init__(message)
        self.role = role


class MachineLimit(InputError):
    """A file may be in order, but this machine lacks the memory or the package to read it."""


class ModelError(DptnError):
    """A checkpoint or an ONNX file is invalid, or cannot run on this machine."""


class SessionLost(DptnError):
    """No inference succeeds any more: the GPU has failed, or was taken away."""


class RunStopped(DptnError):
    """A run cannot go on, though its inputs are in order: the disk is full, for instance."""


class MissingDependency(DptnError):
    """A package of an optional extra is not installed.

    Args:
        feature: what needs the package, such as `--ray`.
        package: name of the package.
        command: the command that installs it.
    """

    def __init__(self, feature: str, package: str, command: str) -> None:
        super().__init__(f"{feature} needs {package}, which is not installed: {command}")


def counted(number: int, noun: str) -> str:
    """Return a number and what it counts, as in `1 image` or `2,000 images`.

    Args:
        number: how many there are.
        noun: what is counted, in the singular; its plural ends in `s`.
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def short(value: object, max_length: int = 60) -> str:
    """Return a stranger's value as printable characters, at most `max_length` and an ellipsis."""
    if isinstance(value, int) and abs(value) >= 10**max_length:
        return "a huge number"
    if not isinstance(value, str | int | float | None):
        name = type(value).__name__
        return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= max_length else text[:max_length] + "..."


@contextmanager
def user_errors(
    path: Path, problem: str = "", kind: type[InputError] | type[ModelError] = InputError
) -> Iterator[None]:
    """Turn an `OSError` raised inside the block into a one-line error that names the path.

    Args:
        path: the file, folder or URL that the block works on.
        problem: what could not be done, such as "cannot be written"; empty if the operating
            system's own words say enough.
        kind: the error to raise.

    Raises:
        InputError: the operating system or the storage refused; `kind` if that was given.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise kind(f"{path}: {problem}: {reason}" if problem else f"{path}: {reason}") from error
