"""Write pose files in the formats that `pose_files` reads."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dptn_cli.enums import PoseFormat
from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.files import write_file
from dptn_cli.io.paths import checked_name, without_image_suffix
from dptn_cli.keypoints import coco, openpose
from dptn_cli.keypoints.annotation_csv import can_hold, format_csv
from dptn_cli.types import FoundPose


def write_poses(path: Path, poses: Sequence[FoundPose], pose_format: PoseFormat) -> None:
    """Write poses to a file or a folder; each file appears complete or not at all.

    Formats keep different parts of a pose: csv the neck but no confidence, coco neither (the
    neck is recomputed from the shoulders), coco-results and openpifpaf the confidence, openpose
    both.

    Args:
        path: the file to write, or the folder if the format has one file per image.
        poses: the people, in any order; an annotation CSV holds only one per image.
        pose_format: the format to write.

    Raises:
        InputError: the format cannot hold a name, or a file cannot be written.
    """
    match pose_format:
        case PoseFormat.CSV:
            _check_for_csv(poses)
            content = format_csv((person.name, person.pose) for person in poses)
            write_file(path, lambda file: file.write(content))
        case PoseFormat.COCO:
            _write_json(path, coco.to_annotations(poses))
        case PoseFormat.COCO_RESULTS:
            _write_json(path, coco.to_results(poses))
        case PoseFormat.OPENPOSE:
            for file, people in _group_by_file(path, poses, pose_format).items():
                _write_json(file, openpose.to_people(people))
        case PoseFormat.OPENPIFPAF:
            for file, people in _group_by_file(path, poses, pose_format).items():
                _write_json(file, coco.to_predictions(people))


def drop_pose_file(folder: Path, name: str, pose_format: PoseFormat) -> None:
    """Remove an image's pose file from a folder, if it is there.

    Args:
        folder: the folder that `write_poses` wrote to.
        name: the image's name.
        pose_format: a format with one file per image.

    Raises:
        InputError: the file cannot be removed.
    """
    file = _file_for(folder, name, pose_format)
    with user_errors(file, "cannot be removed"):
        file.unlink(missing_ok=True)


def pose_file_name(name: str, pose_format: PoseFormat) -> str:
    """Return the name of an image's pose file, as OpenPose or openpifpaf would name it.

    Args:
        name: the image's name, relative.
        pose_format: a format with one file per image.
    """
    if pose_format is PoseFormat.OPENPOSE:
        return f"{without_image_suffix(name)}_keypoints.json"
    return f"{name}.predictions.json"


def _file_for(folder: Path, name: str, pose_format: PoseFormat) -> Path:
    return folder / pose_file_name(checked_name(name), pose_format)


def _check_for_csv(poses: Sequence[FoundPose]) -> None:
    names: set[str] = set()
    for person in poses:
        if not can_hold(person.name):
            raise InputError(f"{person.name!r}: an annotation CSV cannot hold this name; rename it")
        if person.name in names:
            raise InputError(f"{person.name}: an annotation CSV holds only one person per image")
        names.add(person.name)


def _group_by_file(
    folder: Path, poses: Sequence[FoundPose], pose_format: PoseFormat
) -> dict[Path, list[FoundPose]]:
    """Return the people of each image, by the image's file."""
    files: dict[Path, list[FoundPose]] = {}
    for person in poses:
        people = files.setdefault(_file_for(folder, person.name, pose_format), [])
        if people and people[0].name != person.name:
            raise InputError(
                f"{people[0].name} and {person.name} would share an OpenPose file; "
                "write csv or coco, or rename one"
            )
        people.append(person)
    return files


def _write_json(path: Path, document: dict[str, Any] | list[dict[str, Any]]) -> None:
    content = (json.dumps(document) + "\n").encode()
    write_file(path, lambda file: file.write(content))
