"""`manifest.jsonl`: what became of every item, and so what the next run can skip.

Each line is a JSON object. The line of a generated image is appended after the image is in place
under its final name. The last line for an output counts. Skipped items add no line; the line from
the run that generated them still counts, and a nightly run that finds nothing to do leaves the
file unchanged. A line cut short by a kill is removed when the next run starts.
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
from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.hash_sets import HashMap
from dptn_cli.io.jsonl import drop_torn_line, lock, parse_line
from dptn_cli.io.own_files import check_results_folder
from dptn_cli.io.results_folder import MANIFEST_NAME
from dptn_cli.io.storage import storage_of
from dptn_cli.transfer.manifest_sync import ManifestSync, known_lines
from dptn_cli.types import Outcome


class Manifest:
    """The manifest of one results folder, locked for one run.

    Args:
        folder: the results folder; it must exist.
        model_sha256: digest of the model, written into every line.

    Raises:
        InputError: another run holds the folder, the manifest cannot be read or written, or the
            folder has a manifest or a `run.json` of another tool.
    """

    def __init__(self, folder: Path, model_sha256: str) -> None:
        check_results_folder(folder)
        self.folder, self._model_sha256 = folder, model_sha256
        path = folder / MANIFEST_NAME
        storage = storage_of(folder)
        with user_errors(path):
            # Where files cannot be appended to, the manifest is kept on this machine and copied.
            self._sync = None if storage.can_append else ManifestSync(path)
            local_path = self._sync.local_path if self._sync else path
            self._file = local_path.open("ab", buffering=0)
            lock(self._file, folder, "dptn transfer")
            drop_torn_line(local_path)
            if self._sync:
                self._sync.append_new_lines()
                self._sync.upload()
            self._size = local_path.stat().st_size
            storage.remove_temporary_files(folder)
            self._fingerprints = _last_fingerprints(_entries(_lines(local_path)))

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, kind: object = None, *_: object) -> None:
        if self._sync and kind is not KeyboardInterrupt:  # an interrupted run ends at once
            with suppress(OSError):  # `publish` has reported it, if anybody was there to see it
                self._sync.upload()
        self._file.close()

    def publish(self) -> None:
        """Copy the manifest to the results, if it is kept elsewhere during the run.

        Raises:
            InputError: the store refuses it. This machine can resume the job all the same.
        """
        if self._sync:
            try:
                self._sync.upload()
            except OSError as error:
                raise InputError(
                    f"{self.folder / MANIFEST_NAME}: cannot be written: {error.strerror}; it is "
                    f"kept in {self._sync.local_path}"
                ) from error

    def done_lookup(self, *, overwrite: bool) -> Callable[[str, str], bool]:
        """Return a function that tells whether an image can be skipped.

        Args:
            overwrite: whether to generate everything again, so that the answer is always no.

        Returns:
            A function of an output's name and fingerprint. It is true if the manifest's last
            line for the output has this fingerprint and the file still exists.
        """
        return _done_lookup(self.folder, HashMap() if overwrite else self._fingerprints)

    def append(self, outcome: Outcome) -> Outcome:
        """Write an outcome's line, unless it was skipped and so has a line already.

        Returns:
            The outcome. If its line cannot be written (a full disk), it is returned as failed,
            since the next run will not know about the image.
        """
        if outcome.status is Status.SKIPPED:
            return outcome
        line = {
            "output": outcome.output,
            "source": outcome.source,
            "target": outcome.target,
            "status": str(outcome.status),
            "reason": outcome.reason,
            "model": self._model_sha256,
            "fingerprint": outcome.fingerprint,
            "seconds": round(outcome.elapsed_s, 4),
        }
        content = (json.dumps(line) + "\n").encode()
        try:
            if self._file.write(content) != len(content):
                raise OSError(0, "the disk is full")
        except OSError as error:
            os.ftruncate(self._file.fileno(), self._size)  # drop the part that was written
            reason = f"the manifest cannot be written: {error.strerror}"
            return replace(outcome, status=Status.FAILED, reason=reason)
        self._size += len(content)
        if self._sync and self._sync.is_due:
            with suppress(OSError):  # it is tried again after the next interval
                self._sync.upload()
        return outcome


def read_manifest(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a results folder's manifest, oldest first. Broken lines are skipped.

    Raises:
        OSError: the manifest cannot be read.
    """
    path = folder / MANIFEST_NAME
    can_append = storage_of(folder).can_append
    yield from _entries(_lines(path) if can_append else known_lines(path))


def done_lookup(folder: Path, *, overwrite: bool) -> Callable[[str, str], bool]:
    """Like `Manifest.done_lookup`, without locking or creating anything.

    Raises:
        InputError: the manifest cannot be read.
    """
    if overwrite:
        return _done_lookup(folder, HashMap())
    with user_errors(folder / MANIFEST_NAME):
        return _done_lookup(folder, _last_fingerprints(read_manifest(folder)))


def existing_results(folder: Path) -> Callable[[str], bool]:
    """Return a function that tells whether an output is done, by the manifest's last line for it.

    Raises:
        InputError: the manifest cannot be read.
    """
    with user_errors(folder / MANIFEST_NAME):
        fingerprints = _last_fingerprints(read_manifest(folder))
    index = storage_of(folder).index(folder.resolve())
    return lambda output: bool(fingerprints.get(_hash_text(output))) and index.has(output)


def _lines(path: Path) -> Iterator[bytes]:
    if path.is_file():
        with path.open("rb") as file:
            yield from file


def _entries(lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    for entry in map(parse_line, lines):
        if isinstance(entry, dict) and isinstance(entry.get("output"), str):
            yield entry


def _done_lookup(folder: Path, fingerprints: HashMap) -> Callable[[str, str], bool]:
    index = storage_of(folder).index(folder.resolve())
    return lambda output, fingerprint: (
        fingerprints.get(_hash_text(output)) == _hash_text(fingerprint) and index.has(output)
    )


def _last_fingerprints(entries: Iterator[dict[str, Any]]) -> HashMap:
    """Map the hash of each output to that of its last fingerprint; to 0 if it failed last."""
    fingerprints = HashMap()
    for entry in entries:
        fingerprint = entry.get("fingerprint")
        if entry.get("status") == Status.FAILED or not isinstance(fingerprint, str):
            fingerprints.put(_hash_text(entry["output"]), 0)
        else:
            fingerprints.put(_hash_text(entry["output"]), _hash_text(fingerprint))
    return fingerprints


def _hash_text(text: str) -> int:
    """Return 64 bits of a text, the same in every process."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
