"""`manifest.jsonl`: what became of every item, and so what a next run need not do again.

One JSON object a line, appended once the image is in place under its final name. The last
line for an output is the one that holds. What is skipped gets no line: the one of the run that
made it holds, and a nightly run that finds nothing to do leaves the file as it is. A line torn
by a kill is dropped at the next start.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from dptn_cli.enums import Status
from dptn_cli.errors import InputError
from dptn_cli.io.files import MANIFEST_NAME, drop_temporary_files
from dptn_cli.io.hash_sets import DigestMap
from dptn_cli.io.jsonl import drop_torn_line, lock
from dptn_cli.io.listing import Inventory
from dptn_cli.io.paths import is_remote
from dptn_cli.transfer.manifest_sync import ManifestCopy, known_lines
from dptn_cli.types import Outcome


class Manifest:
    """The manifest of one results folder, locked for one run.

    Args:
        folder: the results folder; must exist.
        model_sha256: written into every line.

    Raises:
        InputError: another run holds the folder, or the file cannot be read or written.
    """

    def __init__(self, folder: Path, model_sha256: str) -> None:
        self.folder, self._model = folder, model_sha256
        path = folder / MANIFEST_NAME
        self._copy: ManifestCopy | None = None
        try:
            here = path
            if is_remote(folder):
                self._copy = ManifestCopy(path)
                here = self._copy.here
            self._file = here.open("ab", buffering=0)
            lock(self._file, folder, "dptn transfer")
            drop_torn_line(here)
            if self._copy:
                self._copy.take_over()
                self._copy.send()
            self._size = here.stat().st_size
            drop_temporary_files(folder)
            self._made = _fingerprints(_entries(_lines(here)))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, kind: object = None, *_: object) -> None:
        if self._copy and kind is not KeyboardInterrupt:  # which is to end at once
            with suppress(OSError):  # `publish` tells of it, where there is somebody to tell.
                self._copy.send()
        self._file.close()

    def publish(self) -> None:
        """Put the manifest beside the results, where it is kept elsewhere.

        Raises:
            InputError: the store does not take it; this machine goes on all the same.
        """
        if self._copy:
            try:
                self._copy.send()
            except OSError as error:
                raise InputError(
                    f"{self.folder / MANIFEST_NAME}: cannot be written: {error.strerror}; it is "
                    f"kept in {self._copy.here}"
                ) from error

    def done_lookup(self, *, overwrite: bool) -> Callable[[str, str], bool]:
        """Whether an earlier run made an image (output, fingerprint) and it is still there."""
        return _holder(self.folder, DigestMap() if overwrite else self._made)

    def append(self, outcome: Outcome) -> Outcome:
        """Write an outcome's line; one that was skipped has its line already.

        Returns:
            The outcome; or, where the line could not be written (a full disk), the outcome as
            failed, since the next run will not know of the image.
        """
        if outcome.status is Status.SKIPPED:
            return outcome
        line = {
            "output": outcome.output,
            "source": outcome.source,
            "target": outcome.target,
            "status": str(outcome.status),
            "reason": outcome.reason,
            "model": self._model,
            "fingerprint": outcome.fingerprint,
            "seconds": round(outcome.elapsed_s, 4),
        }
        content = (json.dumps(line) + "\n").encode()
        try:
            if self._file.write(content) != len(content):
                raise OSError(0, "the disk is full")
        except OSError as error:
            self._truncate()
            reason = f"the manifest cannot be written: {error.strerror}"
            return replace(outcome, status=Status.FAILED, reason=reason)
        self._size += len(content)
        if self._copy and self._copy.is_due:
            with suppress(OSError):  # There is a next time.
                self._copy.send()
        return outcome

    def _truncate(self) -> None:
        """Drop what a failed write left behind."""
        os.ftruncate(self._file.fileno(), self._size)


def read_manifest(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a results folder's manifest, oldest first; broken lines are passed over.

    Raises:
        OSError: it cannot be read.
    """
    path = folder / MANIFEST_NAME
    yield from _entries(known_lines(path) if is_remote(folder) else _lines(path))


def _lines(path: Path) -> Iterator[bytes]:
    if path.is_file():
        with path.open("rb") as file:
            yield from file


def _entries(lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            entry = json.loads(line.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("output"), str):
            yield entry


def done_lookup(folder: Path, *, overwrite: bool) -> Callable[[str, str], bool]:
    """Like `Manifest.holder`, without locking or making anything."""
    try:
        made = DigestMap() if overwrite else _fingerprints(read_manifest(folder))
    except OSError as error:
        raise InputError(f"{folder / MANIFEST_NAME}: {error.strerror}") from error
    return _holder(folder, made)


def _holder(folder: Path, made: DigestMap) -> Callable[[str, str], bool]:
    there = Inventory(folder) if is_remote(folder) else None

    def is_there(output: str) -> bool:
        return there.has(output) if there else (folder / output).is_file()

    return lambda output, fingerprint: (
        made.get(_short(output)) == _short(fingerprint) and is_there(output)
    )


def _fingerprints(entries: Iterator[dict[str, Any]]) -> DigestMap:
    """By output, 16 bytes each."""
    made = DigestMap()
    for entry in entries:
        fingerprint = entry.get("fingerprint")
        if entry.get("status") == Status.FAILED or not isinstance(fingerprint, str):
            made.put(_short(entry["output"]), 0)
        else:
            made.put(_short(entry["output"]), _short(fingerprint))
    return made


def _short(text: str) -> int:
    """64 bits of a text, the same in every process."""
    short = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(short, "little")
