"""The record beside the poses: what became of every image, so that a next run goes on.

One JSON object a line, appended when the image is done; the last line for an image holds. It
keeps the poses too: the pose file is written whole at the end, and a kill must lose nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dptn_cli.enums import Status
from dptn_cli.errors import InputError
from dptn_cli.io.files import make_folder
from dptn_cli.io.jsonl import drop_torn_line, lock
from dptn_cli.types import JOINTS, FoundPose

SUFFIX = ".record.jsonl"


@dataclass(frozen=True)
class Entry:
    """What became of one image.

    Attributes:
        name: of the image.
        status: done, skipped (an earlier run found the same) or failed.
        reason: why it was skipped or failed; empty when done.
        people: how many people were found.
        found: the pose, where there is one.
        fingerprint: of all that the pose depends on.
    """

    name: str
    status: Status
    reason: str = ""
    people: int = 0
    found: FoundPose | None = None
    fingerprint: str = ""

    @property
    def joints(self) -> int:
        """How many of the 18 joints the pose has."""
        return int((self.found.confidence > 0).sum()) if self.found else 0


def record_path(out: Path) -> Path:
    """Where the record of a pose file, or of a folder of them, is kept: `k.csv.record.jsonl`.

    It has the whole name before it, so that `k.json` is not taken for what made `k.csv`.
    """
    named = out if out.name.strip(".") else out.resolve()  # `.` and `..` have no name
    return named.parent / (named.name + SUFFIX)


class Record:
    """The record of one output, locked for one run.

    Args:
        out: the pose file or folder that it belongs to.
        checkpoint_sha256: written into every line.
        anew: forget what earlier runs have written.

    Raises:
        InputError: another run holds it, or it cannot be read or written.
    """

    def __init__(self, out: Path, checkpoint_sha256: str, *, anew: bool = False) -> None:
        self.path, self._checkpoint = record_path(out), checkpoint_sha256
        make_folder(self.path.parent)
        try:
            self._file = self.path.open("ab", buffering=0)
            lock(self._file, self.path, "dptn detect-poses")
            if anew:
                self._file.truncate(0)
            drop_torn_line(self.path)
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}") from error

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, entry: Entry) -> None:
        """Write an image's line.

        Raises:
            InputError: it cannot be written; a full disk for instance.
        """
        content = (json.dumps(_line(entry, self._checkpoint)) + "\n").encode()
        try:
            if self._file.write(content) != len(content):
                raise OSError(0, "the disk is full")
        except OSError as error:
            raise InputError(f"{self.path}: {error.strerror}") from error


def read_record(out: Path) -> dict[str, Entry]:
    """The poses that earlier runs found, by image; broken lines are passed over."""
    return {name: one for name, one in _last(out).items() if one.status == Status.DONE}


def read_failures(out: Path) -> dict[str, str]:
    """Why earlier runs found no pose, by image."""
    return {name: one.reason for name, one in _last(out).items() if one.status == Status.FAILED}


def _last(out: Path) -> dict[str, Entry]:
    made: dict[str, Entry] = {}
    try:
        with record_path(out).open(encoding="utf-8", errors="replace") as file:
            for line in file:
                entry = _entry(line)
                if entry:
                    made[entry.name] = entry
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{record_path(out)}: {error.strerror}") from error
    return made


def _line(entry: Entry, checkpoint_sha256: str) -> dict[str, Any]:
    line: dict[str, Any] = {
        "picture": entry.name,
        "status": str(entry.status),
        "reason": entry.reason,
        "people": entry.people,
        "joints": entry.joints,
        "checkpoint": checkpoint_sha256,
        "fingerprint": entry.fingerprint,
    }
    if entry.found:
        line["picture_size"] = entry.found.image_size
        line["keypoints_y"], line["keypoints_x"] = entry.found.pose.round(3).T.tolist()
        line["confidence"] = entry.found.confidence.round(4).tolist()
    return line


def _entry(line: str) -> Entry | None:
    try:
        values = json.loads(line)
        name, status = str(values["picture"]), Status(values["status"])
        found = _found(name, values) if status == Status.DONE else None
        people, fingerprint = int(values["people"]), str(values["fingerprint"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return Entry(name, status, str(values.get("reason", "")), people, found, fingerprint)


def _found(name: str, values: Mapping[str, Any]) -> FoundPose:
    pose = np.array([values["keypoints_y"], values["keypoints_x"]], np.float64).T
    confidence = np.array(values["confidence"], np.float64)
    if pose.shape != (JOINTS, 2) or confidence.shape != (JOINTS,) or not np.isfinite(pose).all():
        raise ValueError("not a pose")
    height, width = values["picture_size"]
    size = (int(height), int(width))
    return FoundPose(name, pose, confidence, size, int(values["people"]))
