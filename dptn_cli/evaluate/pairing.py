"""Pair each generated image with its true image, by the manifest or by the published names."""

import json
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from dptn_cli.enums import Status
from dptn_cli.errors import InputError, user_errors
from dptn_cli.evaluate.types import ImagePair, Problem
from dptn_cli.io.image_kinds import FileKind, file_kind
from dptn_cli.io.paths import IMAGE_SUFFIXES, checked_name
from dptn_cli.io.results_folder import is_contact_sheet
from dptn_cli.io.storage import storage_of
from dptn_cli.transfer.earlier_runs import read_manifest

RUN_FILE = "run.json"
# `A_2_B_vis`: A may contain `_2_`, so B follows the last `_2_` and ends at the next `_vis`.
PUBLISHED_NAME = re.compile(r"(?P<source>.+)_2_(?P<target>.+?)_vis.*", re.DOTALL)
# The published true images are JPEGs. The other formats are tried in a fixed order.
TRUTH_SUFFIXES = (".jpg", ".png", *sorted(IMAGE_SUFFIXES - {".jpg", ".png"}))


@dataclass(frozen=True)
class Pairing:
    """The pairs of one results folder.

    Attributes:
        images: every generated image, sorted, relative to the folder, with forward slashes.
        pairs: generated images with their true images, sorted by name.
        unpaired: images without a true image, and items whose image is gone.
        failed_items: items that failed, according to the manifest.
        has_truth_names: whether the name of the true image is known for at least one image.
    """

    images: tuple[str, ...]
    pairs: tuple[ImagePair, ...]
    unpaired: tuple[Problem, ...]
    failed_items: tuple[Problem, ...]
    has_truth_names: bool


def list_images(folder: Path) -> list[str]:
    """List every image in a folder and its subfolders, but no contact sheets.

    Returns:
        Names relative to the folder, with forward slashes, sorted.

    Raises:
        InputError: the folder does not exist, holds no image, or holds HEIC images that cannot be
            read without an extra.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    with user_errors(folder):
        kinds = {name: file_kind(folder, name) for name in storage_of(folder).list_files(folder)}
    # Without them, the scores would be of fewer images than the folder has.
    if heic_count := list(kinds.values()).count(FileKind.HEIC):
        raise InputError(
            f"{folder}: HEIC images cannot be read ({heic_count:,}): pip install 'dptn-cli[heic]'"
        )
    images = sorted(
        name
        for name, kind in kinds.items()
        if kind is FileKind.IMAGE and not is_contact_sheet(name)
    )
    if not images:
        raise InputError(f"{folder}: no image in this folder")
    return images


def read_run_file(results: Path) -> dict[str, Any]:
    """Read `run.json` of a results folder. Return {} if it is missing or unreadable."""
    try:
        document = json.loads((results / RUN_FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def pair_up(results: Path, truth: Sequence[Path]) -> Pairing:
    """Find the true image of every generated image.

    Args:
        results: a folder written by `dptn transfer`, or one of images with the published names.
        truth: folders of true images, searched in this order. If there are none, all images are
            unpaired.

    Raises:
        InputError: a folder does not exist, `results` holds no image, or every item failed.
    """
    for folder in truth:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of true images")
    present = list_images(results)
    items = {entry["output"]: entry for entry in read_manifest(results)}
    failed_items = _failed_items(items, frozenset(present))
    images = tuple(name for name in present if name not in failed_items)
    if not images:
        first = next(iter(failed_items.values()))
        raise InputError(f"{results}: every item failed: {first.name}: {first.reason}")
    matcher = _Matcher(results, truth)
    for name in images:
        matcher.match(name, items.get(name))
    without_image = sorted(items.keys() - set(images) - failed_items.keys())
    return Pairing(
        images=images,
        pairs=tuple(matcher.pairs),
        unpaired=(
            *matcher.unpaired,
            *(Problem(output, "its image has gone") for output in without_image),
        ),
        failed_items=tuple(failed_items.values()),
        has_truth_names=matcher.has_truth_names,
    )


def _failed_items(items: Mapping[str, dict[str, Any]], present: Set[str]) -> dict[str, Problem]:
    """Return the items whose last attempt failed, by output.

    If such an item has an image, an earlier run wrote it, perhaps with another model.
    """
    return {
        output: Problem(
            output,
            f"not made: {entry.get('reason')}"
            + ("; the image there is of an earlier run" if output in present else ""),
        )
        for output, entry in sorted(items.items())
        if entry.get("status") == Status.FAILED
    }


@dataclass
class _Matcher:
    results: Path
    truth: Sequence[Path]
    pairs: list[ImagePair] = field(default_factory=list)
    unpaired: list[Problem] = field(default_factory=list)
    has_truth_names: bool = False

    def match(self, name: str, entry: dict[str, Any] | None) -> None:
        """Add one image to the pairs or to the unpaired images."""
        candidates = _candidate_names(name, entry)
        if candidates is None:
            reason = "neither in manifest.jsonl nor named like A_2_B_vis"
            self.unpaired.append(Problem(name, reason))
            return
        self.has_truth_names = True
        sources, targets = candidates
        truth = _find(targets, self.truth)
        if truth is None:
            reason = f"no true image {targets[0]}" if self.truth else "no folder of true images"
            self.unpaired.append(Problem(name, reason))
            return
        self.pairs.append(ImagePair(name, self.results / name, truth, _find(sources, self.truth)))


def _candidate_names(
    name: str, entry: dict[str, Any] | None
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the names that the source and the target may have, likeliest first.

    The manifest gives the exact names. A published name leaves the folder of B open: it is the
    folder of the result, or the top folder as in the published layout.
    """
    if entry is not None:
        source, target = entry.get("source"), entry.get("target")
        if isinstance(source, str) and isinstance(target, str):
            return (source,), (target,)
    path = PurePosixPath(name)
    match = PUBLISHED_NAME.fullmatch(path.stem)
    if not match:
        return None
    source, target = match["source"], match["target"]
    return ((path.parent / source).as_posix(), source), ((path.parent / target).as_posix(), target)


def _find(names: Sequence[str], folders: Sequence[Path]) -> Path | None:
    """Return the first image with one of the names, in any format."""
    for folder in folders:
        for name in dict.fromkeys(names):
            try:
                path = _find_any_suffix(folder, checked_name(name))
            except InputError:
                continue
            if path is not None:
                return path
    return None


def _find_any_suffix(folder: Path, name: str) -> Path | None:
    path = folder / name
    has_image_suffix = path.suffix.lower() in IMAGE_SUFFIXES
    if has_image_suffix and path.is_file():
        return path
    stem = name.removesuffix(path.suffix) if has_image_suffix else name
    for suffix in TRUTH_SUFFIXES:
        if (candidate := folder / f"{stem}{suffix}").is_file():
            return candidate
    return None
