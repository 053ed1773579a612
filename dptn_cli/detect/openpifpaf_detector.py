"""A trained pose network that runs over images of any size, in batches.

Each image is resized to a size that the network can handle, padded to one of a few shapes, and
batched with other images of that shape. The shape depends on the image alone, so the result does
not depend on the batch. If a checkpoint says how large its training images were, images are first
reduced to that size, and large images in which nobody was found are tried again at a larger size.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dptn_cli.detect.detector import MIN_CONFIDENCE_OPENPIFPAF, DetectorId, read_failure
from dptn_cli.detect.openpifpaf_checkpoint import load_network
from dptn_cli.detect.openpifpaf_package import import_openpifpaf
from dptn_cli.detect.people import (
    DetectedPerson,
    Detection,
    PersonChoice,
    choose_person,
)
from dptn_cli.errors import InputError
from dptn_cli.io.images import decode_reduced
from dptn_cli.io.threads import map_ahead
from dptn_cli.types import Size

# Long edge in cells of the network's grid. In smaller images several joints share a cell.
MIN_LONG_EDGE_CELLS = 32
# Larger images cost time, and the network finds no more joints of one person in them.
MAX_LONG_EDGE = 1025
PADDING_MULTIPLE = 64
PADDING_COLOR = (124, 116, 104)  # MEAN in 8 bits: about zero after normalization
# ImageNet's mean and standard deviation (RGB, 0 to 1), which openpifpaf normalizes images with.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STANDARD_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
READER_THREADS = 2
MAX_WAITING_BATCHES = 4  # images held back, in batches, until there are enough of one shape


@dataclass(frozen=True)
class _PreparedImage:
    """An image that is ready for the network.

    Attributes:
        name: the image's name.
        path: the file.
        padded_u8: (H, W, 3) RGB array, resized and padded.
        size: (height, width) of the image on disk, pixels.
        scale_xy: resized width over width on disk, and the same for the height.
    """

    name: str
    path: Path
    padded_u8: npt.NDArray[np.uint8]
    size: Size
    scale_xy: npt.NDArray[np.float64]


class OpenpifpafDetector:
    """A pose network of openpifpaf, loaded and ready to run. See `detector.Detector`.

    Args:
        checkpoint: the checkpoint file. `find_checkpoint` resolves the names of published ones.
        choice: the rules by which one person is chosen in each image; None: the defaults.
        batch_size: maximum number of images per batch.
        name: the checkpoint as the user named it; empty for the path of the file.

    Raises:
        ModelError: the checkpoint cannot be used.
        MissingDependency: openpifpaf is not installed.
    """

    def __init__(
        self,
        checkpoint: Path,
        choice: PersonChoice | None = None,
        *,
        batch_size: int = 8,
        name: str = "",
    ) -> None:
        openpifpaf = import_openpifpaf()
        import torch

        network = load_network(checkpoint)
        self.id = DetectorId(name or str(checkpoint), network.sha256)
        self.choice = (choice or PersonChoice()).with_threshold(self.id.min_confidence)
        self.batch_size = batch_size
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = network.model.to(self.device)
        self._min_long_edge = MIN_LONG_EDGE_CELLS * network.stride + 1
        self._training_long_edge = network.long_edge or MAX_LONG_EDGE
        _configure_decoder(openpifpaf, self.choice.threshold or 0.0)
        self._decoder = openpifpaf.decoder.factory(network.model.head_metas)

    def detect(self, images: Iterable[tuple[str, Path]]) -> Iterator[Detection]:
        """Detect the people in images and choose one in each. See `detector.Detector.detect`.

        Yields:
            One detection per image, grouped by shape.
        """
        retries: list[tuple[str, Path]] = []
        for detection, prepared in self._detect_at(images, self._training_long_edge):
            if prepared and not detection.people and max(prepared.size) > self._training_long_edge:
                retries.append((prepared.name, prepared.path))
            else:
                yield detection
        for detection, _ in self._detect_at(retries, MAX_LONG_EDGE):
            yield detection

    def _detect_at(
        self, images: Iterable[tuple[str, Path]], max_long_edge: int
    ) -> Iterator[tuple[Detection, _PreparedImage | None]]:
        """Detect people in images whose long edge is reduced to `max_long_edge` pixels.

        Yields:
            One detection per image, with the prepared image; None if it could not be read.
        """
        waiting: dict[tuple[int, ...], list[_PreparedImage]] = {}
        max_waiting = MAX_WAITING_BATCHES * self.batch_size
        prepare = partial(self._prepare, max_long_edge=max_long_edge)
        with ThreadPoolExecutor(READER_THREADS) as readers:
            for prepared in map_ahead(readers, prepare, images, 2 * self.batch_size):
                if isinstance(prepared, Detection):
                    yield prepared, None
                    continue
                waiting.setdefault(prepared.padded_u8.shape, []).append(prepared)
                fullest = max(waiting, key=lambda shape: len(waiting[shape]))
                total = sum(map(len, waiting.values()))
                if len(waiting[fullest]) >= self.batch_size or total >= max_waiting:
                    batch = waiting.pop(fullest)
                    yield from zip(self._detect_batch(batch), batch, strict=True)
        for batch in waiting.values():
            yield from zip(self._detect_batch(batch), batch, strict=True)

    def _prepare(
        self, named_file: tuple[str, Path], *, max_long_edge: int
    ) -> _PreparedImage | Detection:
        """Read, resize and pad an image; a detection with the reason if it cannot be read."""
        name, path = named_file
        try:
            image, size = decode_reduced(path.read_bytes(), max_long_edge)
        except (OSError, InputError) as error:
            return read_failure(name, error)
        resized = _resize_long_edge(image, self._min_long_edge, max_long_edge)
        scale_xy = np.array(resized.size) / np.array(size[::-1])
        return _PreparedImage(name, path, _pad(resized), size, scale_xy)

    def _detect_batch(self, batch: Sequence[_PreparedImage]) -> Iterator[Detection]:
        """Detect people in a batch; if that fails, in one image at a time."""
        try:
            annotations = self._run_network(batch)
        except (RuntimeError, MemoryError) as error:  # for instance, the GPU is out of memory
            if len(batch) == 1:
                reason = f"detection failed: {' '.join(str(error).split())[:200]}"
                yield Detection(batch[0].name, reason=reason, is_transient=True)
                return
            annotations = None
        # Not inside `except`: there, the error's traceback would keep the failed batch in memory.
        if annotations is None:
            for prepared in batch:
                yield from self._detect_batch([prepared])
            return
        for prepared, image_annotations in zip(batch, annotations, strict=True):
            people = [_to_person(annotation, prepared) for annotation in image_annotations]
            yield choose_person(prepared.name, people, prepared.size, self.choice)

    def _run_network(self, batch: Sequence[_PreparedImage]) -> Sequence[Any]:
        """Return openpifpaf's annotations of the people in each image."""
        import torch

        images = np.stack([prepared.padded_u8 for prepared in batch]).astype(np.float32) / 255
        normalized = ((images - MEAN) / STANDARD_DEVIATION).transpose(0, 3, 1, 2)
        annotations: Sequence[Any] = self._decoder.batch(
            self._model,
            torch.from_numpy(np.ascontiguousarray(normalized)),
            device=torch.device(self.device),
        )
        return annotations


def _configure_decoder(openpifpaf: Any, threshold: float) -> None:
    """Make openpifpaf return every joint that the choice may need.

    openpifpaf keeps its decoder's settings in its classes, so they hold for the whole process.
    """
    import torch

    # Also return joints that are only weakly connected to the others.
    torch.classes.openpifpaf_decoder.CifCaf.set_force_complete(True)
    threshold = min(threshold, MIN_CONFIDENCE_OPENPIFPAF)
    torch.classes.openpifpaf_decoder.CifCaf.set_keypoint_threshold(threshold)
    openpifpaf.decoder.utils.nms.Keypoints.set_keypoint_threshold(threshold)
    torch.ops.openpifpaf.set_quiet(True)


def _resize_long_edge(image: Image.Image, minimum: int, maximum: int) -> Image.Image:
    """Enlarge or reduce an image until its long edge is between two lengths in pixels."""
    long_edge = max(image.size)
    new_long_edge = min(max(long_edge, minimum), maximum)
    if new_long_edge == long_edge:
        return image
    width, height = (max(1, round(side * new_long_edge / long_edge)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)


def _pad(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Pad an image at the right and at the bottom; return it as an (H, W, 3) array.

    H and W are multiples of 64 plus 1, so that the corner cells of the network's grid lie on the
    corner pixels.
    """
    width, height = (
        -(-(side - 1) // PADDING_MULTIPLE) * PADDING_MULTIPLE + 1 for side in image.size
    )
    padded = Image.new("RGB", (width, height), PADDING_COLOR)
    padded.paste(image)
    return np.asarray(padded)


def _to_person(annotation: Any, prepared: _PreparedImage) -> DetectedPerson:
    """Convert openpifpaf's annotation to pixels of the image on disk.

    The center of the first pixel is at 0, both on disk and in openpifpaf's coordinates.
    """
    joints_xyv = np.asarray(annotation.data, dtype=np.float64).copy()
    joints_xyv[:, :2] = (joints_xyv[:, :2] + 0.5) / prepared.scale_xy - 0.5
    return DetectedPerson(joints_xyv, float(annotation.score))
