"""The built-in detector on drawn and rendered people whose joints are known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from detectors import draw_figure
from PIL import Image

from dptn_cli import read_poses
from dptn_cli.detect import Detection, MovenetDetector, PersonChoice
from dptn_cli.enums import Person
from dptn_cli.keypoints import JOINT_NAMES
from dptn_cli.types import Pose

RENDERED = Path(__file__).parents[1] / "data" / "rendered_people"
# COCO's constants of the object keypoint similarity, in our order of joints; the neck has none.
OKS_SIGMA = np.array(
    [.26, np.nan, .79, .72, .62, .79, .72, .62, 1.07, .87, .89, 1.07, .87, .89, .25, .25, .35, .35]
) / 10  # fmt: skip
SIDES = [(JOINT_NAMES.index(f"right {part}"), JOINT_NAMES.index(f"left {part}"))
         for part in ("shoulder", "hip", "knee", "ankle")]  # fmt: skip
BODY = slice(2, 14)
FACE = [0, 14, 15]  # nose and eyes, which nobody sees from behind
EARS = [16, 17]


@pytest.fixture(scope="module")
def detector() -> MovenetDetector:
    return MovenetDetector()


def detect(
    detector: MovenetDetector, folder: Path, images: Sequence[Image.Image]
) -> list[Detection]:
    """Detect people in images, and return the detections in their order."""
    files = [(f"{number}.png", folder / f"{number}.png") for number in range(len(images))]
    for image, (_, path) in zip(images, files, strict=True):
        image.save(path)
    by_name = {detection.name: detection for detection in detector.detect(files)}
    return [by_name[name] for name, _ in files]


def pose_of(detection: Detection) -> Pose:
    assert detection.found_pose is not None, detection.reason
    return detection.found_pose.pose


def present(pose: Pose) -> npt.NDArray[np.bool_]:
    return np.asarray((pose != -1).all(axis=1))


def height_of(pose: Pose) -> float:
    return float(np.ptp(pose[present(pose), 0]))


def swapped_sides(pose: Pose, truth: Pose) -> int:
    """Number of pairs of joints that are nearer to the other side's truth than to their own."""
    count = 0
    for pair in SIDES:
        found, known = pose[[*pair]], truth[[*pair]]
        if (found != -1).all() and np.linalg.norm(known[0] - known[1]) > 0.05 * height_of(truth):
            own = np.linalg.norm(found - known, axis=1).sum()
            count += int(np.linalg.norm(found - known[::-1], axis=1).sum() < own)
    return count


def test_rendered_people_have_their_joints_where_coco_says(detector: MovenetDetector) -> None:
    """Object keypoint similarity, as COCO defines it, on the joints below the head."""
    truths = read_poses(RENDERED / "keypoints.json")
    similarities = []
    for detection in detector.detect((name, RENDERED / name) for name in truths):
        pose, truth = pose_of(detection), truths[detection.name]
        assert detection.people == 1
        assert swapped_sides(pose, truth) == 0, detection.name
        area = np.prod(np.ptp(truth, axis=0)) * 1.2  # about what COCO's masks have of the box
        squares = ((pose - truth) ** 2).sum(axis=1)
        similarity = np.exp(-squares / (2 * area * (2 * OKS_SIGMA) ** 2)) * present(pose)
        similarities.append(similarity[BODY].mean())
    assert len(similarities) == 8
    assert np.mean(similarities) > 0.93
    assert min(similarities) > 0.75


@pytest.mark.parametrize("size", [(128, 88), (256, 176), (1024, 704)])
def test_drawn_people_from_the_front(
    detector: MovenetDetector, tmp_path: Path, size: tuple[int, int]
) -> None:
    figures = [draw_figure(number, size) for number in range(24)]
    detections = detect(detector, tmp_path, [image for image, _ in figures])
    offsets_yx, shares = [], []
    for detection, (_, truth) in zip(detections, figures, strict=True):
        pose = pose_of(detection)
        assert detection.people == 1
        assert swapped_sides(pose, truth) == 0
        both = present(pose) & present(truth)
        shares.append(both.sum() / present(truth).sum())
        offsets_yx.append((pose - truth)[both] / height_of(truth))
    assert np.mean(shares) > 0.95
    assert min(shares) > 0.7
    offsets = np.concatenate(offsets_yx)
    errors = np.linalg.norm(offsets, axis=1)
    assert np.median(errors) < 0.015
    assert np.quantile(errors, 0.9) < 0.12
    assert abs(np.median(offsets[:, 1])) < 0.003, "coordinates are those of pixels' centres"


def test_nobody_has_a_face_on_the_back_of_the_head(detector: MovenetDetector) -> None:
    names = ["person_4.jpg", "person_6.jpg"]  # turned away by 144 degrees
    for detection in detector.detect((name, RENDERED / name) for name in names):
        pose = pose_of(detection)
        assert (pose[FACE] == -1).all(), detection.name
        assert (pose[EARS] != -1).all(), detection.name
    facing = [f"person_{number}.jpg" for number in (1, 3, 5, 7, 8)]
    for detection in detector.detect((name, RENDERED / name) for name in facing):
        assert (pose_of(detection)[FACE] != -1).all(), detection.name


@pytest.mark.parametrize("degrees", [-25, 25])
def test_a_turned_image_has_the_turned_face(
    detector: MovenetDetector, tmp_path: Path, degrees: int
) -> None:
    turned = [
        Image.open(RENDERED / name).rotate(degrees, expand=True, fillcolor="white")
        for name in ("person_1.jpg", "person_6.jpg")
    ]
    front, back = (pose_of(detection) for detection in detect(detector, tmp_path, turned))
    assert (front[FACE] != -1).all()
    assert (back[FACE] == -1).all()


def side_by_side(*images: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", (sum(i.width for i in images), max(i.height for i in images)))
    left = 0
    for image in images:
        canvas.paste(image, (left, 0))
        left += image.width
    return canvas


def test_two_people_are_told_apart(detector: MovenetDetector) -> None:
    (first, first_pose), (second, second_pose) = (
        draw_figure(0, (256, 176)),
        draw_figure(4, (256, 176)),
    )
    people = detector.find_people(side_by_side(first, second))
    assert len(people) == 2
    people.sort(key=lambda person: float(np.median(person.joints_xyv[:, 0])))
    for person, truth, left in zip(people, (first_pose, second_pose), (0, 176), strict=True):
        hips_and_shoulders = person.joints_xyv[[6, 5, 12, 11], :2] - (left, 0)
        known = truth[[2, 5, 8, 11]][:, ::-1]
        assert np.abs(hips_and_shoulders - known).max() < 12


def test_the_choice_of_a_person(tmp_path: Path) -> None:
    large, small = draw_figure(0, (512, 352))[0], draw_figure(1, (256, 176))[0]
    image = side_by_side(small, large)
    (largest,) = detect(MovenetDetector(PersonChoice(Person.LARGEST)), tmp_path, [image])
    assert pose_of(largest)[1, 1] > small.width
    (none,) = detect(MovenetDetector(PersonChoice(Person.ERROR)), tmp_path, [image])
    assert none.reason == "2 people found, but only one is allowed"


def test_somebody_small_in_a_large_image(detector: MovenetDetector) -> None:
    image = Image.new("RGB", (1280, 960), (150, 160, 150))
    figure, truth = draw_figure(0, (100, 69))
    image.paste(figure, (700, 500))
    (person,) = detector.find_people(image)
    shoulders = person.joints_xyv[[6, 5], :2] - (700, 500)
    assert np.abs(shoulders - truth[[2, 5]][:, ::-1]).max() < 6


def test_joints_beyond_the_edge_are_missing(detector: MovenetDetector, tmp_path: Path) -> None:
    image, truth = draw_figure(0, (512, 352))
    cut = image.crop((0, 0, 352, int(truth[[9, 12], 0].min()) - 20))  # above the knees
    (detection,) = detect(detector, tmp_path, [cut])
    pose = pose_of(detection)
    assert (pose[[10, 13]] == -1).all(), "no ankles"
    assert (pose[present(pose)] < (cut.height, cut.width)).all()


def test_nobody_and_what_is_no_image(detector: MovenetDetector, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    empty = [
        Image.new("RGB", (300, 200), "white"),
        Image.fromarray(rng.integers(0, 256, (200, 300, 3), np.uint8)),
        Image.new("RGB", (1, 1)),
        Image.new("RGB", (5000, 2)),
    ]
    for detection in detect(detector, tmp_path, empty):
        assert (detection.people, detection.reason) == (0, "no person found")
    (tmp_path / "torn.png").write_bytes((tmp_path / "1.png").read_bytes()[:500])
    (tmp_path / "text.png").write_text("hello")
    names = ["torn.png", "text.png", "gone.png", "0.png"]
    found = {d.name: d for d in detector.detect((name, tmp_path / name) for name in names)}
    assert found["gone.png"].is_transient
    assert not found["torn.png"].is_transient
    assert all(found[name].reason for name in names)


def test_a_pose_does_not_depend_on_the_images_beside_it(
    detector: MovenetDetector, tmp_path: Path
) -> None:
    images = [draw_figure(number, (256, 176))[0] for number in range(6)]
    together = detect(detector, tmp_path, images)
    for number, image in enumerate(images):
        (alone,) = detect(MovenetDetector(), tmp_path, [image])
        assert np.array_equal(pose_of(alone), pose_of(together[number]))


def test_threshold_and_joints(tmp_path: Path) -> None:
    image = draw_figure(0, (256, 176))[0]
    strict = MovenetDetector(PersonChoice(threshold=0.99))
    (detection,) = detect(strict, tmp_path, [image])
    assert detection.found_pose is None
    assert "joints, fewer than 5" in detection.reason
    (all_joints,) = detect(MovenetDetector(PersonChoice(threshold=0)), tmp_path, [image])
    assert present(pose_of(all_joints)).sum() >= 15


def test_people_are_counted_alike_whoever_is_chosen(tmp_path: Path) -> None:
    """Somebody small beside somebody large too."""
    large, small = draw_figure(0, (512, 352))[0], draw_figure(1, (130, 90))[0]
    image = side_by_side(large, small)
    counts = set()
    for person in (Person.LARGEST, Person.BEST, Person.CENTER):
        (detection,) = detect(MovenetDetector(PersonChoice(person)), tmp_path, [image])
        counts.add(detection.people)
    assert counts == {2}
