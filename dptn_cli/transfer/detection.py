"""Poses for a job's images without keypoints: detected once, and kept beside the results."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from dptn_cli.detect import DEFAULT_CHECKPOINT, Detector, find_checkpoint
from dptn_cli.detect.checkpoint import checkpoint_sha256
from dptn_cli.detect.job import DetectionRequest, run_job, split_finished
from dptn_cli.detect.log import DetectionOutcome, is_free, log_path, read_failures
from dptn_cli.detect.openpifpaf_package import install_commands, is_installed
from dptn_cli.errors import InputError, MissingDependency
from dptn_cli.io.image_folders import ImageFile
from dptn_cli.io.results_folder import KEYPOINTS_NAME
from dptn_cli.io.storage import storage_of
from dptn_cli.types import Failure, FoundPose, Job, NoProgress, Progress

LOGGED_DIGITS = 3
MAX_NAMES_SHOWN = 3


def find_missing_poses(
    job: Job,
    detector: str | None = None,
    *,
    detect: bool = True,
    retry_failed: bool = False,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
    notify: Callable[[str], None] = lambda message: None,
) -> Mapping[Path, FoundPose | Failure]:
    """Find poses for the images that no file has keypoints for.

    Args:
        job: a job with `missing_pose`.
        detector: openpifpaf checkpoint, a file or a published name. None for the default; then
            images on which an earlier `dptn detect-poses` found nobody are not tried again.
        detect: whether to run the detector. Without it, only earlier runs are consulted.
        retry_failed: whether to try images again on which nobody was found.
        progress: receives how many images are done.
        stop: returns whether to stop; called after each image.
        notify: receives messages for the user, one line each.

    Returns:
        By image, its pose or why there is none.

    Raises:
        InputError: images or results are behind a URL, the checkpoint is missing, or the results
            folder has a `keypoints.csv` that is not from an earlier run.
        MissingDependency: openpifpaf is not installed.
        KeyboardInterrupt: `stop` returned True; what was found is kept.
    """
    images = tuple(job.missing_pose)
    if any(storage_of(path).is_remote for path in (*images, job.out)):
        raise InputError(
            f"{_describe_images(images)}. Poses can be detected only if "
            "images and results are local. Run dptn detect-poses on a local copy, and pass its "
            "file with --keypoints"
        )
    poses: dict[Path, FoundPose | Failure] = {}
    if detector is None and not retry_failed:
        poses |= _earlier_failures(images)
    rest = [path for path in images if path not in poses]
    if rest and detect:
        request = DetectionRequest(
            images=(), out=job.out / KEYPOINTS_NAME, retry_failed=retry_failed
        )
        detection = _Detection(request, rest, detector or DEFAULT_CHECKPOINT, notify)
        poses |= detection.run(progress or NoProgress(), stop)
    return poses


def _earlier_failures(images: Sequence[Path]) -> dict[Path, Failure]:
    """Return why `dptn detect-poses` found no pose on some images, by its log beside them.

    Args:
        images: absolute paths. An image that has changed since does not count.
    """

    @cache
    def failures_in(folder: Path) -> tuple[float, dict[str, str]]:
        poses = folder / KEYPOINTS_NAME
        log = log_path(poses)
        return (log.stat().st_mtime, read_failures(poses)) if log.is_file() else (0.0, {})

    failures = {}
    for path in images:
        for folder in path.parents:
            logged_s, reasons = failures_in(folder)
            reason = reasons.get(path.relative_to(folder).as_posix())
            if reason and path.stat().st_mtime <= logged_s:
                failures[path] = Failure(
                    f"{reason} (according to dptn detect-poses; use --detector to try again)"
                )
                break
    return failures


class _Detection:
    """Detects poses, or takes what an earlier run found.

    The poses are kept in the results' `keypoints.csv`. An image's name there is its path from
    the results folder, so that images of the same name in several folders stay apart. The log
    beside it tells when an image has changed.
    """

    def __init__(
        self,
        request: DetectionRequest,
        images: Sequence[Path],
        checkpoint: str,
        notify: Callable[[str], None],
    ) -> None:
        self._request, folder = request, request.out.parent.resolve()
        self._paths = {Path(os.path.relpath(path, folder)).as_posix(): path for path in images}
        self._files = [ImageFile(folder, name) for name in self._paths]
        if not is_free(self._request.out):
            raise InputError(
                f"{self._request.out} was not written by dptn transfer: choose another "
                "results folder"
            )
        self._checkpoint = _find_checkpoint(checkpoint, images)
        self._notify = notify

    def run(self, progress: Progress, stop: Callable[[], bool]) -> dict[Path, FoundPose | Failure]:
        skipped, pending = split_finished(
            self._request, self._files, checkpoint_sha256(self._checkpoint)
        )
        outcomes: Iterable[DetectionOutcome] = skipped
        if pending:
            _check_installed([self._paths[image.name] for image in pending])
            self._notify(f"Detecting the poses on {len(pending):,} images without keypoints.")
            outcomes = self._detect(progress, stop)  # yields those of earlier runs too
        return {self._paths[outcome.name]: _pose_of(outcome) for outcome in outcomes}

    def _detect(self, progress: Progress, stop: Callable[[], bool]) -> Iterable[DetectionOutcome]:
        detector = Detector(self._checkpoint, self._request.choice)
        with progress.stage("detection", len(self._files)) as advance:
            for outcome in run_job(self._request, self._files, detector, stop):
                yield outcome
                advance(1)
        if stop():
            self._notify("The poses found so far are kept. Run the same command to resume.")
            raise KeyboardInterrupt


def _pose_of(outcome: DetectionOutcome) -> FoundPose | Failure:
    if outcome.found_pose is None:
        return Failure(outcome.reason, outcome.fingerprint)
    # Rounded as in the log, so that the next run computes the same fingerprint.
    return replace(outcome.found_pose, pose=outcome.found_pose.pose.round(LOGGED_DIGITS))


def _find_checkpoint(checkpoint: str, images: Sequence[Path]) -> Path:
    found = find_checkpoint(checkpoint, "--detector")
    weights = found.missing_weights
    if weights is None:
        return found.path
    _check_installed(images)
    raise InputError(
        f"{_describe_images(images)}. To detect their poses, {weights.name} is needed: "
        f"{weights.where_to_put()}, or run dptn detect-poses with --download-weights once. "
        "Or give --keypoints"
    )


def _check_installed(images: Sequence[Path]) -> None:
    if not is_installed():
        feature = f"{_describe_images(images)}. Detecting their poses"
        raise MissingDependency(feature, "openpifpaf", " && ".join(install_commands()))


def _describe_images(images: Sequence[Path]) -> str:
    more = ", ..." if len(images) > MAX_NAMES_SHOWN else ""
    names = ", ".join(map(str, images[:MAX_NAMES_SHOWN])) + more
    return f"images without keypoints: {len(images):,} ({names})"
