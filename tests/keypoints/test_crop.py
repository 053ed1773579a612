"""The crop around a person, and retargeting a pose to another person."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stances import ANKLES, FACE, STANCES, UPRIGHT, inside, mirrored, stance, without

from dptn_cli.enums import Fit
from dptn_cli.errors import InputError
from dptn_cli.keypoints import (
    MAX_FILLED_SHARE,
    Annotations,
    Body,
    crop_for,
    filled_share,
    person_crop,
    retarget,
)
from dptn_cli.types import Crop, Pose

FIGURES = Annotations(Path(__file__).parents[2] / "examples" / "figures" / "keypoints.csv")
NAMES = sorted(FIGURES)
SIZE = (128, 88)


def moved(pose: Pose, scale: float, down: float = 0, across: float = 0) -> Pose:
    present = (pose != -1).all(axis=1, keepdims=True)
    return np.where(present, (pose + 0.5) * scale - 0.5 + (down, across), -1)


@pytest.mark.parametrize("name", NAMES)
def test_the_crop_around_a_drawn_figure_is_its_whole_image(name: str) -> None:
    crop = person_crop(FIGURES[name], SIZE)
    assert abs(crop.height - 128) < 9
    assert abs(crop.top) < 6
    assert abs(crop.left + crop.width / 2 - 44) < 6
    assert crop.width / crop.height == pytest.approx(88 / 128, abs=1e-4)


@given(
    name=st.sampled_from(NAMES),
    scale=st.floats(0.5, 20),
    down=st.floats(-50, 2000),
    across=st.floats(-50, 2000),
)
def test_a_crop_moves_with_the_person(name: str, scale: float, down: float, across: float) -> None:
    plain = person_crop(FIGURES[name], SIZE)
    crop = person_crop(moved(FIGURES[name], scale, down, across), SIZE)
    rounding = 0.0051 * (1 + scale)
    assert crop.height == pytest.approx(plain.height * scale, abs=rounding)
    assert crop.top == pytest.approx(plain.top * scale + down, abs=rounding)
    assert crop.left == pytest.approx(plain.left * scale + across, abs=rounding)


@given(
    pose=st.lists(st.tuples(st.floats(-50, 900), st.floats(-50, 900)), min_size=18, max_size=18),
    missing=st.sets(st.integers(0, 17), max_size=14),
)
def test_every_joint_is_in_the_crop(pose: list[tuple[float, float]], missing: set[int]) -> None:
    joints = np.array(pose)
    joints[list(missing)] = -1
    present = joints[(joints != -1).all(axis=1)]
    try:
        crop = person_crop(joints, SIZE)
    except InputError:
        assert len(present) < 3 or not np.ptp(present, axis=0).any()
        return
    low, high = present.min(axis=0) + 0.502, present.max(axis=0) + 0.498
    assert (low >= (crop.top, crop.left)).all()
    assert (high <= (crop.top + crop.height, crop.left + crop.width)).all()


@pytest.mark.parametrize(
    ("size", "fit", "cropped"),
    [
        ((128, 88), Fit.AUTO, False), ((256, 180), Fit.AUTO, False), ((256, 190), Fit.AUTO, True),
        ((1200, 1600), Fit.STRETCH, False), ((1200, 1600), Fit.AUTO, True),
        ((128, 88), Fit.PERSON, True), ((128, 88), Fit.PAD, False), ((1, 20_000), Fit.PAD, True),
    ],
)  # fmt: skip
def test_when_an_image_is_cropped(size: tuple[int, int], fit: Fit, cropped: bool) -> None:
    pose = moved(FIGURES[NAMES[0]], size[0] / SIZE[0])
    assert (crop_for(pose, SIZE, size, fit) is not None) == cropped


def test_a_small_person_in_an_image_of_the_same_aspect_is_cropped() -> None:
    """As phones take them: 2:3, with much around the person. The model's own size is left alone."""
    pose = FIGURES[NAMES[0]]
    small = moved(pose, 2, down=100, across=60)
    crop = crop_for(small, SIZE, (384, 264), Fit.AUTO)
    assert crop is not None
    assert crop.height < 0.8 * 384
    assert crop_for(moved(pose, 0.6), SIZE, SIZE, Fit.AUTO) is None
    two = np.full((18, 2), -1.0)
    two[[1, 2]] = pose[[1, 2]]
    assert crop_for(two, SIZE, (384, 264), Fit.AUTO) is None, "too few joints to tell"


def test_padding_keeps_the_whole_image_in_the_middle() -> None:
    crop = crop_for(FIGURES[NAMES[0]], (200, 100), (100, 100), Fit.PAD)
    assert crop is not None
    assert (crop.top, crop.left, crop.height, crop.width) == (-50, 0, 200, 100)


def test_a_half_length_image_stays_half_length() -> None:
    pose = FIGURES[NAMES[0]].copy()
    whole = person_crop(pose, SIZE)
    pose[[9, 10, 12, 13]] = -1
    half = person_crop(pose, SIZE)
    assert half.height < 0.75 * whole.height
    assert half.top == pytest.approx(whole.top, abs=5)


@given(
    target=st.sampled_from(NAMES),
    source=st.sampled_from(NAMES),
    scale=st.floats(0.2, 12),
    down=st.floats(0, 500),
    across=st.floats(0, 500),
)
def test_retargeting_ignores_scale_and_place_of_the_target(
    target: str, source: str, scale: float, down: float, across: float
) -> None:
    target_pose, source_pose = FIGURES[target], FIGURES[source]
    other = retarget(moved(target_pose, scale, down, across), source_pose)
    np.testing.assert_allclose(other, retarget(target_pose, source_pose), atol=0.002)


@pytest.mark.parametrize("name", NAMES)
def test_retargeting_to_itself_changes_nothing(name: str) -> None:
    np.testing.assert_allclose(retarget(FIGURES[name], FIGURES[name]), FIGURES[name], atol=0.002)


def test_retargeting_aligns_the_ground_and_the_trunk() -> None:
    target_pose, source_pose = FIGURES["p0000_1.png"], moved(FIGURES["p0001_0.png"], 0.7, 9, 5)
    placed = retarget(target_pose, source_pose)
    assert placed[[10, 13], 0].max() == pytest.approx(source_pose[[10, 13], 0].max(), abs=0.01)
    trunks = [(pose[1, 1] + pose[[8, 11], 1].mean()) / 2 for pose in (placed, source_pose)]
    assert trunks[0] == pytest.approx(trunks[1], abs=0.01)
    assert np.array_equal(placed == -1, target_pose == -1)


def test_long_legs_are_adopted_but_a_limb_that_points_at_the_camera_stays_short() -> None:
    source_pose = FIGURES["p0000_0.png"].copy()
    long_legs, foreshortened = source_pose.copy(), source_pose.copy()
    for knee, ankle, hip in ((9, 10, 8), (12, 13, 11)):
        long_legs[knee] = source_pose[hip] + 1.1 * (source_pose[knee] - source_pose[hip])
        long_legs[ankle] = long_legs[knee] + 1.1 * (source_pose[ankle] - source_pose[knee])
    legs = np.linalg.norm(np.diff(retarget(source_pose, long_legs)[[8, 9, 10]], axis=0), axis=1)
    np.testing.assert_allclose(
        legs, np.linalg.norm(np.diff(long_legs[[8, 9, 10]], axis=0), axis=1), atol=0.01
    )
    for elbow, wrist in ((3, 4), (6, 7)):
        foreshortened[wrist] = source_pose[elbow] + 0.2 * (source_pose[wrist] - source_pose[elbow])
    placed = retarget(foreshortened, source_pose)
    forearm = np.linalg.norm(placed[4] - placed[3])
    assert forearm < 0.25 * np.linalg.norm(source_pose[4] - source_pose[3])


def test_poses_without_a_limb_in_common_are_refused() -> None:
    head_only, legs_only = np.full((18, 2), -1.0), np.full((18, 2), -1.0)
    head_only[[0, 1]], legs_only[[8, 9]] = [[5, 5], [9, 5]], [[5, 5], [9, 5]]
    with pytest.raises(InputError, match="no limb in common"):
        retarget(head_only, legs_only)


@given(
    pose=st.lists(st.tuples(st.floats(0, 99), st.floats(0, 99)), min_size=18, max_size=18),
    missing=st.sets(st.integers(0, 17)),
)
def test_any_joints_may_be_missing(pose: list[tuple[float, float]], missing: set[int]) -> None:
    target_pose = np.array(pose)
    target_pose[list(missing)] = -1
    try:
        placed = retarget(target_pose, FIGURES["p0000_0.png"])
    except InputError:
        return
    assert np.isfinite(placed).all()
    assert np.array_equal((placed == -1).all(axis=1), (target_pose == -1).all(axis=1))


# Without the image's size, the same body in all stances; with it, in images that cut it off.

MODEL = (256, 176)
stances = st.sampled_from(sorted(UPRIGHT))
scales = st.floats(0.3, 12)


def shares(pose: Pose, crop: Crop) -> dict[str, float]:
    """Where crown, face and soles are, in shares of the crop's height."""
    body = Body(pose + 0.5 * (pose != -1))
    face = body.mean_of(FACE)
    ends = {"crown": body.crown[0], "sole": body.sole}
    if face is not None:
        ends["face"] = face[0]
    return {name: (y - crop.top) / crop.height for name, y in ends.items()}


def holds(crop: Crop, joints: Pose) -> bool:
    """Whether joints are inside a crop."""
    low, high = (crop.top, crop.left), (crop.top + crop.height, crop.left + crop.width)
    return bool((joints + 0.5 > np.array(low) - 0.01).all() and (joints < np.array(high)).all())


@given(name=stances, scale=scales)
def test_nobody_without_a_face_is_beheaded(name: str, scale: float) -> None:
    """The crown is where the face would have put it, whatever of the head was found."""
    pose = stance(name, scale=scale, top=900, left=1500)
    with_face = person_crop(pose, MODEL)
    for joints in (FACE, [*FACE, 1], [0, 14, 15]):
        crop = person_crop(without(pose, joints), MODEL)
        assert crop.top == pytest.approx(with_face.top, abs=0.08 * 100 * scale)
        assert shares(pose, crop)["crown"] > 0.01


@given(name=stances, scale=scales)
def test_the_face_of_an_upright_person_is_near_the_top(name: str, scale: float) -> None:
    pose = stance(name, scale=scale, top=900, left=1500)
    where = shares(pose, person_crop(pose, MODEL))
    assert 0.08 < where["face"] < (0.3 if name == "arms up" else 0.2)
    assert where["crown"] > 0
    assert where["sole"] < 1


@given(
    name=stances,
    scale=st.floats(0.5, 5),
    width=st.integers(200, 3000),
    left=st.floats(0, 1),
    cut=st.floats(0.3, 2.2),
)
def test_a_crop_ends_where_the_image_cuts_the_body(
    name: str, scale: float, width: int, left: float, cut: float
) -> None:
    """No band under a body whose legs the image cuts off, wherever it is cut and stands."""
    whole = stance(name, scale=scale, top=120 * scale, left=left * width)
    size = (round((120 + cut * 100) * scale), width)
    pose = inside(whole, *size)
    if (pose[ANKLES] != -1).any() or (pose != -1).all(axis=1).sum() < 5 or (pose[1] == -1).any():
        return
    crop = person_crop(pose, MODEL, size)
    assert crop.top + crop.height <= size[0] + 0.01
    assert holds(crop, pose[[1]]), "the neck is in the crop"


@given(name=stances, scale=st.floats(0.5, 5), left=st.floats(0, 1), width=st.integers(100, 4000))
def test_a_crop_lies_inside_the_image_as_far_as_it_can(
    name: str, scale: float, left: float, width: int
) -> None:
    """If one side of the crop is outside, the other is not inside by more than the person needs."""
    size = (round(600 * scale), round(width * scale))
    pose = stance(name, scale=scale, top=150 * scale, left=left * size[1])
    if not ((pose >= 0) & (pose < size)).all():
        return
    crop = person_crop(pose, MODEL, size)
    assert holds(crop, pose)
    if crop.width <= size[1]:
        assert crop.left >= -0.01
        assert crop.left + crop.width <= size[1] + 0.01


def test_a_reach_to_one_side_moves_the_crop_and_leaves_its_size() -> None:
    standing = person_crop(stance("standing", top=300, left=500), MODEL)
    reaching = person_crop(stance("one arm", top=300, left=500), MODEL)
    assert reaching.height == standing.height
    assert reaching.top == standing.top
    assert reaching.left < standing.left
    assert holds(reaching, stance("one arm", top=300, left=500))


@given(
    name=st.sampled_from(sorted(STANCES)), scale=st.floats(0.5, 5), left=st.floats(0, 1),
    height=st.integers(300, 900), width=st.integers(300, 2000),
)  # fmt: skip
def test_a_mirrored_image_has_the_mirrored_crop(
    name: str, scale: float, left: float, height: int, width: int
) -> None:
    pose = inside(stance(name, scale=scale, top=150, left=left * width), height, width)
    if (pose != -1).all(axis=1).sum() < 4:
        return
    crop = person_crop(pose, MODEL, (height, width))
    other = person_crop(mirrored(pose, width), MODEL, (height, width))
    assert other.left + other.width == pytest.approx(width - crop.left, abs=0.01)
    assert (other.top, other.height) == pytest.approx((crop.top, crop.height), abs=0.01)


def test_hands_may_leave_the_crop_before_most_of_it_is_filled() -> None:
    """Spread arms in a low landscape image, which nothing but filling could make portrait."""
    pose = stance("crouching", top=80, left=300)
    pose[[3, 4, 6, 7]] = stance("t-pose", top=80, left=300)[[3, 4, 6, 7]]
    size = (250, 600)
    crop = person_crop(pose, MODEL, size)
    assert filled_share(crop, size) == pytest.approx(MAX_FILLED_SHARE, abs=0.001)
    assert holds(crop, np.delete(pose, [3, 4, 6, 7], axis=0))
    assert not holds(crop, pose[[4, 7]])


def test_legs_that_are_not_marked_are_shown_if_the_image_has_them() -> None:
    arms_and_legs = [3, 4, 6, 7, 8, 9, 10, 11, 12, 13]
    pose = without(stance("standing", top=200, left=400), arms_and_legs)
    unknown, known = person_crop(pose, MODEL), person_crop(pose, MODEL, (900, 800))
    assert known.top + known.height > unknown.top + unknown.height
    assert known.top + known.height >= 290, "down to where the hips must be"


@given(scale=scales)
def test_who_lies_is_told_from_who_does_not(scale: float) -> None:
    for name in STANCES:
        assert Body(stance(name, scale=scale, top=900, left=900)).is_lying == (name == "lying")
    turned = stance("lying", scale=scale) * (1, -1) + 2000
    assert Body(turned).is_lying


@given(
    pose=st.lists(st.tuples(st.floats(-300, 900), st.floats(-300, 900)), min_size=18, max_size=18),
    missing=st.sets(st.integers(0, 17), max_size=15),
    size=st.tuples(st.integers(1, 700), st.integers(1, 700)),
    model=st.sampled_from([(256, 176), (128, 64), (100, 300)]),
    scale=st.sampled_from([0.001, 0.1, 1]),
    shift=st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000)),
)
def test_any_joints_in_any_image_have_a_crop(
    pose: list[tuple[float, float]],
    missing: set[int],
    size: tuple[int, int],
    model: tuple[int, int],
    scale: float,
    shift: tuple[float, float],
) -> None:
    joints = np.array(pose) * scale + shift
    joints[list(missing)] = -1
    try:
        crop = person_crop(joints, model, size)
    except InputError:
        return
    numbers = (crop.top, crop.left, crop.height, crop.width)
    assert np.isfinite(numbers).all()
    assert min(crop.height, crop.width) >= 1
    assert crop.height < 20_000
    assert 0 <= filled_share(crop, size) <= 1
    if crop.height > 50:
        assert crop.width / crop.height == pytest.approx(model[1] / model[0], rel=1e-3)


@given(
    scale=st.floats(0.8, 2.5), top=st.floats(0, 1), height=st.integers(400, 1400),
    width=st.integers(500, 1600),
)  # fmt: skip
def test_no_more_is_filled_around_somebody_lying_than_must_be(
    scale: float, top: float, height: int, width: int
) -> None:
    """Wherever in the image they lie: low, in the middle, or at the top."""
    pose = stance("lying", scale=scale, left=120)
    pose[:, 0] += (height - 90 * scale) * top + 45 * scale
    if not ((pose >= 0) & (pose < (height, width))).all():
        return
    crop = person_crop(pose, MODEL, (height, width))
    fewest = [
        filled_share(Crop(y, x, crop.height, crop.width), (height, width))
        for y in (0, height - crop.height)
        for x in (0, width - crop.width)
    ]
    assert filled_share(crop, (height, width)) < min(fewest) + 0.12
