"""The poses of the page: how it sends and gets them, and those of the files that it loads."""

import re
import tempfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from dptn_cli.errors import InputError, user_errors
from dptn_cli.keypoints import JOINT_NAMES, PoseFiles
from dptn_cli.types import JOINTS, MISSING, Pose

MAX_POSES = 200  # of one file on the page
DIGITS = 3  # of a coordinate, as in an OpenPose file


@dataclass(frozen=True)
class NamedPose:
    """A pose to start from.

    Attributes:
        name: what the page calls it.
        pose: (18, 2) as (y, x), pixels of its image; -1 for a missing joint.
    """

    name: str
    pose: Pose


@dataclass(frozen=True)
class LoadedPoses:
    """The poses of a file.

    Attributes:
        poses: those that can be used, at least one.
        broken: how many entries cannot be used.
    """

    poses: tuple[NamedPose, ...]
    broken: int = 0


def to_joints(pose: Pose) -> list[list[float] | None]:
    """Return a pose as the page has it: for each joint [x, y], or None if it is missing."""
    return [None if (yx == MISSING).any() else [float(yx[1]), float(yx[0])] for yx in pose]


def from_joints(joints: object) -> Pose:
    """Read a pose as the page sends it.

    Raises:
        InputError: it is anything else.
    """
    if not isinstance(joints, list) or len(joints) != JOINTS:
        raise InputError(f"a pose is a list of {JOINTS} joints")
    pose = np.full((JOINTS, 2), float(MISSING))
    for number, joint in enumerate(joints):
        if joint is None:
            continue
        try:
            x, y = joint
            yx = np.array([float(y), float(x)])
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"{JOINT_NAMES[number]}: a joint is [x, y] or null") from error
        if not np.isfinite(yx).all() or np.abs(yx).max() > 1e6:
            raise InputError(f"{JOINT_NAMES[number]}: {joint} is no point of an image")
        yx = yx.round(DIGITS)  # as in a saved file
        # The coordinate -1 stands for a missing joint.
        pose[number] = np.where(yx == MISSING, MISSING + 10.0**-DIGITS, yx)
    return pose


def read_pose_file(name: str, content: bytes) -> LoadedPoses:
    """Read the poses of a file that the page sent.

    Args:
        name: the file's name.
        content: what is in it.

    Raises:
        InputError: it is not a pose file, or has no pose that can be used.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _as_file_name(name)
        with user_errors(Path(name), "cannot be read"):
            path.write_bytes(content)
        try:
            return _usable_poses(PoseFiles(path), name)
        except InputError as error:
            raise InputError(str(error).replace(f"{folder}/", "")) from error


def _usable_poses(files: PoseFiles, name: str) -> LoadedPoses:
    poses, problems = [], []
    for entry in islice(files.names(), MAX_POSES):
        try:
            person = files.find(entry)
        except InputError as error:
            problems.append(error)
            continue
        if person is not None and (person.pose != MISSING).any():
            poses.append(NamedPose(person.name, person.pose))
    if not poses:
        raise problems[0] if problems else InputError(f"{name}: it contains no pose")
    return LoadedPoses(tuple(poses), len(problems))


def _as_file_name(name: str) -> str:
    """Return the last part of a name, with nothing in it that a file cannot have."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return re.sub(r"[^\w .()-]", "_", last)[-60:].strip(". ") or "poses"
