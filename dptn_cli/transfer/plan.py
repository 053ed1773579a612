"""From what the user named to a checked job: everything is looked at before anything starts."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, product
from operator import attrgetter
from pathlib import Path, PurePosixPath

import numpy as np

from dptn_cli.enums import Fit, ImageFormat, Retarget
from dptn_cli.errors import InputError
from dptn_cli.io.files import IMAGE_SUFFIXES, checked_name, without_image_suffix
from dptn_cli.io.image_folders import ImageFile, Present, find_images, looked_at
from dptn_cli.io.images import PUBLISHED_JPEG_QUALITY
from dptn_cli.io.pair_list import read_pairs
from dptn_cli.io.paths import is_remote
from dptn_cli.io.storage import is_file, is_folder, names_in
from dptn_cli.keypoints import PoseFiles
from dptn_cli.transfer.checks import PairChecks, Row
from dptn_cli.types import JOINTS, MISSING, FoundPose, Item, Job, Model

KEYPOINTS_NAME = "keypoints.csv"
RESULT_SUFFIXES = (".png", ".jpg", ".jpeg")
NAMES_KEPT = 1 << 16  # of images, between one row that names them and the next
NOBODY = FoundPose("", np.full((JOINTS, 2), MISSING), np.zeros(JOINTS))


@dataclass(frozen=True)
class Request:
    """What `dptn transfer` was asked for.

    Attributes:
        out: the results folder.
        pairs: a pair list; or None, and `sources` with `poses` instead.
        images: folder of the pair list's images; None: the list's own folder.
        sources: images and folders of images.
        poses: folders of images, pose files, and folders of pose files.
        keypoints: pose files and folders of such.
        result_format: of results without a name of their own.
        jpeg_quality: of results in JPEG.
        limit: only the first so many items; None: all.
        shard: results in numbered subfolders, this many of the list's items in each; None: not.
        fit: how images of other sizes become the model's.
        retarget: of target poses to the source person; None: scale with `poses`, else none.
        detected: poses that no file has, by image; or why there is none.
    """

    out: Path
    pairs: Path | None = None
    images: Path | None = None
    sources: tuple[Path, ...] = ()
    poses: tuple[Path, ...] = ()
    keypoints: tuple[Path, ...] = ()
    result_format: ImageFormat = ImageFormat.PNG
    jpeg_quality: int = PUBLISHED_JPEG_QUALITY
    limit: int | None = None
    shard: int | None = None
    fit: Fit = Fit.AUTO
    retarget: Retarget | None = None
    detected: Mapping[Path, FoundPose | str] = field(default_factory=dict)


class Poses:
    """Where keypoints are looked up: files the user named, those beside the images, detected.

    Args:
        named: the files as they were read.
        folders: whose `keypoints.csv` counts.
        detected: by image; or why there is none.
    """

    def __init__(
        self,
        named: PoseFiles,
        folders: Iterable[Path],
        detected: Mapping[Path, FoundPose | str],
    ) -> None:
        self._named, self._detected = named, detected
        self._beside = {
            folder: PoseFiles(folder / KEYPOINTS_NAME)
            for folder in dict.fromkeys(folders)
            if looked_at(is_file, folder / KEYPOINTS_NAME)
        }

    def find(self, image: ImageFile, *others: Path) -> FoundPose | str | None:
        """The pose of an image, why none was detected, or None where nothing is known.

        Args:
            image: whose pose.
            others: further folders whose `keypoints.csv` counts.

        Raises:
            InputError: its line or entry is broken.
        """
        beside = (self._beside.get(folder) for folder in (image.folder, *others))
        for files in (self._named, *beside):
            if files is not None and (found := files.find(image.name)):
                return found
        return self._detected.get(image.place)


@dataclass(frozen=True)
class PoseTarget(ImageFile):
    """A target whose pose is looked for in pose files of its own first.

    A source of the same name is another image, and is not to get this pose.
    """

    files: PoseFiles

    __hash__ = ImageFile.__hash__

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from others."""
        return (*super().key, id(self.files))


@dataclass(frozen=True)
class Listing:
    """The pairs to make, readable again and again, and where their images and poses are."""

    pairs: Callable[[], Iterator[Row]]
    pose: Callable[[ImageFile], FoundPose | str | None]
    present: Present
    target_folders: tuple[Path, ...]


def make_job(request: Request, model: Model) -> Job:
    """Read and check everything, in one pass and little memory, however long the list.

    Two pairs that would write one file are found before anything starts, and so are missing
    images and poses: see `transfer.checks`. With `shard` too, results must differ in name, so
    that the subfolders can be emptied into one.

    Args:
        request: what was asked for.
        model: what the images will be made with.

    Raises:
        InputError: one error with all the problems found.
    """
    check_out(request.out)
    listing = _from_pair_list(request) if request.pairs else _from_folders(request)
    checks = PairChecks(listing.pose, listing.present.has)
    checks.look_at(listing.pairs)
    return Job(
        model=model,
        out=request.out,
        jpeg_quality=request.jpeg_quality,
        planned=checks.planned,
        items=lambda: _items(listing, request.shard),
        missing_sources=tuple(checks.missing),
        multi_person_count=checks.multi_person_count,
        multi_person_names=tuple(checks.multi_person_names),
        target_folders=listing.target_folders,
        missing_pose=tuple(image.place for image in checks.missing_pose),
        fit=request.fit,
        retarget=request.retarget or (Retarget.NONE if request.pairs else Retarget.SCALE),
        remote=any(map(is_remote, (request.out, *request.sources, *listing.target_folders))),
    )


def check_out(out: Path) -> None:
    """Make sure that results could be written, and leave nothing behind.

    Raises:
        InputError: `out`, or what stands above it, is a file or cannot be written to.
    """
    if is_remote(out):
        if looked_at(is_file, out):
            raise InputError(f"{out}: cannot hold results, because it is a file")
        return  # run.json, put there first, tells whether it can be written to.
    above = out
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise InputError(f"{out}: cannot hold results, because {above} is a file")
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise InputError(f"{out}: {above} cannot be written to: {error.strerror}") from error


def check_out_file(out: Path) -> None:
    """Likewise for a single file, before the work that it is to hold.

    Raises:
        InputError: `out` is a folder, or it cannot be written where it is to be.
    """
    if out.is_dir():
        raise InputError(f"{out}: is a folder; name a file in it")
    check_out(out.parent)


def _items(listing: Listing, shard: int | None) -> Iterator[Item]:
    pose = lru_cache(maxsize=4096)(listing.pose)
    place = lru_cache(maxsize=4096)(attrgetter("place"))
    for number, (source, target, output) in enumerate(listing.pairs()):
        poses = (pose(source), pose(target))
        names = (source.name, target.name)
        reasons = [f"{n}: {p}" for n, p in zip(names, poses, strict=True) if isinstance(p, str)]
        source_found, target_found = (p if isinstance(p, FoundPose) else NOBODY for p in poses)
        try:
            target_path = place(target) if listing.present.has(target) else None
        except InputError:
            target_path = None
        yield Item(
            output=f"{number // shard:05}/{output}" if shard else output,
            source=source.name,
            target=target.name,
            source_path=place(source),
            target_path=target_path,
            source_pose=source_found.pose,
            target_pose=target_found.pose,
            target_size=target_found.image_size,
            unusable="; ".join(dict.fromkeys(reasons)),
            undetected=None in poses,
        )


def _from_pair_list(request: Request) -> Listing:
    listed = request.pairs
    assert listed is not None
    folder = (request.images or listed.parent).resolve()
    if not looked_at(is_folder, folder):
        raise InputError(f"{folder}: no such folder of images")
    beside = listed.parent.resolve()
    poses = Poses(PoseFiles(*request.keypoints), [folder, beside], request.detected)

    @lru_cache(maxsize=NAMES_KEPT)
    def image(name: str) -> ImageFile:
        return ImageFile(folder, name)

    def pairs() -> Iterator[Row]:
        for pair in islice(read_pairs(listed), request.limit):
            output = _output(*pair, request.result_format)
            yield image(pair.source), image(pair.target), output

    return Listing(pairs, lambda image: poses.find(image, beside), Present(), (folder,))


def _from_folders(request: Request) -> Listing:
    sources = list(find_images(request.sources, exclude=request.out))
    if not sources:
        raise InputError(f"no images in {', '.join(map(str, request.sources))}")
    targets = [target for path in request.poses for target in _targets(path, request.out)]
    if not targets:
        raise InputError(f"no poses in {', '.join(map(str, request.poses))}")
    folders = [image.folder for image in (*sources, *targets)]
    poses = Poses(PoseFiles(*request.keypoints), folders, request.detected)

    def pose(image: ImageFile) -> FoundPose | str | None:
        own = image.files.find(image.name) if isinstance(image, PoseTarget) else None
        return own or poses.find(image)

    def pairs() -> Iterator[Row]:
        for source, target in islice(product(sources, targets), request.limit):
            yield source, target, _output(source.name, target.name, None, request.result_format)

    return Listing(pairs, pose, Present(), tuple(dict.fromkeys(one.folder for one in targets)))


def _targets(path: Path, out: Path) -> Iterator[ImageFile]:
    """What one of --poses stands for: images, and the names in pose files."""
    folder, is_image = path.resolve(), path.suffix.lower() in IMAGE_SUFFIXES
    images: list[ImageFile] = []
    if looked_at(is_file, path) and not is_image:
        folder = folder.parent
    else:
        images = list(find_images([path], exclude=out))
        if not looked_at(is_folder, path) or (images and not _has_json(path)):
            yield from images
            return
    files = PoseFiles(path)
    yield from (PoseTarget(one.folder, one.name, files) for one in images)
    known = {name for one in images for name in (one.name, without_image_suffix(one.name))}
    for name in files.names():
        if name not in known:
            yield PoseTarget(folder, checked_name(name), files)


def _has_json(folder: Path) -> bool:
    if is_remote(folder):
        return any(name.endswith(".json") for name in names_in(folder))
    return any(folder.rglob("*.json"))


def _output(source: str, target: str, output: str | None, fmt: ImageFormat) -> str:
    """The result's name: as listed, or the published naming in the source's folder."""
    if output:
        has_suffix = PurePosixPath(output).suffix.lower() in RESULT_SUFFIXES
        return output if has_suffix else f"{output}.{fmt}"
    return f"{_folder_and_stem(source)}_2_{_stem(target)}_vis.{fmt}"


@lru_cache(maxsize=NAMES_KEPT)
def _folder_and_stem(name: str) -> str:
    path = PurePosixPath(name)
    return (path.parent / path.stem).as_posix()


@lru_cache(maxsize=NAMES_KEPT)
def _stem(name: str) -> str:
    return PurePosixPath(name).stem
