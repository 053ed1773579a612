"""`dptn detect-poses`: from what the user named to a pose file, picture by picture."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from dptn_cli.detect.detector import Detector
from dptn_cli.detect.people import Choice
from dptn_cli.detect.record import Entry, Record, read_record, record_path
from dptn_cli.errors import InputError
from dptn_cli.files import without_picture_suffix
from dptn_cli.folders import Picture, find_pictures
from dptn_cli.images import read_picture, write_picture
from dptn_cli.keypoints import PoseFormat, drop_pose_file, write_poses
from dptn_cli.keypoints.annotation_csv import can_hold
from dptn_cli.records import FoundPose, Status
from dptn_cli.skeleton import draw_pose_over

# Part of a fingerprint: raised when a change of dptn changes what is found.
VERSION = "1"


@dataclass(frozen=True)
class Request:
    """What `dptn detect-poses` was asked for.

    Attributes:
        images: pictures, folders of pictures, patterns.
        out: the pose file; a folder for formats with a file a picture.
        pose_format: of it.
        choice: whose pose counts.
        preview: folder for pictures with the skeleton on them; or None.
        limit: only the first so many pictures; None: all.
        overwrite: find everything anew, and forget what earlier runs found.
    """

    images: tuple[Path, ...]
    out: Path
    pose_format: PoseFormat = PoseFormat.CSV
    choice: Choice = field(default_factory=Choice)
    preview: Path | None = None
    limit: int | None = None
    overwrite: bool = False


def list_pictures(request: Request) -> list[Picture]:
    """The pictures to look at, checked as far as can be without opening them.

    Raises:
        InputError: none, two that would be one entry of the pose file, names that it cannot
            hold, or an output that is somebody else's.
    """
    pictures = list(find_pictures(request.images, besides=request.preview))[: request.limit]
    if not pictures:
        raise InputError(f"no pictures in {', '.join(map(str, request.images))}")
    problems = _clashes(request, pictures) + _unholdable(request, pictures)
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
    return pictures


def _clashes(request: Request, pictures: Sequence[Picture]) -> list[str]:
    """Pictures that the pose file could not tell apart."""
    first: dict[str, Picture] = {}
    clashes = []
    for picture in dict.fromkeys(pictures):
        plain = request.pose_format is PoseFormat.OPENPOSE
        key = without_picture_suffix(picture.name) if plain else picture.name
        other = first.setdefault(key, picture)
        if other != picture:
            clashes.append(
                f"{other.folder / other.name} and {picture.folder / picture.name} would have the "
                "same entry; name a folder that holds both, or run twice"
            )
    return clashes


def _unholdable(request: Request, pictures: Sequence[Picture]) -> list[str]:
    return [
        f"{picture.name!r}: an annotation CSV cannot hold this name; rename it"
        for picture in pictures
        if not _holds(request, picture.name)
    ]


def _holds(request: Request, name: str) -> bool:
    """Whether the pose file can tell of a picture of this name."""
    return request.pose_format is not PoseFormat.CSV or can_hold(name)


def to_do(
    request: Request, pictures: Sequence[Picture], checkpoint_sha256: str
) -> tuple[list[Entry], list[Picture]]:
    """What an earlier run has found already, and the pictures that are left."""
    made = {} if request.overwrite else read_record(request.out)
    skipped, left = [], []
    for picture in dict.fromkeys(pictures):
        entry = made.get(picture.name)
        print_ = fingerprint(picture, checkpoint_sha256, request.choice)
        if entry and print_ and entry.fingerprint == print_:
            skipped.append(replace(entry, status=Status.SKIPPED, reason="found by an earlier run"))
        else:
            left.append(picture)
    return skipped, left


def run(
    request: Request,
    pictures: Sequence[Picture],
    detector: Detector,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Entry]:
    """Find the poses, and write them at the end, or when `stop` says so.

    A file of poses holds those of earlier runs too, but for pictures of this run that have none
    now; in a folder with a file a picture, those of earlier runs are there already.

    Yields:
        What became of each picture, as it is recorded; on a stop, not of all.

    Raises:
        InputError: the record or the pose file cannot be written.
    """
    with Record(request.out, detector.sha256, anew=request.overwrite) as record:
        skipped, left = to_do(request, pictures, detector.sha256)
        outdated = {picture.name for picture in left}
        for entry in _entries(request, skipped, left, detector):
            if entry.status != Status.SKIPPED:
                record.append(entry)
            if entry.found:
                outdated.discard(entry.name)
            elif request.pose_format.by_picture:
                drop_pose_file(request.out, entry.name, request.pose_format)
            yield entry
            if stop():
                break
        write_poses(request.out, _poses(request, pictures, outdated), request.pose_format)


def _poses(
    request: Request, pictures: Sequence[Picture], outdated: Collection[str]
) -> list[FoundPose]:
    """What the record has for the pose file, by name.

    Args:
        request: whose output it is.
        pictures: of this run.
        outdated: names of those whose pose in the record, if any, is not theirs any more.
    """
    listed = {picture.name for picture in pictures}
    poses = []
    for name, entry in sorted(read_record(request.out).items()):
        wanted = name in listed or not request.pose_format.by_picture
        if entry.found and wanted and name not in outdated and _holds(request, name):
            poses.append(entry.found)
    return poses


def _entries(
    request: Request, skipped: Sequence[Entry], left: Sequence[Picture], detector: Detector
) -> Iterator[Entry]:
    yield from skipped
    by_name = {picture.name: picture for picture in left}
    for detection in detector.detect(_locate(left)):
        picture = by_name[detection.name]
        status = Status.DONE if detection.found else Status.FAILED
        print_ = fingerprint(picture, detector.sha256, detector.choice)
        yield Entry(
            detection.name, status, detection.reason, detection.people, detection.found, print_
        )


def _locate(pictures: Sequence[Picture]) -> Iterator[tuple[str, Path]]:
    for picture in pictures:
        yield picture.name, picture.folder / picture.name


def fingerprint(picture: Picture, checkpoint_sha256: str, choice: Choice) -> str:
    """Digest of the picture (by size and time), the checkpoint and the choice; '' if it is gone."""
    try:
        status = (picture.folder / picture.name).stat()
    except OSError:
        return ""
    parts = (VERSION, checkpoint_sha256, repr(choice), status.st_size, status.st_mtime_ns)
    return blake2b("|".join(map(str, parts)).encode(), digest_size=16).hexdigest()


def preview_path(folder: Path, name: str) -> Path:
    """Where the preview of a picture goes: its whole name, with `.png` after it."""
    return folder / f"{name}.png"


def write_preview(folder: Path, picture: Picture, found: FoundPose) -> Path:
    """Draw the pose over its picture.

    Raises:
        InputError: the picture cannot be read any more, or the file not be written.
    """
    path = preview_path(folder, found.name)
    drawn = draw_pose_over(read_picture(picture.folder / picture.name), found.pose)
    write_picture(path, drawn)
    return path
