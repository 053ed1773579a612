"""Poses for a job's images without keypoints: detected once, and kept beside the results."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from dptn_cli.detect.job import DetectionRequest, file_state, run_job, split_finished
from dptn_cli.detect.log import DetectionOutcome, is_free, log_path, read_failures
from dptn_cli.detect.openpifpaf_package import check_installed
from dptn_cli.detect.selection import AUTO, SelectedDetector, select_detector
from dptn_cli.enums import Provider
from dptn_cli.errors import InputError, counted
from dptn_cli.io.image_folders import ImageFile
from dptn_cli.io.results_folder import KEYPOINTS_NAME
from dptn_cli.io.storage import storage_of
from dptn_cli.types import Failure, FoundPose, Job, NoProgress, Progress

LOGGED_DIGITS = 3
MAX_NAMES_SHOWN = 3
OLD_LOG = "openpifpaf"  # wrote no name of the detector: it was always this one


@dataclass(frozen=True)
class DetectedPoses:
    """The poses on a job's images without keypoints.

    Attributes:
        poses: by image, its pose or why there is none. Images that are still to be looked at are
            left out.
        detectors: what looked at the images, each once.
    """

    poses: Mapping[Path, FoundPose | Failure]
    detectors: tuple[str, ...] = ()


def find_missing_poses(
    job: Job,
    detector: str = AUTO,
    *,
    detect: bool = True,
    retry_failed: bool = False,
    provider: Provider = Provider.AUTO,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
    notify: Callable[[str], None] = lambda message: None,
) -> DetectedPoses:
    """Find poses for the images that no file has keypoints for.

    What an earlier run found on an image counts until the image changes, whichever detector it
    used. So does the answer of `dptn detect-poses` that nobody is on an image.

    Args:
        job: a job with `missing_pose`.
        detector: as `selection.select_detector` takes it.
        detect: whether to run the detector. Without it, only earlier runs are consulted.
        retry_failed: whether to try images again on which nobody was found.
        provider: where the model runs. MoveNet runs on CUDA if it works, unless this is `CPU` or
            `OPENVINO`.
        progress: receives how many images are done.
        stop: returns whether to stop; called after each image.
        notify: receives messages for the user, one line each.

    Raises:
        InputError: images or results are behind a URL, the checkpoint is missing, or the results
            folder has a `keypoints.csv` that is not from an earlier run.
        MissingDependency: openpifpaf is needed and not installed.
        KeyboardInterrupt: `stop` returned True; what was found is kept.
    """
    images = tuple(job.missing_pose)
    if any(storage_of(path).is_remote for path in (*images, job.out)):
        raise InputError(
            f"{_describe_images(images)}. Poses can be detected only if "
            "images and results are local. Run dptn detect-poses on a local copy, and pass its "
            "file with --keypoints"
        )
    request = DetectionRequest(
        images=(), out=job.out / KEYPOINTS_NAME, retry_failed=retry_failed, any_detector=True
    )
    detection = _Detection(request, images)
    outcomes = detection.earlier()
    pending = [path for path in images if path not in outcomes]
    failures = {} if retry_failed else _earlier_failures(pending)
    pending = [path for path in pending if path not in failures]
    selected = select_detector(detector)
    if detector != AUTO and (kept := _found_by_others(outcomes.values(), selected)):
        notify(
            f"{counted(kept, 'image')} keep what another detector found earlier. To look at them "
            f"with {selected.title}, remove {request.out} and {log_path(request.out)}."
        )
    if pending:
        _require(selected, pending)
        images_without = f"{counted(len(pending), 'image')} without keypoints"
        if not detect:
            notify(f"The run would detect the poses on {images_without}, with {selected.title}.")
        else:
            notify(f"Detecting the poses on {images_without}, with {selected.title}.")
            outcomes |= detection.run(pending, selected, provider, progress or NoProgress(), stop)
            if stop():
                notify("The poses found so far are kept. Run the same command to resume.")
                raise KeyboardInterrupt
    detectors = dict.fromkeys(outcome.detector.name or OLD_LOG for outcome in outcomes.values())
    poses = {path: _pose_of(outcome) for path, outcome in outcomes.items()}
    return DetectedPoses(poses | failures, tuple(sorted(detectors)))


def _found_by_others(outcomes: Iterable[DetectionOutcome], selected: SelectedDetector) -> int:
    """Count the outcomes of other detectors; old logs do not tell checkpoints apart."""
    own_names = {selected.name} if selected.checkpoint is None else {selected.name, ""}
    return sum(outcome.detector.name not in own_names for outcome in outcomes)


def _earlier_failures(images: Sequence[Path]) -> dict[Path, FoundPose | Failure]:
    """Return why `dptn detect-poses` found no pose on some images, by its log beside them.

    Args:
        images: absolute paths. An image that has changed since does not count, and neither does a
            failure that may pass.
    """

    @cache
    def failures_in(folder: Path) -> tuple[int, dict[str, DetectionOutcome]]:
        poses = folder / KEYPOINTS_NAME
        log = log_path(poses)
        return (log.stat().st_mtime_ns, read_failures(poses)) if log.is_file() else (0, {})

    failures: dict[Path, FoundPose | Failure] = {}
    for path in images:
        for folder in path.parents:
            logged_ns, outcomes = failures_in(folder)
            name = path.relative_to(folder).as_posix()
            outcome = outcomes.get(name)
            # Whoever shows people may suit this job, even if other rules refused them.
            if outcome and not outcome.people and _fails_again(folder, outcome, logged_ns):
                failures[path] = Failure(
                    f"{outcome.reason} (according to dptn detect-poses, in "
                    f"{log_path(folder / KEYPOINTS_NAME)}; use --retry-failed to look again)"
                )
                break
    return failures


def _fails_again(folder: Path, outcome: DetectionOutcome, logged_ns: int) -> bool:
    """Return whether a detector would fail at an image as it did before."""
    state = file_state(ImageFile(folder, outcome.name))
    if state is None or outcome.file_state is None:  # a log of an older version
        return state is not None and state[1] <= logged_ns
    return outcome.permanent and state == outcome.file_state


class _Detection:
    """Detects poses, or takes what an earlier run found.

    The poses are kept in the results' `keypoints.csv`. An image's name there is its path from
    the results folder, so that images of the same name in several folders stay apart. The log
    beside it tells when an image has changed.

    Args:
        request: where the poses are kept, and what counts as found.
        images: absolute paths of all images that may be looked at.

    Raises:
        InputError: `keypoints.csv` is not from an earlier run.
    """

    def __init__(self, request: DetectionRequest, images: Sequence[Path]) -> None:
        self._request, self._folder = request, request.out.parent.resolve()
        self._paths = {self._name_of(path): path for path in images}
        if not is_free(request.out):
            raise InputError(
                f"{request.out} was not written by dptn transfer: choose another results folder"
            )

    def earlier(self) -> dict[Path, DetectionOutcome]:
        """Return what earlier runs found on the images, by path."""
        skipped, _ = split_finished(self._request, self._files(self._paths), None)
        return {self._paths[outcome.name]: outcome for outcome in skipped}

    def run(
        self,
        images: Sequence[Path],
        selected: SelectedDetector,
        provider: Provider,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> dict[Path, DetectionOutcome]:
        """Detect the poses on images, and keep them; return the outcomes by path."""
        detector = selected.load(self._request.choice, provider=provider)
        files = self._files(map(self._name_of, images))
        outcomes = {}
        with progress.stage("detection", len(files)) as advance:
            for outcome in run_job(self._request, files, detector, stop):
                outcomes[self._paths[outcome.name]] = outcome
                advance(1)
        return outcomes

    def _name_of(self, path: Path) -> str:
        return Path(os.path.relpath(path, self._folder)).as_posix()

    def _files(self, names: Iterable[str]) -> list[ImageFile]:
        return [ImageFile(self._folder, name) for name in names]


def _pose_of(outcome: DetectionOutcome) -> FoundPose | Failure:
    if outcome.found_pose is None:
        return Failure(outcome.reason, outcome.fingerprint)
    # Rounded as in the log, so that the next run computes the same fingerprint.
    return replace(outcome.found_pose, pose=outcome.found_pose.pose.round(LOGGED_DIGITS))


def _require(selected: SelectedDetector, images: Sequence[Path]) -> None:
    """Make sure that a detector can be loaded; else say which images need it."""
    checkpoint = selected.checkpoint
    if checkpoint is None:
        return
    check_installed(f"{_describe_images(images)}. Detecting their poses with openpifpaf")
    if weights := checkpoint.missing_weights:
        raise InputError(
            f"{_describe_images(images)}. To detect their poses, {weights.name} is needed: "
            f"{weights.where_to_put()}, or run dptn detect-poses with --download-weights once. "
            "Or use --detector movenet, or give --keypoints"
        )


def _describe_images(images: Sequence[Path]) -> str:
    more = ", ..." if len(images) > MAX_NAMES_SHOWN else ""
    names = ", ".join(map(str, images[:MAX_NAMES_SHOWN])) + more
    return f"images without keypoints: {len(images):,} ({names})"
