"""The errors a user is meant to read, and the exit codes that go with them.

A message says what is wrong, where, and what to do about it, in one line. The command line
prints it as that line (`dptn_cli.cli.console.error_boundary`); anything that is not a
`DptnError` is a defect of dptn and keeps its traceback.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process answers to a script. Documented in the README; never renumbered.

    70 is what sysexits.h calls an internal software error.
    """

    DONE = 0
    SOME_FAILED = 1
    UNUSABLE = 2
    DEFECT = 70
    INTERRUPTED = 130


class DptnError(Exception):
    """An expected error, told in one line."""


class InputError(DptnError):
    """A file, folder or option that the user gave cannot be used.

    Args:
        message: one line.
        problems: all that was found, when there was more than one thing; one line each.
    """

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class ModelError(DptnError):
    """A checkpoint or ONNX file is not what it should be, or cannot run here."""


class MissingDependency(DptnError):
    """A package of an optional extra is not installed."""

    def __init__(self, what: str, package: str, command: str) -> None:
        super().__init__(f"{what} needs {package}, which is not installed: {command}")
