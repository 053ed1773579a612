"""Poses for `dptn transfer` that no file has: detected once, kept beside the results."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dptn_cli.cli.console import ProgressLine, echo
from dptn_cli.errors import InputError, MissingDependency
from dptn_cli.io.paths import is_remote

if TYPE_CHECKING:
    from dptn_cli.detect.job import DetectionRequest
    from dptn_cli.detect.log import DetectionOutcome
    from dptn_cli.io.image_folders import ImageFile
    from dptn_cli.types import FoundPose

KEYPOINTS_NAME = "keypoints.csv"
RECORDED_DIGITS = 3
MAX_NAMED = 3


def tried_before(images: Sequence[Path]) -> dict[Path, str]:
    """Why `dptn detect-poses` found no pose on some images, by its record beside them.

    Args:
        images: absolute paths. One that has changed since does not count.
    """
    from dptn_cli.detect.log import log_path, read_failures

    @cache
    def failures(folder: Path) -> tuple[float, dict[str, str]]:
        poses = folder / KEYPOINTS_NAME
        record = log_path(poses)
        return (record.stat().st_mtime, read_failures(poses)) if record.is_file() else (0.0, {})

    tried = {}
    for path in images:
        for folder in path.parents:
            recorded_s, reasons = failures(folder)
            reason = reasons.get(path.relative_to(folder).as_posix())
            if reason and path.stat().st_mtime <= recorded_s:
                tried[path] = f"{reason} (by dptn detect-poses; --detector tries again)"
                break
    return tried


def detect_unposed(
    images: Sequence[Path], out: Path, checkpoint: str, *, quiet: bool
) -> "dict[Path, FoundPose | str]":
    """Detect the poses on images, or take what an earlier run found on them.

    They are kept in `out/keypoints.csv`, where an image's name is its path from `out`, so that
    images of one name in several folders stay apart; its record tells when one has changed.

    Args:
        images: absolute paths.
        out: the results folder.
        checkpoint: openpifpaf's, by file or name.
        quiet: say nothing.

    Returns:
        By image, its pose, or why there is none.

    Raises:
        InputError: the checkpoint is missing, or `out` has a `keypoints.csv` of another origin.
        MissingDependency: openpifpaf is not installed.
        KeyboardInterrupt: interrupted; what was found is kept.
    """
    from dptn_cli.detect.checkpoint import file_sha256
    from dptn_cli.detect.job import split_finished
    from dptn_cli.io.image_folders import ImageFile

    request = _request(out)
    folder = out.resolve()
    named = {Path(os.path.relpath(path, folder)).as_posix(): path for path in images}
    listed = [ImageFile(folder, name) for name in named]
    weights = _weights(checkpoint, images)
    skipped, left = split_finished(request, listed, file_sha256(weights))
    entries: Iterable[DetectionOutcome] = skipped
    if left:
        _check_installed([named[image.name] for image in left])
        echo(f"Detecting the poses on {len(left):,} images without keypoints.", quiet=quiet)
        entries = _detected(request, listed, weights, quiet=quiet)  # those of earlier runs too
    return {named[entry.name]: _as_kept(entry.found_pose) or entry.reason for entry in entries}


def check_local(images: Sequence[Path], out: Path) -> None:
    """Make sure that poses can be detected where the images and the results are.

    Raises:
        InputError: some of it is behind a URL.
    """
    if any(map(is_remote, (*images, out))):
        raise InputError(
            f"{_without_keypoints(images)}. Poses are detected on local images only, and kept "
            "beside local results: run dptn detect-poses on a copy, and give --keypoints"
        )


def _request(out: Path) -> "DetectionRequest":
    from dptn_cli.detect.job import DetectionRequest
    from dptn_cli.detect.log import log_path

    request = DetectionRequest(images=(), out=out / KEYPOINTS_NAME)
    if request.out.exists() and not log_path(request.out).exists():
        raise InputError(
            f"{request.out} is there, but not from an earlier run: name another results folder"
        )
    return request


def _weights(checkpoint: str, images: Sequence[Path]) -> Path:
    """The checkpoint's file."""
    from dptn_cli.detect import find_checkpoint

    found = find_checkpoint(checkpoint, "--detector")
    weights = found.missing_weights
    if weights is None:
        return found.path
    _check_installed(images)
    raise InputError(
        f"{_without_keypoints(images)}. To detect their poses, {weights.name} is needed: "
        f"{weights.where_to_put()}, or run dptn detect-poses with --download-weights once. "
        "Or give --keypoints"
    )


def _check_installed(images: Sequence[Path]) -> None:
    from dptn_cli.detect.openpifpaf_package import install_commands, is_installed

    if not is_installed():
        what = f"{_without_keypoints(images)}. Detecting their poses"
        raise MissingDependency(what, "openpifpaf", " && ".join(install_commands()))


def _without_keypoints(images: Sequence[Path]) -> str:
    more = ", ..." if len(images) > MAX_NAMED else ""
    some = ", ".join(map(str, images[:MAX_NAMED])) + more
    return f"images without keypoints: {len(images):,} ({some})"


def _detected(
    request: "DetectionRequest", images: "Sequence[ImageFile]", weights: Path, *, quiet: bool
) -> "Iterator[DetectionOutcome]":
    from dptn_cli.detect import Detector
    from dptn_cli.detect.job import run_job
    from dptn_cli.signals import StopRequest

    detector = Detector(weights, request.choice)
    line = ProgressLine(len(images), "detection", quiet=quiet)
    with StopRequest() as stop, line.shown():
        for entry in run_job(request, images, detector, lambda: stop.asked):
            yield entry
            line.advance()
    if stop.asked:
        echo("What was found is kept. The same command goes on.", quiet=quiet)
        raise KeyboardInterrupt


def _as_kept(found: "FoundPose | None") -> "FoundPose | None":
    """The pose as the record gives it to the next run, which else would make everything anew."""
    return replace(found, pose=found.pose.round(RECORDED_DIGITS)) if found else None
