"""A manifest whose results are behind a URL: kept on this machine, copied to the results.

It grows by a line and is locked, which a store can do neither of. So it is kept in a folder of
the user's cache, one for each URL, and copied to the results' folder now and then: for whoever
reads the results, and for another machine that goes on.
"""

import io
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dptn_cli.errors import InputError
from dptn_cli.io.cache import CACHE_VARIABLE, cache_folder
from dptn_cli.io.files import make_folder
from dptn_cli.io.paths import digest_of
from dptn_cli.io.storage import open_bytes, put_file

INTERVAL_S = 60.0
MAX_SHARE = 0.05  # of the time that copying may take, however long the manifest
BLOCK = 1 << 16


class ManifestCopy:
    """The copy of a manifest in the folder of its results.

    Args:
        at: where it is, behind a URL.

    Attributes:
        here: the manifest itself, on this machine.

    Raises:
        InputError: the cache folder cannot be written to.
    """

    def __init__(self, at: Path) -> None:
        self._at, self.here = at, kept_here(at)
        try:
            make_folder(self.here.parent)
        except InputError as error:
            raise InputError(f"{error}; set ${CACHE_VARIABLE} to a folder for manifests") from error
        self._sent, self._next_s = -1, 0.0

    def take_over(self) -> None:
        """Append what the copy has and the manifest here has not: another machine's lines.

        They come last, since whoever wrote them went on later than this machine did.

        Raises:
            OSError: the store does not give it, or it cannot be written here.
        """
        with (
            self.here.open("rb") as ours,
            _beyond(ours, self._at) as theirs,
            self.here.open("ab") as file,
        ):
            shutil.copyfileobj(theirs, file)

    def send(self) -> None:
        """Copy the manifest as it is; nothing where that has been done.

        Raises:
            OSError: the store does not take it.
        """
        size = self.here.stat().st_size
        if size == self._sent:
            return
        started_s = time.monotonic()
        try:
            put_file(self._at, self.here)
            self._sent = size
        finally:
            ended_s = time.monotonic()
            pause_s = (ended_s - started_s) / MAX_SHARE
            self._next_s = ended_s + max(INTERVAL_S, pause_s)

    @property
    def is_due(self) -> bool:
        """Whether it is time to send it again."""
        return time.monotonic() >= self._next_s


def kept_here(at: Path) -> Path:
    """Where this machine keeps a remote manifest."""
    return cache_folder() / "results" / digest_of(at.parent) / at.name


def known_lines(at: Path) -> Iterator[bytes]:
    """The lines of a remote manifest: those that this machine has, and others' after them.

    Raises:
        OSError: the store does not give it.
    """
    here = kept_here(at)
    with here.open("rb") if here.is_file() else io.BytesIO() as ours:
        yield from ours
        ours.seek(0)
        with _beyond(ours, at) as theirs:
            yield from theirs


def _beyond(ours: BinaryIO, at: Path) -> BinaryIO:
    """A remote file, open after the whole lines that it and ours begin with alike."""
    try:
        theirs = open_bytes(at)
    except FileNotFoundError:
        return io.BytesIO()
    position = common = 0
    alike = BLOCK
    while alike == BLOCK:
        one, other = ours.read(BLOCK), theirs.read(BLOCK)
        alike = len(one) if one == other else len(os.path.commonprefix([one, other]))
        line_end = one[:alike].rfind(b"\n")
        if line_end >= 0:
            common = position + line_end + 1
        position += alike
    theirs.seek(common)
    return theirs
