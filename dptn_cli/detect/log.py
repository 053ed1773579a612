"""The log of a detection job: the outcome for each image, so that a later run can resume.

The log is a JSON Lines file beside the poses. A line is appended as soon as an image is done, and
the last line for an image counts. The log also stores the poses, because the pose file itself is
written only at the end of a run, and a run that is killed must lose nothing.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dptn_cli.detect.detector import DetectorId
from dptn_cli.enums import Status
from dptn_cli.errors import user_errors
from dptn_cli.io.files import make_folder
from dptn_cli.io.jsonl import drop_torn_line
from dptn_cli.io.locks import Lock
from dptn_cli.io.own_files import foreign_file, is_log
from dptn_cli.io.results_folder import RECORD_SUFFIX
from dptn_cli.keypoints.annotation_csv import HEADER
from dptn_cli.types import JOINTS, FoundPose

_MAX_NUMBER = 1 << 31


@dataclass(frozen=True)
class DetectionOutcome:
    """The result of the detection for one image.

    Attributes:
        name: the image's name, relative, with forward slashes.
        status: done, skipped (an earlier run found the same pose) or failed.
        reason: why the image was skipped or failed; empty if it is done.
        people: number of people found in the image.
        found_pose: the chosen person's pose; None if the image failed.
        fingerprint: digest of everything that the pose depends on; empty if it is not known.
        permanent: whether the image will fail again unless its inputs change.
        detector: what looked for people.
        file_state: size of the image file in bytes, and when it was changed, in nanoseconds;
            None in logs of older versions.
    """

    name: str
    status: Status
    reason: str = ""
    people: int = 0
    found_pose: FoundPose | None = None
    fingerprint: str = ""
    permanent: bool = False
    detector: DetectorId = DetectorId("", "")
    file_state: tuple[int, int] | None = None

    @property
    def joints(self) -> int:
        """Number of the 18 joints that the pose has; 0 without a pose."""
        return int((self.found_pose.confidence > 0).sum()) if self.found_pose else 0


def log_path(out: Path) -> Path:
    """Return the path of the log that belongs to a pose file or a folder of pose files.

    The suffix is appended to the whole name (`k.csv` -> `k.csv.record.jsonl`), so that `k.json`
    does not share the log of `k.csv`.
    """
    named = out if out.name.strip(".") else out.resolve()  # `.` and `..` have no name
    return named.parent / (named.name + RECORD_SUFFIX)


def is_free(out: Path) -> bool:
    """Return whether a pose file can be written without asking: there is none, or it is ours.

    It is ours if it has a log, and still looks like a pose file.

    Raises:
        InputError: the log beside it is from another tool, or a file cannot be read.
    """
    has_log = check_log(out)
    with user_errors(out):
        if not out.exists():
            return True
        return has_log and (out.is_dir() or _looks_like_poses(out))


def _looks_like_poses(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(len(HEADER))
    return start == HEADER.encode() or start[:1] in (b"", b"[", b"{")


def check_log(out: Path) -> bool:
    """Make sure that the log of an output is from an earlier run, if there is one.

    Returns:
        Whether there is a log.

    Raises:
        InputError: another tool wrote the file, or it cannot be read.
    """
    path = log_path(out)
    with user_errors(path):
        try:
            is_own = is_log(path, "picture", "status")
        except FileNotFoundError:
            return False
    if not is_own:
        raise foreign_file(path, "dptn detect-poses", "choose another output")
    return True


class DetectionLog:
    """The log of one output, locked while a run writes it.

    Args:
        out: the pose file or folder that the log belongs to.
        overwrite: discard the lines of earlier runs.

    Raises:
        InputError: another run has locked the log, another tool wrote it, or it cannot be read or
            written.
    """

    def __init__(self, out: Path, *, overwrite: bool = False) -> None:
        check_log(out)
        self.path = log_path(out)
        make_folder(self.path.parent)
        with user_errors(self.path):
            self._file = self.path.open("ab", buffering=0)
            self._lock = Lock(self._file, self.path, "dptn detect-poses")
            if overwrite:
                self._file.truncate(0)
            drop_torn_line(self.path)

    def __enter__(self) -> "DetectionLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self._file.close()

    def append(self, outcome: DetectionOutcome) -> None:
        """Write an image's line.

        Raises:
            InputError: the log cannot be written, for instance because the disk is full.
        """
        line = (json.dumps(_to_values(outcome)) + "\n").encode()
        with user_errors(self.path):
            if self._file.write(line) != len(line):
                raise OSError(0, "the disk is full")


def read_outcomes(out: Path, *, failed: bool) -> dict[str, DetectionOutcome]:
    """Read from the log of an output what need not be tried again, by image name.

    Args:
        out: the pose file or folder.
        failed: whether to include the failures that will come again.

    Raises:
        InputError: the log cannot be read. Invalid lines are ignored, and so is a missing log.
    """
    outcomes = _read_last_outcomes(out)
    return {
        name: outcome
        for name, outcome in outcomes.items()
        if outcome.status == Status.DONE or (failed and outcome.permanent)
    }


def read_found(out: Path) -> dict[str, DetectionOutcome]:
    """Read the outcomes with a pose from the log of an output, by image name.

    Raises:
        InputError: the log cannot be read. Invalid lines are ignored, and so is a missing log.
    """
    return read_outcomes(out, failed=False)


def read_failures(out: Path) -> dict[str, DetectionOutcome]:
    """Read the outcomes without a pose from the log of an output, by image name.

    Raises:
        InputError: the log cannot be read. Invalid lines are ignored, and so is a missing log.
    """
    outcomes = _read_last_outcomes(out).items()
    return {name: outcome for name, outcome in outcomes if outcome.status == Status.FAILED}


def _read_last_outcomes(out: Path) -> dict[str, DetectionOutcome]:
    return {outcome.name: outcome for outcome in iterate_outcomes(out)}


def iterate_outcomes(out: Path) -> Iterator[DetectionOutcome]:
    """Yield the outcomes in the log of an output, in the order in which they were logged.

    Raises:
        InputError: the log cannot be read. Invalid lines are ignored, and so is a missing log.
    """
    path = log_path(out)
    with user_errors(path):
        try:
            file = path.open(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        with file:
            for line in file:
                if outcome := _parse_line(line):
                    yield outcome


def _to_values(outcome: DetectionOutcome) -> dict[str, Any]:
    """Return the JSON object for an outcome. Logs on users' disks have these keys: keep them."""
    values: dict[str, Any] = {
        "picture": outcome.name,
        "status": str(outcome.status),
        "reason": outcome.reason,
        "people": outcome.people,
        "joints": outcome.joints,
        "detector": outcome.detector.name,
        "checkpoint": outcome.detector.sha256,
        "fingerprint": outcome.fingerprint,
    }
    if outcome.file_state:
        values["picture_bytes"], values["picture_mtime_ns"] = outcome.file_state
    if outcome.permanent:
        values["permanent"] = True
    if outcome.found_pose:
        values["picture_size"] = outcome.found_pose.image_size
        values["keypoints_y"], values["keypoints_x"] = outcome.found_pose.pose.round(3).T.tolist()
        values["confidence"] = outcome.found_pose.confidence.round(4).tolist()
    return values


def _parse_line(line: str) -> DetectionOutcome | None:
    """Parse a line of the log; None if it is invalid."""
    try:
        values = json.loads(line)
        name, status = str(values["picture"]), Status(values["status"])
        pose = _parse_pose(name, values) if status == Status.DONE else None
        people, fingerprint = int(values["people"]), str(values["fingerprint"])
        file_state = _parse_file_state(values)
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    return DetectionOutcome(
        name,
        status,
        str(values.get("reason", "")),
        people,
        pose,
        fingerprint,
        permanent=values.get("permanent") is True,
        detector=DetectorId(str(values.get("detector", "")), str(values.get("checkpoint", ""))),
        file_state=file_state,
    )


def _parse_file_state(values: Mapping[str, Any]) -> tuple[int, int] | None:
    if "picture_bytes" not in values:
        return None
    return int(values["picture_bytes"]), int(values["picture_mtime_ns"])


def _parse_pose(name: str, values: Mapping[str, Any]) -> FoundPose:
    pose = np.array([values["keypoints_y"], values["keypoints_x"]], np.float64).T
    confidence = np.array(values["confidence"], np.float64)
    if pose.shape != (JOINTS, 2) or confidence.shape != (JOINTS,):
        raise ValueError("not a pose")
    height, width = values["picture_size"]
    size, people = (int(height), int(width)), int(values["people"])
    # Also false for NaN. No image is that large.
    if not ((abs(pose) < _MAX_NUMBER).all() and (abs(confidence) < _MAX_NUMBER).all()):
        raise ValueError("not a pose")
    if not all(0 < number < _MAX_NUMBER for number in (*size, people)):
        raise ValueError("not the size of an image, or a number of people")
    return FoundPose(name, pose, confidence, size, people)
