"""Logs of JSON lines: files that grow by a line when something is done, and survive a kill."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

MAX_LINE_BYTES = 1 << 20  # longer lines are nothing that dptn wrote


def parse_line(line: bytes) -> Any:
    """Parse a line of a log, or what may be one; None if it is not JSON."""
    try:
        return json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a log as `split_lines` does. A missing file has none.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        yield from split_lines(file)


def split_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines from a file's position on, in little memory whatever the file holds.

    Yields:
        Each line's offset from that position, bytes, and the line. Lines longer than
        `MAX_LINE_BYTES` are passed over.
    """
    offset, is_rest = 0, False  # the rest of a line that is too long
    while line := file.readline(MAX_LINE_BYTES):
        is_whole = line.endswith(b"\n") or len(line) < MAX_LINE_BYTES
        if is_whole and not is_rest:
            yield offset, line
        is_rest = not is_whole
        offset += len(line)


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
