"""Room for a target pose in the network's image."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dptn_cli.enums import FramingWarning
from dptn_cli.keypoints.body import ANKLES, ARMS, KNEES, NOSE_AND_EYES, Body, Point
from dptn_cli.keypoints.crop import HAND_ROOM
from dptn_cli.keypoints.joints import HIPS
from dptn_cli.keypoints.network_grid import present_joints, with_missing
from dptn_cli.types import MISSING, Pose, Size

# Kept free above the crown and below the soles, in shares of the height. Training images have
# more, so that a pose which is a little taller than the source person need not move.
MIN_MARGIN_SHARE = 0.025
MIN_SCALE_FOR_ARMS = 0.7  # at which a standing person's spread arms fit into 256x176
# By part of the body: joints of which the source has to show at least one of each group.
_PARTS = {
    FramingWarning.NO_LEGS: (KNEES, ANKLES),
    FramingWarning.NO_ARMS: (ARMS,),
    FramingWarning.NO_FACE: (NOSE_AND_EYES,),
}
DECIMALS = 3  # so that the last bit of a product does not push a coordinate below a whole pixel


def fit_into_frame(target: Pose, source: Pose, size: Size) -> Pose:
    """Move a pose into the image, and make it smaller if it is too large for it.

    A standing target of a crouching source is taller than the source's crop, and spread arms are
    wider. The pose is scaled about its crown and then moved, both only as far as it takes to bring
    head, feet and hands inside. Parts of the body that the source does not show may leave the
    image: if the source is cut off at the hips, the legs of the target run out below. Hands leave
    it too, if the body would have to shrink to less than `MIN_SCALE_FOR_ARMS` for them.

    Args:
        target: (18, 2) as (y, x), pixels of the network's image on disk; missing: -1. Not empty.
        source: (18, 2) as (y, x), pixels of the same image; missing: -1. Not empty.
        size: (height, width) of the image, pixels.

    Returns:
        (18, 2) as (y, x). A pose that is inside does not change, and neither does one that reaches
        no farther out than the source.
    """
    body = Body(_without_hidden_legs(target, source))
    whole, trunk, frame = _whole_extent(body), _trunk_extent(body), _frame_around(source, size)
    anchor = np.clip(body.crown, 0, size)
    scale = max(frame.scale_for(whole), MIN_SCALE_FOR_ARMS * frame.scale_for(trunk))
    shift = frame.shift_for(whole.scaled(anchor, scale))
    shift += frame.shift_for(trunk.scaled(anchor, scale).moved(shift))
    if scale == 1 and not shift.any():
        return target
    missing = ~present_joints(target)
    placed: Pose = np.round(anchor + (target - anchor) * scale + shift, DECIMALS)
    return with_missing(placed, missing)


@dataclass(frozen=True)
class _Extent:
    """An upright rectangle.

    Attributes:
        low: (y, x) of its upper left corner.
        high: (y, x) of its lower right corner.
    """

    low: Point
    high: Point

    def scaled(self, anchor: Point, scale: float) -> "_Extent":
        """Return the rectangle scaled about a point."""
        return _Extent(anchor + (self.low - anchor) * scale, anchor + (self.high - anchor) * scale)

    def moved(self, shift: Point) -> "_Extent":
        """Return the rectangle moved by (y, x)."""
        return _Extent(self.low + shift, self.high + shift)

    def scale_for(self, content: "_Extent") -> float:
        """Return the factor, at most 1, at which something fits into this rectangle."""
        sides = np.maximum(content.high - content.low, 1e-9)
        return min(1.0, float(((self.high - self.low) / sides).min()))

    def shift_for(self, content: "_Extent") -> Point:
        """Return by how much (y, x) to move something to have it inside, if it fits."""
        return np.asarray(
            np.maximum(self.low - content.low, 0) + np.minimum(self.high - content.high, 0)
        )


def _frame_around(source: Pose, size: Size) -> _Extent:
    """Return where a target may be: in the image, and as far outside as the source reaches."""
    source_room = _whole_extent(Body(source))
    margins = np.array([MIN_MARGIN_SHARE * size[0], 0.0])
    # In coordinates of joints, the image reaches from -0.5 to its size minus 0.5.
    return _Extent(
        np.minimum(margins - 0.5, source_room.low),
        np.maximum(np.array(size) - 0.5 - margins, source_room.high),
    )


def _whole_extent(body: Body) -> _Extent:
    """Return how far a body reaches, hands included."""
    room = HAND_ROOM * body.torso
    trunk = _trunk_extent(body)
    return _Extent(
        np.minimum(body.joints.min(axis=0) - room, trunk.low),
        np.maximum(body.joints.max(axis=0) + room, trunk.high),
    )


def _trunk_extent(body: Body) -> _Extent:
    """Return how far a body reaches without its arms, from crown to soles."""
    points = np.vstack([body.without_arms, body.crown])
    if body.has_any(ANKLES):
        points = np.vstack([points, [body.sole, body.trunk_centre]])
    return _Extent(points.min(axis=0), points.max(axis=0))


def _without_hidden_legs(target: Pose, source: Pose) -> Pose:
    """Return the target without the hips and parts of its legs that the source does not show."""
    source_body, shown = Body(source), target.copy()
    if not source_body.has_any(ANKLES):
        shown[ANKLES] = MISSING
        if not source_body.has_any(KNEES):
            shown[KNEES] = MISSING
            if not source_body.has_any(HIPS):
                shown[HIPS] = MISSING
    return shown if present_joints(shown).any() else target


def parts_not_shown(target: Pose, source: Pose) -> Iterator[FramingWarning]:
    """Yield the parts of the body that a target needs and its source does not show.

    Args:
        target: (18, 2) as (y, x); missing: -1.
        source: (18, 2) as (y, x); missing: -1.
    """
    wanted, given = (present_joints(pose) for pose in (target, source))
    for warning, groups in _PARTS.items():
        if any(wanted[joints].any() and not given[joints].any() for joints in groups):
            yield warning
