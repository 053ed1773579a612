"""The file of `--log-file`: every message of a command, with the time, appended."""

import os
import re
import threading
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from dptn_cli.errors import InputError, user_errors

HEAD_BYTES = 4096  # how much of an existing file is read, to see whether it is a log
# Lists, pose files, records and reports: a line of text would spoil them.
DATA_SUFFIXES = (".csv", ".json", ".jsonl")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def with_time(message: str) -> str:
    """Return a message with the local time, in ISO 8601 with the offset, before each line."""
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    return "\n".join(f"{now} {line}".rstrip() for line in message.split("\n"))


class LogFile:
    """A text file that messages are appended to, by this run and by others at the same time.

    Args:
        path: the file. It and its folder are created if they are missing.
        others: the files and folders that other options name.

    Raises:
        InputError: the file cannot be written, or it is not a log but some other file.
    """

    def __init__(self, path: Path, others: Iterable[Path] = ()) -> None:
        self.path = path
        self._lost = 0
        self._is_torn = False
        self._lock = threading.Lock()
        with user_errors(path, "cannot be used as a log"):
            _check_is_log(path, others)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Non-blocking, because opening a named pipe would wait for its reader.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
            self._descriptor = os.open(path, flags, 0o666)

    def write(self, message: str) -> None:
        """Append a message, one line or more.

        Raises:
            OSError: the message is lost. The next one that can be written says so.
        """
        text = with_time(message)
        with self._lock:
            if self._lost:
                lost = "message is" if self._lost == 1 else "messages are"
                text = with_time(f"{self._lost:,} {lost} missing here") + "\n" + text
            text = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
            start = "\n" if self._is_torn else ""
            try:
                self._append(f"{start}{text}\n".encode(errors="backslashreplace"))
            except OSError:
                self._lost += 1
                raise
            self._lost = 0

    def _append(self, content: bytes) -> None:
        """Write everything in one call, so that lines of several runs do not mix."""
        while content:
            written = os.write(self._descriptor, content)
            self._is_torn = not content[:written].endswith(b"\n")
            content = content[written:]

    def close(self) -> None:
        """Close the file.

        Raises:
            OSError: the last messages are lost.
        """
        os.close(self._descriptor)


def _check_is_log(path: Path, others: Iterable[Path]) -> None:
    """Check that lines of text can be appended to a file without spoiling it.

    Raises:
        InputError: they cannot.
        OSError: the file cannot be read.
    """
    if path.suffix.lower() in DATA_SUFFIXES:
        raise InputError(f"{path}: {path.suffix} is for data; name a file such as dptn.log")
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise InputError(f"{path}: is {kind}; name a file such as dptn.log")
    if any(other.absolute() == path.absolute() for other in others):
        raise InputError(f"{path}: another option names this file; name a file such as dptn.log")
    if not path.exists():
        return
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if b"\0" in head or head.lstrip()[:1] in (b"{", b"[", b"<"):
        raise InputError(f"{path}: exists and is no log; name another file for --log-file")
