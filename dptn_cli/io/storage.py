"""Reading, writing and listing at a location, local or remote, with the errors of a disk.

A local file is read and written by the operating system. For what is behind a URL, fsspec's file
system is asked for as little as it takes; whatever its package raises becomes an `OSError` with
a reason, so that a store that refuses or is away is told like a disk that does.
"""

import errno
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO
from uuid import uuid4

from dptn_cli.io.paths import is_remote, name_in_store, protocol_of

TEMPORARY_PREFIX = ".dptn-"
# Object stores: what is put there is seen whole or not at all, and a move would be a copy.
PUT_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "memory"})
IN_MEMORY = 8 << 20  # bytes of a file that is read; the rest goes to a temporary file
CHUNK = 1 << 20


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """A file's content, or no more than its first `most` bytes, without fetching the rest.

    Raises:
        OSError: it is not there or cannot be read.
    """
    if not is_remote(path):
        with path.open("rb") as file:
            return file.read(-1 if most is None else most)
    with _as_a_disk(path):
        part = {} if most is None else {"start": 0, "end": most}
        content: bytes = _file_system(path).cat_file(name_in_store(path), **part)
        return content


def open_bytes(path: Path) -> BinaryIO:
    """Open a file to read; what is remote is fetched first, once, and then read here.

    So a list is not cut off by a store that goes away in the middle of a run.

    Raises:
        OSError: it is not there or cannot be read.
    """
    if not is_remote(path):
        return path.open("rb")
    fetched: Any = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - the caller's
    try:
        with _as_a_disk(path), _file_system(path).open(name_in_store(path), "rb") as file:
            shutil.copyfileobj(file, fetched, CHUNK)
    except BaseException:
        fetched.close()
        raise
    fetched.seek(0)
    opened: BinaryIO = fetched
    return opened


def open_text(path: Path, *, encoding: str, newline: str | None = None) -> IO[str]:
    """Like `open_bytes`, as text."""
    if not is_remote(path):
        return path.open(encoding=encoding, newline=newline)
    return io.TextIOWrapper(open_bytes(path), encoding=encoding, newline=newline)


def is_file(path: Path) -> bool:
    """Whether a file is there.

    Raises:
        OSError: a store does not tell.
    """
    return _kind(path) == "file" if is_remote(path) else path.is_file()


def is_folder(path: Path) -> bool:
    """Whether a folder is there; in an object store, whether anything is in it.

    Raises:
        OSError: a store does not tell.
    """
    return _kind(path) == "directory" if is_remote(path) else path.is_dir()


def _kind(path: Path) -> str | None:
    try:
        with _as_a_disk(path):
            return str(_file_system(path).info(name_in_store(path))["type"])
    except FileNotFoundError:
        return None


def names_in(folder: Path) -> Iterator[str]:
    """The names of all files in a remote folder and those below it, forward slashes.

    One folder's listing is in memory at a time. A folder that is not there has none.

    Raises:
        OSError: a store does not tell.
    """
    files, top = _file_system(folder), name_in_store(folder)
    try:
        with _as_a_disk(folder):
            for below, _, found in files.walk(top, on_error="raise", detail=True):
                start = below.rstrip("/")[len(top) :].lstrip("/")
                names = [name for name in found if name]
                found.clear()
                files.invalidate_cache(below)
                yield from (f"{start}/{name}" if start else name for name in names)
    except FileNotFoundError:
        return


def put_bytes(path: Path, content: bytes) -> None:
    """Write a remote file that is never seen half written under its name.

    Raises:
        OSError: it cannot be written.
    """
    _put(path, lambda files, name: files.pipe_file(name, content))


def put_file(path: Path, local: Path) -> None:
    """Like `put_bytes`, with the content of a local file."""
    _put(path, lambda files, name: files.put_file(str(local), name))


def _put(path: Path, write: Callable[[Any, str], object]) -> None:
    files, name = _file_system(path), name_in_store(path)
    with _as_a_disk(path):
        if protocol_of(path) in PUT_WHOLE:
            write(files, name)
            return
        folder = name.rpartition("/")[0]
        files.makedirs(folder, exist_ok=True)
        temporary = f"{folder}/{TEMPORARY_PREFIX}{uuid4().hex}"
        try:
            write(files, temporary)
            files.mv(temporary, name)
        except BaseException:
            with suppress(Exception):
                files.rm_file(temporary)
            raise


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        OSError: it cannot be removed.
    """
    if not is_remote(path):
        path.unlink(missing_ok=True)
        return
    with suppress(FileNotFoundError), _as_a_disk(path):
        _file_system(path).rm_file(name_in_store(path))


def drop_temporary(folder: Path) -> None:
    """Remove what a killed process left half written in a remote folder.

    Raises:
        OSError: a store does not tell, or does not let go.
    """
    if protocol_of(folder) in PUT_WHOLE:
        return
    for name in list(names_in(folder)):
        if name.rpartition("/")[2].startswith(TEMPORARY_PREFIX):
            remove(folder / name)


def _file_system(path: Path) -> Any:
    remote: Any = path
    return remote.fs


@contextmanager
def _as_a_disk(path: Path) -> Iterator[None]:
    """Turn what a store raises into an `OSError` that has a number and a text."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise
        kinds = ((FileNotFoundError, errno.ENOENT), (PermissionError, errno.EACCES))
        number = next((n for kind, n in kinds if isinstance(error, kind)), errno.EIO)
        text = (str(error).strip().splitlines() or [""])[0]
        # Some tell the name and nothing else; but a store that is away tells its address with it.
        if not text or (number != errno.EIO and name_in_store(path) in text):
            text = os.strerror(number)
        raise OSError(number, text) from error
