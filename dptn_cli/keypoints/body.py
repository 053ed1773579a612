"""The proportions of a body: how large it is and where it ends, as far as its joints tell.

The proportions hold for adults and for the drawn figures alike. They are in torso lengths, from the
neck to the middle of the hips.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dptn_cli.keypoints.joints import HIPS, NECK, SHOULDERS
from dptn_cli.keypoints.network_grid import present_joints
from dptn_cli.types import JOINTS, Pose

CROWN_ABOVE_NECK = 0.65
CROWN_ABOVE_FACE = 0.29  # above the mean of nose, eyes and ears
SOLE_BELOW_ANKLE = 0.16
THIGH = SHIN = 0.79
TORSO_PER_SHOULDERS = 1.2
# A person who bends over has a foreshortened torso, so it counts as no shorter than this share of
# the joints' height.
MIN_TORSO_PER_HEIGHT = 0.25
LYING_SLOPE = 0.7  # of a trunk: height per width, below which somebody lies (35 degrees)

NOSE_AND_EYES, EARS = [0, 14, 15], [16, 17]
FACE = [*NOSE_AND_EYES, *EARS]
ARMS = [3, 4, 6, 7]  # elbows and wrists
KNEES = [9, 12]
ANKLES = [10, 13]
BELOW_HIPS = [*KNEES, *ANKLES]
_LEGS = ((HIPS[0], KNEES[0], ANKLES[0]), (HIPS[1], KNEES[1], ANKLES[1]))
_IS_ARM = np.isin(np.arange(JOINTS), ARMS)

Mask: TypeAlias = npt.NDArray[np.bool_]
"""(18,), True where a joint is present."""
Point: TypeAlias = npt.NDArray[np.float64]
"""(2,) as (y, x)."""


@dataclass(frozen=True)
class Body:
    """A pose as a body with a head and feet.

    Attributes:
        pose: (18, 2) as (y, x), in any unit that is the same along both axes; missing: -1. At least
            one joint is present.
    """

    pose: Pose

    @cached_property
    def present(self) -> Mask:
        """(18,), True where a joint is present."""
        return present_joints(self.pose)

    def has_any(self, joints: list[int]) -> bool:
        """Return whether any of these joints is present."""
        return bool(self.present[joints].any())

    def mean_of(self, joints: list[int]) -> Point | None:
        """Return the mean (y, x) of those of these joints that are present; None if none is."""
        present = [joint for joint in joints if self.present[joint]]
        return np.asarray(self.pose[present].mean(axis=0)) if present else None

    @cached_property
    def joints(self) -> Pose:
        """(N, 2) as (y, x), the joints that are present."""
        return self.pose[self.present]

    @cached_property
    def without_arms(self) -> Pose:
        """(N, 2) as (y, x), the joints but elbows and wrists, unless there are no others."""
        body = self.present & ~_IS_ARM
        return self.pose[body if body.any() else self.present]

    @cached_property
    def neck(self) -> Point | None:
        """The neck, else what there is of the shoulders; None without them."""
        return self.mean_of([NECK]) if self.present[NECK] else self.mean_of(SHOULDERS)

    @cached_property
    def torso(self) -> float:
        """Length from neck to mid hip, estimated if they are missing or foreshortened."""
        shortest = MIN_TORSO_PER_HEIGHT * float(np.ptp(self.joints[:, 0]))
        hips = self.mean_of(HIPS)
        if self.neck is not None and hips is not None:
            return max(shortest, float(np.linalg.norm(hips - self.neck)))
        if self.present[SHOULDERS].all():
            right, left = self.pose[SHOULDERS]
            return max(shortest, TORSO_PER_SHOULDERS * float(np.linalg.norm(right - left)))
        if legs := self._torsos_by_legs():
            return max(shortest, max(legs))
        face = self.mean_of(FACE)
        if self.neck is not None and face is not None:
            neck_to_face = float(np.linalg.norm(face - self.neck))
            return max(shortest, neck_to_face / (CROWN_ABOVE_NECK - CROWN_ABOVE_FACE))
        return max(shortest, 1.0)

    def _torsos_by_legs(self) -> list[float]:
        """Return an estimate of the torso's length for each thigh and shin that is present."""
        bones = [bone for hip, knee, ankle in _LEGS for bone in ((hip, knee), (knee, ankle))]
        return [
            float(np.linalg.norm(self.pose[start] - self.pose[end])) / THIGH
            for start, end in bones
            if self.present[start] and self.present[end]
        ]

    @cached_property
    def trunk_direction(self) -> Point:
        """Unit vector (y, x) from the hips to the neck; straight up if either is missing."""
        hips = self.mean_of(HIPS)
        if self.neck is None or hips is None:
            return np.array([-1.0, 0.0])
        return _unit(self.neck - hips)

    @cached_property
    def crown(self) -> Point:
        """The top of the head, as (y, x): by the face, else the neck, else the rest of the body."""
        face = self.mean_of(FACE)
        if face is not None:
            # In profile, the face is in front of the neck, and the ears are above it.
            ears = self.mean_of(EARS)
            top = face if ears is None else ears
            up = self.trunk_direction if self.neck is None else _unit(top - self.neck)
            return np.asarray(face + CROWN_ABOVE_FACE * self.torso * up)
        if self.neck is not None:
            return np.asarray(self.neck + CROWN_ABOVE_NECK * self.torso * self.trunk_direction)
        highest = self.mean_of(HIPS)
        up_torsos = CROWN_ABOVE_NECK + 1
        if highest is None:
            knees = self.mean_of(KNEES)
            up_torsos += THIGH if knees is not None else THIGH + SHIN
            highest = knees if knees is not None else self.joints[self.joints[:, 0].argmin()]
        return np.array([highest[0] - up_torsos * self.torso, highest[1]])

    @cached_property
    def sole(self) -> float:
        """The y of the lower sole if an ankle is present, else just below the lowest joint."""
        return float(self.without_arms[:, 0].max()) + SOLE_BELOW_ANKLE * self.torso

    @cached_property
    def min_bottom(self) -> float:
        """The y that the body reaches at least: a leg goes on as far as its next, missing joint."""
        lowest = self.mean_of(KNEES) if self.has_any(KNEES) else self.mean_of(HIPS)
        if self.has_any(ANKLES):
            return self.sole
        if lowest is not None:
            return max(self.sole, float(lowest[0]) + THIGH * self.torso)
        start = self.crown[0] + CROWN_ABOVE_NECK * self.torso if self.neck is None else self.neck[0]
        return max(self.sole, float(start) + self.torso)

    @cached_property
    def trunk_centre(self) -> float:
        """The x midway between neck and hips, or the best that the joints allow."""
        parts = (self.mean_of(part) for part in ([NECK], HIPS))
        xs = [float(part[1]) for part in parts if part is not None]
        return float(np.mean(xs)) if xs else float(self.joints[:, 1].mean())

    @cached_property
    def is_lying(self) -> bool:
        """Whether the trunk is within 35 degrees of horizontal, and the body wider than tall."""
        if self.neck is None or not self.has_any(HIPS):
            return False
        up, right = self.trunk_direction
        extent = np.ptp(np.vstack([self.without_arms, self.crown]), axis=0)
        return bool(abs(up) < LYING_SLOPE * abs(right) and extent[0] < extent[1])

    @property
    def shows_legs(self) -> bool:
        """Whether a knee or an ankle is present."""
        return self.has_any(BELOW_HIPS)

    @cached_property
    def is_upside_down(self) -> bool:
        """Whether the neck is below the hips and the legs, if they show, are not."""
        hips, legs = self.mean_of(HIPS), self.mean_of(BELOW_HIPS)
        if self.neck is None or hips is None or self.is_lying:
            return False
        return bool(self.neck[0] > hips[0]) and (legs is None or bool(legs[0] < hips[0]))

    @cached_property
    def length(self) -> float:
        """From crown to soles, or from side to side of somebody who lies."""
        points = np.vstack([self.without_arms, self.crown, (self.sole, self.crown[1])])
        return float(np.ptp(points, axis=0).max() if self.is_lying else np.ptp(points[:, 0]))


def _unit(vector: Point) -> Point:
    length = float(np.linalg.norm(vector))
    return vector / length if length else np.array([-1.0, 0.0])
