"""Poses for `dptn transfer` that no file has: detected once, kept beside the results."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dptn_cli.cli.console import ProgressLine, say
from dptn_cli.errors import InputError

if TYPE_CHECKING:
    from dptn_cli.records import FoundPose

KEYPOINTS_NAME = "keypoints.csv"
RECORDED_DIGITS = 3


def detect_unposed(
    pictures: Sequence[Path], out: Path, checkpoint: str, *, quiet: bool
) -> "dict[Path, FoundPose | str]":
    """Detect the poses on pictures, or take what an earlier run found on them.

    They are kept in `out/keypoints.csv`, where a picture's name is its path from `out`, so that
    pictures of one name in several folders stay apart; its record tells when one has changed.

    Args:
        pictures: absolute paths.
        out: the results folder.
        checkpoint: openpifpaf's, by file or name.
        quiet: say nothing.

    Returns:
        By picture, its pose, or why there is none.

    Raises:
        InputError: the checkpoint is missing, or `out` has a `keypoints.csv` of another origin.
        MissingDependency: openpifpaf is not installed.
    """
    from dptn_cli.detect import Choice, Detector, find_checkpoint
    from dptn_cli.detect.checkpoint import file_sha256
    from dptn_cli.detect.job import Request, run, to_do
    from dptn_cli.detect.record import record_path
    from dptn_cli.folders import Picture

    request = Request(images=(), out=out / KEYPOINTS_NAME, choice=Choice())
    if request.out.exists() and not record_path(request.out).exists():
        raise InputError(
            f"{request.out} is there, but not from an earlier run: name another results folder"
        )
    folder = out.resolve()
    named = {Path(os.path.relpath(path, folder)).as_posix(): path for path in pictures}
    listed = [Picture(folder, name) for name in named]
    found = find_checkpoint(checkpoint)
    if not isinstance(found, Path):
        some = ", ".join(map(str, pictures[:3]))
        raise InputError(
            f"{len(pictures):,} pictures have no keypoints ({some}), and to detect them "
            f"--detector {checkpoint} is needed: {found.why_missing()}"
        )
    skipped, left = to_do(request, listed, file_sha256(found))
    if not left:
        return {named[entry.name]: entry.found for entry in skipped if entry.found}
    say(f"Detecting the poses on {len(left):,} pictures without keypoints.", quiet=quiet)
    poses: dict[Path, FoundPose | str] = {}
    line = ProgressLine(len(listed), "detection", quiet=quiet)
    with line.shown():
        for entry in run(request, listed, Detector(found, request.choice)):
            poses[named[entry.name]] = _as_kept(entry.found) or entry.reason
            line.advance()
    return poses


def _as_kept(found: "FoundPose | None") -> "FoundPose | None":
    """The pose as the record gives it to the next run, which else would make everything anew."""
    return replace(found, pose=found.pose.round(RECORDED_DIGITS)) if found else None
