"""Whose pose counts."""

import numpy as np
import pytest

from dptn_cli.detect.people import Body, Choice, choose
from dptn_cli.enums import Person

SIZE = (200, 300)


def body(x: float, y: float, *, tall: float, score: float = 0.5, joints: int = 17) -> Body:
    """Somebody with the head at (x, y); the joints that are there come first."""
    joints_xyv = np.zeros((17, 3))
    joints_xyv[:, 0] = x + np.linspace(-0.2, 0.2, 17) * tall
    joints_xyv[:, 1] = y + np.linspace(0, 1, 17) * tall
    joints_xyv[:joints, 2] = 0.9
    return Body(joints_xyv, score)


LARGE = body(40, 10, tall=150, score=0.4)
SURE = body(260, 20, tall=60, score=0.95)
MIDDLE = body(150, 70, tall=60, score=0.3)


@pytest.mark.parametrize(
    ("person", "wanted"), [("largest", LARGE), ("best", SURE), ("center", MIDDLE)]
)
def test_the_one_that_was_asked_for(person: Person, wanted: Body) -> None:
    people = [SURE, LARGE, MIDDLE]
    for bodies in (people, people[::-1]):
        detection = choose("a.jpg", bodies, SIZE, Choice(person))
        assert detection.people == 3
        assert detection.found is not None
        assert detection.found.pose[0].tolist() == wanted.joints_xyv[0, 1::-1].tolist()
        assert detection.found.image_size == SIZE


def test_several_people_can_be_an_error() -> None:
    detection = choose("a.jpg", [LARGE, SURE], SIZE, Choice(Person.ERROR))
    assert (detection.found, detection.people) == (None, 2)
    assert detection.reason == "2 people found, and one was asked for"
    assert choose("a.jpg", [LARGE], SIZE, Choice(Person.ERROR)).found is not None


def test_one_with_too_few_joints_is_nobody() -> None:
    few = body(150, 10, tall=180, joints=3)
    detection = choose("a.jpg", [few], SIZE, Choice())
    assert (detection.found, detection.people) == (None, 1)
    assert detection.reason == "the person has 3 joints, fewer than 5"
    beside = choose("a.jpg", [few, SURE], SIZE, Choice(Person.ERROR))
    assert beside.found is not None
    assert beside.people == 2
    assert choose("a.jpg", [few], SIZE, Choice(min_joints=3)).found is not None


def test_nobody() -> None:
    assert choose("a.jpg", [], SIZE, Choice()).reason == "no person found"


def test_a_joint_below_the_threshold_is_missing() -> None:
    joints_xyv = LARGE.joints_xyv.copy()
    joints_xyv[5, 2] = 0.2  # the left shoulder, and with it the neck
    detection = choose("a.jpg", [Body(joints_xyv, 0.5)], SIZE, Choice(threshold=0.25))
    assert detection.found is not None
    assert np.flatnonzero(detection.found.confidence == 0).tolist() == [1, 5]
    assert (detection.found.pose[[1, 5]] == -1).all()
