"""Room for target poses in the network's image, and what a source does not show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stances import ANKLES, FACE, LEGS, STANCES, UPRIGHT, mirrored, stance, without

from dptn_cli.enums import FramingWarning
from dptn_cli.errors import InputError
from dptn_cli.keypoints import Body, fit_into_frame, parts_not_shown, person_crop, retarget
from dptn_cli.types import Pose

SIZE = (256, 176)
names = st.sampled_from(sorted(STANCES))
upright = st.sampled_from(sorted(UPRIGHT))


def framed(pose: Pose) -> Pose:
    """A source pose in the crop around it, in pixels of the model's images."""
    crop = person_crop(pose, SIZE)
    present = (pose != -1).all(axis=1, keepdims=True)
    scale = SIZE[0] / crop.height
    return np.where(present, (pose + 0.5 - (crop.top, crop.left)) * scale - 0.5, -1.0)


def place(target: Pose, source: Pose) -> Pose:
    return fit_into_frame(retarget(target, source), source, SIZE)


def ends_of(pose: Pose) -> tuple[float, float]:
    """Crown and soles, in shares of the height."""
    body = Body(pose)
    return float(body.crown[0]) / SIZE[0], body.sole / SIZE[0]


@given(source=upright, target=upright, scale=st.floats(0.2, 9), head=st.booleans())
def test_every_target_has_its_head_and_its_feet_in_the_image(
    source: str, target: str, scale: float, head: bool
) -> None:
    source_pose = framed(stance(source, top=400, left=400))
    target_pose = stance(target, scale=scale, top=2000, left=3000)
    placed = place(target_pose if head else without(target_pose, FACE), source_pose)
    crown, sole = ends_of(placed)
    assert crown > 0
    assert sole < 1
    trunk = placed[[1, 2, 5, 8, 11, *LEGS]]
    assert ((trunk > 0) & (trunk < SIZE)).all()


@given(source=upright, target=upright)
def test_hands_are_in_the_image_of_a_standing_source(source: str, target: str) -> None:
    source_pose = framed(stance("standing", top=400, left=400))
    placed = place(stance(target, top=0, left=0), source_pose)
    wrists = placed[[4, 7]]
    assert ((wrists > 0) & (wrists < SIZE)).all()
    itself = framed(stance(source, top=400, left=400))
    assert np.array_equal(fit_into_frame(itself, itself, SIZE), itself)


@given(source=names, target=names, scale=st.floats(0.2, 9), shift=st.floats(0, 900))
def test_placing_ignores_scale_and_place_of_the_target(
    source: str, target: str, scale: float, shift: float
) -> None:
    source_pose = framed(stance(source, top=400, left=400))
    plain = place(stance(target), source_pose)
    other = place(stance(target, scale=scale, top=shift, left=shift), source_pose)
    np.testing.assert_allclose(plain, other, atol=0.01)


@given(source=names, target=names)
def test_mirrored_poses_are_placed_mirrored(source: str, target: str) -> None:
    source_pose, target_pose = framed(stance(source, top=400, left=400)), stance(target, left=200)
    expected = mirrored(place(target_pose, source_pose), SIZE[1])
    found = place(mirrored(target_pose, 400), mirrored(source_pose, SIZE[1]))
    np.testing.assert_allclose(found, expected, atol=0.01)


@given(target=upright, step=st.floats(0, 0.5))
def test_a_small_change_of_the_target_moves_it_little(target: str, step: float) -> None:
    """No jump, as a target grows out of the image bit by bit: here by stretching its legs."""
    source_pose = framed(stance("crouching", top=400, left=400))
    target_pose = stance(target)
    longer = target_pose.copy()
    longer[ANKLES] += (step, 0)
    difference = np.abs(place(longer, source_pose) - place(target_pose, source_pose)).max()
    assert difference < 2 * step + 0.02


def test_the_crown_of_a_standing_target_stays_where_it_was_if_the_feet_have_room() -> None:
    source_pose = framed(stance("standing", top=400, left=400))
    before, after = source_pose, place(stance("t-pose"), source_pose)
    assert ends_of(after)[0] == pytest.approx(ends_of(before)[0], abs=0.005)


def test_a_half_length_source_gives_a_half_length_result() -> None:
    """The trunk is at its place and size, and the legs run out of the image."""
    legs = [9, 10, 12, 13]
    source_pose = framed(without(stance("standing", top=400, left=400), legs))
    placed = place(stance("standing"), source_pose)
    np.testing.assert_allclose(placed[:9], source_pose[:9], atol=1)
    assert (placed[ANKLES, 0] > SIZE[0]).all()


def test_what_the_source_does_not_show() -> None:
    whole = stance("standing", top=50, left=50)
    arms = [3, 4, 6, 7]
    cases = {
        FramingWarning.NO_LEGS: without(whole, [9, 10, 12, 13]),
        FramingWarning.NO_FACE: without(whole, [0, 14, 15]),
        FramingWarning.NO_ARMS: without(whole, arms),
    }
    assert list(parts_not_shown(whole, whole)) == []
    for warning, source_pose in cases.items():
        assert list(parts_not_shown(whole, source_pose)) == [warning]
        assert list(parts_not_shown(source_pose, source_pose)) == []
        assert list(parts_not_shown(source_pose, whole)) == []
    knees_only = without(whole, ANKLES)
    assert list(parts_not_shown(whole, knees_only)) == [FramingWarning.NO_LEGS]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ([0, 14], [1, 2, 3], "no limb of the source pose has both of its joints"),
        ([1, 2, 3], [0, 14], "no limb of the target pose has both of its joints"),
        ([2, 3], [8, 9], "the source shows only upper arm, the target only thigh"),
    ],
)
def test_the_pose_at_fault_is_named(source: list[int], target: list[int], message: str) -> None:
    whole = stance("standing", top=90, left=90)
    poses = [without(whole, [j for j in range(18) if j not in kept]) for kept in (target, source)]
    with pytest.raises(InputError, match=message):
        retarget(*poses)


@given(
    poses=st.lists(
        st.lists(st.tuples(st.floats(-90, 300), st.floats(-90, 300)), min_size=18, max_size=18),
        min_size=2,
        max_size=2,
    ),
    missing=st.lists(st.sets(st.integers(0, 17), max_size=16), min_size=2, max_size=2),
)
def test_any_joints_can_be_placed(
    poses: list[list[tuple[float, float]]], missing: list[set[int]]
) -> None:
    target, source = (np.array(pose) for pose in poses)
    target[list(missing[0])], source[list(missing[1])] = -1, -1
    if (target == -1).any(axis=1).all() or (source == -1).any(axis=1).all():
        return
    placed = fit_into_frame(target, source, SIZE)
    assert np.isfinite(placed).all()
    assert np.array_equal((placed == -1).any(axis=1), (target == -1).any(axis=1))


def test_a_source_of_head_and_shoulders_keeps_the_size_of_the_target() -> None:
    """Hips may leave the image too, if the source does not show them."""
    seen = without(stance("standing", scale=4, top=350, left=240), list(range(8, 14)))
    crop = person_crop(seen, SIZE, (480, 640))
    present = (seen != -1).all(axis=1, keepdims=True)
    scale = SIZE[0] / crop.height
    source_pose = np.where(present, (seen + 0.5 - (crop.top, crop.left)) * scale - 0.5, -1.0)
    placed = place(stance("standing"), source_pose)
    shoulders = [np.linalg.norm(pose[2] - pose[5]) for pose in (placed, source_pose)]
    assert shoulders[0] == pytest.approx(shoulders[1], rel=0.02)


@pytest.mark.filterwarnings("error")
def test_poses_without_a_joint_in_common_are_placed_on_each_other() -> None:
    whole = stance("standing", top=60, left=90)
    source_pose = without(whole, [j for j in range(18) if j not in (2, 3, 4, 8, 9, 10)])
    target = without(whole, [j for j in range(18) if j not in (5, 6, 7, 11, 12, 13)])
    placed = retarget(target, source_pose)
    middles = [pose[(pose != -1).all(axis=1)].mean(axis=0) for pose in (placed, source_pose)]
    assert np.abs(middles[0][1] - middles[1][1]) < 1
