"""The manifest of results behind a URL: kept on this machine and copied to the results.

A manifest grows by a line and is locked, and a store can do neither. So it is kept in the user's
cache folder, in one folder for each URL, and copied to the results now and then: for readers of
the results, and for another machine that resumes the job.
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
from dptn_cli.io.fsspec_storage import location_digest
from dptn_cli.io.jsonl import split_lines
from dptn_cli.io.storage import storage_of

INTERVAL_S = 60.0
MAX_SHARE = 0.05  # of a run's time that copying may take, however long the manifest is
BLOCK = 1 << 16


class ManifestSync:
    """Keeps a manifest on this machine in step with its copy beside the results.

    Args:
        remote_path: the copy, behind a URL.

    Attributes:
        local_path: the manifest on this machine.

    Raises:
        InputError: the cache folder cannot be written to.
    """

    def __init__(self, remote_path: Path) -> None:
        self._remote_path, self.local_path = remote_path, local_path_of(remote_path)
        try:
            make_folder(self.local_path.parent)
        except InputError as error:
            raise InputError(f"{error}; set ${CACHE_VARIABLE} to a folder for manifests") from error
        self._uploaded_size, self._next_upload_s = -1, 0.0

    def append_new_lines(self) -> None:
        """Append the copy's lines that the local manifest lacks, which other machines wrote.

        They go last, because whoever wrote them resumed the job after this machine did.

        Raises:
            OSError: the store cannot be read, or the local manifest cannot be written.
        """
        with (
            self.local_path.open("rb") as local,
            _after_common_lines(local, self._remote_path) as new_lines,
            self.local_path.open("ab") as file,
        ):
            shutil.copyfileobj(new_lines, file)

    def upload(self) -> None:
        """Copy the manifest to the results, if it has grown since the last time.

        Raises:
            OSError: the store refuses it.
        """
        size = self.local_path.stat().st_size
        if size == self._uploaded_size:
            return
        started_s = time.monotonic()
        try:
            storage_of(self._remote_path).upload(self._remote_path, self.local_path)
            self._uploaded_size = size
        finally:
            ended_s = time.monotonic()
            pause_s = (ended_s - started_s) / MAX_SHARE
            self._next_upload_s = ended_s + max(INTERVAL_S, pause_s)

    @property
    def is_due(self) -> bool:
        """Whether it is time to upload again."""
        return time.monotonic() >= self._next_upload_s


def local_path_of(remote_path: Path) -> Path:
    """Return where this machine keeps the manifest of remote results."""
    folder = cache_folder() / "results" / location_digest(remote_path.parent)
    return folder / remote_path.name


def known_lines(remote_path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a remote manifest: this machine's, then those that only the copy has.

    Each has its offset, bytes, as if the new ones were appended to this machine's.

    Raises:
        OSError: the store cannot be read.
    """
    local_path = local_path_of(remote_path)
    with local_path.open("rb") if local_path.is_file() else io.BytesIO() as local:
        yield from split_lines(local)
        local_size = local.tell()
        local.seek(0)
        with _after_common_lines(local, remote_path) as new_lines:
            for offset, line in split_lines(new_lines):
                yield local_size + offset, line


def _after_common_lines(local: BinaryIO, remote_path: Path) -> BinaryIO:
    """Open the remote manifest, positioned after the whole lines that it shares with the local one.

    Both begin alike, as one was a copy of the other once. The last common line break is searched
    for block by block, because a manifest may be larger than the memory.
    """
    try:
        remote = storage_of(remote_path).open_bytes(remote_path)
    except FileNotFoundError:
        return io.BytesIO()
    position = common_end = 0
    equal_bytes = BLOCK
    while equal_bytes == BLOCK:
        local_block, remote_block = local.read(BLOCK), remote.read(BLOCK)
        if local_block == remote_block:  # nearly always, and `commonprefix` is slow
            equal_bytes = len(local_block)
        else:
            equal_bytes = len(os.path.commonprefix([local_block, remote_block]))
        line_end = local_block[:equal_bytes].rfind(b"\n")
        if line_end >= 0:
            common_end = position + line_end + 1
        position += equal_bytes
    remote.seek(common_end)
    return remote
