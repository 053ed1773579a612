"""Outputs of earlier lists that the last list no longer has: found, recorded and removed.

`unlisted.jsonl` repeats the manifest's last line of each, whether its image exists or not, so that
a reader of the manifest can pass them over. Every run removes the file when it starts, and writes
it anew at its end if it knows the whole list.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.files import join_inside, write_atomic
from dptn_cli.io.hash_sets import HashSet
from dptn_cli.io.paths import checked_name
from dptn_cli.io.results_folder import MANIFEST_NAME, UNLISTED_NAME
from dptn_cli.io.storage import storage_of
from dptn_cli.transfer.earlier_runs import EarlierRuns, hash_text
from dptn_cli.types import Job

MERGED_AT_ONCE = 1 << 16  # outputs


class Unlisted:
    """Finds the outputs that are not among those of a job: eight bytes for each of these.

    Args:
        job: the job.
        earlier: what the manifest said before the job was run.
    """

    def __init__(self, job: Job, earlier: EarlierRuns) -> None:
        self._job, self._earlier = job, earlier
        self._listed, self._recent = HashSet(), set[int]()

    def add_listed(self, output: str) -> None:
        """Note an output of the job."""
        if self._earlier.is_empty:
            return
        self._recent.add(hash_text(self._job.name_key(output)))
        if len(self._recent) >= MERGED_AT_ONCE:
            self._listed.add(np.sort(np.fromiter(self._recent, np.uint64, len(self._recent))))
            self._recent.clear()

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the manifest's last line of each output that is not listed.

        Raises:
            InputError: the manifest cannot be read.
        """
        with user_errors(self._job.out / MANIFEST_NAME):
            for entry in self._earlier.last_entries():
                if not self._is_listed(entry["output"]):
                    yield entry

    def results(self) -> Iterator[str]:
        """Yield the names of the images that exist, are not listed, and can be removed.

        Images that the job itself reads are left out, even if an earlier run made them.

        Raises:
            InputError: the manifest cannot be read.
        """
        return filter(self.is_result, (entry["output"] for entry in self.entries()))

    def is_result(self, output: str) -> bool:
        """Return whether an output is an image that exists, and that the job does not read."""
        return _is_name(output) and self._earlier.is_done(output) and not self._job.is_input(output)

    def _is_listed(self, output: str) -> bool:
        value = hash_text(self._job.name_key(output))
        return value in self._recent or value in self._listed


def _is_name(output: str) -> bool:
    """Return whether a manifest, which anybody may have edited, names a file in the folder."""
    try:
        return checked_name(output) == output
    except InputError:
        return False


def remove_unlisted(folder: Path) -> None:
    """Remove `unlisted.jsonl`, which does not hold any more once a run has started.

    Raises:
        InputError: it cannot be removed.
    """
    path = folder / UNLISTED_NAME
    with user_errors(path):
        storage_of(folder).remove(path)


def write_unlisted(folder: Path, entries: Iterator[dict[str, Any]]) -> None:
    """Write `unlisted.jsonl`, if there are entries.

    Raises:
        InputError: it cannot be written.
    """

    def write(file: BinaryIO) -> None:
        for entry in chain([first], entries):
            file.write((json.dumps(entry) + "\n").encode())

    first = next(entries, None)
    path = folder / UNLISTED_NAME
    if first is not None:
        with user_errors(path):
            write_atomic(path, write)


def prune(folder: Path, outputs: Iterator[str]) -> tuple[int, list[str]]:
    """Remove results, and the folders that are empty without them.

    Args:
        folder: the results folder.
        outputs: the names of the results.

    Returns:
        The number of results that were removed, and why others were not, one line each.
    """
    out, count, problems = folder.resolve(), 0, []
    for output in outputs:
        try:
            _remove_result(out, output)
            count += 1
        except InputError as error:
            problems.append(str(error))
    return count, problems


def _remove_result(out: Path, output: str) -> None:
    storage, path = storage_of(out), join_inside(out, output)
    with user_errors(path, "cannot be removed"):
        storage.remove(path)
    for parent in PurePosixPath(output).parents[:-1] if not storage.is_remote else ():
        with suppress(OSError):  # it holds something else
            os.rmdir(out / parent)
