"""What earlier runs made of each output, read from the manifest, in 32 bytes an output.

The last line of an output counts. Names and fingerprints are kept as 64 bits each.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

from dptn_cli.enums import Status
from dptn_cli.errors import user_errors
from dptn_cli.io.hash_sets import HashMap
from dptn_cli.io.jsonl import MAX_LINE_BYTES, parse_line, read_lines
from dptn_cli.io.results_folder import MANIFEST_NAME
from dptn_cli.io.storage import storage_of
from dptn_cli.transfer.manifest_sync import known_lines
from dptn_cli.types import Outcome

EarlierLookup: TypeAlias = Callable[[str, str], Status | None]
"""Returns what an earlier run made of an output (its name, its fingerprint): `DONE` if its image
exists, `FAILED` if it cannot succeed with the same inputs, None if it is still to be tried."""


class EarlierRuns:
    """The last outcome of every output in a manifest.

    Args:
        folder: the results folder.
        lines: returns the manifest's lines, oldest first, each with its offset in bytes.
        path: the file that the lines are in; None if they are not in one file of this machine.

    Attributes:
        is_empty: whether the manifest has no outcome.
    """

    def __init__(
        self,
        folder: Path,
        lines: Callable[[], Iterator[tuple[int, bytes]]],
        path: Path | None = None,
    ) -> None:
        self._lines, self._path, self.is_empty = lines, path, True
        self._index = storage_of(folder).index(folder.resolve())
        self._marks, self._offsets = HashMap(), HashMap()
        for offset, entry in _entries(lines()):
            output = hash_text(entry["output"])
            self._marks.put(output, _mark(entry))
            self._offsets.put(output, offset + 1)
            self.is_empty = False

    def lookup(self, *, overwrite: bool = False, retry_failed: bool = False) -> EarlierLookup:
        """Return the function that tells what need not be tried again.

        Args:
            overwrite: whether to generate everything again, so that the answer is always None.
            retry_failed: whether to try what failed again, so that it is never `FAILED`.
        """
        if overwrite:
            return lambda output, fingerprint: None

        def earlier(output: str, fingerprint: str) -> Status | None:
            mark = self._marks.get(hash_text(output))
            if mark == _done_mark(fingerprint) and self._index.has(output):
                return Status.DONE
            if not retry_failed and mark == _failure_mark(fingerprint):
                return Status.FAILED
            return None

        return earlier

    def is_done(self, output: str) -> bool:
        """Return whether an output is done, by its last line, and its file still exists."""
        mark = self._marks.get(hash_text(output))
        return bool(mark) and not _is_failure(mark) and self._index.has(output)

    def recognized(self, outcome: Outcome) -> Outcome:
        """Mark a failure as known if the manifest's last line tells of the same one.

        Returns:
            The outcome. A known failure has the reason of its line.
        """
        # Without a path, the line cannot be found; the fingerprint may have told.
        if not outcome.permanent or self._path is None:
            return outcome
        entry = self._last_failure(outcome.output)
        same = {
            "source": outcome.source,
            "target": outcome.target,
            "fingerprint": outcome.fingerprint,
            "permanent": True,
        }
        if any(entry.get(key) != value for key, value in same.items()):
            return replace(outcome, known=False)
        reason = str(entry.get("reason", ""))
        if outcome.known:
            return replace(outcome, reason=reason)
        return replace(outcome, known=reason == outcome.reason)

    def _last_failure(self, output: str) -> dict[str, Any]:
        """Return an output's last line; {} if that is not a failure or cannot be read."""
        hashed = hash_text(output)
        entry = None
        if self._path and _is_failure(self._marks.get(hashed)):
            with suppress(OSError), self._path.open("rb") as file:
                file.seek(self._offsets.get(hashed) - 1)
                entry = parse_line(file.readline(MAX_LINE_BYTES))
        return entry if isinstance(entry, dict) else {}

    def last_entries(self) -> Iterator[dict[str, Any]]:
        """Yield the last line of each output.

        Raises:
            OSError: the manifest cannot be read.
        """
        for offset, entry in _entries(self._lines()):
            if self._offsets.get(hash_text(entry["output"])) == offset + 1:
                yield entry


def read_manifest(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a results folder's manifest, oldest first. Broken lines are skipped.

    Raises:
        OSError: the manifest cannot be read.
    """
    return (entry for _, entry in _entries(_manifest_lines(folder)))


def read_earlier_runs(folder: Path) -> EarlierRuns:
    """Read the manifest of a results folder, without locking or creating anything.

    Raises:
        InputError: the manifest cannot be read.
    """
    with user_errors(folder / MANIFEST_NAME):
        path = folder / MANIFEST_NAME if storage_of(folder).can_append else None
        return EarlierRuns(folder, lambda: _manifest_lines(folder), path)


def _entries(lines: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Parse lines of a manifest, and skip the broken ones.

    Args:
        lines: lines with their offsets in bytes.
    """
    for offset, line in lines:
        entry = parse_line(line)
        if isinstance(entry, dict) and isinstance(entry.get("output"), str):
            yield offset, entry


def hash_text(text: str) -> int:
    """Return 64 bits of a text, the same in every process."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _manifest_lines(folder: Path) -> Iterator[tuple[int, bytes]]:
    path = folder / MANIFEST_NAME
    if not storage_of(folder).can_append:
        return known_lines(path)
    return read_lines(path)


_FAILURE = 1  # the lowest bit of a mark


def _mark(entry: dict[str, Any]) -> int:
    """Return 64 bits of how an outcome ended, and with what inputs; 0 if that is not known."""
    fingerprint, failed = entry.get("fingerprint"), entry.get("status") == Status.FAILED
    if not isinstance(fingerprint, str):
        return _FAILURE if failed else 0
    if not failed:
        return _done_mark(fingerprint)
    is_permanent = bool(fingerprint) and entry.get("permanent") is True
    return _failure_mark(fingerprint) if is_permanent else _FAILURE


def _done_mark(fingerprint: str) -> int:
    return hash_text(fingerprint) & ~_FAILURE or 2


def _failure_mark(fingerprint: str) -> int:
    return hash_text(fingerprint) | _FAILURE


def _is_failure(mark: int) -> bool:
    return bool(mark & _FAILURE)
