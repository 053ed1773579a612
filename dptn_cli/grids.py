"""A job's results to look at: contact sheets of source, pose, result and target picture."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

from PIL import Image

from dptn_cli.errors import InputError
from dptn_cli.files import GRIDS_FOLDER, inside, make_folder
from dptn_cli.images import crop_to_network, picture_size, read_picture, write_picture
from dptn_cli.keypoints import crop_for
from dptn_cli.locations import is_remote
from dptn_cli.placing import Placed, source_placed, target_placed
from dptn_cli.records import Crop, Fit, Item, Job, PictureU8, Retarget
from dptn_cli.sheets import contact_sheet
from dptn_cli.skeleton import draw_pose
from dptn_cli.stores import names_in, remove

ITEMS_PER_PAGE = 32
ACROSS = 4
COLUMNS = ("source", "pose", "result", "target")


def pages_of(items: int) -> int:
    """How many pages so many items take."""
    return -(-items // ITEMS_PER_PAGE)


def write_pages(job: Job, items: Iterable[Item]) -> Iterator[Path]:
    """Write contact sheets into the results' folder `grids`, one page at a time.

    Source and target are shown as the network is shown them, cropped by `--fit`; the target is
    the picture whose pose was taken, where there is one. Pages of an earlier, longer list are
    removed at the end.

    Args:
        job: whose results they are.
        items: those whose results are there.

    Yields:
        Each page's path, once it is written.

    Raises:
        InputError: a page cannot be written.
    """
    folder = job.out / GRIDS_FOLDER
    make_folder(folder)
    images = _Images(job)
    items, number = iter(items), 0
    while page := list(islice(items, ITEMS_PER_PAGE)):
        number += 1
        path = folder / f"page-{number:05}.png"
        rows, names = [images.row(item) for item in page], [item.output for item in page]
        write_picture(path, _page(rows, names, job))
        yield path
    _drop_further_pages(folder, number)


def _drop_further_pages(folder: Path, last: int) -> None:
    """Remove the pages after the last, and nothing else."""
    try:
        remote = is_remote(folder)
        names = names_in(folder) if remote else (path.name for path in folder.glob("page-*.png"))
        for name in list(names):
            number = name.removeprefix("page-").removesuffix(".png")
            if name == f"page-{number}.png" and number.isdecimal() and int(number) > last:
                remove(folder / name)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error


def _page(rows: Sequence[Sequence[PictureU8 | None]], names: Sequence[str], job: Job) -> PictureU8:
    """Items four across, each as wide as its pictures and over its result's name."""
    starts = range(0, len(rows), ACROSS)
    across = min(ACROSS, len(rows))
    return contact_sheet(
        rows=[[cell for row in rows[i : i + ACROSS] for cell in row] for i in starts],
        captions=COLUMNS * across,
        cell=job.model.frame.image_size,
        labels=[names[i : i + ACROSS] for i in starts],
    )


class _Images:
    """The pictures of a job's items, each of a model's size on disk."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._out = job.out.resolve()
        self._read = lru_cache(maxsize=ITEMS_PER_PAGE)(self._read_anew)

    def row(self, item: Item) -> tuple[PictureU8 | None, ...]:
        """Source, pose, result, target; None for what cannot be shown."""
        frame = self._job.model.frame
        try:
            size = picture_size(item.source_path)
            source = source_placed(item.source_pose, size, frame, self._job.fit)
            target = target_placed(item, source, self._job)
            shown = self._read(item.source_path, source.crop)
        except (InputError, OSError):  # Gone since the result was made.
            return None, None, self._result(item), None
        pose = draw_pose(target.pose, frame.image_size)
        return shown, pose, self._result(item), self._target(item, target)

    def _result(self, item: Item) -> PictureU8 | None:
        try:
            return read_picture(inside(self._out, item.output))
        except InputError:
            return None

    def _target(self, item: Item, target: Placed) -> PictureU8 | None:
        path, frame = item.target_path, self._job.model.frame
        if path is None:
            return None
        try:
            crop = target.crop
            if self._job.retarget is Retarget.SCALE:  # which leaves no place for it in the frame
                crop = crop_for(item.target_pose, picture_size(path), frame.image_size, Fit.PAD)
            return self._read(path, crop)
        except (InputError, OSError):
            return None

    def _read_anew(self, path: Path, crop: Crop | None) -> PictureU8:
        image = Image.fromarray(read_picture(path))
        return crop_to_network(image, crop, self._job.model.frame.image_size)
