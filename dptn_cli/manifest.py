"""`manifest.jsonl`: what became of every item, and so what a next run need not do again.

One JSON object a line, appended once the picture is in place under its final name. The last
line for an output is the one that holds. What is skipped gets no line: the one of the run that
made it holds, and a nightly run that finds nothing to do leaves the file as it is. A line torn
by a kill is dropped at the next start.
"""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from dptn_cli.digests import DigestMap
from dptn_cli.errors import InputError
from dptn_cli.files import drop_temporary_files
from dptn_cli.journal import drop_torn_line, lock
from dptn_cli.records import Outcome, Status

NAME = "manifest.jsonl"


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
        path = folder / NAME
        try:
            self._file = path.open("ab", buffering=0)
            lock(self._file, folder, "dptn transfer")
            self._size = drop_torn_line(path)
            drop_temporary_files(folder)
            self._made = _fingerprints(path)
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def holder(self, *, overwrite: bool) -> Callable[[str, str], bool]:
        """Whether an earlier run made a picture (output, fingerprint) and it is still there."""
        return _holder(self.folder, DigestMap() if overwrite else self._made)

    def append(self, outcome: Outcome) -> Outcome:
        """Write an outcome's line; one that was skipped has its line already.

        Returns:
            The outcome; or, where the line could not be written (a full disk), the outcome as
            failed, since the next run will not know of the picture.
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
        return outcome

    def _truncate(self) -> None:
        """Drop what a failed write left behind."""
        os.ftruncate(self._file.fileno(), self._size)


def read_manifest(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of a results folder's manifest, oldest first; broken lines are passed over."""
    path = folder / NAME
    if path.is_file():
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(entry, dict) and isinstance(entry.get("output"), str):
                    yield entry


def holder(folder: Path, *, overwrite: bool) -> Callable[[str, str], bool]:
    """Like `Manifest.holder`, without locking or making anything."""
    return _holder(folder, DigestMap() if overwrite else _fingerprints(folder / NAME))


def _holder(folder: Path, made: DigestMap) -> Callable[[str, str], bool]:
    return lambda output, fingerprint: (
        made.get(_short(output)) == _short(fingerprint) and (folder / output).is_file()
    )


def _fingerprints(path: Path) -> DigestMap:
    """By output, 16 bytes each."""
    made = DigestMap()
    for entry in read_manifest(path.parent):
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
