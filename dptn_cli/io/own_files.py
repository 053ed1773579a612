"""Which files in a results folder are dptn's own, judged by their content.

Other tools write files called `manifest.jsonl` and `run.json` too. dptn never changes a file that
it did not write, and never leaves out images because of one.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from dptn_cli.enums import Status
from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.jsonl import parse_line
from dptn_cli.io.results_folder import MANIFEST_NAME, RUN_NAME, UNLISTED_NAME
from dptn_cli.io.storage import storage_of

LOG_BYTES = 1 << 20  # how much of a log is read
RUN_BYTES = 16 << 20  # limit for a `run.json`, which names every folder of target images
RUN_STATES = ("running", "finished", "interrupted", "stopped")


def is_manifest(path: Path) -> bool:
    """Return whether a file is a manifest of `dptn transfer`: see `is_log`.

    Raises:
        OSError: the file is missing, or cannot be read.
    """
    return is_log(path, "output", "source")


def is_log(path: Path, first_key: str, second_key: str) -> bool:
    """Return whether dptn wrote a log: whether one of its first lines is an outcome.

    An empty file counts, and so does the beginning of a first line: a run was killed there.

    Args:
        path: the file.
        first_key: the key that its lines begin with; it holds a name.
        second_key: the next key; it holds a text.

    Raises:
        OSError: the file is missing, or cannot be read.
    """
    *lines, torn = storage_of(path).read_bytes(path, LOG_BYTES).split(b"\n")
    if lines:
        return any(_is_outcome(parse_line(line), first_key) for line in lines)
    entry = parse_line(torn)
    if entry is not None:
        return _is_outcome(entry, first_key)
    # Inside a JSON string quotes are escaped, so that this is the end of the first value.
    name, _, rest = torn.partition(b'", "')
    return _begin_alike(name, f'{{"{first_key}": "'.encode()) and _begin_alike(
        rest, f'{second_key}": "'.encode()
    )


def is_run_json(path: Path) -> bool:
    """Return whether a file is a `run.json` of `dptn transfer`. An empty file counts.

    Raises:
        OSError: the file is missing, or cannot be read.
    """
    content = storage_of(path).read_bytes(path, RUN_BYTES)
    document = parse_line(content)
    return not content or (
        isinstance(document, dict)
        and document.get("state") in RUN_STATES
        and isinstance(document.get("counts"), dict)
        and isinstance(document.get("model"), dict)
    )


def results_among(folder: Path, names: Iterable[PurePosixPath]) -> set[PurePosixPath]:
    """Find the results folders below a folder by their manifests; the folder itself is not one.

    Args:
        folder: the folder.
        names: the files in it and below it.

    Raises:
        OSError: a manifest cannot be read.
    """
    return {
        name.parent
        for name in names
        if name.name == MANIFEST_NAME
        and len(name.parts) > 1
        and is_manifest(folder / name.as_posix())
    }


def files_outside_results(folder: Path) -> list[PurePosixPath]:
    """Return the files in a folder and below it, sorted, without results of `dptn transfer`.

    Raises:
        OSError: a folder or a file cannot be read.
    """
    names = sorted(map(PurePosixPath, storage_of(folder).list_files(folder)))
    results = results_among(folder, names)
    return [
        name
        for name in names
        if not results.intersection(name.parents)
        and not (name.name == RUN_NAME and is_run_json(folder / name.as_posix()))
    ]


def check_results_folder(folder: Path) -> bool:
    """Make sure that a run overwrites no file of another tool in its results folder.

    Args:
        folder: the results folder; it need not exist.

    Returns:
        Whether an earlier run has written its files there.

    Raises:
        InputError: its manifest or `run.json` is not from `dptn transfer`, leads out of the
            folder through a link, or cannot be read.
    """
    storage = storage_of(folder)
    own = {MANIFEST_NAME: is_manifest, RUN_NAME: is_run_json, UNLISTED_NAME: is_manifest}
    has_own = False
    for name, is_own in own.items():
        path = folder / name
        with user_errors(path):
            storage.join_inside(folder.resolve(), name)
            try:
                ours = is_own(path)
            except FileNotFoundError:
                continue
        if not ours:
            raise foreign_file(path, "dptn transfer", "name another results folder")
        has_own = True
    return has_own


def foreign_file(path: Path, command: str, way_out: str) -> InputError:
    """Return the error for a file of another tool that a command would overwrite.

    Args:
        path: the file.
        command: the command that writes files of this name.
        way_out: what the user can do.
    """
    return InputError(f"{path} exists, but {command} did not write it: {way_out}")


def _is_outcome(entry: Any, first_key: str) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get(first_key), str)
        and isinstance(entry.get("fingerprint"), str)
        and entry.get("status") in tuple(Status)
    )


def _begin_alike(first: bytes, second: bytes) -> bool:
    return first.startswith(second) or second.startswith(first)
