"""Files that grow by a line when something is done, and outlive a kill."""

import os
from pathlib import Path
from typing import IO, Any

from dptn_cli.errors import InputError


def drop_torn_line(path: Path) -> int:
    """Cut the file after its last line end; its size then."""
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


def lock(file: IO[Any], what: Path, command: str) -> None:
    """Hold what the file stands for until it is closed, the process's death included.

    Args:
        file: open for writing.
        what: the folder or file that is held by it.
        command: that holds it in the same way, for the message.

    Raises:
        InputError: another process holds it.
    """
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(f"{what}: another `{command}` is writing there; wait for it") from error
