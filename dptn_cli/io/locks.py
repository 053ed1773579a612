"""Exclusive locks on a folder or a file, also where the file system has none.

The system's own lock is released when its file closes or the process dies. Some file systems have
none (Lustre, NFS, SMB and FUSE, by how they are mounted). There a lock file is created, which only
one process can do. It tells who holds it, and its time of change is kept fresh. One whose process
is gone, or whose time stands still, is stale and is replaced.
"""

import errno
import json
import os
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import IO, Any
from uuid import uuid4

from dptn_cli.errors import InputError
from dptn_cli.io.jsonl import parse_line
from dptn_cli.io.results_folder import LOCK_PREFIX, TEMPORARY_PREFIX, TEMPORARY_SUFFIX

NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
REFRESH_S = 20.0
STALE_S = 180.0  # without a refresh; what counts is the clock of the file system
BREAKING_S = 30.0  # after which whoever was replacing a stale lock is taken for dead


class Lock:
    """An exclusive lock that is held. It ends with `release`, or with the process.

    Args:
        file: the file to lock, open for writing. Closing it releases the system's lock.
        resource: the file or folder that the lock stands for, for the message.
        command: the command that takes this lock, for the message.

    Attributes:
        note: what the user should know about the kind of lock; empty for the system's own.

    Raises:
        InputError: another process holds the lock.
        OSError: the lock file cannot be created.
    """

    def __init__(self, file: IO[Any], resource: Path, command: str) -> None:
        self.note = ""
        self._lock_file: _LockFile | None = None
        try:
            _lock_by_system(file)
        except BlockingIOError as error:
            raise _held(resource, command) from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            locked = Path(file.name)
            path = locked.with_name(LOCK_PREFIX + locked.name)
            self._lock_file = _LockFile(path, resource, command)
            self.note = (
                f"{path.parent}: the file system has no locks ({error.strerror}); the file "
                f"{path.name} keeps other runs out"
            )

    def release(self) -> None:
        """Remove the lock file, if there is one."""
        if self._lock_file:
            self._lock_file.release()


def _lock_by_system(file: IO[Any]) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _held(resource: Path, command: str, holder: str = "") -> InputError:
    return InputError(
        f"{resource}: another `{command}` is writing there{holder}; wait until it has ended"
    )


class _LockFile:
    """A lock file that this process has created."""

    def __init__(self, path: Path, resource: Path, command: str) -> None:
        self._path, self._released, self._token = path, Event(), uuid4().hex
        holder = _this_process() | {"command": command, "token": self._token}
        content = (json.dumps(holder) + "\n").encode()
        if not _create(path, content):
            holder = _read(path)
            if not _is_stale(path, holder):
                where = f" (process {holder.get('pid')} on {holder.get('host')}, {path})"
                raise _held(resource, command, where)
            if not _replace(path, content):
                raise _held(resource, command)
        Thread(target=self._refresh, daemon=True).start()

    def release(self) -> None:
        if not self._released.is_set():
            self._released.set()
            if self._is_own():
                with suppress(OSError):
                    self._path.unlink()

    def _is_own(self) -> bool:
        """Return whether the file is still this process's: it may have been taken for stale."""
        return _read(self._path).get("token") == self._token

    def _refresh(self) -> None:
        while not self._released.wait(REFRESH_S) and self._is_own():
            with suppress(OSError):
                os.utime(self._path)


def _this_process() -> dict[str, Any]:
    return {"host": socket.gethostname(), "space": _pid_namespace(), "pid": os.getpid(),
            "started": _start_time(os.getpid())}  # fmt: skip


def _pid_namespace() -> str:
    """Return the boot and the PID namespace, within which a process id is unique."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""


def _start_time(pid: int) -> str:
    """Return when a process started, in the system's own unit; empty if it is not known."""
    with suppress(OSError, IndexError):
        # The name of the program, in parentheses, may have spaces.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""


def _create(path: Path, content: bytes) -> bool:
    """Create a file that does not exist yet; return whether this process did."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return True


def _replace(path: Path, content: bytes) -> bool:
    """Replace a stale lock; return False if another process does so at the same time."""
    breaking = path.with_name(f"{path.name}-breaking")
    if not _create(breaking, b""):
        with suppress(OSError):
            if _age_s(breaking) > BREAKING_S:
                breaking.unlink()
        return False
    try:
        # Read again: it may have been replaced since.
        if path.exists() and not _is_stale(path, _read(path)):
            return False
        path.unlink(missing_ok=True)
        return _create(path, content)
    finally:
        breaking.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """Read who holds a lock file; empty if that is not known, as while it is being written."""
    try:
        with path.open("rb") as file:
            entry = parse_line(file.read(4096))
    except OSError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _is_stale(path: Path, holder: dict[str, Any]) -> bool:
    """Return whether the process that holds a lock file is gone."""
    pid, space = holder.get("pid"), _pid_namespace()
    if space and holder.get("space") == space and isinstance(pid, int):
        return _start_time(pid) != holder.get("started")
    try:
        return _age_s(path) > STALE_S
    except FileNotFoundError:
        return True


def _age_s(path: Path) -> float:
    """Return the seconds since a file changed, by the clock of its file system."""
    with tempfile.NamedTemporaryFile(
        prefix=TEMPORARY_PREFIX, suffix=TEMPORARY_SUFFIX, dir=path.parent
    ) as probe:
        return os.fstat(probe.fileno()).st_mtime - path.stat().st_mtime
