"""Pose detection with MoveNet, which is part of the package and runs in onnxruntime.

MultiPose finds up to six people in an image, and Thunder then locates the joints of each in a
square around them. Both networks, what they expect and return, and how well they do are described
in `models/README.md`.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from dptn_cli.detect.detector import MOVENET, DetectorId, read_failure
from dptn_cli.detect.people import DetectedPerson, Detection, PersonChoice, choose_person
from dptn_cli.enums import Provider
from dptn_cli.errors import InputError, ModelError
from dptn_cli.inference.graph_session import GraphSession
from dptn_cli.io.files import file_sha256
from dptn_cli.io.images import decode_reduced
from dptn_cli.io.threads import map_ahead
from dptn_cli.keypoints.joints import COCO_JOINTS, COCO_NAMES
from dptn_cli.processor import MAX_CPU_STREAMS, available_cores

_NETWORKS = Path(__file__).parent / "networks"
MULTIPOSE, THUNDER = _NETWORKS / "movenet_multipose.onnx", _NETWORKS / "movenet_thunder.onnx"

# MultiPose sees the image reduced to these long edges, pixels. Large people fall apart at the
# second and the third, so there it only looks for people who are small, and who were not found
# before. The third is for images in which nobody was found.
FIRST_LONG_EDGE, SECOND_LONG_EDGE, THIRD_LONG_EDGE = 256, 512, 1024
MIN_SCORE, MIN_SCORE_SMALL = 0.2, 0.3
SMALL_SHARE = 0.5  # of the image's height, below which a person counts as small
MAX_OVERLAP = 0.3  # of two people's boxes, intersection over union
SIDE_MULTIPLE = 32  # both sides of MultiPose's input must be multiples of it

THUNDER_SIDE = 256  # pixels
# The networks count pixels from the centre of the first one. If this were ignored, all joints would
# be half a pixel of the network's image too far to the left and too high.
HALF_PIXEL = 0.5
SQUARE_PER_BOX = 1.45  # side of the square around a person, in longer sides of their joints' box
# Thunder's joints are kept if their median distance from MultiPose's is below this share of the
# person's longer side. Otherwise, Thunder saw somebody else in the square.
MAX_DISTANCE = 0.12
MIN_COMMON_JOINTS = 3
BOX_CONFIDENCE, COMMON_CONFIDENCE = 0.2, 0.3
# In COCO's joint order.
NOSE, LEFT_EAR, RIGHT_EAR = (COCO_NAMES.index(name) for name in ("nose", "left ear", "right ear"))
SHOULDERS = [COCO_NAMES.index(f"{side} shoulder") for side in ("left", "right")]
HIDDEN_FROM_BEHIND = [COCO_NAMES.index(name) for name in ("nose", "left eye", "right eye")]
# Distance between the ears, over that from the neck to the ears. A head with less is seen from the
# side.
MIN_EARS_PER_NECK = 0.25
# To `decode_reduced`, images are as large as they are: small people need the pixels.
_NOT_REDUCED_PX = 4096


@dataclass(frozen=True)
class _Candidate:
    """A person that MultiPose has found.

    Attributes:
        joints_xyv: (17, 3) array of (x, y, confidence) in COCO's joint order. x and y are pixels
            of the image, and 0 is its outer edge.
        box: left, top, right and bottom edge, in the same pixels.
        score: confidence in the whole person, 0 to 1.
    """

    joints_xyv: npt.NDArray[np.float64]
    box: npt.NDArray[np.float64]
    score: float

    @property
    def height(self) -> float:
        """Height of the box, pixels."""
        return float(self.box[3] - self.box[1])

    @cached_property
    def joint_box(self) -> npt.NDArray[np.float64]:
        """The box around the joints: left, top, right and bottom, pixels."""
        visible = self.joints_xyv[self.joints_xyv[:, 2] > BOX_CONFIDENCE, :2]
        if len(visible) < MIN_COMMON_JOINTS:
            return self.box
        return np.concatenate([visible.min(axis=0), visible.max(axis=0)])


class MovenetDetector:
    """MoveNet, loaded and ready to run. See `detector.Detector`.

    Args:
        choice: the rules by which one person is chosen in each image; None: the defaults.
        provider: `AUTO`, `CUDA` or `TENSORRT` to take CUDA if it works; any other for the CPU.

    Raises:
        ModelError: the networks cannot be loaded.
    """

    def __init__(
        self, choice: PersonChoice | None = None, *, provider: Provider = Provider.AUTO
    ) -> None:
        self.id = DetectorId(MOVENET, movenet_sha256())
        self.choice = (choice or PersonChoice()).with_threshold(self.id.min_confidence)
        self._multipose = GraphSession(MULTIPOSE, provider)
        self._thunder = GraphSession(THUNDER, provider)
        self.device = str(self._multipose.provider)

    def detect(self, images: Iterable[tuple[str, Path]]) -> Iterator[Detection]:
        """Detect the people in images and choose one in each. See `detector.Detector.detect`.

        Each image is an inference of its own, and several run at once.
        """
        streams = min(available_cores(), MAX_CPU_STREAMS)
        with ThreadPoolExecutor(streams, thread_name_prefix="dptn-movenet") as threads:
            yield from map_ahead(threads, self._detect_in_file, images, 2 * streams)

    def _detect_in_file(self, named_file: tuple[str, Path]) -> Detection:
        name, path = named_file
        try:
            image, size = decode_reduced(path.read_bytes(), _NOT_REDUCED_PX)
        except (OSError, InputError) as error:
            return read_failure(name, error)
        try:
            people = self.find_people(image)
        except (ModelError, MemoryError) as error:
            return Detection(name, reason=f"detection failed: {error}", is_transient=True)
        scale_xy = np.array(size[::-1]) / np.array(image.size)
        on_disk = [_on_disk(person, scale_xy) for person in people]
        return choose_person(name, on_disk, size, self.choice)

    def find_people(self, image: Image.Image) -> list[DetectedPerson]:
        """Find the people in an image: up to six in a first look, and up to six small ones more.

        Args:
            image: upright RGB.

        Returns:
            The people, with joints in pixels of the image. The confidence of a joint outside the
            image is 0.

        Raises:
            ModelError: onnxruntime failed.
        """
        people = self._candidates(image, FIRST_LONG_EDGE, MIN_SCORE)
        people += self._small_candidates(image, SECOND_LONG_EDGE, people)
        if not people and max(image.size) > SECOND_LONG_EDGE:
            people = self._small_candidates(image, THIRD_LONG_EDGE, people)
        return [self._refine(image, person) for person in people]

    def _small_candidates(
        self, image: Image.Image, long_edge: int, known: Sequence[_Candidate]
    ) -> list[_Candidate]:
        """Return the people that MultiPose finds who are small, and not known yet."""
        return [
            candidate
            for candidate in self._candidates(image, long_edge, MIN_SCORE_SMALL)
            if candidate.height < SMALL_SHARE * image.height
            and all(_overlap(candidate.box, person.box) < MAX_OVERLAP for person in known)
        ]

    def _candidates(self, image: Image.Image, long_edge: int, min_score: float) -> list[_Candidate]:
        """Return the people that MultiPose finds in an image of a long edge, the surest first."""
        scale = long_edge / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        padded = np.zeros((1, _round_up(height), _round_up(width), 3), np.int32)
        padded[0, :height, :width] = np.asarray(_resize(image, (width, height)))
        rows = self._multipose.run({"input": padded})[0].astype(np.float64)
        # Fractions of the padded image, (y, x), to pixels of the image, (x, y).
        padded_size = np.array([padded.shape[2], padded.shape[1]])
        to_px = padded_size * image.size / (width, height)
        half_pixel = HALF_PIXEL / padded_size
        candidates = []
        for row in rows:
            joints = row[:51].reshape(COCO_JOINTS, 3)
            joints_xy = (joints[:, 1::-1] + half_pixel) * to_px
            joints_xyv = np.column_stack([joints_xy, joints[:, 2]])
            box = (row[51:55].reshape(2, 2)[:, ::-1] * to_px).ravel()
            candidates.append(_Candidate(joints_xyv, box, float(row[55])))
        candidates.sort(key=lambda candidate: -candidate.score)
        return [candidate for candidate in candidates if candidate.score > min_score]

    def _refine(self, image: Image.Image, person: _Candidate) -> DetectedPerson:
        """Locate a person's joints with Thunder; keep MultiPose's if it saw somebody else."""
        left, top, right, bottom = person.joint_box
        longer_px = max(right - left, bottom - top, 1.0)
        side_px = SQUARE_PER_BOX * longer_px
        corner = np.array([left + right - side_px, top + bottom - side_px]) / 2
        square = _square(image, corner, side_px)
        joints = self._thunder.run({"input:0": square})[0, 0].astype(np.float64)
        joints_xy = (joints[:, 1::-1] + HALF_PIXEL / THUNDER_SIDE) * side_px + corner
        joints_xyv = np.column_stack([joints_xy, joints[:, 2]])
        if not _is_same_person(person.joints_xyv, joints_xyv, MAX_DISTANCE * longer_px):
            joints_xyv = person.joints_xyv.copy()
        if _is_face_hidden(joints_xyv):
            joints_xyv[HIDDEN_FROM_BEHIND, 2] = 0
        x, y, confidence = joints_xyv.T
        confidence[(x < 0) | (y < 0) | (x >= image.width) | (y >= image.height)] = 0
        joints_xyv[:, :2] -= 0.5  # the centre of the first pixel is at 0
        return DetectedPerson(joints_xyv, person.score)


def movenet_sha256() -> str:
    """Return the SHA-256 of the two files, one after the other, as hexadecimal digits.

    Raises:
        ModelError: a file cannot be read.
    """
    digests = "".join(file_sha256(path, ModelError) for path in (MULTIPOSE, THUNDER))
    return sha256(digests.encode()).hexdigest()


def _round_up(side_px: int) -> int:
    return -(-side_px // SIDE_MULTIPLE) * SIDE_MULTIPLE


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)


def _square(
    image: Image.Image, corner: npt.NDArray[np.float64], side_px: float
) -> npt.NDArray[np.int32]:
    """Cut out a square, which may reach beyond the image, as Thunder's input.

    Args:
        image: RGB.
        corner: (x, y) of the upper left corner, pixels; 0 is the image's outer edge.
        side_px: its side, pixels.

    Returns:
        (1, 256, 256, 3), RGB from 0 to 255; black outside the image.
    """
    scale = THUNDER_SIDE / side_px
    inside_low = np.maximum(corner, 0)
    inside_high = np.minimum(corner + side_px, image.size)
    low = np.round((inside_low - corner) * scale).astype(int)
    high = np.maximum(np.round((inside_high - corner) * scale).astype(int), low + 1)
    square = np.zeros((1, THUNDER_SIDE, THUNDER_SIDE, 3), np.int32)
    if (inside_high - inside_low >= 1).all():
        part = image.resize(
            tuple(high - low),
            Image.Resampling.BILINEAR,
            box=(*inside_low, *inside_high),
            reducing_gap=3.0,
        )
        square[0, low[1] : high[1], low[0] : high[0]] = np.asarray(part)
    return square


def _is_same_person(
    first_xyv: npt.NDArray[np.float64], second_xyv: npt.NDArray[np.float64], max_distance_px: float
) -> bool:
    """Return whether two poses have most of their joints in the same places."""
    common = (first_xyv[:, 2] > COMMON_CONFIDENCE) & (second_xyv[:, 2] > COMMON_CONFIDENCE)
    if common.sum() < MIN_COMMON_JOINTS:
        return False
    distances = np.linalg.norm(first_xyv[common, :2] - second_xyv[common, :2], axis=1)
    return bool(np.median(distances) < max_distance_px)


def _is_face_hidden(joints_xyv: npt.NDArray[np.float64]) -> bool:
    """Return whether a head is seen from behind, by the sides on which its ears are.

    MoveNet also places what it cannot see. From behind, it puts the nose between the ears, and the
    right ear to the right of the left one, seen with the neck below.

    Args:
        joints_xyv: (17, 3) as (x, y, confidence), in COCO's joint order.
    """
    nose, left_ear, right_ear = joints_xyv[[NOSE, LEFT_EAR, RIGHT_EAR], :2]
    neck = joints_xyv[SHOULDERS, :2].mean(axis=0)
    if joints_xyv[[LEFT_EAR, RIGHT_EAR, *SHOULDERS], 2].min() < BOX_CONFIDENCE:
        return False
    ears = right_ear - left_ear
    up = (left_ear + right_ear) / 2 - neck
    # Positive if the right ear is to the right, for an observer whose head points up as this one.
    rightwards = up[0] * ears[1] - up[1] * ears[0]
    nose_share = (nose - left_ear) @ ears / max(ears @ ears, 1e-9)
    is_wide = ears @ ears > (MIN_EARS_PER_NECK**2) * (up @ up)
    return bool(rightwards > 0 and is_wide and 0 < nose_share < 1)


def _overlap(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Return the intersection of two boxes over their union, 0 to 1."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    intersection = float(np.prod(np.maximum(sides, 0)))
    areas = [float(np.prod(box[2:] - box[:2])) for box in (first, second)]
    return intersection / (sum(areas) - intersection + 1e-9)


def _on_disk(person: DetectedPerson, scale_xy: npt.NDArray[np.float64]) -> DetectedPerson:
    """Return a person in pixels of the image on disk, which may have been decoded smaller."""
    joints_xyv = person.joints_xyv.copy()
    joints_xyv[:, :2] = (joints_xyv[:, :2] + 0.5) * scale_xy - 0.5
    return DetectedPerson(joints_xyv, person.score)
