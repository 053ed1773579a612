"""The choice of one person in an image."""

import numpy as np
import pytest

from dptn_cli.detect.people import DetectedPerson, PersonChoice, choose_person
from dptn_cli.enums import Person

SIZE = (200, 300)


def make_person(
    x: float, y: float, *, height: float, score: float = 0.5, joints: int = 17
) -> DetectedPerson:
    """Make a person with the head at (x, y) and the first `joints` of COCO's joints."""
    joints_xyv = np.zeros((17, 3))
    joints_xyv[:, 0] = x + np.linspace(-0.2, 0.2, 17) * height
    joints_xyv[:, 1] = y + np.linspace(0, 1, 17) * height
    joints_xyv[:joints, 2] = 0.9
    return DetectedPerson(joints_xyv, score)


LARGE = make_person(40, 10, height=150, score=0.4)
CONFIDENT = make_person(260, 20, height=60, score=0.95)
CENTRAL = make_person(150, 70, height=60, score=0.3)


@pytest.mark.parametrize(
    ("person", "expected"), [("largest", LARGE), ("best", CONFIDENT), ("center", CENTRAL)]
)
def test_one_person_is_chosen_by_the_rule(person: Person, expected: DetectedPerson) -> None:
    people = [CONFIDENT, LARGE, CENTRAL]
    for ordered in (people, people[::-1]):
        detection = choose_person("a.jpg", ordered, SIZE, PersonChoice(person))
        assert detection.people == 3
        assert detection.found_pose is not None
        assert detection.found_pose.pose[0].tolist() == expected.joints_xyv[0, 1::-1].tolist()
        assert detection.found_pose.image_size == SIZE


def test_several_people_can_be_an_error() -> None:
    detection = choose_person("a.jpg", [LARGE, CONFIDENT], SIZE, PersonChoice(Person.ERROR))
    assert (detection.found_pose, detection.people) == (None, 2)
    assert detection.reason == "2 people found, but only one is allowed"
    assert choose_person("a.jpg", [LARGE], SIZE, PersonChoice(Person.ERROR)).found_pose is not None


def test_people_with_too_few_joints_are_ignored() -> None:
    few = make_person(150, 10, height=180, joints=3)
    detection = choose_person("a.jpg", [few], SIZE, PersonChoice())
    assert (detection.found_pose, detection.people) == (None, 1)
    assert detection.reason == "the person has 3 joints, fewer than 5"
    detection = choose_person("a.jpg", [few, CONFIDENT], SIZE, PersonChoice(Person.ERROR))
    assert detection.found_pose is not None
    assert detection.people == 2
    assert choose_person("a.jpg", [few], SIZE, PersonChoice(min_joints=3)).found_pose is not None


def test_no_person() -> None:
    assert choose_person("a.jpg", [], SIZE, PersonChoice()).reason == "no person found"


def test_a_joint_below_the_threshold_is_missing() -> None:
    joints_xyv = LARGE.joints_xyv.copy()
    joints_xyv[5, 2] = 0.2  # the left shoulder, and with it the neck
    detection = choose_person(
        "a.jpg", [DetectedPerson(joints_xyv, 0.5)], SIZE, PersonChoice(threshold=0.25)
    )
    assert detection.found_pose is not None
    assert np.flatnonzero(detection.found_pose.confidence == 0).tolist() == [1, 5]
    assert (detection.found_pose.pose[[1, 5]] == -1).all()


@pytest.mark.parametrize("person", ["center", "best", "largest"])
def test_people_below_the_threshold_are_no_candidates(person: Person) -> None:
    faint = make_person(150, 70, height=60, score=0.99)
    faint.joints_xyv[:, 2] = 0.3
    choice = PersonChoice(person, threshold=0.7)
    detection = choose_person("a.jpg", [faint, LARGE], SIZE, choice)
    assert detection.found_pose is not None
    assert detection.found_pose.pose[0].tolist() == LARGE.joints_xyv[0, 1::-1].tolist()
