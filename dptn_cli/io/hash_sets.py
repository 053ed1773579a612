"""Very many names in little memory: by 64 bits each, on disk where even that is too much.

Two of a million million names share 64 bits once in some forty thousand tries. Whoever asks looks
at the names themselves before a repeated one is called an error.
"""

import tempfile
from contextlib import ExitStack
from typing import IO

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError

Digests = npt.NDArray[np.uint64]

_MASK = (1 << 64) - 1
_IN_MEMORY = 1 << 20  # digests, eight bytes each
_PARTS = 64
_PART_STARTS = np.arange(_PARTS, dtype=np.uint64) << np.uint64(58)


def digest(value: object) -> int:
    """64 bits of a name, or of a tuple of such; others in every process."""
    return hash(value) & _MASK


class RepeatFinder:
    """Finds the digests that came more than once, in memory that does not grow.

    Up to a million stay in memory; more are spread over temporary files by their first bits,
    eight bytes each, and looked through file by file.
    """

    def __init__(self) -> None:
        self._waiting: list[Digests] = []
        self._count = 0
        self._files: list[IO[bytes]] = []
        self._opened = ExitStack()

    def __enter__(self) -> "RepeatFinder":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def add(self, digests: Digests) -> None:
        """Take note of some.

        Raises:
            InputError: the temporary files cannot be written.
        """
        self._waiting.append(digests)
        self._count += len(digests)
        if self._count > _IN_MEMORY:
            self._spill()

    def repeated(self, most: int) -> set[int]:
        """Those that came more than once, up to about `most` of them."""
        if not self._files:
            return set(_repeated(self._take_waiting())[:most].tolist())
        self._spill()
        found: set[int] = set()
        for file in self._files:
            file.seek(0)
            found.update(_repeated(np.frombuffer(file.read(), np.uint64))[:most].tolist())
            if len(found) >= most:
                break
        return found

    def _take_waiting(self) -> Digests:
        digests = np.concatenate([np.empty(0, np.uint64), *self._waiting])
        self._waiting, self._count = [], 0
        return digests

    def _spill(self) -> None:
        digests = np.sort(self._take_waiting())
        ends = [*np.searchsorted(digests, _PART_STARTS[1:]).tolist(), len(digests)]
        try:
            if not self._files:
                enter = self._opened.enter_context
                self._files = [enter(_unbuffered_file()) for _ in range(_PARTS)]
            for file, start, end in zip(self._files, [0, *ends], ends, strict=False):
                file.write(digests[start:end].tobytes())
        except OSError as error:
            where = tempfile.gettempdir()
            raise InputError(
                f"{where}: {error.strerror}; a long list is checked with eight bytes a pair there, "
                "or wherever $TMPDIR says"
            ) from error


def _unbuffered_file() -> IO[bytes]:
    return tempfile.TemporaryFile(buffering=0)


def _repeated(digests: Digests) -> Digests:
    digests = np.sort(digests)
    return np.unique(digests[1:][digests[1:] == digests[:-1]])


class DigestSet:
    """Which digests were met before, eight bytes each."""

    def __init__(self) -> None:
        self._known: Digests = np.empty(0, np.uint64)

    def add(self, digests: Digests) -> npt.NDArray[np.bool_]:
        """Add some that differ from each other; tells which are new."""
        at = np.minimum(np.searchsorted(self._known, digests), max(0, len(self._known) - 1))
        new = self._known[at] != digests if len(self._known) else np.ones(len(digests), bool)
        if new.any():
            merged = np.concatenate([self._known, digests[new]])
            merged.sort(kind="stable")  # two sorted runs, nearly
            self._known = merged
        return np.asarray(new)

    def __contains__(self, one: int) -> bool:
        at = int(np.searchsorted(self._known, np.uint64(one)))
        return at < len(self._known) and int(self._known[at]) == one


class DigestMap:
    """From digests to digests, 16 bytes an entry; what was put last for a key holds."""

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._keys: Digests = np.empty(0, np.uint64)
        self._values: Digests = np.empty(0, np.uint64)

    def put(self, key: int, value: int) -> None:
        """Remember a value; 0 stands for none."""
        self._recent[key] = value
        if len(self._recent) >= _IN_MEMORY // 4:
            self._merge()

    def get(self, key: int) -> int:
        """The value of a key; 0 where there is none."""
        if key in self._recent:
            return self._recent[key]
        at = int(np.searchsorted(self._keys, np.uint64(key)))
        found = at < len(self._keys) and int(self._keys[at]) == key
        return int(self._values[at]) if found else 0

    def _merge(self) -> None:
        recent = len(self._recent)
        keys = np.fromiter(self._recent.keys(), np.uint64, recent)
        values = np.fromiter(self._recent.values(), np.uint64, recent)
        keys = np.concatenate([self._keys, keys])
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        last = np.append(keys[1:] != keys[:-1], True)
        self._keys = keys[last]
        self._values = np.concatenate([self._values, values])[order][last]
        self._recent = {}
