"""Files behind URLs, through fsspec's file systems.

Requests are kept to a minimum. Whatever a file system's package raises becomes an `OSError` with a
reason, so that a store that refuses or is unreachable is reported like a disk error.
"""

import errno
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, ClassVar, TypeVar
from uuid import uuid4

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.io.hash_sets import HashSet, hash64
from dptn_cli.io.paths import checked_name, is_hidden
from dptn_cli.io.results_folder import TEMPORARY_PREFIX, TEMPORARY_SUFFIX, is_temporary
from dptn_cli.io.storage import LOCAL, FolderIndex, StoreError, check_links

T = TypeVar("T")

LOCAL_PROTOCOLS = ("file", "local")
# Object stores show a file whole or not at all, and would have to copy it to rename it. On other
# file systems a file is written under a temporary name and moved.
OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "memory"})
HEADER_BYTES = 128 << 10  # holds the header of nearly every image
IN_MEMORY_BYTES = 8 << 20  # of an open file; what exceeds it goes to a temporary file
COPY_BYTES = 1 << 20
SINGLE_QUERIES = 64  # before it is faster to list the whole folder
NAMES_PER_CHUNK = 1 << 16


class FsspecStorage:
    """Files behind URLs. The paths are `UPath`s, which know their file system."""

    is_remote: ClassVar[bool] = True
    can_append: ClassVar[bool] = False

    def read_bytes(self, path: Path, limit: int | None = None) -> bytes:
        """See `Storage.read_bytes`."""
        with _store_errors(path):
            part = {} if limit is None else {"start": 0, "end": limit}
            content: bytes = _file_system(path).cat_file(store_name(path), **part)
            return content

    def open_bytes(self, path: Path) -> BinaryIO:
        """See `Storage.open_bytes`. The file is downloaded first."""
        download: Any = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 - returned
        try:
            with _store_errors(path), _file_system(path).open(store_name(path), "rb") as file:
                shutil.copyfileobj(file, download, COPY_BYTES)
        except BaseException:
            download.close()
            raise
        download.seek(0)
        opened: BinaryIO = download
        return opened

    def parse_header(self, path: Path, parse: Callable[[BinaryIO], T]) -> T:
        """See `Storage.parse_header`. Downloads more only if 128 KiB are not enough."""
        start = self.read_bytes(path, HEADER_BYTES)
        try:
            return parse(io.BytesIO(start))
        except Exception:  # whatever a decoder raises at a truncated file
            if len(start) < HEADER_BYTES:
                raise
            return parse(io.BytesIO(self.read_bytes(path)))

    def is_file(self, path: Path) -> bool:
        """See `Storage.is_file`."""
        return self._type_of(path) == "file"

    def is_dir(self, path: Path) -> bool:
        """See `Storage.is_dir`."""
        return self._type_of(path) == "directory"

    def _type_of(self, path: Path) -> str | None:
        if _protocol(path) in LOCAL_PROTOCOLS:  # fsspec does not follow links
            name = store_name(path)
            return "file" if os.path.isfile(name) else "directory" if os.path.isdir(name) else None
        try:
            with _store_errors(path):
                return str(_file_system(path).info(store_name(path))["type"])
        except FileNotFoundError:
            return None

    def list_files(
        self,
        folder: Path,
        *,
        hidden: bool = False,
        on_unreadable: Callable[[str, OSError], object] = lambda name, error: None,
    ) -> Iterator[str]:
        """See `Storage.list_files`. One folder's listing is in memory at a time."""
        if _protocol(folder) in LOCAL_PROTOCOLS:
            return LOCAL.list_files(
                Path(store_name(folder)), hidden=hidden, on_unreadable=on_unreadable
            )
        return self._list_remote_files(folder, hidden=hidden)

    def _list_remote_files(self, folder: Path, *, hidden: bool) -> Iterator[str]:
        file_system, top = _file_system(folder), store_name(folder)
        try:
            with _store_errors(folder):
                for parent, folders, files in file_system.walk(top, on_error="raise", detail=True):
                    start = parent.rstrip("/")[len(top) :].lstrip("/")
                    names = [name for name in files if name and (hidden or not is_hidden(name))]
                    files.clear()
                    for name in [] if hidden else list(filter(is_hidden, folders)):
                        del folders[name]  # so that it is not walked
                    file_system.invalidate_cache(parent)
                    yield from (f"{start}/{name}" if start else name for name in names)
        except FileNotFoundError:
            return

    def index(self, folder: Path) -> FolderIndex:
        """See `Storage.index`."""
        return _RemoteIndex(self, folder)

    def expand(self, path: Path) -> list[Path]:
        """See `Storage.expand`. URLs are not patterns."""
        return [path]

    def relative_name(self, folder: Path, path: Path) -> str | None:
        """See `Storage.relative_name`."""
        if isinstance(path, Path) or _protocol(path) != _protocol(folder):
            return None
        top, name = store_name(folder), store_name(path)
        if name == top:
            return "."
        return name[len(top) + 1 :] if name.startswith(f"{top}/") else None

    def join(self, folder: Path, name: str) -> Path:
        """See `Storage.join`. A name may be the URL of another store, so it is always checked."""
        try:
            path = folder / checked_name(name)
            is_inside = store_name(path) == f"{store_name(folder)}/{name}"
        except ValueError:  # UPath refuses the URL of another store
            is_inside = False
        if not is_inside:
            raise InputError(f"{name!r} leaves its folder: only names inside it are allowed")
        return path

    def join_inside(self, folder: Path, name: str) -> Path:
        """See `Storage.join_inside`.

        Object stores have no links, and on a server (`sftp://`) refusing them is up to the server.
        Links in a `file://` folder are checked.
        """
        path = self.join(folder, name)
        if _protocol(folder) in LOCAL_PROTOCOLS:
            check_links(store_name(path), name, os.path.realpath(store_name(folder)))
        return path

    def name_key(self, folder: Path) -> Callable[[str], str]:
        """See `Storage.name_key`. Stores tell all names apart."""
        return str

    def make_dir(self, folder: Path) -> None:
        """See `Storage.make_dir`. Does nothing: folders appear when files are written."""

    def check_writable(self, folder: Path) -> None:
        """See `Storage.check_writable`. Whether a store accepts writes shows at the first one."""
        if self.is_file(folder):
            raise InputError(f"{folder}: cannot hold results, because it is a file")

    def write_atomic(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        """See `Storage.write_atomic`."""
        content = io.BytesIO()
        write(content)
        self._put(path, lambda files, name: files.pipe_file(name, content.getvalue()))

    def upload(self, path: Path, local: Path) -> None:
        """See `Storage.upload`."""
        self._put(path, lambda files, name: files.put_file(str(local), name))

    def _put(self, path: Path, write: Callable[[Any, str], object]) -> None:
        files, name = _file_system(path), store_name(path)
        with _store_errors(path):
            if _protocol(path) in OBJECT_STORES:
                write(files, name)
                return
            folder = name.rpartition("/")[0]
            files.makedirs(folder, exist_ok=True)
            temporary = f"{folder}/{TEMPORARY_PREFIX}{uuid4().hex}{TEMPORARY_SUFFIX}"
            try:
                write(files, temporary)
                files.mv(temporary, name)
            except BaseException:
                with suppress(Exception):
                    files.rm_file(temporary)
                raise

    def remove(self, path: Path) -> None:
        """See `Storage.remove`."""
        with suppress(FileNotFoundError), _store_errors(path):
            _file_system(path).rm_file(store_name(path))

    def remove_temporary_files(self, folder: Path) -> None:
        """See `Storage.remove_temporary_files`."""
        if _protocol(folder) in OBJECT_STORES:
            return
        if _protocol(folder) in LOCAL_PROTOCOLS:
            LOCAL.remove_temporary_files(Path(store_name(folder)))
            return
        for name in list(self.list_files(folder, hidden=True)):
            if is_temporary(name.rpartition("/")[2]):
                self.remove(folder / name)


class _RemoteIndex:
    """Which files a remote folder has, without a request for each. Used from several threads.

    The first few files are asked for one by one, and the answers are remembered. After that the
    folder is listed once, at eight bytes a file. So an answer does not change within a run, and
    files that others add later are not seen.
    """

    def __init__(self, storage: FsspecStorage, folder: Path) -> None:
        self._storage, self._folder, self._lock = storage, folder, Lock()
        self._answers: dict[str, bool] = {}
        self._listing: HashSet | None = None

    def has(self, name: str) -> bool:
        path = self._storage.join(self._folder, name)
        # Listing a `file://` folder would not follow its links, and asking costs little there.
        if _protocol(self._folder) in LOCAL_PROTOCOLS:
            return self._storage.is_file(path)
        with self._lock:
            if self._listing is None and name not in self._answers:
                if len(self._answers) < SINGLE_QUERIES:
                    self._answers[name] = self._storage.is_file(path)
                else:
                    self._listing = _hash_names(self._storage.list_files(self._folder, hidden=True))
            return self._answers[name] if self._listing is None else hash64(name) in self._listing


def _hash_names(names: Iterator[str]) -> HashSet:
    hashes = HashSet()
    while chunk := list(islice(names, NAMES_PER_CHUNK)):
        hashes.add(np.unique(np.array([hash64(name) for name in chunk], np.uint64)))
    return hashes


FSSPEC = FsspecStorage()


def store_name(path: Path) -> str:
    """Return a remote location's name in its file system, without a slash at the end."""
    remote: Any = path
    return str(remote.path).rstrip("/")


def location_digest(path: Path) -> str:
    """Return 32 hexadecimal digits that identify a remote location, the same in every process."""
    remote: Any = path
    parts = [_protocol(path), store_name(path), dict(remote.storage_options)]
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _protocol(path: Path) -> str:
    remote: Any = path
    return str(remote.protocol)


def _file_system(path: Path) -> Any:
    remote: Any = path
    return remote.fs


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    """Turn what a store raises into an `OSError` with an error number and a text."""
    try:
        yield
    except Exception as error:
        if isinstance(error, FileNotFoundError) and error.strerror:
            raise
        number, text = _errno_and_text(error, path)
        if number == errno.ENOENT:
            raise FileNotFoundError(number, text) from error
        raise StoreError(number, text) from error


def _errno_and_text(error: Exception, path: Path) -> tuple[int, str]:
    if isinstance(error, OSError) and error.errno and error.strerror:
        return error.errno, error.strerror
    numbers = ((FileNotFoundError, errno.ENOENT), (PermissionError, errno.EACCES))
    number = next((n for kind, n in numbers if isinstance(error, kind)), errno.EIO)
    text = (str(error).strip().splitlines() or [""])[0]
    # Some messages are only the file's name. But an unreachable store's contain its address too.
    if not text or (number != errno.EIO and store_name(path) in text):
        text = os.strerror(number)
    return number, text
