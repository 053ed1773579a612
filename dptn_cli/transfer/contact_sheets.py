"""A job's results on contact sheets: source, pose, result and target image side by side."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from dptn_cli.enums import Fit, Retarget
from dptn_cli.errors import InputError, user_errors
from dptn_cli.io.files import join_inside, make_folder
from dptn_cli.io.images import read_crop, read_image, read_image_size
from dptn_cli.io.marked_images import has_mark, is_own_png, software_of, write_marked_image
from dptn_cli.io.own_files import foreign_file
from dptn_cli.io.results_folder import CONTACT_SHEETS_FOLDER
from dptn_cli.io.storage import storage_of
from dptn_cli.keypoints import crop_for, pose_on_image
from dptn_cli.transfer.framing import FramedPose, frame_item_source, frame_item_target
from dptn_cli.types import Crop, ImageU8, Item, Job, Size
from dptn_cli.visualize.contact_sheet import CAPTION_HEIGHT, cell_width, contact_sheet
from dptn_cli.visualize.skeleton import draw_pose

ITEMS_PER_PAGE = 32
ITEMS_PER_ROW = 4
COLUMNS = ("source", "pose", "result", "target")


def page_count(items: int) -> int:
    """Return how many pages a number of items takes."""
    return -(-items // ITEMS_PER_PAGE)


def items_with_results(job: Job, exists: Callable[[str], bool]) -> Iterator[Item]:
    """Yield the items whose results exist, in the job's order.

    Args:
        job: the job.
        exists: returns whether an output is done; see `EarlierRuns.is_done`.
    """
    return (item for item in job.items() if exists(item.output))


def check_pages(out: Path) -> None:
    """Make sure that contact sheets overwrite and remove no image of others.

    Args:
        out: the results folder; it need not exist.

    Raises:
        InputError: an image named like a page is not a contact sheet, or cannot be read; or the
            folder of the pages leads out of the results folder through a link.
    """
    folder = join_inside(out.resolve(), CONTACT_SHEETS_FOLDER)
    with user_errors(folder):
        pages = sorted(filter(_page_number, storage_of(folder).list_files(folder)))
    for name in pages:
        if not is_own_png(folder / name, _is_contact_sheet):
            raise foreign_file(
                folder / name,
                "dptn transfer --grid",
                "name another results folder, or leave out --grid",
            )


def _page_number(name: str) -> int:
    """Return the number of a page by its name in the folder `grids`; 0 if it is no page."""
    number = name.removeprefix("page-").removesuffix(".png")
    # Exactly our names: anything else in the folder is somebody's own.
    return int(number) if name == f"page-{number}.png" and number.isdecimal() else 0


def _is_contact_sheet(image: Image.Image) -> bool:
    """Return whether an image is marked as ours or, from an older version, has our captions."""
    if software_of(image) is not None:
        return has_mark(image)
    top = np.asarray(image.convert("RGB").crop((0, 0, image.width, CAPTION_HEIGHT)))
    for items in range(1, ITEMS_PER_ROW + 1):
        width = cell_width(top.shape[1], len(COLUMNS) * items, items)
        if width and np.array_equal(top, _draw_captions(items, width)):
            return True
    return False


def _draw_captions(items: int, cell_width: int) -> ImageU8:
    captions = COLUMNS * items
    return contact_sheet([], captions, (1, cell_width), [[""] * items])[:CAPTION_HEIGHT]


def write_contact_sheets(job: Job, items: Iterable[Item]) -> Iterator[Path]:
    """Write contact sheets into the results' folder `grids`, one page at a time.

    Source and target are cropped as the network sees them. The target is the image that the pose
    comes from, if it exists. Pages of an earlier, longer list are removed at the end.

    Args:
        job: the job.
        items: the job's items whose results exist.

    Yields:
        The path of each page, once it is written.

    Raises:
        InputError: a page cannot be written.
    """
    folder = job.out / CONTACT_SHEETS_FOLDER
    make_folder(folder)
    cells = _Cells(job)
    items, number = iter(items), 0
    while page := list(islice(items, ITEMS_PER_PAGE)):
        number += 1
        path = folder / f"page-{number:05}.png"
        rows, names = [cells.of(item) for item in page], [item.output for item in page]
        write_marked_image(path, _draw_page(rows, names, job))
        yield path
    _remove_pages_after(folder, number)


def _remove_pages_after(folder: Path, last: int) -> None:
    storage = storage_of(folder)
    with user_errors(folder):
        for name in list(storage.list_files(folder)):
            if _page_number(name) > last:
                storage.remove(folder / name)


def _draw_page(rows: Sequence[Sequence[ImageU8 | None]], names: Sequence[str], job: Job) -> ImageU8:
    """Lay out the items of a page, four in a row, each above the name of its result."""
    starts = range(0, len(rows), ITEMS_PER_ROW)
    items_per_row = min(ITEMS_PER_ROW, len(rows))
    return contact_sheet(
        rows=[[cell for row in rows[i : i + ITEMS_PER_ROW] for cell in row] for i in starts],
        captions=COLUMNS * items_per_row,
        cell=job.model.spec.image_size,
        labels=[names[i : i + ITEMS_PER_ROW] for i in starts],
    )


class _Cells:
    """The images of a job's items, at the model's size on disk."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._out = job.out.resolve()
        self._read_cached = lru_cache(maxsize=ITEMS_PER_PAGE)(self._read)

    def of(self, item: Item) -> tuple[ImageU8 | None, ...]:
        """Return source, pose, result and target of an item; None for what cannot be shown."""
        spec = self._job.model.spec
        try:
            size = read_image_size(item.source_path)
            source = frame_item_source(item, size, self._job)
            target = frame_item_target(item, source, self._job)
            source_u8 = self._read_cached(item.source_path, source.crop)
        except (InputError, OSError):  # the source is gone since the result was generated
            return None, None, self._result(item), None
        pose_u8 = draw_pose(target.pose, spec.image_size)
        return source_u8, pose_u8, self._result(item), self._target(item, target)

    def _result(self, item: Item) -> ImageU8 | None:
        try:
            return read_image(join_inside(self._out, item.output))
        except InputError:
            return None

    def _target(self, item: Item, target: FramedPose) -> ImageU8 | None:
        path = item.target_path
        if path is None:
            return None
        try:
            crop = target.crop
            if self._job.retarget is Retarget.SCALE:  # the pose has left its place in the image
                crop = self._target_crop(item, read_image_size(path))
            return self._read_cached(path, crop)
        except (InputError, OSError):
            return None

    def _target_crop(self, item: Item, size: Size) -> Crop | None:
        """Return the crop around the person whose pose was taken, else the whole image."""
        model_size = self._job.model.spec.image_size
        try:
            pose = pose_on_image(item.target_pose, item.target_size, size)
            return crop_for(pose, model_size, size, Fit.PERSON)
        except InputError:  # too few joints
            return crop_for(item.target_pose, model_size, size, Fit.PAD)

    def _read(self, path: Path, crop: Crop | None) -> ImageU8:
        return read_crop(path, crop, self._job.model.spec.image_size)
