"""Pair each generated image with its true image: by a list, by the manifest, or by its name."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from dptn_cli.enums import Status
from dptn_cli.errors import InputError, user_errors
from dptn_cli.evaluate.result_names import PRESETS, NameTemplate
from dptn_cli.evaluate.types import ImagePair, Problem
from dptn_cli.io.image_kinds import FileKind, file_kind
from dptn_cli.io.jsonl import parse_line
from dptn_cli.io.own_files import RUN_BYTES
from dptn_cli.io.pair_list import read_pairs
from dptn_cli.io.paths import IMAGE_SUFFIXES, checked_name, without_image_suffix
from dptn_cli.io.results_folder import RUN_NAME, is_contact_sheet
from dptn_cli.io.storage import storage_of
from dptn_cli.transfer.earlier_runs import read_manifest

# `A_2_B_vis`: A may contain `_2_`, so B follows the last `_2_` and ends at the next `_vis`.
PUBLISHED_NAME = re.compile(r"(?P<source>.+)_2_(?P<target>.+?)_vis.*", re.DOTALL)
# The published true images are JPEGs. The other formats are tried in a fixed order.
TRUTH_SUFFIXES = (".jpg", ".png", *sorted(IMAGE_SUFFIXES - {".jpg", ".png"}))


@dataclass(frozen=True)
class Naming:
    """What tells which source and target an image was made of.

    Attributes:
        pairs: a pair list, whose column `out` names the images; None for the manifest.
        template: how the images are named; None for the published names and those of `PRESETS`.
    """

    pairs: Path | None = None
    template: NameTemplate | None = None


@dataclass(frozen=True)
class Pairing:
    """The pairs of one results folder.

    Attributes:
        images: every generated image, sorted, relative to the folder, with forward slashes.
        pairs: generated images with their true images, sorted by name.
        unpaired: images without a true image, and items whose image is gone.
        failed_items: items that failed, according to the manifest.
        has_truth_names: whether the name of the true image is known for at least one image.
        notes: what the reader of the scores should know about the choice, one line each.
        models: number of images by the digest of their model, as far as the manifest has it.
    """

    images: tuple[str, ...]
    pairs: tuple[ImagePair, ...]
    unpaired: tuple[Problem, ...]
    failed_items: tuple[Problem, ...]
    has_truth_names: bool
    notes: tuple[str, ...] = ()
    models: Mapping[str, int] = field(default_factory=dict)

    @property
    def formats(self) -> Counter[str]:
        """Number of images by file format, such as `png` or `jpg`."""
        return Counter(format_of(name) for name in self.images)


def format_of(name: str) -> str:
    """Return the file format of an image by its name."""
    suffix = PurePosixPath(name).suffix.lower()[1:]
    return "jpg" if suffix == "jpeg" else suffix


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
        content = storage_of(results).read_bytes(results / RUN_NAME, RUN_BYTES)
    except OSError:
        return {}
    document = parse_line(content)
    return document if isinstance(document, dict) else {}


def pair_up(
    results: Path,
    truth: Sequence[Path],
    naming: Naming = Naming(),  # noqa: B008 - frozen
    is_wanted: Callable[[str, Mapping[str, Any]], bool] = lambda name, entry: True,
    notes: Sequence[str] = (),
) -> Pairing:
    """Find the true image of every generated image.

    Args:
        results: a folder of generated images, such as one written by `dptn transfer`.
        truth: folders of true images, searched in this order. If there are none, all images are
            unpaired.
        naming: what tells which images a result was made of.
        is_wanted: returns whether to score an image, by its name and its line in the manifest.
        notes: see `Pairing`.

    Raises:
        InputError: a folder does not exist, `results` holds no image, or every item failed.
    """
    for folder in truth:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of true images")
    present = list_images(results)
    items = {entry["output"]: entry for entry in read_manifest(results)}
    if naming.pairs:
        items = _items_of_list(naming.pairs, naming.template, present, items)
        notes = [*notes, *_unlisted_note(present, items)]
        present = [name for name in present if name in items]
    items = {name: entry for name, entry in items.items() if is_wanted(name, entry)}
    present = [name for name in present if is_wanted(name, items.get(name, {}))]
    failed_items = _failed_items(items, frozenset(present))
    images = tuple(name for name in present if name not in failed_items)
    if not images:
        if not failed_items:
            raise InputError(f"{results}: no image of the list is there")
        first = next(iter(failed_items.values()))
        raise InputError(f"{results}: every item failed: {first.name}: {first.reason}")
    matcher = _Matcher(results, truth, _templates(naming))
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
        notes=(*notes, *matcher.notes()),
        models=Counter(model for name in images if (model := model_of(items.get(name, {})))),
    )


def model_of(entry: Mapping[str, Any]) -> str:
    """Return the digest of the model in a line of the manifest; empty if it has none."""
    model = entry.get("model")
    return model if isinstance(model, str) else ""


def _items_of_list(
    pair_list: Path,
    template: NameTemplate | None,
    present: Sequence[str],
    manifest: Mapping[str, dict[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Return the line of the manifest for each row of a pair list, with the row's images.

    A result may have another image suffix than the list says. One that the list does not name is
    named as `template` says.
    """
    names, by_stem = set(present), {without_image_suffix(name): name for name in present}
    template = template or NameTemplate(PRESETS["dptn"])
    items = {}
    for pair in read_pairs(pair_list):
        output = pair.output or template.render(pair.source, pair.target)
        name = output if output in names else by_stem.get(without_image_suffix(output))
        name = name or output
        items[name] = manifest.get(name, {}) | {"source": pair.source, "target": pair.target}
    return items


def _unlisted_note(present: Sequence[str], items: Mapping[str, object]) -> Iterator[str]:
    if count := sum(name not in items for name in present):
        yield f"{count:,} images are not scored, because the pair list does not name them"


def _templates(naming: Naming) -> tuple[NameTemplate, ...]:
    """Return how images that no list names may be named, likeliest first."""
    if naming.template:
        return (naming.template,)
    return tuple(NameTemplate(text) for text in dict.fromkeys(PRESETS.values()))


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
    templates: Sequence[NameTemplate]
    pairs: list[ImagePair] = field(default_factory=list)
    unpaired: list[Problem] = field(default_factory=list)
    has_truth_names: bool = False
    used: Counter[str] = field(default_factory=Counter)

    def match(self, name: str, entry: dict[str, Any] | None) -> None:
        """Add one image to the pairs or to the unpaired images."""
        candidates = list(self._candidates(name, entry))
        if not candidates:
            asked = self.templates[0].text if len(self.templates) == 1 else "A_2_B_vis"
            reason = f"neither in manifest.jsonl nor named like {asked}"
            self.unpaired.append(Problem(name, reason))
            return
        self.has_truth_names = True
        for template, sources, targets in candidates:
            if truth := _find(targets, self.truth):
                source = _find(sources, self.truth)
                self.pairs.append(ImagePair(name, self.results / name, truth, source))
                self.used[template] += 1
                return
        targets = candidates[0][2]
        reason = f"no true image {targets[0]}" if self.truth else "no folder of true images"
        self.unpaired.append(Problem(name, reason))

    def notes(self) -> Iterator[str]:
        """Say which names were read as those of another system."""
        for template, count in self.used.items():
            if template not in ("", PRESETS["dptn"]) and len(self.templates) > 1:
                yield f"{count:,} images were paired by their names, read as {template}"

    def _candidates(
        self, name: str, entry: dict[str, Any] | None
    ) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """Yield a template, and the names that the source and the target may have by it.

        A list gives the exact names, by no template. A name leaves the folder of the target open:
        it is the folder of the result, or the top folder as in the published layout.
        """
        source, target = (entry or {}).get("source"), (entry or {}).get("target")
        if isinstance(source, str) and isinstance(target, str):
            yield "", (source,), (target,)
            return
        path = PurePosixPath(name)
        for template in self.templates:
            for source, target in self._split(template, path.stem):
                yield template.text, _places(path, source), _places(path, target)

    def _split(self, template: NameTemplate, stem: str) -> Iterator[tuple[str, str]]:
        match = PUBLISHED_NAME.fullmatch(stem)
        if match and template.text == PRESETS["dptn"]:
            yield match["source"], match["target"]
        else:
            yield from template.split(stem)


def _places(result: PurePosixPath, name: str) -> tuple[str, ...]:
    """Return an image's name in the folder of the result, and in the top folder."""
    return ((result.parent / name).as_posix(), name) if name else ()


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
