"""From what the user named to a checked job: everything is looked at before anything starts."""

import os
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import islice, product
from pathlib import Path, PurePosixPath

import numpy as np

from dptn_cli.errors import InputError
from dptn_cli.files import PICTURE_SUFFIXES, checked_name
from dptn_cli.folders import Picture, find_pictures
from dptn_cli.images import PUBLISHED_JPEG_QUALITY, Format
from dptn_cli.keypoints import Annotations
from dptn_cli.pairs import read_pairs
from dptn_cli.records import Item, Job, Model, Pair, Pose

KEYPOINTS_NAME = "keypoints.csv"
RESULT_SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Request:
    """What `dptn transfer` was asked for.

    Attributes:
        out: the results folder.
        pairs: a pair list; or None, and `sources` with `poses` instead.
        images: folder of the pair list's pictures; None: the list's own folder.
        sources: pictures and folders of pictures.
        poses: folders of pictures with keypoints, and annotation CSVs.
        keypoints: annotation CSVs.
        result_format: of results without a name of their own.
        jpeg_quality: of results in JPEG.
        limit: only the first so many items; None: all.
    """

    out: Path
    pairs: Path | None = None
    images: Path | None = None
    sources: tuple[Path, ...] = ()
    poses: tuple[Path, ...] = ()
    keypoints: tuple[Path, ...] = ()
    result_format: Format = "png"
    jpeg_quality: int = PUBLISHED_JPEG_QUALITY
    limit: int | None = None


class Poses:
    """Where keypoints are looked up: the files the user named, then those beside the pictures."""

    def __init__(self, named: Sequence[Path], folders: Iterable[Path]) -> None:
        self._named = Annotations(*named)
        self._beside = {
            folder: Annotations(folder / KEYPOINTS_NAME)
            for folder in dict.fromkeys(folders)
            if (folder / KEYPOINTS_NAME).is_file()
        }

    def find(self, picture: Picture, *others: Path) -> Pose | None:
        """The pose of a picture, or None where no file has it.

        Args:
            picture: whose pose.
            others: further folders whose `keypoints.csv` counts.

        Raises:
            InputError: its line is broken.
        """
        beside = (self._beside.get(folder) for folder in (picture.folder, *others))
        for annotations in (self._named, *beside):
            if annotations is not None and picture.name in annotations:
                return annotations[picture.name]
        return None


@dataclass(frozen=True)
class Listing:
    """The pairs to make, readable again and again, and where their pictures and poses are."""

    pairs: Callable[[], Iterator[tuple[Picture, Picture, str]]]
    pose: Callable[[Picture], Pose | None]
    target_folders: tuple[Path, ...]


def make_job(request: Request, model: Model) -> Job:
    """Read and check everything.

    Args:
        request: what was asked for.
        model: what the pictures will be made with.

    Raises:
        InputError: one error with all the problems found.
    """
    check_out(request.out)
    listing = _from_pair_list(request) if request.pairs else _from_folders(request)
    checks = _Checks(listing.pose)
    for source, target, output in listing.pairs():
        checks.look_at(source, target, output)
    checks.finish(listing)
    return Job(
        model=model,
        out=request.out,
        jpeg_quality=request.jpeg_quality,
        planned=checks.planned,
        items=lambda: _items(listing),
        missing_sources=tuple(checks.missing),
        target_folders=listing.target_folders,
    )


def check_out(out: Path) -> None:
    """Make sure that results could be written, and leave nothing behind.

    Raises:
        InputError: `out`, or what stands above it, is a file or cannot be written to.
    """
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


def _items(listing: Listing) -> Iterator[Item]:
    pose = lru_cache(maxsize=4096)(listing.pose)
    for source, target, output in listing.pairs():
        source_pose, target_pose = pose(source), pose(target)
        if source_pose is None or target_pose is None:
            raise InputError(f"the keypoints of {source.name} or {target.name} have gone")
        try:
            target_path = target.path if target.path.is_file() else None
        except InputError:
            target_path = None
        yield Item(
            output=output,
            source=source.name,
            target=target.name,
            source_path=source.folder / source.name,
            target_path=target_path,
            source_pose=source_pose,
            target_pose=target_pose,
        )


def _from_pair_list(request: Request) -> Listing:
    listed = request.pairs
    assert listed is not None
    folder = (request.images or listed.parent).resolve()
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of pictures")
    beside = listed.parent.resolve()
    poses = Poses(request.keypoints, [folder, beside])

    def pairs() -> Iterator[tuple[Picture, Picture, str]]:
        for pair in islice(read_pairs(listed), request.limit):
            output = _output(pair, request.result_format)
            yield Picture(folder, pair.source), Picture(folder, pair.target), output

    return Listing(pairs, lambda picture: poses.find(picture, beside), (folder,))


def _from_folders(request: Request) -> Listing:
    sources = list(find_pictures(request.sources, besides=request.out))
    if not sources:
        raise InputError(f"no pictures in {', '.join(map(str, request.sources))}")
    files = [
        path
        for path in request.poses
        if path.is_file() and path.suffix.lower() not in PICTURE_SUFFIXES
    ]
    folders = [path for path in request.poses if path not in files]
    targets = [
        Picture(path.parent.resolve(), checked_name(name))
        for path in files
        for name in Annotations(path)
    ]
    targets += find_pictures(folders, besides=request.out)
    if not targets:
        raise InputError(f"no poses in {', '.join(map(str, request.poses))}")
    poses = Poses((*request.keypoints, *files), (p.folder for p in (*sources, *targets)))

    def pairs() -> Iterator[tuple[Picture, Picture, str]]:
        for source, target in islice(product(sources, targets), request.limit):
            output = _output(Pair(source.name, target.name), request.result_format)
            yield source, target, output

    return Listing(pairs, poses.find, tuple(dict.fromkeys(one.folder for one in targets)))


def _output(pair: Pair, fmt: Format) -> str:
    """The result's name: as listed, or the published naming in the source's folder."""
    if pair.output:
        has_suffix = PurePosixPath(pair.output).suffix.lower() in RESULT_SUFFIXES
        return pair.output if has_suffix else f"{pair.output}.{fmt}"
    source, target = PurePosixPath(pair.source), PurePosixPath(pair.target)
    return (source.parent / f"{source.stem}_2_{target.stem}_vis.{fmt}").as_posix()


@dataclass
class _Checks:
    """What one pass over the pairs finds. Pairs are remembered by eight bytes each."""

    pose: Callable[[Picture], Pose | None]
    planned: int = 0
    missing: list[str] = field(default_factory=list)
    _outputs: "array[int]" = field(default_factory=lambda: array("Q"))
    _seen: set[Picture] = field(default_factory=set)
    _sources: set[Picture] = field(default_factory=set)
    _present: int = 0
    _problems: list[str] = field(default_factory=list)
    _unposed: list[str] = field(default_factory=list)

    def look_at(self, source: Picture, target: Picture, output: str) -> None:
        self.planned += 1
        self._outputs.append(_digest(output))
        for picture in (source, target):
            if picture not in self._seen:
                self._seen.add(picture)
                self._look_at_pose(picture)
        if source not in self._sources:
            self._sources.add(source)
            self._look_at_source(source)

    def _look_at_pose(self, picture: Picture) -> None:
        try:
            if self.pose(picture) is None:
                self._unposed.append(picture.name)
        except InputError as error:
            self._problems.append(str(error))

    def _look_at_source(self, picture: Picture) -> None:
        try:
            if os.path.isfile(picture.path):
                self._present += 1
            else:
                self.missing.append(picture.name)
        except InputError as error:
            self._problems.append(str(error))

    def finish(self, listing: Listing) -> None:
        """Raise all that was found, as one error."""
        problems = self._problems + self._name_clashes(listing)
        problems += [f"no keypoints for {name}" for name in self._unposed]
        if self.missing and not self._present:
            problems.append(
                f"none of the {len(self.missing):,} source pictures is there, "
                f"{self.missing[0]} for instance"
            )
        if len(problems) == 1:
            raise InputError(problems[0])
        if problems:
            raise InputError(f"{len(problems):,} problems, nothing was started:", tuple(problems))

    def _name_clashes(self, listing: Listing) -> list[str]:
        digests = np.sort(np.frombuffer(self._outputs, np.uint64))
        repeated = set(digests[1:][digests[1:] == digests[:-1]].tolist())
        if not repeated:
            return []
        first: dict[str, str] = {}
        clashes = []
        for source, target, output in listing.pairs():
            if _digest(output) in repeated:
                pair = f"{source.name} -> {target.name}"
                if output in first:
                    clashes.append(
                        f"{first[output]} and {pair} would both write {output}; "
                        "give one another name in a column `out`"
                    )
                first.setdefault(output, pair)
        return clashes


def _digest(output: str) -> int:
    digest = blake2b(output.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
