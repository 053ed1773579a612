"""Poses written in the formats that `pose_files` reads."""

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from dptn_cli.errors import InputError
from dptn_cli.files import checked_name, make_folder, without_picture_suffix, write_atomic
from dptn_cli.keypoints.annotation_csv import HEADER, format_pose
from dptn_cli.keypoints.coco import annotations_of
from dptn_cli.keypoints.openpose import people_of
from dptn_cli.records import FoundPose


class PoseFormat(StrEnum):
    """How poses are written."""

    CSV = "csv"
    COCO = "coco"
    OPENPOSE = "openpose"


def write_poses(path: Path, poses: Sequence[FoundPose], pose_format: PoseFormat) -> None:
    """Write poses; a file is seen whole or not at all.

    Args:
        path: the file; for OpenPose the folder, which gets a file for each picture.
        poses: people of one picture follow each other or not; the CSV holds one a picture.
        pose_format: csv keeps the neck and no confidence, coco neither (the neck is found
            again between the shoulders), openpose both.

    Raises:
        InputError: a name that the format cannot hold, or a file that cannot be written.
    """
    if pose_format is PoseFormat.OPENPOSE:
        for name, people in _by_file(poses).items():
            file = _openpose_file(path, name)
            make_folder(file.parent)
            _write(file, _json(people_of(people)))
        return
    make_folder(path.parent)
    coco = pose_format is PoseFormat.COCO
    _write(path, _json(annotations_of(poses)) if coco else _csv(poses))


def drop_openpose(folder: Path, name: str) -> None:
    """Remove the file of a picture from an OpenPose folder, if there is one.

    Raises:
        InputError: it cannot be removed.
    """
    file = _openpose_file(folder, without_picture_suffix(checked_name(name)))
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{file}: cannot be removed: {error.strerror}") from error


def _openpose_file(folder: Path, stem: str) -> Path:
    return folder / f"{stem}_keypoints.json"


def _csv(poses: Sequence[FoundPose]) -> bytes:
    lines = [":".join(HEADER)]
    names: set[str] = set()
    for found in poses:
        if ":" in found.name or any(ord(char) < 32 for char in found.name):
            raise InputError(f"{found.name!r}: an annotation CSV cannot hold this name; rename it")
        if found.name in names:
            raise InputError(f"{found.name}: an annotation CSV holds one person a picture")
        names.add(found.name)
        lines.append(format_pose(found.name, found.pose))
    return ("\n".join(lines) + "\n").encode()


def _by_file(poses: Sequence[FoundPose]) -> dict[str, list[FoundPose]]:
    """The people of each picture, by its name without suffix."""
    files: dict[str, list[FoundPose]] = {}
    for found in poses:
        people = files.setdefault(without_picture_suffix(checked_name(found.name)), [])
        if people and people[0].name != found.name:
            raise InputError(
                f"{people[0].name} and {found.name} would share an OpenPose file; "
                "write csv or coco, or rename one"
            )
        people.append(found)
    return files


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    def write(file: BinaryIO) -> None:
        file.write(content)

    try:
        write_atomic(path, write)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
