"""Poses for `dptn transfer` that no file has: detected once, kept beside the results."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dptn_cli.cli.console import ProgressLine, say
from dptn_cli.errors import InputError, MissingDependency
from dptn_cli.locations import is_remote

if TYPE_CHECKING:
    from dptn_cli.detect.job import Request
    from dptn_cli.detect.record import Entry
    from dptn_cli.folders import Picture
    from dptn_cli.records import FoundPose

KEYPOINTS_NAME = "keypoints.csv"
RECORDED_DIGITS = 3
MOST_NAMED = 3


def tried_before(pictures: Sequence[Path]) -> dict[Path, str]:
    """Why `dptn detect-poses` found no pose on some pictures, by its record beside them.

    Args:
        pictures: absolute paths. One that has changed since does not count.
    """
    from dptn_cli.detect.record import read_failures, record_path

    @cache
    def failures(folder: Path) -> tuple[float, dict[str, str]]:
        poses = folder / KEYPOINTS_NAME
        record = record_path(poses)
        return (record.stat().st_mtime, read_failures(poses)) if record.is_file() else (0.0, {})

    tried = {}
    for path in pictures:
        for folder in path.parents:
            recorded_s, reasons = failures(folder)
            reason = reasons.get(path.relative_to(folder).as_posix())
            if reason and path.stat().st_mtime <= recorded_s:
                tried[path] = f"{reason} (by dptn detect-poses; --detector tries again)"
                break
    return tried


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
        KeyboardInterrupt: interrupted; what was found is kept.
    """
    from dptn_cli.detect.checkpoint import file_sha256
    from dptn_cli.detect.job import to_do
    from dptn_cli.folders import Picture

    request = _request(out)
    folder = out.resolve()
    named = {Path(os.path.relpath(path, folder)).as_posix(): path for path in pictures}
    listed = [Picture(folder, name) for name in named]
    weights = _weights(checkpoint, pictures)
    skipped, left = to_do(request, listed, file_sha256(weights))
    entries: Iterable[Entry] = skipped
    if left:
        _check_installed([named[picture.name] for picture in left])
        say(f"Detecting the poses on {len(left):,} pictures without keypoints.", quiet=quiet)
        entries = _detected(request, listed, weights, quiet=quiet)  # those of earlier runs too
    return {named[entry.name]: _as_kept(entry.found) or entry.reason for entry in entries}


def check_local(pictures: Sequence[Path], out: Path) -> None:
    """Make sure that poses can be detected where the pictures and the results are.

    Raises:
        InputError: some of it is behind a URL.
    """
    if any(map(is_remote, (*pictures, out))):
        raise InputError(
            f"{_without_keypoints(pictures)}. Poses are detected on local pictures only, and kept "
            "beside local results: run dptn detect-poses on a copy, and give --keypoints"
        )


def _request(out: Path) -> "Request":
    from dptn_cli.detect.job import Request
    from dptn_cli.detect.record import record_path

    request = Request(images=(), out=out / KEYPOINTS_NAME)
    if request.out.exists() and not record_path(request.out).exists():
        raise InputError(
            f"{request.out} is there, but not from an earlier run: name another results folder"
        )
    return request


def _weights(checkpoint: str, pictures: Sequence[Path]) -> Path:
    """The checkpoint's file."""
    from dptn_cli.detect import find_checkpoint

    found = find_checkpoint(checkpoint, "--detector")
    if isinstance(found, Path):
        return found
    _check_installed(pictures)
    raise InputError(
        f"{_without_keypoints(pictures)}. To detect their poses, {found.name} is needed: "
        f"{found.where_to_put()}, or run dptn detect-poses with --download-weights once. "
        "Or give --keypoints"
    )


def _check_installed(pictures: Sequence[Path]) -> None:
    from dptn_cli.detect.checkpoint import install_commands, is_installed

    if not is_installed():
        what = f"{_without_keypoints(pictures)}. Detecting their poses"
        raise MissingDependency(what, "openpifpaf", " && ".join(install_commands()))


def _without_keypoints(pictures: Sequence[Path]) -> str:
    more = ", ..." if len(pictures) > MOST_NAMED else ""
    some = ", ".join(map(str, pictures[:MOST_NAMED])) + more
    return f"pictures without keypoints: {len(pictures):,} ({some})"


def _detected(
    request: "Request", pictures: "Sequence[Picture]", weights: Path, *, quiet: bool
) -> "Iterator[Entry]":
    from dptn_cli.detect import Detector
    from dptn_cli.detect.job import run
    from dptn_cli.interrupt import StopRequest

    detector = Detector(weights, request.choice)
    line = ProgressLine(len(pictures), "detection", quiet=quiet)
    with StopRequest() as stop, line.shown():
        for entry in run(request, pictures, detector, lambda: stop.asked):
            yield entry
            line.advance()
    if stop.asked:
        say("What was found is kept. The same command goes on.", quiet=quiet)
        raise KeyboardInterrupt


def _as_kept(found: "FoundPose | None") -> "FoundPose | None":
    """The pose as the record gives it to the next run, which else would make everything anew."""
    return replace(found, pose=found.pose.round(RECORDED_DIGITS)) if found else None
