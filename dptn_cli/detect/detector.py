"""A trained network over images of any size, in batches.

An image is brought to a size that its network knows, padded to one of few shapes, and run
with others of the same shape. The shape depends on the image alone, so that its result does
not depend on the batch it was in. A network that tells how large its images were in training
looks at that size first, and closer at large images on which it found nobody.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dptn_cli.detect.checkpoint import import_openpifpaf, load_network
from dptn_cli.detect.people import MIN_CONFIDENCE, Body, Choice, Detection, choose
from dptn_cli.errors import InputError
from dptn_cli.io.images import decode_image
from dptn_cli.types import Size

# In cells of the network's grid. Smaller, and joints share cells; larger costs time and finds
# no more of one person.
MIN_LONG_EDGE_CELLS = 32
MAX_LONG_EDGE = 1025
PADDED_TO = 64
PADDING = (124, 116, 104)  # the mean colour of the images that openpifpaf's networks know
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
READERS = 2
MAX_SHAPES_WAITING = 4  # in batches: images held back to fill batches of their shape


@dataclass(frozen=True)
class _Prepared:
    """An image at its network's size: (H, W, 3) uint8, padded; and how to get back."""

    name: str
    path: Path
    padded_u8: npt.NDArray[np.uint8]
    size: Size
    scale_xy: npt.NDArray[np.float64]


class Detector:
    """A pose network, ready to run.

    Args:
        checkpoint: a file; `find_checkpoint` gives the one for a name.
        choice: whose pose counts.
        batch_size: images run at once.

    Attributes:
        sha256: of the checkpoint.
        device: where it runs, `cuda` or `cpu`.

    Raises:
        ModelError: the checkpoint cannot be used.
        MissingDependency: openpifpaf is not installed.
    """

    def __init__(
        self, checkpoint: Path, choice: Choice | None = None, *, batch_size: int = 8
    ) -> None:
        openpifpaf = import_openpifpaf()
        import torch

        network = load_network(checkpoint)
        self.choice, self.batch_size = choice or Choice(), batch_size
        self.sha256 = network.sha256
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = network.model.to(self.device)
        self._least_long_edge = MIN_LONG_EDGE_CELLS * network.stride + 1
        self._known_long_edge = network.long_edge or MAX_LONG_EDGE
        _set_up_decoding(openpifpaf, self.choice.threshold)
        self._decoder = openpifpaf.decoder.factory(network.model.head_metas)

    def detect(self, images: Iterable[tuple[str, Path]]) -> Iterator[Detection]:
        """Find the pose on every image; images of one shape come out together.

        Args:
            images: name and file of each.

        Yields:
            One detection an image, in no fixed order; what cannot be read is one with a reason.
        """
        missed: list[tuple[str, Path]] = []
        for detection, prepared in self._look(images, self._known_long_edge):
            larger = prepared is not None and max(prepared.size) > self._known_long_edge
            if larger and prepared and detection.found is None and not detection.people:
                missed.append((prepared.name, prepared.path))
            else:
                yield detection
        for detection, _ in self._look(missed, MAX_LONG_EDGE):
            yield detection

    def _look(
        self, images: Iterable[tuple[str, Path]], most_long_edge: int
    ) -> Iterator[tuple[Detection, _Prepared | None]]:
        """Detections at a size of no longer edge than this; with what cannot be read, None."""
        waiting: dict[tuple[int, ...], list[_Prepared]] = {}
        most = MAX_SHAPES_WAITING * self.batch_size
        prepare = partial(self._prepare, most_long_edge=most_long_edge)
        for prepared in _read_ahead(prepare, images, 2 * self.batch_size):
            if isinstance(prepared, Detection):
                yield prepared, None
                continue
            shape = prepared.padded_u8.shape
            waiting.setdefault(shape, []).append(prepared)
            fullest = max(waiting, key=lambda one: len(waiting[one]))
            held = sum(map(len, waiting.values()))
            if len(waiting[fullest]) >= self.batch_size or held >= most:
                batch = waiting.pop(fullest)
                yield from zip(self._run(batch), batch, strict=True)
        for batch in waiting.values():
            yield from zip(self._run(batch), batch, strict=True)

    def _prepare(self, named: tuple[str, Path], *, most_long_edge: int) -> _Prepared | Detection:
        name, path = named
        try:
            image = decode_image(path.read_bytes())
        except OSError as error:
            return Detection(name, reason=error.strerror or str(error))
        except InputError as error:
            return Detection(name, reason=str(error))
        fitted = _fitted(image, self._least_long_edge, most_long_edge)
        scale_xy = np.array(fitted.size) / np.array(image.size)
        return _Prepared(name, path, _padded(fitted), (image.height, image.width), scale_xy)

    def _run(self, batch: Sequence[_Prepared]) -> Iterator[Detection]:
        """The detections of a batch; where it fails, of each image by itself."""
        try:
            answers = self._decoded(batch)
        except (RuntimeError, MemoryError) as error:  # the GPU's memory is full, for instance
            if len(batch) == 1:
                reason = f"detection failed: {' '.join(str(error).split())[:200]}"
                yield Detection(batch[0].name, reason=reason)
                return
            answers = None
        if answers is None:  # outside of `except`, where the failed batch would be kept alive
            for one in batch:
                yield from self._run([one])
            return
        for one, annotations in zip(batch, answers, strict=True):
            bodies = [_body(annotation, one) for annotation in annotations]
            yield choose(one.name, bodies, one.size, self.choice)

    def _decoded(self, batch: Sequence[_Prepared]) -> Sequence[Any]:
        """The people on each image, as openpifpaf gives them."""
        import torch

        images = np.stack([one.padded_u8 for one in batch]).astype(np.float32) / 255
        normalised = ((images - MEAN) / DEVIATION).transpose(0, 3, 1, 2)
        people: Sequence[Any] = self._decoder.batch(
            self._model,
            torch.from_numpy(np.ascontiguousarray(normalised)),
            device=torch.device(self.device),
        )
        return people


def _set_up_decoding(openpifpaf: Any, threshold: float) -> None:
    """Make openpifpaf let through what the choice does: its thresholds are kept in its classes.

    Joints that hang on the others by a weak connection count as well.
    """
    import torch

    torch.classes.openpifpaf_decoder.CifCaf.set_force_complete(True)

    threshold = min(threshold, MIN_CONFIDENCE)
    torch.classes.openpifpaf_decoder.CifCaf.set_keypoint_threshold(threshold)
    openpifpaf.decoder.utils.nms.Keypoints.set_keypoint_threshold(threshold)
    torch.ops.openpifpaf.set_quiet(True)


def _fitted(image: Image.Image, least: int, most: int) -> Image.Image:
    """The image enlarged or reduced until its long edge lies between `least` and `most`."""
    long_edge = max(image.size)
    wanted = min(max(long_edge, least), most)
    if wanted == long_edge:
        return image
    size = [max(1, round(side * wanted / long_edge)) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.BILINEAR, reducing_gap=3.0)


def _padded(image: Image.Image) -> npt.NDArray[np.uint8]:
    """(H, W, 3), one more than multiples of 64: a network's cells lie on the first pixel."""
    width, height = (-(-(side - 1) // PADDED_TO) * PADDED_TO + 1 for side in image.size)
    padded = Image.new("RGB", (width, height), PADDING)
    padded.paste(image)
    return np.asarray(padded)


def _body(annotation: Any, prepared: _Prepared) -> Body:
    """A decoded person in the pixels of the image on disk, 0 at the first pixel's centre."""
    joints_xyv = np.asarray(annotation.data, dtype=np.float64).copy()
    joints_xyv[:, :2] = (joints_xyv[:, :2] + 0.5) / prepared.scale_xy - 0.5
    return Body(joints_xyv, float(annotation.score))


def _read_ahead(
    prepare: Any, named: Iterable[tuple[str, Path]], ahead: int
) -> Iterator[_Prepared | Detection]:
    """Decode images in threads, a bounded number ahead of what is taken, in order."""
    rest = iter(named)
    with ThreadPoolExecutor(READERS) as readers:
        coming: deque[Future[_Prepared | Detection]] = deque(
            readers.submit(prepare, entry) for entry in islice(rest, ahead)
        )
        while coming:
            yield coming.popleft().result()
            coming.extend(readers.submit(prepare, entry) for entry in islice(rest, 1))
