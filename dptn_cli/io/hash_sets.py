"""Sets and maps of very many names in little memory: each name is kept as 64 bits.

Among 30 million different names, the chance that any two share their 64 bits is about 1 in 40,000;
among a billion, about 1 in 37. A caller therefore compares the names themselves before it calls a
repeated hash an error.
"""

import tempfile
from contextlib import ExitStack
from typing import IO

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError

Hashes = npt.NDArray[np.uint64]

_MASK = (1 << 64) - 1
_IN_MEMORY = 1 << 20  # hashes, eight bytes each, before they go to temporary files
_PARTS = 64  # temporary files, each for the hashes that share their first 6 bits
_PART_STARTS = np.arange(_PARTS, dtype=np.uint64) << np.uint64(58)


def hash64(value: object) -> int:
    """Return 64 bits of a name or of a tuple of names. They differ from process to process."""
    return hash(value) & _MASK


class DuplicateFinder:
    """Finds the hashes that were added more than once, in memory that does not grow.

    Up to a million hashes stay in memory. More are distributed over temporary files by their first
    bits, at eight bytes each, and each file is searched on its own.
    """

    def __init__(self) -> None:
        self._pending: list[Hashes] = []
        self._count = 0
        self._files: list[IO[bytes]] = []
        self._exit_stack = ExitStack()

    def __enter__(self) -> "DuplicateFinder":
        return self

    def __exit__(self, *_: object) -> None:
        self._exit_stack.close()

    def add(self, hashes: Hashes) -> None:
        """Add hashes.

        Args:
            hashes: (N,) uint64.

        Raises:
            InputError: the temporary files cannot be written.
        """
        self._pending.append(hashes)
        self._count += len(hashes)
        if self._count > _IN_MEMORY:
            self._spill()

    def duplicates(self, limit: int) -> set[int]:
        """Return the hashes that were added more than once, up to about `limit` of them."""
        if not self._files:
            return set(_duplicates(self._take_pending())[:limit].tolist())
        self._spill()
        duplicates: set[int] = set()
        for file in self._files:
            file.seek(0)
            hashes = np.frombuffer(file.read(), np.uint64)
            duplicates.update(_duplicates(hashes)[:limit].tolist())
            if len(duplicates) >= limit:
                break
        return duplicates

    def _take_pending(self) -> Hashes:
        hashes = np.concatenate([np.empty(0, np.uint64), *self._pending])
        self._pending, self._count = [], 0
        return hashes

    def _spill(self) -> None:
        """Append the pending hashes to the temporary files."""
        hashes = np.sort(self._take_pending())
        ends = [*np.searchsorted(hashes, _PART_STARTS[1:]).tolist(), len(hashes)]
        try:
            if not self._files:
                for _ in range(_PARTS):
                    file: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by the stack
                    self._files.append(self._exit_stack.enter_context(file))
            for part, start, end in zip(self._files, [0, *ends], ends, strict=False):
                part.write(hashes[start:end].tobytes())
        except OSError as error:
            folder = tempfile.gettempdir()
            raise InputError(
                f"{folder}: {error.strerror}; checking a long list takes eight bytes a pair there, "
                "or in the folder that $TMPDIR names"
            ) from error


def _duplicates(hashes: Hashes) -> Hashes:
    hashes = np.sort(hashes)
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


class HashSet:
    """A set of hashes, eight bytes each."""

    def __init__(self) -> None:
        self._sorted: Hashes = np.empty(0, np.uint64)

    def add(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Add hashes.

        Args:
            hashes: (N,) uint64, all different.

        Returns:
            (N,) bool, which of them are new.
        """
        at = np.searchsorted(self._sorted, hashes)
        at = np.minimum(at, max(0, len(self._sorted) - 1))
        is_new = np.ones(len(hashes), bool)
        if len(self._sorted):
            is_new = self._sorted[at] != hashes
        if is_new.any():
            merged = np.concatenate([self._sorted, hashes[is_new]])
            merged.sort(kind="stable")  # fast here: it is two runs that are nearly sorted
            self._sorted = merged
        return np.asarray(is_new)

    def __contains__(self, value: int) -> bool:
        at = int(np.searchsorted(self._sorted, np.uint64(value)))
        return at < len(self._sorted) and int(self._sorted[at]) == value


class HashMap:
    """A map from hashes to hashes, 16 bytes an entry."""

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._keys: Hashes = np.empty(0, np.uint64)
        self._values: Hashes = np.empty(0, np.uint64)

    def put(self, key: int, value: int) -> None:
        """Set the value of a key. 0 stands for no value."""
        self._recent[key] = value
        if len(self._recent) >= _IN_MEMORY // 4:
            self._merge()

    def get(self, key: int) -> int:
        """Return the value of a key, or 0 if it has none."""
        if key in self._recent:
            return self._recent[key]
        at = int(np.searchsorted(self._keys, np.uint64(key)))
        is_known = at < len(self._keys) and int(self._keys[at]) == key
        return int(self._values[at]) if is_known else 0

    def _merge(self) -> None:
        """Move the recent entries into the sorted arrays; of equal keys, the last one wins."""
        count = len(self._recent)
        keys = np.fromiter(self._recent.keys(), np.uint64, count)
        values = np.fromiter(self._recent.values(), np.uint64, count)
        keys = np.concatenate([self._keys, keys])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        is_last = np.append(keys[1:] != keys[:-1], True)
        self._keys = keys[is_last]
        self._values = np.concatenate([self._values, values])[order][is_last]
        self._recent = {}
