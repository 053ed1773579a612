"""`manifest.jsonl`: what became of every item, and so what the next run can skip.

Each line is a JSON object. The line of a generated image is appended after the image is in place
under its final name. The last line for an output counts. Items that are skipped or that fail as
before add no line; the line from the earlier run still counts, and a nightly run that finds
nothing to do leaves the file unchanged. A line cut short by a kill is removed when the next run
starts.
"""

import errno
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from dptn_cli.enums import Status
from dptn_cli.errors import InputError, RunStopped, user_errors
from dptn_cli.io.files import is_at
from dptn_cli.io.jsonl import drop_torn_line, read_lines
from dptn_cli.io.locks import Lock
from dptn_cli.io.own_files import check_results_folder
from dptn_cli.io.results_folder import MANIFEST_NAME, TEMPORARY_PREFIX, TEMPORARY_SUFFIX
from dptn_cli.io.storage import storage_of
from dptn_cli.transfer.earlier_runs import EarlierRuns
from dptn_cli.transfer.manifest_sync import ManifestSync
from dptn_cli.types import Outcome

RESERVED_BYTES = 1 << 18  # for the records of a run whose disk gets full


class Manifest:
    """The manifest of one results folder, locked for one run.

    Args:
        folder: the results folder; it must exist.
        model_sha256: digest of the model, written into every line.

    Attributes:
        folder: the results folder.
        earlier: what the manifest said when the run began.
        lock: what keeps other runs out of the folder.

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
            self._path = self._sync.local_path if self._sync else path
            self._file = self._path.open("ab", buffering=0)
            self.lock = Lock(self._file, folder, "dptn transfer")
            drop_torn_line(self._path)
            if self._sync:
                self._sync.append_new_lines()
                self._sync.upload()
            self._size = self._path.stat().st_size
            storage.remove_temporary_files(folder)
            self.earlier = EarlierRuns(folder, lambda: read_lines(self._path), self._path)
        self._reserve = _Reserve(self._path.parent)

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, kind: object = None, *_: object) -> None:
        self._reserve.release()
        if self._sync and kind is not KeyboardInterrupt:  # an interrupted run ends at once
            with suppress(OSError):  # `publish` has reported it, if anybody was there to see it
                self._sync.upload()
        self.lock.release()
        with suppress(OSError):  # `close` has reported it
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

    def close(self) -> None:
        """Close the file, and so let go of the results folder.

        Raises:
            InputError: the system could not write what it had accepted.
        """
        self.lock.release()
        with user_errors(self.folder / MANIFEST_NAME, "cannot be written"):
            self._file.close()

    @property
    def is_in_place(self) -> bool:
        """Whether the file is still in the results folder, or in this machine's cache."""
        try:
            return is_at(self._path, self._file)
        except OSError:
            return False

    def check(self) -> None:
        """Make sure that the file is in its folder, with what this run wrote and no more.

        Raises:
            RunStopped: it is not.
        """
        if not self.is_in_place:
            raise self._stopped("the results folder or this file was removed or replaced")
        if os.fstat(self._file.fileno()).st_size != self._size:
            raise self._stopped("another program changed this file during the run")

    def release_reserve(self) -> None:
        """Free the disk space that was kept back for the records of a run that stops."""
        self._reserve.release()

    def append(self, outcome: Outcome) -> Outcome:
        """Write an outcome's line, unless the manifest has that line already.

        Returns:
            The outcome. A failure that an earlier run has met for the same reason is `known`, and
            has that reason.

        Raises:
            RunStopped: the line cannot be written, or the file is no longer what this run wrote.
                The next run will not know about the item.
        """
        if outcome.status is Status.SKIPPED:
            return outcome
        outcome = self.earlier.recognized(outcome)
        if outcome.known:
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
        if outcome.status is Status.FAILED:
            line |= {"permanent": outcome.permanent, "line": outcome.line or None}
        self._write((json.dumps(line) + "\n").encode())
        if self._sync and self._sync.is_due:
            with suppress(OSError):  # it is tried again after the next interval
                self._sync.upload()
        return outcome

    def _write(self, line: bytes) -> None:
        self.check()
        try:
            try:
                self._write_whole(line)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                self._reserve.release()
                self._write_whole(line)
        except OSError as error:
            raise self._stopped(error.strerror or str(error)) from error
        self._size += len(line)

    def _write_whole(self, line: bytes) -> None:
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._file.fileno(), self._size)  # drop the part that was written
            raise

    def _stopped(self, reason: str) -> RunStopped:
        return RunStopped(f"{self.folder / MANIFEST_NAME}: {reason}")


class _Reserve:
    """Disk space that is kept back: a hidden file, which the next run would remove.

    Args:
        folder: the folder that holds the file.
    """

    def __init__(self, folder: Path) -> None:
        self._path = ""
        try:
            handle, self._path = tempfile.mkstemp(TEMPORARY_SUFFIX, TEMPORARY_PREFIX, folder)
            with os.fdopen(handle, "wb", buffering=0) as file:
                file.write(os.urandom(RESERVED_BYTES))  # zeros may take no space
        except OSError:  # without it, a run whose disk gets full may not be able to say so
            self.release()

    def release(self) -> None:
        path, self._path = self._path, ""
        if path:
            with suppress(OSError):
                os.unlink(path)
