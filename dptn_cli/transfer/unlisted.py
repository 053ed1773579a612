"""Results of earlier lists that the last list no longer has: found, recorded and removed.

They are in the manifest, so dptn made them. `unlisted.jsonl` repeats the manifest's last line of
each, and is written anew at the end of every whole run.
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
from dptn_cli.io.results_folder import UNLISTED_NAME
from dptn_cli.io.storage import storage_of
from dptn_cli.transfer.earlier_runs import EarlierRuns, hash_text
from dptn_cli.types import Job

MERGED_AT_ONCE = 1 << 16  # outputs


class UnlistedResults:
    """Finds the results that are not among the outputs of a job: eight bytes for each of these.

    Args:
        job: the job.
        earlier: what the manifest said before the job was run.
    """

    def __init__(self, job: Job, earlier: EarlierRuns) -> None:
        self._folder, self._is_input, self._earlier = job.out, job.is_input, earlier
        self._key = storage_of(job.out).name_key(job.out)
        self._listed, self._recent = HashSet(), set[int]()

    def add_listed(self, output: str) -> None:
        """Note an output of the job."""
        if self._earlier.is_empty:
            return
        self._recent.add(hash_text(self._key(output)))
        if len(self._recent) >= MERGED_AT_ONCE:
            self._listed.add(np.sort(np.fromiter(self._recent, np.uint64, len(self._recent))))
            self._recent.clear()

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the manifest's line of each result that exists and is not listed.

        Images that the job itself reads are left out, even if an earlier run made them.

        Raises:
            InputError: the manifest cannot be read.
        """
        with user_errors(self._folder):
            for entry in self._earlier.done_entries():
                output = entry["output"]
                if not self._is_listed(output) and _is_name(output) and not self._is_input(output):
                    yield entry

    def _is_listed(self, output: str) -> bool:
        value = hash_text(self._key(output))
        return value in self._recent or value in self._listed


def _is_name(output: str) -> bool:
    """Return whether a manifest, which anybody may have edited, names a file in the folder."""
    try:
        return checked_name(output) == output
    except InputError:
        return False


def write_unlisted(folder: Path, entries: Iterator[dict[str, Any]]) -> int:
    """Write `unlisted.jsonl`, or remove it if there are no entries.

    Returns:
        The number of entries.

    Raises:
        InputError: it cannot be written.
    """
    path, count = folder / UNLISTED_NAME, 0

    def write(file: BinaryIO) -> None:
        nonlocal count
        for count, entry in enumerate(chain([first], entries), start=1):  # noqa: B007 - the last
            file.write((json.dumps(entry) + "\n").encode())

    first = next(entries, None)
    with user_errors(path):
        if first is None:
            storage_of(folder).remove(path)
        else:
            write_atomic(path, write)
    return count


def prune(folder: Path, entries: Iterator[dict[str, Any]]) -> int:
    """Remove results, and the folders that are empty without them.

    Args:
        folder: the results folder.
        entries: the manifest's lines of the results.

    Returns:
        The number of results that were removed.

    Raises:
        InputError: a result cannot be removed, or leads out of the folder through a link.
    """
    out, count = folder.resolve(), 0
    storage = storage_of(out)
    for entry in entries:
        path = join_inside(out, entry["output"])
        with user_errors(path):
            storage.remove(path)
        count += 1
        for parent in PurePosixPath(entry["output"]).parents[:-1] if not storage.is_remote else ():
            with suppress(OSError):  # it holds something else
                os.rmdir(out / parent)
    return count
