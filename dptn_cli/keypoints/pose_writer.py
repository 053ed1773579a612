"""Poses written in the formats that `pose_files` reads."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dptn_cli.enums import PoseFormat
from dptn_cli.errors import InputError
from dptn_cli.io.files import write_file
from dptn_cli.io.paths import checked_name, without_image_suffix
from dptn_cli.keypoints.annotation_csv import HEADER, can_hold, format_pose
from dptn_cli.keypoints.coco import annotations_of, predictions_of, results_of
from dptn_cli.keypoints.openpose import people_of
from dptn_cli.types import FoundPose


def write_poses(path: Path, poses: Sequence[FoundPose], pose_format: PoseFormat) -> None:
    """Write poses; a file is seen whole or not at all.

    Args:
        path: the file; for formats with a file for each image, the folder.
        poses: people of one image follow each other or not; the CSV holds one an image.
        pose_format: csv keeps the neck and no confidence; coco neither (the neck is found again
            between the shoulders), coco-results and openpifpaf the confidence; openpose both.

    Raises:
        InputError: a name that the format cannot hold, or a file that cannot be written.
    """
    if pose_format.per_image:
        as_json = people_of if pose_format is PoseFormat.OPENPOSE else predictions_of
        for file, people in _by_file(path, poses, pose_format).items():
            _write(file, _json(as_json(people)))
        return
    if pose_format is PoseFormat.CSV:
        _write(path, _csv(poses))
    else:
        coco = pose_format is PoseFormat.COCO
        _write(path, _json(annotations_of(poses) if coco else results_of(poses)))


def drop_pose_file(folder: Path, name: str, pose_format: PoseFormat) -> None:
    """Remove the file of an image from a folder of such, if there is one.

    Raises:
        InputError: it cannot be removed.
    """
    file = _file_of(folder, name, pose_format)
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{file}: cannot be removed: {error.strerror}") from error


def _file_of(folder: Path, name: str, pose_format: PoseFormat) -> Path:
    """An image's file, named as the tool names it whose format it is."""
    name = checked_name(name)
    if pose_format is PoseFormat.OPENPOSE:
        return folder / f"{without_image_suffix(name)}_keypoints.json"
    return folder / f"{name}.predictions.json"


def _csv(poses: Sequence[FoundPose]) -> bytes:
    lines = [":".join(HEADER)]
    names: set[str] = set()
    for found in poses:
        if not can_hold(found.name):
            raise InputError(f"{found.name!r}: an annotation CSV cannot hold this name; rename it")
        if found.name in names:
            raise InputError(f"{found.name}: an annotation CSV holds one person an image")
        names.add(found.name)
        lines.append(format_pose(found.name, found.pose))
    return ("\n".join(lines) + "\n").encode()


def _by_file(
    folder: Path, poses: Sequence[FoundPose], pose_format: PoseFormat
) -> dict[Path, list[FoundPose]]:
    """The people of each image, by its file."""
    files: dict[Path, list[FoundPose]] = {}
    for found in poses:
        people = files.setdefault(_file_of(folder, found.name, pose_format), [])
        if people and people[0].name != found.name:
            raise InputError(
                f"{people[0].name} and {found.name} would share an OpenPose file; "
                "write csv or coco, or rename one"
            )
        people.append(found)
    return files


def _json(document: dict[str, Any] | list[dict[str, Any]]) -> bytes:
    return (json.dumps(document) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    write_file(path, lambda file: file.write(content))
