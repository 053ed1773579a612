"""Detection with openpifpaf's own encoder and decoder, and with the shipped network."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from detectors import MODELS, draw_figure
from PIL import Image, ImageOps

from dptn_cli.detect import Detection, OpenpifpafDetector, PersonChoice
from dptn_cli.detect.openpifpaf_detector import MAX_LONG_EDGE
from dptn_cli.detect.openpifpaf_package import import_openpifpaf
from dptn_cli.enums import Person
from dptn_cli.keypoints import mirror_pose, to_coco
from dptn_cli.types import Pose, Size

STRIDE = 8
SHIPPED = MODELS / "figures-pose.pkl"


class KnownFields(torch.nn.Module):
    """A stand-in for the network: returns the fields that it is trained to return for people."""

    def __init__(self, metas: Sequence[Any], poses: Sequence[Pose], scale: float) -> None:
        super().__init__()
        self.metas, self.poses, self.scale = metas, poses, scale

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        openpifpaf = import_openpifpaf()
        people = [self._annotation(pose) for pose in self.poses]
        cif, caf = self.metas
        image = images[0]
        meta: dict[str, Any] = {}
        return [
            _target_to_output(openpifpaf.encoder.Cif(cif)(image, people, meta), vectors=1),
            _target_to_output(openpifpaf.encoder.Caf(caf)(image, people, meta), vectors=2),
        ]

    def _annotation(self, pose: Pose) -> dict[str, Any]:
        joints_xyv = to_coco(pose, (pose != -1).all(axis=1).astype(float))
        joints_xyv[:, :2] = (joints_xyv[:, :2] + 0.5) * self.scale - 0.5
        joints_xyv[:, 2] *= 2
        visible = joints_xyv[joints_xyv[:, 2] > 0, :2]
        box = np.concatenate([visible.min(axis=0), np.ptp(visible, axis=0)])
        return {"keypoints": joints_xyv, "bbox": box, "iscrowd": False}


def _target_to_output(target: torch.Tensor, vectors: int) -> torch.Tensor:
    """Convert training targets to the layout of a network's output.

    A target (F, C, H, W) has offsets from its cell, followed by the lower bound of the spread. An
    output has one more channel before the confidence, and absolute positions in cells.
    """
    field = torch.nan_to_num(target)
    rows, columns = torch.meshgrid(
        torch.arange(field.shape[2]), torch.arange(field.shape[3]), indexing="ij"
    )
    offsets = field[:, 1 : 1 + 2 * vectors].clone()
    offsets[:, 0::2] += columns
    offsets[:, 1::2] += rows
    scales = field[:, 1 + 3 * vectors :]
    parts = [torch.zeros_like(field[:, :1]), field[:, :1], offsets, scales]
    return torch.cat(parts, dim=1)[None]


def decode(
    tmp_path: Path, size: Size, poses: Sequence[Pose], *, scale: float = 1, person: Person
) -> Detection:
    """Detect a person from the fields of known people in an image of the given size."""
    path = tmp_path / "a.png"
    Image.new("RGB", (size[1], size[0])).save(path)
    detector = OpenpifpafDetector(SHIPPED, PersonChoice(person))
    detector._training_long_edge = MAX_LONG_EDGE  # noqa: SLF001 - the fields have that size
    detector._model = KnownFields(detector._model.head_metas, poses, scale)  # noqa: SLF001
    (detection,) = detector.detect([("a.png", path)])
    return detection


@pytest.mark.parametrize(
    ("size", "scale"),
    [((300, 220), 1), ((128, 88), 257 / 128), ((2050, 1500), 0.5)],
    ids=["unchanged", "enlarged", "reduced"],
)
def test_all_18_joints_come_back_within_a_pixel(tmp_path: Path, size: Size, scale: float) -> None:
    _, pose = draw_figure(0, size)
    detection = decode(tmp_path, size, [pose], scale=scale, person=Person.ERROR)
    assert detection.people == 1
    assert detection.found_pose is not None
    assert np.abs(detection.found_pose.pose - pose).max() < 1
    assert (detection.found_pose.confidence > 0.5).all()
    fractions = detection.found_pose.pose % 1
    assert ((fractions > 0.01) & (fractions < 0.99)).mean() > 0.5, "sub-pixel positions are kept"


def test_two_people_are_told_apart(tmp_path: Path) -> None:
    size = (300, 500)
    _, left = draw_figure(1, (300, 200))
    _, small = draw_figure(2, (200, 150))
    right = np.where(small == -1, -1, small + (50, 320))
    middle = right - (0, 130)
    cases: list[tuple[Person, list[Pose], Pose]] = [
        (Person.LARGEST, [left, right], left),
        (Person.CENTER, [left, middle], middle),
    ]
    for person, people, expected in cases:
        detection = decode(tmp_path, size, people, person=person)
        assert detection.people == 2
        assert detection.found_pose is not None
        assert np.abs(detection.found_pose.pose - expected).max() < 1
    assert decode(tmp_path, size, [left, right], person=Person.ERROR).found_pose is None


def detect_images(
    images: dict[str, Image.Image], folder: Path, **options: Any
) -> dict[str, Detection]:
    """Detect people in images with the shipped detector, by image name."""
    for name, image in images.items():
        image.save(folder / name)
    detector = OpenpifpafDetector(SHIPPED, **options)
    listed = [(name, folder / name) for name in images]
    return {detection.name: detection for detection in detector.detect(listed)}


def joint_errors(detection: Detection, pose: Pose) -> npt.NDArray[np.float64]:
    """Return the distances in pixels of the joints that both poses have."""
    assert detection.found_pose is not None, detection.reason
    both = (detection.found_pose.pose != -1).all(axis=1) & (pose != -1).all(axis=1)
    down, across = (detection.found_pose.pose - pose)[both].T
    return np.asarray(np.hypot(down, across))


def test_the_shipped_detector_finds_figures(tmp_path: Path) -> None:
    """Whole figures of 0.6 to 1.6 times the usual size; `score_detector.py` tests hundreds."""
    kinds = product((0.6, 1, 1.6), ("front", "back"), range(6))  # light and dark alternate
    drawn = {
        f"{i}.png": draw_figure(i, (round(256 * scale), round(176 * scale)), view=view)
        for i, (scale, view, _) in enumerate(kinds)
    }
    detections = detect_images({name: image for name, (image, _) in drawn.items()}, tmp_path)
    distances = [joint_errors(detections[name], pose) for name, (_, pose) in drawn.items()]
    labelled = sum((pose != -1).all(axis=1).sum() for _, pose in drawn.values())
    assert [detection.people for detection in detections.values()] == [1] * len(drawn)
    assert sum(map(len, distances)) >= 0.95 * labelled
    assert np.concatenate(distances).mean() < 3


def test_left_and_right_are_never_swapped(tmp_path: Path) -> None:
    """The colors of the sleeves tell the person's sides apart; a mirror swaps them."""
    for seed in range(4):
        image, pose = draw_figure(100 + seed, (256, 176), sleeves=True)
        images = {"a.png": image, "mirrored.png": ImageOps.mirror(image)}
        detections = detect_images(images, tmp_path)
        assert joint_errors(detections["a.png"], pose).max() < 12
        assert joint_errors(detections["mirrored.png"], mirror_pose(pose, 176)).max() < 12


def test_a_result_does_not_depend_on_the_batch(tmp_path: Path) -> None:
    sizes = [(256, 176), (128, 88), (200, 300), (256, 176), (410, 282)]
    images = {f"{i}.png": draw_figure(i, size)[0] for i, size in enumerate(sizes)}
    together = detect_images(images, tmp_path, batch_size=4)
    alone = detect_images(images, tmp_path, batch_size=1)
    assert together.keys() == alone.keys() == images.keys()
    for name in images:
        first, second = together[name].found_pose, alone[name].found_pose
        assert first is not None and second is not None
        assert np.abs(first.pose - second.pose).max() < 0.02


class LittleMemory(torch.nn.Module):
    """A network that fails on batches of more than one image, and on bright images."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.head_metas = network, network.head_metas
        self.batches: list[int] = []

    def forward(self, images: torch.Tensor) -> Any:
        self.batches.append(len(images))
        if len(images) > 1 or images.mean() > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")
        return self.network(images)


def test_a_batch_too_large_for_the_memory_is_run_one_by_one(tmp_path: Path) -> None:
    images = {f"{i}.png": draw_figure(i, (256, 176))[0] for i in range(3)}
    images["white.png"] = Image.new("RGB", (176, 256), "white")
    for name, image in images.items():
        image.save(tmp_path / name)
    detector = OpenpifpafDetector(SHIPPED, batch_size=4)
    network = LittleMemory(detector._model)  # noqa: SLF001
    detector._model = network  # noqa: SLF001
    detections = {d.name: d for d in detector.detect((n, tmp_path / n) for n in images)}
    assert network.batches == [4, 1, 1, 1, 1]
    assert {name for name, d in detections.items() if d.found_pose is None} == {"white.png"}
    reason = "detection failed: CUDA out of memory. Tried to allocate 2 GiB"
    assert detections["white.png"].reason == reason


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image, pose = draw_figure(3, (256, 176))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated; viewers turn it clockwise
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif)
    detector = OpenpifpafDetector(SHIPPED)
    (detection,) = detector.detect([("turned.jpg", tmp_path / "turned.jpg")])
    assert joint_errors(detection, pose).mean() < 3
    assert detection.found_pose is not None
    assert detection.found_pose.image_size == (256, 176)


def test_a_photo_of_more_than_100_megapixels(tmp_path: Path) -> None:
    """Its keypoints are pixels of the whole image, though it is decoded at a part of its size."""
    image, pose = draw_figure(3, (256, 176))
    by, left = 48, 1600
    photo = Image.new("L", (9000, 12_288), 255)
    photo.paste(image.convert("L").resize((176 * by, 256 * by), Image.Resampling.BOX), (0, 0))
    photo = photo.transform(photo.size, Image.Transform.AFFINE, (1, 0, -left, 0, 1, 0))
    photo.save(tmp_path / "photo.jpg")
    (detection,) = OpenpifpafDetector(SHIPPED).detect([("photo.jpg", tmp_path / "photo.jpg")])
    expected = np.where(pose == -1, -1, (pose + 0.5) * by - 0.5 + (0, left))
    assert joint_errors(detection, expected).mean() < 4 * by
    assert detection.found_pose is not None
    assert detection.found_pose.image_size == (12_288, 9000)


def test_odd_images_do_not_affect_others(tmp_path: Path) -> None:
    huge = Image.new("1", (10_001, 10_000))
    images = {
        "dot.png": Image.new("RGB", (1, 1)),
        "line.png": Image.new("RGB", (1, 20_000), "white"),
        "huge.png": huge,
        "good.png": draw_figure(5, (256, 176))[0],
    }
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    (tmp_path / "empty.jpg").touch()
    for name, image in images.items():
        image.save(tmp_path / name)
    names = [*images, "torn.png", "empty.jpg", "gone.jpg"]
    detections = {
        d.name: d for d in OpenpifpafDetector(SHIPPED).detect((n, tmp_path / n) for n in names)
    }
    assert detections["good.png"].found_pose is not None
    reasons = {name: d.reason for name, d in detections.items() if d.found_pose is None}
    assert reasons["dot.png"] == reasons["line.png"] == "no person found"
    assert "100,000,000 pixels" in reasons["huge.png"]
    assert "image" in reasons["torn.png"]
    assert reasons["empty.jpg"] == "the file is empty"
    assert "No such file" in reasons["gone.jpg"]
    assert len(detections) == len(names)
