"""The largest of several people."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from stances import STANCES, mirrored, stance, without

from dptn_cli.keypoints.largest import person_size, size_key

names = st.sampled_from(sorted(STANCES))
scales = st.floats(0.2, 8)


@given(name=names, scale=scales, factor=st.floats(1, 8))
def test_a_whole_person_beats_a_fragment_in_a_larger_box(
    name: str, scale: float, factor: float
) -> None:
    whole = stance(name, scale=scale, top=50, left=90)
    fragment = without(stance(name, scale=scale * factor**0.5), list(range(6, 18)))
    box = np.prod(np.ptp(whole, axis=0) + 1)
    fragment[0], fragment[1] = 0, np.sqrt(box * factor) - 1
    fragment[2:6] = fragment[1] / 2
    assert person_size(whole) > person_size(fragment)


@given(name=names, scale=scales, factor=st.floats(1.01, 5))
def test_of_two_whole_people_the_larger_is_larger(name: str, scale: float, factor: float) -> None:
    small, large = stance(name, scale=scale), stance(name, scale=scale * factor, top=9, left=9)
    assert person_size(large) > person_size(small)
    assert max(small, large, key=size_key) is large
    assert max(large, small, key=size_key) is large


@given(name=names, left=st.floats(0, 500))
def test_a_mirrored_person_is_as_large(name: str, left: float) -> None:
    pose = stance(name, top=400, left=400 + left)
    assert np.isclose(person_size(pose), person_size(mirrored(pose, 2000)))


def test_equals_do_not_depend_on_their_order() -> None:
    first, second = stance("standing", left=50), stance("standing", left=200)
    chosen = max([first, second], key=size_key)
    assert chosen is max([second, first], key=size_key)


def test_nobody_has_no_size() -> None:
    assert person_size(np.full((18, 2), -1.0)) == 0
