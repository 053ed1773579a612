"""Detection jobs: from the images that the user named to a pose file, image by image."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import chain
from pathlib import Path

from dptn_cli.detect.detector import Detector, DetectorId
from dptn_cli.detect.log import (
    DetectionLog,
    DetectionOutcome,
    is_free,
    log_path,
    read_found,
    read_outcomes,
)
from dptn_cli.detect.people import PersonChoice
from dptn_cli.enums import PoseFormat, Status
from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.image_folders import ImageFile, find_images, no_images
from dptn_cli.io.image_kinds import FileKind, file_kind
from dptn_cli.io.images import read_image
from dptn_cli.io.left_out import LeftOut
from dptn_cli.io.marked_images import is_own_png, write_marked_image
from dptn_cli.io.paths import check_name_length, without_image_suffix
from dptn_cli.keypoints import drop_pose_file, write_poses
from dptn_cli.keypoints.annotation_csv import can_hold
from dptn_cli.keypoints.pose_writer import pose_file_name
from dptn_cli.types import FoundPose
from dptn_cli.visualize.skeleton import draw_pose_over

# Part of every fingerprint. Raise it when a change of dptn changes the poses that are found.
VERSION = "1"


@dataclass(frozen=True)
class DetectionRequest:
    """The arguments of a detection job.

    Attributes:
        images: images, folders of images, and patterns.
        out: the pose file to write; a folder for formats with one file per image.
        pose_format: format of the pose file.
        choice: the rules by which one person is chosen in each image.
        preview: folder for copies of the images with the skeleton drawn on them; None: no copies.
        limit: process only the first images, at most this many; None: all.
        overwrite: discard the results of earlier runs and detect every pose again.
        retry_failed: try images again that failed before and have not changed.
        any_detector: keep what earlier runs found, whichever detector they used.
    """

    images: tuple[Path, ...]
    out: Path
    pose_format: PoseFormat = PoseFormat.CSV
    choice: PersonChoice = field(default_factory=PersonChoice)
    preview: Path | None = None
    limit: int | None = None
    overwrite: bool = False
    retry_failed: bool = False
    any_detector: bool = False


def plan_job(
    request: DetectionRequest, notify: Callable[[str], object] = lambda _: None
) -> list[ImageFile]:
    """List the images of a job, and check it as far as possible without opening them.

    Args:
        request: the job.
        notify: receives what the user should know, one line each.

    Raises:
        InputError: there are no images, the pose file cannot hold their names, the folder for
            previews is a file, or something else wrote the file at `out`.
    """
    images = list_images(
        request.images,
        pose_format=request.pose_format,
        exclude=request.preview,
        limit=request.limit,
        notify=notify,
    )
    if request.preview and request.preview.exists() and not request.preview.is_dir():
        raise InputError(f"{request.preview}: cannot hold previews, because it is a file")
    for folder in request.images:
        if request.preview and request.preview.resolve().is_relative_to(folder.resolve()):
            notify(
                f"{request.preview} is in {folder}: other commands will take the previews for "
                "photos. Choose a folder outside it."
            )
    out = request.out.resolve()
    alike = (image for image in images if image.name.endswith(out.name))
    if any(out == image.path.resolve() for image in alike):
        raise InputError(f"{request.out} is one of the images: name a pose file after -o")
    check_output(request)
    return images


def check_output(request: DetectionRequest) -> None:
    """Make sure that a job overwrites no pose file of others, unless the user said so.

    Raises:
        InputError: something else wrote the pose file, or the log beside it; an image or a log of
            others is never overwritten. Or the output is a folder, and the format needs a file.
    """
    out = request.out
    with user_errors(out):
        if not request.pose_format.per_image and out.is_dir():
            raise InputError(f"{out}: is a folder; name a file in it")
        if out.is_file() and file_kind(out.parent, out.name) is not FileKind.OTHER:
            raise InputError(f"{out} is an image: name a pose file after -o")
    if is_free(request.out) or request.overwrite:
        return
    log = log_path(request.out)
    reason = "" if log.exists() else f" (there is no {log.name} beside it)"
    raise InputError(
        f"{request.out} exists, but `dptn detect-poses` did not write it{reason}: "
        "choose another output, or add --overwrite"
    )


def list_images(
    paths: Iterable[Path],
    *,
    pose_format: PoseFormat | None = None,
    exclude: Path | None = None,
    limit: int | None = None,
    notify: Callable[[str], object] = lambda _: None,
) -> list[ImageFile]:
    """List images, each once, and check that their names can tell their poses apart.

    Args:
        paths: images, folders of images, and patterns.
        pose_format: the format that must be able to hold the names; None: no file is written.
        exclude: a folder whose images are left out.
        limit: list only the first images, at most this many; None: all.
        notify: receives what is passed over, one line for each reason.

    Raises:
        InputError: there are no images, two of them would share one entry of the pose file, or
            the format cannot hold a name.
    """
    paths = tuple(paths)
    left_out = LeftOut()
    images = list(dict.fromkeys(list(find_images(paths, exclude, left_out))[:limit]))
    if not images:
        raise no_images(paths, left_out.notes())
    for note in left_out.notes():
        notify(note)
    problems = _name_clashes(images, pose_format)
    problems += [
        f"{image.name!r}: an annotation CSV cannot hold this name; rename the image"
        for image in images
        if not _can_hold_name(pose_format, image.name)
    ]
    if pose_format and pose_format.per_image:
        problems += filter(None, (_length_problem(image.name, pose_format) for image in images))
    if len(problems) == 1:
        raise InputError(problems[0])
    if problems:
        raise InputError(f"{len(problems):,} problems, nothing was started:", tuple(problems))
    return images


def _name_clashes(images: Sequence[ImageFile], pose_format: PoseFormat | None) -> list[str]:
    first_images: dict[str, ImageFile] = {}
    problems = []
    for image in images:
        # OpenPose's files are named without the image's suffix: a.jpg and a.png clash there.
        openpose = pose_format is PoseFormat.OPENPOSE
        key = without_image_suffix(image.name) if openpose else image.name
        first = first_images.setdefault(key, image)
        if first != image:
            problems.append(
                f"{first.folder / first.name} and {image.folder / image.name} would share one "
                "entry; pass a folder that contains both, or run the command twice"
            )
    return problems


def _length_problem(name: str, pose_format: PoseFormat) -> str:
    """Return why an image's pose file cannot have its name; empty if it can."""
    try:
        check_name_length(pose_file_name(name, pose_format))
    except InputError as error:
        return f"{error}; rename the image, or use another --format"
    return ""


def _can_hold_name(pose_format: PoseFormat | None, name: str) -> bool:
    return pose_format is not PoseFormat.CSV or can_hold(name)


def split_finished(
    request: DetectionRequest, images: Sequence[ImageFile], detector: DetectorId | None
) -> tuple[list[DetectionOutcome], list[ImageFile]]:
    """Split the images of a job into those that an earlier run finished and those that remain.

    Args:
        request: the job.
        images: its images, each once.
        detector: the detector that the job uses; None only with `request.any_detector`.

    Returns:
        The outcomes of the finished images, with the status `SKIPPED`, or `FAILED` if they would
        fail again; and the remaining images.
    """
    logged = (
        {} if request.overwrite else read_outcomes(request.out, failed=not request.retry_failed)
    )
    skipped, remaining = [], []
    for image in images:
        outcome = logged.get(image.name)
        is_any = detector is None or request.any_detector
        wanted = outcome.detector if outcome and is_any else detector
        current = wanted and _fingerprint(file_state(image), wanted, request.choice)
        if not outcome or not current or outcome.fingerprint != current:
            remaining.append(image)
        elif outcome.found_pose is None:
            skipped.append(outcome)
        else:
            reason = "found by an earlier run"
            skipped.append(replace(outcome, status=Status.SKIPPED, reason=reason))
    return skipped, remaining


def detect_images(images: Sequence[ImageFile], detector: Detector) -> Iterator[DetectionOutcome]:
    """Detect one person's pose in each image. Nothing is written.

    Args:
        images: as `list_images` returns them; their names must differ.
        detector: the network to run.

    Yields:
        One outcome per image, not in the order of `images`.
    """
    by_name = {image.name: image for image in images}
    states: dict[str, tuple[int, int] | None] = {}

    def files() -> Iterator[tuple[str, Path]]:
        for name, image in by_name.items():
            states[name] = file_state(image)  # before it is read: it may change at any time
            yield name, image.folder / name

    for detection in detector.detect(files()):
        state = states.pop(detection.name)
        yield DetectionOutcome(
            name=detection.name,
            status=Status.DONE if detection.found_pose else Status.FAILED,
            reason=detection.reason,
            people=detection.people,
            found_pose=detection.found_pose,
            fingerprint=_fingerprint(state, detector.id, detector.choice),
            permanent=detection.found_pose is None and not detection.is_transient,
            detector=detector.id,
            file_state=state,
        )


def run_job(
    request: DetectionRequest,
    images: Sequence[ImageFile],
    detector: Detector,
    should_stop: Callable[[], bool] = lambda: False,
    on_missing_preview: Callable[[str, str], object] = lambda name, reason: None,
) -> Iterator[DetectionOutcome]:
    """Run a detection job, which resumes where an earlier run with the same output stopped.

    Each outcome is logged before it is yielded. The pose file is written after the last image,
    or when `should_stop` returns True. A pose file holds the poses of earlier runs as well, except
    those of images in which this run finds nobody.

    Args:
        request: the job.
        images: its images, as `plan_job` returns them.
        detector: the network to run, with `request.choice`.
        should_stop: called after each image; the run ends once it returns True.
        on_missing_preview: called with an image's name and the reason if there is no preview.

    Yields:
        One outcome per image, those of earlier runs first; fewer if the run was stopped.

    Raises:
        InputError: the log or the pose file cannot be written.
    """
    by_name = {image.name: image for image in images}
    written = read_found(request.out).keys() if request.pose_format.per_image else ()
    with DetectionLog(request.out, overwrite=request.overwrite) as log:
        skipped, remaining = split_finished(request, images, detector.id)
        outdated = {image.name for image in remaining}  # until their new poses are found
        earlier = {outcome.name for outcome in skipped}
        for outcome in chain(skipped, detect_images(remaining, detector)):
            if outcome.found_pose is None and outcome.name in written:
                drop_pose_file(request.out, outcome.name, request.pose_format)
            if outcome.name not in earlier:
                log.append(outcome)
            if outcome.found_pose:
                outdated.discard(outcome.name)
                if request.preview:
                    problem = _draw_preview(request.preview, by_name[outcome.name], outcome)
                    if problem:
                        on_missing_preview(outcome.name, problem)
            yield outcome
            if should_stop():
                break
        write_poses(request.out, _logged_poses(request, by_name, outdated), request.pose_format)


def _draw_preview(folder: Path, image: ImageFile, outcome: DetectionOutcome) -> str:
    """Draw the pose over its image, unless an earlier run has done so.

    Returns:
        Why there is no preview; empty if there is one.
    """
    path = folder / f"{image.name}.png"
    if outcome.found_pose is None:
        return ""
    try:
        if os.path.lexists(path):  # A link that leads nowhere is somebody's too.
            if not is_own_png(path):
                return f"{path} has no mark of dptn: move it, or choose another folder"
            if outcome.status is Status.SKIPPED:
                return ""
        pixels = read_image(image.folder / image.name)
        write_marked_image(path, draw_pose_over(pixels, outcome.found_pose.pose))
    except InputError as error:
        return str(error)
    return ""


def _logged_poses(
    request: DetectionRequest, names: Collection[str], outdated: Collection[str]
) -> list[FoundPose]:
    """Read from the log the poses to write, ordered by image name.

    Args:
        request: the job.
        names: the image names of this run. A format with one file per image writes only these:
            the files of earlier runs are still in the folder.
        outdated: names whose logged pose, if there is one, no longer belongs to the image.
    """
    poses = []
    for name, outcome in sorted(read_found(request.out).items()):
        is_written = name in names or not request.pose_format.per_image
        is_valid = name not in outdated and _can_hold_name(request.pose_format, name)
        if outcome.found_pose and is_written and is_valid:
            poses.append(outcome.found_pose)
    return poses


def file_state(image: ImageFile) -> tuple[int, int] | None:
    """Return an image file's size in bytes and when it was changed, ns; None if it is gone."""
    try:
        status = (image.folder / image.name).stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _fingerprint(state: tuple[int, int] | None, detector: DetectorId, choice: PersonChoice) -> str:
    """Digest the image file's state, the detector and the choice; "" if the image is gone."""
    if state is None:
        return ""
    choice = choice.with_threshold(detector.min_confidence)
    # Logs on users' disks hold digests of exactly this text: any change detects all poses again.
    rules = (
        f"Choice(person={choice.person.value!r}, min_joints={choice.min_joints!r}, "
        f"threshold={choice.threshold!r})"
    )
    parts = (VERSION, detector.sha256, rules, *state)
    return blake2b("|".join(map(str, parts)).encode(), digest_size=16).hexdigest()
