"""`dptn detect-poses`: from what the user named to a pose file, image by image."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from dptn_cli.detect.detector import Detector
from dptn_cli.detect.people import Choice
from dptn_cli.detect.record import Entry, Record, read_record, record_path
from dptn_cli.enums import PoseFormat, Status
from dptn_cli.errors import InputError
from dptn_cli.io.image_folders import ImageFile, find_images
from dptn_cli.io.images import read_image, write_image
from dptn_cli.io.paths import without_image_suffix
from dptn_cli.keypoints import drop_pose_file, write_poses
from dptn_cli.keypoints.annotation_csv import can_hold
from dptn_cli.types import FoundPose
from dptn_cli.visualize.skeleton import draw_pose_over

# Part of a fingerprint: raised when a change of dptn changes what is found.
VERSION = "1"


@dataclass(frozen=True)
class Request:
    """What `dptn detect-poses` was asked for.

    Attributes:
        images: images, folders of images, patterns.
        out: the pose file; a folder for formats with a file an image.
        pose_format: of it.
        choice: whose pose counts.
        preview: folder for images with the skeleton on them; or None.
        limit: only the first so many images; None: all.
        overwrite: find everything anew, and forget what earlier runs found.
    """

    images: tuple[Path, ...]
    out: Path
    pose_format: PoseFormat = PoseFormat.CSV
    choice: Choice = field(default_factory=Choice)
    preview: Path | None = None
    limit: int | None = None
    overwrite: bool = False


def list_images(request: Request) -> list[ImageFile]:
    """The images to look at, checked as far as can be without opening them.

    Raises:
        InputError: none, two that would be one entry of the pose file, names that it cannot
            hold, or an output that is somebody else's.
    """
    images = list(find_images(request.images, exclude=request.preview))[: request.limit]
    if not images:
        raise InputError(f"no images in {', '.join(map(str, request.images))}")
    problems = _clashes(request, images) + _unholdable(request, images)
    if len(problems) == 1:
        raise InputError(problems[0])
    if problems:
        raise InputError(f"{len(problems):,} problems, nothing was started:", tuple(problems))
    if request.preview and request.preview.exists() and not request.preview.is_dir():
        raise InputError(f"{request.preview}: cannot hold previews, because it is a file")
    if request.out.exists() and not record_path(request.out).exists() and not request.overwrite:
        raise InputError(
            f"{request.out} is there, but not from `dptn detect-poses`, whose record would stand "
            "beside it: name another output, or add --overwrite"
        )
    return images


def _clashes(request: Request, images: Sequence[ImageFile]) -> list[str]:
    """Images that the pose file could not tell apart."""
    first: dict[str, ImageFile] = {}
    clashes = []
    for image in dict.fromkeys(images):
        plain = request.pose_format is PoseFormat.OPENPOSE
        key = without_image_suffix(image.name) if plain else image.name
        other = first.setdefault(key, image)
        if other != image:
            clashes.append(
                f"{other.folder / other.name} and {image.folder / image.name} would have the "
                "same entry; name a folder that holds both, or run twice"
            )
    return clashes


def _unholdable(request: Request, images: Sequence[ImageFile]) -> list[str]:
    return [
        f"{image.name!r}: an annotation CSV cannot hold this name; rename it"
        for image in images
        if not _holds(request, image.name)
    ]


def _holds(request: Request, name: str) -> bool:
    """Whether the pose file can tell of an image of this name."""
    return request.pose_format is not PoseFormat.CSV or can_hold(name)


def to_do(
    request: Request, images: Sequence[ImageFile], checkpoint_sha256: str
) -> tuple[list[Entry], list[ImageFile]]:
    """What an earlier run has found already, and the images that are left."""
    made = {} if request.overwrite else read_record(request.out)
    skipped, left = [], []
    for image in dict.fromkeys(images):
        entry = made.get(image.name)
        print_ = fingerprint(image, checkpoint_sha256, request.choice)
        if entry and print_ and entry.fingerprint == print_:
            skipped.append(replace(entry, status=Status.SKIPPED, reason="found by an earlier run"))
        else:
            left.append(image)
    return skipped, left


def run(
    request: Request,
    images: Sequence[ImageFile],
    detector: Detector,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Entry]:
    """Find the poses, and write them at the end, or when `stop` says so.

    A file of poses holds those of earlier runs too, but for images of this run that have none
    now; in a folder with a file an image, those of earlier runs are there already.

    Yields:
        What became of each image, as it is recorded; on a stop, not of all.

    Raises:
        InputError: the record or the pose file cannot be written.
    """
    with Record(request.out, detector.sha256, anew=request.overwrite) as record:
        skipped, left = to_do(request, images, detector.sha256)
        outdated = {image.name for image in left}
        for entry in _entries(request, skipped, left, detector):
            if entry.status != Status.SKIPPED:
                record.append(entry)
            if entry.found:
                outdated.discard(entry.name)
            elif request.pose_format.per_image:
                drop_pose_file(request.out, entry.name, request.pose_format)
            yield entry
            if stop():
                break
        write_poses(request.out, _poses(request, images, outdated), request.pose_format)


def _poses(
    request: Request, images: Sequence[ImageFile], outdated: Collection[str]
) -> list[FoundPose]:
    """What the record has for the pose file, by name.

    Args:
        request: whose output it is.
        images: of this run.
        outdated: names of those whose pose in the record, if any, is not theirs any more.
    """
    listed = {image.name for image in images}
    poses = []
    for name, entry in sorted(read_record(request.out).items()):
        wanted = name in listed or not request.pose_format.per_image
        if entry.found and wanted and name not in outdated and _holds(request, name):
            poses.append(entry.found)
    return poses


def _entries(
    request: Request, skipped: Sequence[Entry], left: Sequence[ImageFile], detector: Detector
) -> Iterator[Entry]:
    yield from skipped
    by_name = {image.name: image for image in left}
    for detection in detector.detect(_locate(left)):
        image = by_name[detection.name]
        status = Status.DONE if detection.found else Status.FAILED
        print_ = fingerprint(image, detector.sha256, detector.choice)
        yield Entry(
            detection.name, status, detection.reason, detection.people, detection.found, print_
        )


def _locate(images: Sequence[ImageFile]) -> Iterator[tuple[str, Path]]:
    for image in images:
        yield image.name, image.folder / image.name


def fingerprint(image: ImageFile, checkpoint_sha256: str, choice: Choice) -> str:
    """Digest of the image (by size and time), the checkpoint and the choice; '' if it is gone."""
    try:
        status = (image.folder / image.name).stat()
    except OSError:
        return ""
    parts = (VERSION, checkpoint_sha256, repr(choice), status.st_size, status.st_mtime_ns)
    return blake2b("|".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def preview_path(folder: Path, name: str) -> Path:
    """Where the preview of an image goes: its whole name, with `.png` after it."""
    return folder / f"{name}.png"


def write_preview(folder: Path, image: ImageFile, found: FoundPose) -> Path:
    """Draw the pose over its image.

    Raises:
        InputError: the image cannot be read any more, or the file not be written.
    """
    path = preview_path(folder, found.name)
    drawn = draw_pose_over(read_image(image.folder / image.name), found.pose)
    write_image(path, drawn)
    return path
