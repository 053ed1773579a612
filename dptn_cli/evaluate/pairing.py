"""Which generated image belongs to which true one: by the manifest, or by the published names."""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from dptn_cli.enums import Status
from dptn_cli.errors import InputError
from dptn_cli.evaluate.types import ImagePair, Problem
from dptn_cli.io.paths import IMAGE_SUFFIXES, checked_name
from dptn_cli.io.results_folder import TEMPORARY_PREFIX, is_contact_sheet
from dptn_cli.transfer.manifest import read_manifest

RUN_FILE = "run.json"
# `A_2_B_vis`: A may hold a `_2_`, B is what stands after the last one and before the first `_vis`.
PUBLISHED_NAME = re.compile(r"(?P<source>.+)_2_(?P<target>.+?)_vis.*", re.DOTALL)
# The published truth is JPEG; the other formats follow in a fixed order.
TRUTH_SUFFIXES = (".jpg", ".png", *sorted(IMAGE_SUFFIXES - {".jpg", ".png"}))


@dataclass(frozen=True)
class Pairing:
    """What belongs together in one results folder.

    Attributes:
        images: every generated image, sorted, relative with forward slashes.
        pairs: sorted by name.
        unpaired: results without a true image, and items whose result has gone.
        not_made: items that failed, by the manifest.
        named: whether anything said what an image's truth is called.
    """

    images: tuple[str, ...]
    pairs: tuple[ImagePair, ...]
    unpaired: tuple[Problem, ...]
    not_made: tuple[Problem, ...]
    named: bool


def list_images(folder: Path) -> list[str]:
    """Every image in a folder and below, sorted, relative with forward slashes.

    Raises:
        InputError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    found = sorted(name for name in _walk(folder) if not is_contact_sheet(name))
    if not found:
        raise InputError(f"{folder}: no image in this folder")
    return found


def _walk(folder: Path) -> Iterator[str]:
    for parent, _, names in os.walk(folder):
        for name in names:
            if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(
                TEMPORARY_PREFIX
            ):
                yield Path(parent, name).relative_to(folder).as_posix()


def read_run_file(results: Path) -> dict[str, Any]:
    """`run.json` of a results folder; empty where there is none that can be read."""
    try:
        document = json.loads((results / RUN_FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def pair_up(results: Path, truth: Sequence[Path]) -> Pairing:
    """Find every result's true image.

    Args:
        results: a folder of `dptn transfer`, or of images with the published names.
        truth: folders that hold the true images, the first to be looked at first; none: all
            results are unpaired.

    Raises:
        InputError: no such folder, or no image in `results`.
    """
    for folder in truth:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of true images")
    there = list_images(results)
    items = {entry["output"]: entry for entry in read_manifest(results)}
    not_made = _not_made(items, frozenset(there))
    images = tuple(name for name in there if name not in not_made)
    if not images:
        first = next(iter(not_made.values()))
        raise InputError(f"{results}: every item failed: {first.name}: {first.reason}")
    found = _Found(results, truth)
    for name in images:
        found.look_up(name, items.get(name))
    gone = sorted(items.keys() - found.seen - not_made.keys())
    found.unpaired += [Problem(output, "its image has gone") for output in gone]
    return Pairing(
        images=images,
        pairs=tuple(found.pairs),
        unpaired=tuple(found.unpaired),
        not_made=tuple(not_made.values()),
        named=found.named,
    )


def _not_made(items: Mapping[str, dict[str, Any]], there: Set[str]) -> dict[str, Problem]:
    """Items whose last attempt failed, by output; an image still there is another model's."""
    return {
        output: Problem(
            output,
            f"not made: {entry.get('reason')}"
            + ("; the image there is of an earlier run" if output in there else ""),
        )
        for output, entry in sorted(items.items())
        if entry.get("status") == Status.FAILED
    }


@dataclass
class _Found:
    results: Path
    truth: Sequence[Path]
    pairs: list[ImagePair] = field(default_factory=list)
    unpaired: list[Problem] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    named: bool = False

    def look_up(self, name: str, entry: dict[str, Any] | None) -> None:
        """Put one image among the pairs or the unpaired."""
        self.seen.add(name)
        partners = _partners(name, entry)
        if partners is None:
            reason = "neither in manifest.jsonl nor named like A_2_B_vis"
            self.unpaired.append(Problem(name, reason))
            return
        self.named = True
        true_image = _find(partners[1], self.truth)
        if true_image is None:
            reason = f"no true image {partners[1][0]}" if self.truth else "no folder of true images"
            self.unpaired.append(Problem(name, reason))
            return
        self.pairs.append(
            ImagePair(name, self.results / name, true_image, _find(partners[0], self.truth))
        )


def _partners(
    name: str, entry: dict[str, Any] | None
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """What the source and the target may be called, the likeliest first.

    The manifest says it exactly. A published name leaves open in which folder its B lies: in
    the result's own, or flat as in the published layout.
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
    """The first image that has one of the names, with whatever suffix."""
    for folder in folders:
        for name in dict.fromkeys(names):
            try:
                found = _with_any_suffix(folder, checked_name(name))
            except InputError:
                continue
            if found is not None:
                return found
    return None


def _with_any_suffix(folder: Path, name: str) -> Path | None:
    path = folder / name
    known = path.suffix.lower() in IMAGE_SUFFIXES
    if known and path.is_file():
        return path
    stem = name.removesuffix(path.suffix) if known else name
    for suffix in TRUTH_SUFFIXES:
        if (candidate := folder / f"{stem}{suffix}").is_file():
            return candidate
    return None
