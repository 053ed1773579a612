"""A job's results to look at: contact sheets of source, pose, result and target image."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path

from PIL import Image

from dptn_cli.enums import Fit, Retarget
from dptn_cli.errors import InputError
from dptn_cli.io.files import GRIDS_FOLDER, make_folder, safe_join
from dptn_cli.io.images import crop_to_network, read_image, read_image_size, write_image
from dptn_cli.io.paths import is_remote
from dptn_cli.io.storage import names_in, remove
from dptn_cli.keypoints import crop_for
from dptn_cli.transfer.framing import FramedPose, frame_source, frame_target
from dptn_cli.types import Crop, ImageU8, Item, Job
from dptn_cli.visualize.contact_sheet import contact_sheet
from dptn_cli.visualize.skeleton import draw_pose

ITEMS_PER_PAGE = 32
ACROSS = 4
COLUMNS = ("source", "pose", "result", "target")


def pages_of(items: int) -> int:
    """How many pages so many items take."""
    return -(-items // ITEMS_PER_PAGE)


def write_pages(job: Job, items: Iterable[Item]) -> Iterator[Path]:
    """Write contact sheets into the results' folder `grids`, one page at a time.

    Source and target are shown as the network is shown them, cropped by `--fit`; the target is
    the image whose pose was taken, where there is one. Pages of an earlier, longer list are
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
        write_image(path, _page(rows, names, job))
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


def _page(rows: Sequence[Sequence[ImageU8 | None]], names: Sequence[str], job: Job) -> ImageU8:
    """Items four across, each as wide as its images and over its result's name."""
    starts = range(0, len(rows), ACROSS)
    across = min(ACROSS, len(rows))
    return contact_sheet(
        rows=[[cell for row in rows[i : i + ACROSS] for cell in row] for i in starts],
        captions=COLUMNS * across,
        cell=job.model.spec.image_size,
        labels=[names[i : i + ACROSS] for i in starts],
    )


class _Images:
    """The images of a job's items, each of a model's size on disk."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._out = job.out.resolve()
        self._read = lru_cache(maxsize=ITEMS_PER_PAGE)(self._read_anew)

    def row(self, item: Item) -> tuple[ImageU8 | None, ...]:
        """Source, pose, result, target; None for what cannot be shown."""
        spec = self._job.model.spec
        try:
            size = read_image_size(item.source_path)
            source = frame_source(item.source_pose, size, spec, self._job.fit)
            target = frame_target(item, source, self._job)
            shown = self._read(item.source_path, source.crop)
        except (InputError, OSError):  # Gone since the result was made.
            return None, None, self._result(item), None
        pose = draw_pose(target.pose, spec.image_size)
        return shown, pose, self._result(item), self._target(item, target)

    def _result(self, item: Item) -> ImageU8 | None:
        try:
            return read_image(safe_join(self._out, item.output))
        except InputError:
            return None

    def _target(self, item: Item, target: FramedPose) -> ImageU8 | None:
        path, spec = item.target_path, self._job.model.spec
        if path is None:
            return None
        try:
            crop = target.crop
            if self._job.retarget is Retarget.SCALE:  # which leaves no place for it in the frame
                crop = crop_for(item.target_pose, read_image_size(path), spec.image_size, Fit.PAD)
            return self._read(path, crop)
        except (InputError, OSError):
            return None

    def _read_anew(self, path: Path, crop: Crop | None) -> ImageU8:
        image = Image.fromarray(read_image(path))
        return crop_to_network(image, crop, self._job.model.spec.image_size)
