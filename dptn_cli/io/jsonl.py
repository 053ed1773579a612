"""Logs of JSON lines: files that grow by a line when something is done, and survive a kill."""

import json
import os
from pathlib import Path
from typing import IO, Any

from dptn_cli.errors import InputError


def parse_line(line: bytes) -> Any:
    """Parse a line of a log, or what may be one; None if it is not JSON."""
    try:
        return json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None


def drop_torn_line(path: Path) -> int:
    """Cut a file after its last line break, and return its size.

    A process that was killed in the middle of a write leaves half a line at the end.
    """
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)
    return end


def lock(file: IO[Any], resource: Path, command: str) -> None:
    """Take an exclusive lock. The system releases it when the file closes or the process dies.

    Args:
        file: the lock file, open for writing.
        resource: the file or folder that the lock stands for, for the message.
        command: the command that takes this lock, for the message.

    Raises:
        InputError: another process holds the lock.
    """
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"{resource}: another `{command}` is writing there; wait until it has ended"
        ) from error
