"""Poses of one body in several stances, for the tests of framing: a torso is 100 pixels long."""

import numpy as np

from dptn_cli.keypoints import MIRRORED
from dptn_cli.types import Pose

TORSO = 100.0
FACE, LEGS, ANKLES = [0, 14, 15, 16, 17], [9, 10, 12, 13], [10, 13]

_STANDING: Pose = np.array(
    [
        (-40, 0), (0, 0),
        (0, -38), (55, -45), (105, -45),
        (0, 38), (55, 45), (105, 45),
        (100, -22), (180, -24), (258, -25),
        (100, 22), (180, 24), (258, 25),
        (-46, -8), (-46, 8), (-42, -16), (-42, 16),
    ],
    float,
)  # fmt: skip


def _with(joints: list[int], places: list[tuple[float, float]]) -> Pose:
    pose = _STANDING.copy()
    pose[joints] = places
    return pose


def _lying() -> Pose:
    return _STANDING[:, ::-1].copy()


_ARMS, _ELBOWS_WRISTS = [3, 4], [3, 4, 6, 7]
STANCES = {
    "standing": _STANDING,
    "t-pose": _with(_ELBOWS_WRISTS, [(0, -95), (0, -148), (0, 95), (0, 148)]),
    "arms up": _with(_ELBOWS_WRISTS, [(-50, -55), (-105, -50), (-50, 55), (-105, 50)]),
    "one arm": _with(_ARMS, [(0, -95), (0, -148)]),
    "seated": _with(LEGS, [(110, -40), (188, -40), (110, 40), (188, 40)]),
    "crouching": _with(LEGS, [(75, -60), (140, -40), (75, 60), (140, 40)]),
    "lunge": _with(LEGS, [(120, -80), (195, -90), (130, 60), (195, 120)]),
    "lying": _lying(),
}
UPRIGHT = [name for name in STANCES if name != "lying"]


def stance(name: str, *, scale: float = 1.0, top: float = 0.0, left: float = 0.0) -> Pose:
    """A stance with its neck at (top, left), and torsos of 100 pixels times `scale`."""
    return STANCES[name] * scale + (top, left)


def without(pose: Pose, joints: list[int]) -> Pose:
    """The pose with some joints missing."""
    cut = pose.copy()
    cut[joints] = -1
    return cut


def inside(pose: Pose, height: float, width: float) -> Pose:
    """The pose as it is seen in an image of this size: joints beyond its edges are missing."""
    out = np.any((pose < 0) | (pose >= (height, width)), axis=1)
    return np.where(out[:, None], -1.0, pose)


def mirrored(pose: Pose, width: float) -> Pose:
    """The pose in the mirrored image, with left and right exchanged."""
    flipped = pose[list(MIRRORED)].copy()
    present = (flipped != -1).all(axis=1)
    flipped[present, 1] = width - 1 - flipped[present, 1]
    return flipped
