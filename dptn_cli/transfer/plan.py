"""From options to a checked job. Everything is checked before anything starts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, islice, product
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from dptn_cli.enums import Fit, ImageFormat, Retarget
from dptn_cli.errors import InputError, counted, user_errors
from dptn_cli.io.files import file_sha256
from dptn_cli.io.image_folders import ImageFile, ImageIndex, find_images, no_images
from dptn_cli.io.image_kinds import FileKind, file_kind
from dptn_cli.io.images import PUBLISHED_JPEG_QUALITY
from dptn_cli.io.left_out import LeftOut
from dptn_cli.io.listed_names import ListedNames, normal_forms
from dptn_cli.io.own_files import check_results_folder, files_outside_results
from dptn_cli.io.pair_list import read_numbered_pairs
from dptn_cli.io.paths import checked_name, without_image_suffix
from dptn_cli.io.storage import storage_of
from dptn_cli.keypoints import PoseFiles
from dptn_cli.transfer.checks import (
    MAX_NAMES_SHOWN,
    PairChecks,
    Row,
    Rows,
    ignore_bad_row,
    name_with_people,
)
from dptn_cli.transfer.pose_lookup import PoseLookup, PoseTarget
from dptn_cli.transfer.result_names import CACHED_NAMES, result_name
from dptn_cli.types import JOINTS, MISSING, Failure, FoundPose, Item, Job, Model

NO_POSE = FoundPose("", np.full((JOINTS, 2), MISSING), np.zeros(JOINTS))


@dataclass(frozen=True)
class TransferRequest:
    """The options of a transfer job: either `pairs`, or `sources` with `poses`.

    Attributes:
        out: the results folder.
        pairs: a pair list.
        images: folder of the pair list's images; None for the list's own folder.
        sources: images and folders of images.
        poses: images, folders of images, pose files and folders of pose files. Every source is
            shown in each of their poses.
        keypoints: pose files and folders of pose files for all images.
        result_format: file format of results without a name of their own.
        jpeg_quality: quality of JPEG results, 1 to 100.
        limit: number of items to generate, from the first one on; None for all.
        shard: number of items in each numbered subfolder of results; None for no subfolders.
        skip_bad_rows: whether a row that cannot be used only fails, instead of stopping the job.
        fit: how images of other sizes are brought to the model's size.
        retarget: whether target poses are scaled to the source person. None: yes with `poses`,
            no with `pairs`.

    Raises:
        InputError: the options do not go together.
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
    skip_bad_rows: bool = False
    fit: Fit = Fit.AUTO
    retarget: Retarget | None = None

    def __post_init__(self) -> None:
        if self.pairs and (self.sources or self.poses):
            raise InputError("use either --pairs, or SOURCES with --poses, not both")
        if not self.pairs and not (self.sources and self.poses):
            missing = "; --poses is missing" if self.sources else ""
            raise InputError(
                f"nothing to do: pass --pairs PAIRS.csv, or SOURCES with --poses{missing}"
            )
        if self.images and not self.pairs:
            raise InputError("--images can only be used with --pairs")


@dataclass(frozen=True)
class _Listing:
    """The pairs of a job, which can be iterated over repeatedly, and how to look things up.

    Attributes:
        rows: iterates over the pairs from the start at each call; see `checks.Rows`.
        pose_of: returns the pose of an image, or None if no file has one.
        lookup: the pose files.
        image_index: which images exist.
        target_folders: the folders of the targets.
        notes: what the user should know of the pose files and folders, one line each.
        pair_list: the pair list; None if there is none.
    """

    rows: Rows
    pose_of: Callable[[ImageFile], FoundPose | None]
    lookup: PoseLookup
    image_index: ImageIndex
    target_folders: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    pair_list: Path | None = None


def make_job(request: TransferRequest, model: Model) -> Job:
    """Read and check everything in one pass, in little memory however long the list is.

    Two pairs with the same output, and missing images and poses, are found before anything
    starts: see `checks`. Even with `shard`, result names must be unique, so that the subfolders can
    be merged.

    Args:
        request: the options.
        model: the model that will generate the images.

    Raises:
        InputError: one error with every problem found.
    """
    check_output_folder(request.out)
    is_resumed = check_results_folder(request.out)
    listing = _listing_of_pairs(request) if request.pairs else _listing_of_folders(request)
    # The first few items may well need only some of the pose files.
    unused = listing.lookup.unused if request.limit is None else tuple
    checks = PairChecks(
        listing.pose_of,
        listing.image_index.has,
        request.out.resolve(),
        request.skip_bad_rows,
        unused,
        pair_list=listing.pair_list,
    )
    checks.check(listing.rows)
    checks.check_inputs_kept(lambda on_bad: _sharded(listing.rows(on_bad), request.shard))
    if not is_resumed:
        whole = _whole_list(listing, request)
        checks.check_others_kept(lambda on_bad: _sharded(whole.rows(on_bad), request.shard))
    locations = (request.out, *request.sources, *listing.target_folders)
    return Job(
        model=model,
        out=request.out,
        jpeg_quality=request.jpeg_quality,
        planned=checks.planned,
        items=lambda: chain(
            _bad_lines(listing.pair_list, checks.bad_lines),
            _items(listing, request.shard, checks.bad_rows),
        ),
        missing_source_count=checks.missing_source_count,
        missing_sources=tuple(checks.missing_sources),
        multi_person_count=checks.multi_person_count,
        multi_person_names=tuple(checks.multi_person_names),
        target_folders=listing.target_folders,
        missing_pose={image.path: image.name for image in checks.missing_pose},
        fit=request.fit,
        retarget=request.retarget or (Retarget.NONE if request.pairs else Retarget.SCALE),
        remote=any(storage_of(location).is_remote for location in locations),
        notes=(
            *listing.lookup.notes(),
            *listing.notes,
            *_missing_keypoints_notes(request, checks.missing_pose),
            *checks.summary(),
        ),
        request=_describe_request(request),
        is_partial=request.limit is not None or bool(checks.bad_lines or checks.bad_rows),
        is_input=checks.is_input,
        name_key=checks.name_key,
    )


def _whole_list(listing: _Listing, request: TransferRequest) -> _Listing:
    """Return the listing without `--limit`."""
    if request.limit is None:
        return listing
    whole = replace(request, limit=None)
    return _listing_of_pairs(whole) if request.pairs else _listing_of_folders(whole)


def _describe_request(request: TransferRequest) -> dict[str, Any]:
    """Return what `run.json` says about what a job was made of."""
    return {
        "pairs": None if request.pairs is None else str(request.pairs),
        "pairs_sha256": None if request.pairs is None else file_sha256(request.pairs),
        "images": None if request.images is None else str(request.images),
        "sources": list(map(str, request.sources)),
        "poses": list(map(str, request.poses)),
        "keypoints": list(map(str, request.keypoints)),
        "detector": None,
        "format": str(request.result_format),
        "limit": request.limit,
        "shard": request.shard,
        "skip_bad_rows": request.skip_bad_rows,
    }


def _missing_keypoints_notes(
    request: TransferRequest, missing: Sequence[ImageFile]
) -> Iterator[str]:
    """Say that the pose files lack images, which somebody who named files does not expect."""
    if request.keypoints and missing:
        files = ", ".join(map(str, request.keypoints))
        images = counted(len(missing), "image")
        yield f"{files}: no keypoints for {images}, such as {missing[0].name}"


def with_poses(
    job: Job, poses: Mapping[Path, FoundPose | Failure], detectors: Sequence[str] = ()
) -> Job:
    """Return the job with poses that were detected after it was planned.

    Args:
        job: a job whose `missing_pose` lists images.
        poses: by image, its pose or why none was found. Images that are left out stay pending.
        detectors: what looked at the images, for `run.json`.
    """
    crowded = [
        name_with_people(job.missing_pose.get(path, path.name), pose)
        for path, pose in poses.items()
        if isinstance(pose, FoundPose) and pose.people > 1
    ]
    return replace(
        job,
        items=lambda: (_with_poses(item, poses) for item in job.items()),
        missing_pose={path: name for path, name in job.missing_pose.items() if path not in poses},
        multi_person_count=job.multi_person_count + len(crowded),
        multi_person_names=(*job.multi_person_names, *crowded)[:MAX_NAMES_SHOWN],
        request={**job.request, "detector": ", ".join(detectors) or None},
    )


def _with_poses(item: Item, poses: Mapping[Path, FoundPose | Failure]) -> Item:
    if not item.pose_pending:
        return item
    reasons = [item.failure_reason] if item.failure_reason else []
    fingerprint = ""
    if item.source_pose_pending:
        pose = poses.get(item.source_path)
        if isinstance(pose, FoundPose):
            item = replace(
                item,
                source_pose=pose.pose,
                source_size=pose.image_size,
                source_pose_pending=False,
            )
        elif pose is not None:
            reasons.append(f"{item.source}: {pose.reason}")
            fingerprint += pose.fingerprint
    if item.target_pose_pending and item.target_path is not None:
        pose = poses.get(item.target_path)
        if isinstance(pose, FoundPose):
            item = replace(
                item,
                target_pose=pose.pose,
                target_size=pose.image_size,
                target_pose_pending=False,
            )
        elif pose is not None:
            reasons.append(f"{item.target}: {pose.reason}")
            fingerprint += pose.fingerprint
    reason = "; ".join(dict.fromkeys(reasons))
    return replace(item, failure_reason=reason, failure_fingerprint=fingerprint)


def check_output_folder(folder: Path) -> None:
    """Make sure that files could be written to a folder, and leave nothing behind.

    Raises:
        InputError: the folder or a parent of it is a file or cannot be written to.
    """
    with user_errors(folder):
        storage_of(folder).check_writable(folder)


def check_output_file(path: Path) -> None:
    """Make sure that a file could be written, before the work whose result it will hold.

    Raises:
        InputError: the path is a folder, or cannot be written.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file in it")
    check_output_folder(path.parent)


def _items(listing: _Listing, shard: int | None, bad_rows: Mapping[int, str]) -> Iterator[Item]:
    """Yield the items of all rows that could be read.

    Args:
        listing: the pairs.
        shard: see `TransferRequest`.
        bad_rows: by position among the rows, why one cannot be used.
    """
    pose_of = lru_cache(maxsize=4096)(listing.pose_of)
    path_of = lru_cache(maxsize=4096)(attrgetter("path"))
    rows = _sharded(listing.rows(ignore_bad_row), shard)
    for number, (source, target, output, line) in enumerate(rows):
        reason = bad_rows.get(number, "")
        if reason:
            name = _place_name(listing.pair_list, line) or f"{path_of(source)} -> {target.name}"
            yield _bad_item(name, reason, line, source.name, target.name)
            continue
        try:
            source_pose, target_pose = pose_of(source), pose_of(target)
        except InputError as error:
            yield _bad_item(output, str(error), line, source.name, target.name)
            continue
        try:
            target_path = path_of(target) if listing.image_index.has(target) else None
        except InputError:
            target_path = None
        yield Item(
            output=output,
            source=source.name,
            target=target.name,
            source_path=path_of(source),
            target_path=target_path,
            source_pose=(source_pose or NO_POSE).pose,
            target_pose=(target_pose or NO_POSE).pose,
            target_size=(target_pose or NO_POSE).image_size,
            source_size=(source_pose or NO_POSE).image_size,
            failure_reason=_missing_reason(listing, source, target, source_pose, target_pose),
            line=line,
            source_pose_pending=source_pose is None,
            target_pose_pending=target_pose is None,
        )


def _missing_reason(
    listing: _Listing,
    source: ImageFile,
    target: ImageFile,
    source_pose: FoundPose | None,
    target_pose: FoundPose | None,
) -> str:
    """Say which image has neither a file nor keypoints; empty if none is so."""
    if source_pose is None and not listing.image_index.has(source):
        return "the source image is missing"
    if target_pose is None and not listing.image_index.has(target):
        path = target.folder / target.name
        return f"no keypoints for {target.name}, and no image {path} to detect them on"
    return ""


def _bad_lines(pair_list: Path | None, bad_lines: Mapping[int, str]) -> Iterator[Item]:
    """Yield an item, which will fail, for each row that cannot be read."""
    for line, reason in bad_lines.items():
        yield _bad_item(_place_name(pair_list, line), reason, line)


def _place_name(pair_list: Path | None, line: int) -> str:
    """Return what stands for the name of a result that has none; empty for folders.

    No result has such a name: those end in the suffix of an image.
    """
    return f"{pair_list.name}, line {line}" if pair_list and line else ""


def _bad_item(output: str, reason: str, line: int, source: str = "", target: str = "") -> Item:
    return Item(
        output=output,
        source=source,
        target=target,
        source_path=Path(),
        target_path=None,
        source_pose=NO_POSE.pose,
        target_pose=NO_POSE.pose,
        failure_reason=reason,
        line=line,
    )


def _sharded(rows: Iterator[Row], shard: int | None) -> Iterator[Row]:
    """Put the results of rows into numbered subfolders."""
    if not shard:
        return rows
    return (
        (source, target, f"{number // shard:05}/{output}", line)
        for number, (source, target, output, line) in enumerate(rows)
    )


def _listing_of_pairs(request: TransferRequest) -> _Listing:
    pair_list = request.pairs
    assert pair_list is not None
    folder = (request.images or pair_list.parent).resolve()
    names = ListedNames(request.images or pair_list.parent)
    image_index = ImageIndex()
    if not _is_dir(folder):
        raise InputError(f"{folder}: no such folder of images")
    list_folder = pair_list.parent.resolve()
    lookup = PoseLookup(PoseFiles(*request.keypoints), [folder, list_folder], image_index)

    @lru_cache(maxsize=CACHED_NAMES)
    def image_file(name: str) -> ImageFile:
        return _in_existing_form(ImageFile(folder, name), image_index)

    def rows(on_bad_row: Callable[[int, str, str], object]) -> Iterator[Row]:
        for line, pair in read_numbered_pairs(
            pair_list, names.name_below, request.limit, on_bad_row
        ):
            output = result_name(*pair, request.result_format)
            yield image_file(pair.source), image_file(pair.target), output, line

    return _Listing(
        rows,
        lambda image: lookup.find(image, list_folder),
        lookup,
        image_index,
        (folder,),
        pair_list=pair_list,
    )


def _in_existing_form(image: ImageFile, image_index: ImageIndex) -> ImageFile:
    """Return the image in the Unicode normal form that exists, or as it is if none does."""
    if image.name.isascii():
        return image
    with suppress(InputError):  # found again, and told, by the checks
        if image_index.has(image):
            return image
        for name in normal_forms(image.name):
            if image_index.has(form := replace(image, name=name)):
                return form
    return image


def _listing_of_folders(request: TransferRequest) -> _Listing:
    notes: dict[str, None] = {}  # each once, if a folder is searched for both

    def search(
        paths: Sequence[Path], find: Callable[[Path, LeftOut], Iterator[ImageFile]]
    ) -> list[ImageFile]:
        images: list[ImageFile] = []
        for path in paths:
            left_out = LeftOut()
            images += find(path, left_out)
            notes.update(dict.fromkeys(left_out.notes()))
        return list(dict.fromkeys(images))

    sources = search(
        request.sources, lambda path, left_out: find_images([path], request.out, left_out)
    )
    if not sources:
        raise no_images(request.sources, notes)
    targets = search(
        request.poses, lambda path, left_out: _find_targets(path, request.out, left_out)
    )
    if not targets:
        raise no_images(request.poses, notes, "poses")
    _check_results_apart(sources, request)
    folders = [image.folder for image in (*sources, *targets)]
    image_index = ImageIndex()
    lookup = PoseLookup(PoseFiles(*request.keypoints), folders, image_index)

    def rows(_: object) -> Iterator[Row]:
        for source, target in islice(product(sources, targets), request.limit):
            output = result_name(source.name, target.name, None, request.result_format)
            yield source, target, output, 0

    target_folders = tuple(dict.fromkeys(target.folder for target in targets))
    target_files = {id(t.pose_files): t.pose_files for t in targets if isinstance(t, PoseTarget)}
    for pose_files in target_files.values():
        notes |= dict.fromkeys(pose_files.notes)
    return _Listing(rows, lookup.find, lookup, image_index, target_folders, tuple(notes))


def _check_results_apart(sources: list[ImageFile], request: TransferRequest) -> None:
    """Refuse results in a folder of sources, where the next run would take them for sources.

    That happens if the folder is below the results folder and has a folder of its own name.
    """
    out = request.out.resolve()
    for folder in () if request.shard else dict.fromkeys(source.folder for source in sources):
        below = storage_of(out).relative_name(out, folder)
        for source in sources if below not in (None, ".") else ():
            if source.name.startswith(f"{below}/"):
                raise InputError(
                    f"the results of {source.name} would be written into {folder}, a folder of "
                    "sources: name another results folder"
                )


def _find_targets(path: Path, out: Path, left_out: LeftOut) -> Iterator[ImageFile]:
    """Find the targets that one value of --poses stands for.

    It is an image or a pattern, a pose file, or a folder with images, pose files or both.
    """
    is_dir = _is_dir(path)
    with user_errors(path):
        is_pose_file = (
            storage_of(path).is_file(path) and file_kind(path.parent, path.name) is FileKind.OTHER
        )
    if is_pose_file:
        yield from _targets_in_pose_files(path, path.resolve().parent, images=[])
        return
    images = list(find_images([path], out, left_out))
    if not is_dir or (images and not _has_json(path)):
        yield from images
        return
    yield from _targets_in_pose_files(path, path.resolve(), images)


def _targets_in_pose_files(
    path: Path, folder: Path, images: list[ImageFile]
) -> Iterator[ImageFile]:
    """Yield the images of a folder, then the names in its pose files that have no image."""
    pose_files = PoseFiles(path)
    yield from (PoseTarget(image.folder, image.name, pose_files) for image in images)
    names = {image.name for image in images}
    entries = {pose_files.entry_for(name, names.__contains__) for name in names}
    names |= {name for name in entries if name is not None}
    names |= {without_image_suffix(name) for name in names}
    for name in pose_files.names():
        if name not in names:
            yield PoseTarget(folder, checked_name(name), pose_files)


def _is_dir(path: Path) -> bool:
    with user_errors(path):
        return storage_of(path).is_dir(path)


def _has_json(folder: Path) -> bool:
    with user_errors(folder):
        return any(name.suffix == ".json" for name in files_outside_results(folder))
