"""Which files a remote folder has, without a request for each."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from threading import Lock

import numpy as np

from dptn_cli.io.files import safe_join
from dptn_cli.io.hash_sets import DigestSet, digest
from dptn_cli.io.paths import LOCAL_PROTOCOLS, protocol_of
from dptn_cli.io.storage import is_file, names_in

ASKED_SINGLY = 64  # before it is quicker to list the whole folder
CHUNK = 1 << 16


class Inventory:
    """Which files a remote folder has; used from several threads.

    The first few are asked for one by one, and remembered. After that the folder is listed, once,
    and eight bytes a file are kept. So what others do there later is not seen, and an answer does
    not change within a run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, Lock()
        self._answers: dict[str, bool] = {}
        self._listed: DigestSet | None = None
        # There, links have to be followed, which no listing does; and asking costs little.
        self._singly = protocol_of(folder) in LOCAL_PROTOCOLS

    def has(self, name: str) -> bool:
        """Whether a file is there.

        Raises:
            InputError: the name leaves the folder.
            OSError: the store does not tell.
        """
        if self._singly:
            return is_file(safe_join(self._folder, name))
        with self._lock:
            if self._listed is None and name not in self._answers:
                if len(self._answers) < ASKED_SINGLY:
                    self._answers[name] = is_file(safe_join(self._folder, name))
                else:
                    self._listed = _listed(names_in(self._folder))
            return self._answers[name] if self._listed is None else digest(name) in self._listed


def _listed(names: Iterator[str]) -> DigestSet:
    listed = DigestSet()
    while chunk := list(islice(names, CHUNK)):
        listed.add(np.unique(np.array([digest(name) for name in chunk], np.uint64)))
    return listed
