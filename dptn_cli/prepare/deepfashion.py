"""Crop DeepFashion's In-shop images and name them as the published lists do.

The lists name an image by the parts of its path, joined without slashes. The underscore in the
item is left out, and so are those in the name of the view: the raw image
`img/WOMEN/Blouses_Shirts/id_00000001/02_1_front.jpg` is listed as
`fashionWOMENBlouses_Shirtsid0000000102_1front.jpg`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dptn_cli.enums import ImageFormat
from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.files import make_folder, write_atomic
from dptn_cli.io.images import encode_image, read_image, read_image_size
from dptn_cli.io.paths import checked_name
from dptn_cli.prepare.common import PHASES, PrepareResult, copy_file, count_names

RAW_SIZE = (256, 256)
COLUMNS = slice(40, 216)  # of a raw image; the published crops are these 176
JPEG_QUALITY = 75  # Pillow's default, with which the published crops were saved
LISTS = ("fasion-resize-annotation-{}.csv", "fasion-resize-pairs-{}.csv")  # published spelling
_VIEW = re.compile(r"(\d+)_(.+)\.(jpe?g)", re.IGNORECASE)


@dataclass(frozen=True)
class _CropTask:
    """An image to crop.

    Attributes:
        raws: the raw images of that name; more than one if `raw` has them at several sizes.
        out: the path of the cropped image.
    """

    raws: Sequence[Path]
    out: Path


def published_name(raw: Path) -> str | None:
    """Return the name that the published lists give a raw image, or None for any other image."""
    if len(raw.parts) < 4:
        return None
    gender, category, item, file = raw.parts[-4:]
    view = _VIEW.fullmatch(file)
    if gender not in ("MEN", "WOMEN") or not view:
        return None
    view_name = view[2].replace("_", "")
    return f"fashion{gender}{category}{item.replace('_', '')}{view[1]}_{view_name}.jpg"


def prepare_deepfashion(
    raw: Path, lists: Path, out: Path, *, workers: int, advance: Callable[[int], None]
) -> PrepareResult:
    """Crop every listed image to columns 40 to 215, and copy the lists next to the crops.

    Args:
        raw: folder with the 256x256 images, in the folders of the data set. It may also hold
            larger images of the same names (`img_highres/`).
        lists: folder with `train.lst`, `test.lst`, and the annotation and pair CSVs.
        out: folder for `train/`, `test/` and the CSVs. Images that it already holds are kept.
        workers: number of threads.
        advance: called with the number of listed images that have just been dealt with.

    Raises:
        InputError: `train.lst` or `test.lst` is missing, or not a single listed image is in
            `raw` or could be cropped.
    """
    listed = {phase: _read_list(lists / f"{phase}.lst") for phase in PHASES}
    raws = _find_raw_images(raw)
    if not any(name in raws for names in listed.values() for name in names):
        raise InputError(
            f"{raw}: none of the {sum(map(len, listed.values())):,} listed images is there; "
            "expected the In-shop images, such as WOMEN/Dresses/id_00000002/02_1_front.jpg"
        )
    counts, problems = _crop_all(listed, raws, out, workers=workers, advance=advance)
    if not any(counts.values()):
        raise InputError(f"{out}: not a single image could be cropped:", tuple(problems))
    problems += [problem for phase in PHASES for problem in _copy_lists(lists, out, phase)]
    has_train_lists = all((out / pattern.format("train")).is_file() for pattern in LISTS)
    return PrepareResult(
        counts,
        problems,
        ready=has_train_lists and counts["train images"] > 0,
        notes=count_names(
            sorted(raws.keys() - {name for names in listed.values() for name in names}),
            "raw image is in no list, and is left out",
            "raw images are in no list, and are left out",
        ),
    )


def count_listed(lists: Path) -> int:
    """Return the number of images that `train.lst` and `test.lst` list together.

    Raises:
        InputError: a list is missing.
    """
    return sum(len(_read_list(lists / f"{phase}.lst")) for phase in PHASES)


def _read_list(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: {reason}; expected image names, one per line") from error
    return [checked_name(line) for line in lines if line.strip()]


def _find_raw_images(raw: Path) -> dict[str, list[Path]]:
    """Return the raw images by the name that the lists give them."""
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder")
    raws: dict[str, list[Path]] = {}
    for path in sorted(raw.rglob("*")):
        if name := published_name(path):
            raws.setdefault(name, []).append(path)
    return raws


def _crop_all(
    listed: Mapping[str, Sequence[str]],
    raws: Mapping[str, Sequence[Path]],
    out: Path,
    *,
    workers: int,
    advance: Callable[[int], None],
) -> tuple[dict[str, int], list[str]]:
    """Crop the listed images.

    Returns:
        How many images of each phase are now in `out`, and the problems with the others.
    """
    counts: dict[str, int] = {}
    problems: list[str] = []
    with ThreadPoolExecutor(workers) as pool:
        for phase, names in listed.items():
            make_folder(out / phase)
            tasks = [_CropTask(raws[name], out / phase / name) for name in names if name in raws]
            missing = [name for name in names if name not in raws]
            problems += count_names(
                missing,
                f"image of {phase}.lst is not among the raw images",
                f"images of {phase}.lst are not among the raw images",
            )
            advance(len(missing))
            count = 0
            for problem in pool.map(_try_crop, tasks):
                if problem:
                    problems.append(f"{phase}: {problem}")
                else:
                    count += 1
                advance(1)
            counts[f"{phase} images"] = count
    return counts, problems


def _try_crop(task: _CropTask) -> str:
    """Crop one image, unless that is done already; return the problem, or ''."""
    if task.out.is_file():
        return ""
    raw = _choose_raw(task.raws)
    try:
        image = read_image(raw)
        if image.shape[:2] != RAW_SIZE:
            height, width = image.shape[:2]
            return f"{raw}: {height}x{width} pixels (HxW), but raw images have 256x256"
        crop = np.ascontiguousarray(image[:, COLUMNS])
        content = encode_image(crop, ImageFormat.JPG, JPEG_QUALITY)
        with user_errors(task.out):
            write_atomic(task.out, lambda file: file.write(content))
    except InputError as error:
        return str(error)
    return ""


def _choose_raw(paths: Sequence[Path]) -> Path:
    """Return the first image of 256x256 pixels; the first of all if there is none."""
    for path in paths if len(paths) > 1 else ():
        try:
            if read_image_size(path) == RAW_SIZE:
                return path
        except InputError:
            continue
    return paths[0]


def _copy_lists(lists: Path, out: Path, phase: str) -> Iterator[str]:
    """Copy a phase's CSVs; yield a problem for each that is missing or cannot be copied."""
    for pattern in LISTS:
        name = pattern.format(phase)
        if (lists / name).is_file():
            try:
                copy_file(lists / name, out / name)
            except InputError as error:
                yield str(error)
        elif not (out / name).is_file():
            yield f"{name} is missing: put it into {out}; it comes with the published code"
