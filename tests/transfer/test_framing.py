"""What the network is shown of strangers' photos, in numbers."""

from pathlib import Path

import numpy as np
import pytest
from stances import LEGS, stance, without

from dptn_cli import read_poses
from dptn_cli.detect import MovenetDetector
from dptn_cli.enums import Fit, FramingWarning, Retarget
from dptn_cli.errors import InputError
from dptn_cli.io.images import read_image_size
from dptn_cli.keypoints import Body, filled_share
from dptn_cli.transfer.framing import (
    FramedPose,
    frame_source,
    frame_target,
    framing_warnings,
)
from dptn_cli.types import ImageSpec, Pose, Size

PHOTOS = Path(__file__).parents[1] / "data" / "photos"
SPEC = ImageSpec("fashion", (256, 176), (256, 256))
WHOLE = [
    "p001_hands_in_pockets.jpg", "p002_studio.jpg", "p004_turned_phone.jpg",
    "p005_from_behind.jpg", "p005_sheet_eight_views.jpg", "p009_leg_forward.jpg", "p010_exif6.jpg",
]  # fmt: skip
SELFIE = "p007_selfie_seated_table.jpg"


def source_of(name: str, fit: Fit = Fit.PERSON) -> tuple[FramedPose, Size]:
    size = read_image_size(PHOTOS / name)
    return frame_source(read_poses(PHOTOS / "keypoints.csv")[name], size, SPEC, fit), size


def target_of(pose: Pose, source: FramedPose) -> FramedPose:
    return frame_target(pose, None, source, SPEC, Fit.AUTO, Retarget.SCALE)


def face_share(pose: Pose) -> float:
    face = Body(pose).mean_of([0, 14, 15, 16, 17])
    assert face is not None
    return float(face[0]) / SPEC.image_size[0]


def is_inside(joints: Pose) -> bool:
    return bool(((joints > 0) & (joints < SPEC.image_size)).all())


def test_the_detector_still_finds_these_poses() -> None:
    known = read_poses(PHOTOS / "keypoints.csv")
    detections = MovenetDetector().detect((name, PHOTOS / name) for name in known)
    for detection in detections:
        assert detection.found_pose is not None
        assert np.abs(detection.found_pose.pose - known[detection.name]).max() < 2, detection.name


@pytest.mark.parametrize("fit", [Fit.PERSON, Fit.AUTO])
@pytest.mark.parametrize("name", WHOLE)
def test_a_standing_person_is_framed_as_in_training(name: str, fit: Fit) -> None:
    """By default too: photos of 2:3, whose aspect is nearly the model's, are cropped if needed."""
    source, size = source_of(name, fit)
    crop = source.crop
    assert 0.08 < face_share(source.pose) < 0.2
    body = Body(source.pose)
    assert body.crown[0] > 0.02 * 256
    assert body.sole < 256
    present = (source.pose != -1).all(axis=1)
    assert is_inside(source.pose[present])
    assert crop is None or filled_share(crop, size) < 0.18
    assert framing_warnings(source, source.pose, size, SPEC, fit) == ()


def test_a_selfie_ends_at_the_edge_of_the_photo() -> None:
    source, size = source_of(SELFIE)
    crop = source.crop
    assert crop is not None
    assert filled_share(crop, size) == 0
    assert 0.08 < face_share(source.pose) < 0.2
    assert crop.top + crop.height == pytest.approx(size[0], abs=0.01)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("other", WHOLE)
def test_every_photo_in_the_pose_of_every_other(name: str, other: str) -> None:
    source, _ = source_of(name)
    target = target_of(read_poses(PHOTOS / "keypoints.csv")[other], source)
    present = (target.pose != -1).all(axis=1)
    assert is_inside(target.pose[present])
    assert 0.06 < face_share(target.pose) < 0.22
    assert Body(target.pose).crown[0] > 0


def warnings_of(pose: Pose, size: Size, target: Pose | None = None) -> set[FramingWarning]:
    source = frame_source(pose, size, SPEC, Fit.PERSON)
    target = pose if target is None else target
    return set(framing_warnings(source, target, size, SPEC, Fit.PERSON))


def test_a_pose_without_legs_leaves_a_whole_figure_without_them() -> None:
    whole, size = stance("standing", top=120, left=400), (500, 800)
    half = whole.copy()
    half[LEGS] = -1
    for source, target, mode, expected in (
        (whole, half, Retarget.SCALE, {FramingWarning.POSE_WITHOUT_LEGS}),
        (whole, half, Retarget.NONE, set()),
        (half, half, Retarget.SCALE, set()),
        (whole, whole, Retarget.SCALE, set()),
    ):
        framed = frame_source(source, size, SPEC, Fit.PERSON)
        warnings = framing_warnings(framed, target, size, SPEC, Fit.PERSON, mode)
        assert set(warnings) == expected


def test_who_cannot_be_framed_well_is_told() -> None:
    standing, size = stance("standing", top=120, left=400), (500, 800)
    lying = stance("lying", top=200, left=150)
    assert warnings_of(standing, size) == set()
    assert warnings_of(lying, (400, 800)) == {FramingWarning.SOURCE_LYING}
    assert warnings_of(standing, size, lying) == {FramingWarning.TARGET_LYING}
    turned = stance("standing", scale=-1.0, top=380, left=400)
    assert warnings_of(turned, size) == {FramingWarning.SOURCE_UPSIDE_DOWN}
    assert warnings_of(standing, size, turned) == {FramingWarning.TARGET_UPSIDE_DOWN}
    small = stance("standing", scale=0.15, top=20, left=60)
    assert warnings_of(small, (80, 120)) == {FramingWarning.SOURCE_SMALL}
    narrow = stance("standing", top=70, left=60)
    assert warnings_of(narrow, (360, 120)) == {FramingWarning.SOURCE_FILLED}


def test_an_image_that_is_not_cropped_is_not_judged() -> None:
    """As published: images in the model's aspect are taken as they are."""
    lying = stance("lying", scale=0.3, top=80, left=30)
    source = frame_source(lying, (256, 176), SPEC, Fit.AUTO)
    assert source.crop is None
    assert framing_warnings(source, lying, (256, 176), SPEC, Fit.AUTO) == ()


def test_a_pose_that_cannot_be_cropped_around_is_named() -> None:
    two = without(stance("standing", top=120, left=400), list(range(2, 18)))
    with pytest.raises(InputError, match="the source pose: 2 joints are too few to crop"):
        frame_source(two, (500, 900), SPEC, Fit.AUTO)
    source = frame_source(stance("standing", top=120, left=400), (500, 900), SPEC, Fit.AUTO)
    with pytest.raises(InputError, match="the target pose: 2 joints are too few to crop"):
        frame_target(two, (500, 900), source, SPEC, Fit.AUTO, Retarget.NONE)


def test_borders_that_the_user_asked_for_are_not_told() -> None:
    standing, size = stance("standing", top=120, left=400), (500, 1600)
    source = frame_source(standing, size, SPEC, Fit.PAD)
    assert framing_warnings(source, standing, size, SPEC, Fit.PAD) == ()
