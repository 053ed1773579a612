"""DeepFashion's In-shop images, cropped and named as the published lists have them.

A raw image `img/WOMEN/Blouses_Shirts/id_00000001/02_1_front.jpg` is listed as
`fashionWOMENBlouses_Shirtsid0000000102_1front.jpg`: the parts of its path without their
slashes, the underscores of the item and those after the view's number left out.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dptn_cli.enums import ImageFormat
from dptn_cli.errors import InputError
from dptn_cli.io.files import make_folder, write_atomic
from dptn_cli.io.images import encode_image, read_image, read_image_size
from dptn_cli.io.paths import checked_name
from dptn_cli.prepare.copies import copy_file
from dptn_cli.prepare.report import Prepared

PHASES = ("train", "test")
RAW_SIZE = (256, 256)
COLUMNS = slice(40, 216)
JPEG_QUALITY = 75  # Pillow's own, with which the published crops are saved
LISTS = ("fasion-resize-annotation-{}.csv", "fasion-resize-pairs-{}.csv")
_VIEW = re.compile(r"(\d+)_(.+)\.(jpe?g)", re.IGNORECASE)


@dataclass(frozen=True)
class _Crop:
    """An image to make; `raws` is where it was found, in several folders perhaps."""

    raws: Sequence[Path]
    out: Path


def published_name(raw: Path) -> str | None:
    """The name that the published lists give a raw image; None where its path has no such."""
    if len(raw.parts) < 4:
        return None
    gender, category, item, file = raw.parts[-4:]
    view = _VIEW.fullmatch(file)
    if gender not in ("MEN", "WOMEN") or not view:
        return None
    kind = view[2].replace("_", "")
    return f"fashion{gender}{category}{item.replace('_', '')}{view[1]}_{kind}.jpg"


def prepare_deepfashion(
    raw: Path, lists: Path, out: Path, *, workers: int, advance: Callable[[int], None]
) -> Prepared:
    """Crop every listed image to columns 40 to 215 and copy the lists beside them.

    Args:
        raw: folder with the 256x256 images, in the folders they came in; larger ones of the
            same names (`img_highres/`) may be there too.
        lists: folder of `train.lst` and `test.lst`, and of the annotation and pair CSVs.
        out: gets `train/`, `test/` and the CSVs; images that are there already stay.
        workers: threads.
        advance: is told the number of listed images looked at.

    Raises:
        InputError: a list is missing, not one listed image is in `raw`, or none can be used.
    """
    listed = {phase: _read_list(lists / f"{phase}.lst") for phase in PHASES}
    found = _by_name(raw)
    if not any(name in found for names in listed.values() for name in names):
        raise InputError(
            f"{raw}: none of the {sum(map(len, listed.values())):,} listed images is there; "
            "the In-shop images are wanted, as WOMEN/Dresses/id_00000002/02_1_front.jpg"
        )
    counts, problems = _crop_all(listed, found, out, workers=workers, advance=advance)
    if not any(counts.values()):
        raise InputError(f"{out}: not one image could be made:", tuple(problems))
    problems += [problem for phase in PHASES for problem in _copy_lists(lists, out, phase)]
    for_training = [(out / pattern.format("train")).is_file() for pattern in LISTS]
    ready = all(for_training) and counts["train images"] > 0
    return Prepared(counts, problems, ready)


def _by_name(raw: Path) -> dict[str, list[Path]]:
    """Where the raw images are, by the names that the lists give them."""
    found: dict[str, list[Path]] = {}
    for path in _images(raw):
        if name := published_name(path):
            found.setdefault(name, []).append(path)
    return found


def _crop_all(
    listed: Mapping[str, Sequence[str]],
    found: Mapping[str, Sequence[Path]],
    out: Path,
    *,
    workers: int,
    advance: Callable[[int], None],
) -> tuple[dict[str, int], list[str]]:
    """How many images of each phase are there in the end, and what is wrong with the others."""
    counts: dict[str, int] = {}
    problems: list[str] = []
    with ThreadPoolExecutor(workers) as pool:
        for phase, names in listed.items():
            make_folder(out / phase)
            crops = [_Crop(found[n], out / phase / n) for n in names if n in found]
            problems += [
                f"{phase}: {name} is not among the raw images"
                for name in names
                if name not in found
            ]
            advance(len(names) - len(crops))
            made = 0
            for problem in pool.map(_crop, crops):
                made += not problem
                problems += [f"{phase}: {problem}"] if problem else []
                advance(1)
            counts[f"{phase} images"] = made
    return counts, problems


def count_listed(lists: Path) -> int:
    """How many images the two lists name.

    Raises:
        InputError: a list is missing.
    """
    return sum(len(_read_list(lists / f"{phase}.lst")) for phase in PHASES)


def _read_list(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: {reason}; it lists a phase's images, a name a line") from error
    return [checked_name(line) for line in lines if line.strip()]


def _images(raw: Path) -> Iterator[Path]:
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder")
    for path in sorted(raw.rglob("*")):
        if path.suffix.lower() in (".jpg", ".jpeg"):
            yield path


def _crop(crop: _Crop) -> str:
    """Write one image; what is wrong with it, or ''."""
    if crop.out.is_file():
        return ""
    raw = _of_raw_size(crop.raws)
    try:
        image = read_image(raw)
        if image.shape[:2] != RAW_SIZE:
            height, width = image.shape[:2]
            return f"{raw}: {height}x{width} pixels (HxW), the raw images have 256x256"
        content = encode_image(
            np.ascontiguousarray(image[:, COLUMNS]), ImageFormat.JPG, JPEG_QUALITY
        )
        write_atomic(crop.out, lambda file: file.write(content))
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{crop.out}: {error.strerror}"
    return ""


def _of_raw_size(paths: Sequence[Path]) -> Path:
    """The first of the size that is cropped; the first of all where none is."""
    for path in paths if len(paths) > 1 else ():
        try:
            if read_image_size(path) == RAW_SIZE:
                return path
        except InputError:
            continue
    return paths[0]


def _copy_lists(lists: Path, out: Path, phase: str) -> Iterator[str]:
    """Copy a phase's lists, and tell what is missing or cannot be copied."""
    for pattern in LISTS:
        name = pattern.format(phase)
        if (lists / name).is_file():
            try:
                copy_file(lists / name, out / name)
            except InputError as error:
                yield str(error)
        elif not (out / name).is_file():
            yield f"{name} is missing: put it into {out}; it comes with the published code"
