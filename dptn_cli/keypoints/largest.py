"""Which of several people in an image is the largest."""

import numpy as np

from dptn_cli.keypoints.network_grid import present_joints
from dptn_cli.types import JOINTS, Pose


def person_size(pose: Pose) -> float:
    """Return how large a person is, to compare with others in the same image.

    It is the area of the box around the joints, times the square of the share of the joints that
    are present. A fragment of a few joints would otherwise win over whole people: those of its
    joints that are wrong lie far apart.

    Args:
        pose: (18, 2) as (y, x), pixels; missing: -1.

    Returns:
        Square pixels; 0 without a joint.
    """
    joints = pose[present_joints(pose)]
    if not len(joints):
        return 0.0
    area = float(np.prod(np.ptp(joints, axis=0) + 1))
    return area * (len(joints) / JOINTS) ** 2


def size_key(pose: Pose) -> tuple[float, tuple[float, ...]]:
    """Return the key for `max` to choose the largest person, whatever the order of people."""
    return person_size(pose), tuple(pose.ravel().tolist())
