"""The crop around a person: which part of an image the network sees.

The network does best on people framed as in its training images. There, in shares of the image's
height, a person reaches from 0.055 (crown) to 0.953 (soles), and the midpoint between neck and
hips is at half the width. These shares were measured on 300 of the figures that
`examples/figures` draws, which stand as people do in DeepFashion's full-length images.
"""

from dataclasses import dataclass, replace

import numpy as np

from dptn_cli.enums import Fit
from dptn_cli.errors import InputError
from dptn_cli.keypoints.body import ANKLES, SOLE_BELOW_ANKLE, Body
from dptn_cli.keypoints.network_grid import present_joints, with_missing
from dptn_cli.types import Crop, Pose, Size

# Where a person is in a training image, in shares of the image's height; see above.
TOP_SHARE = 0.055  # above the crown
PERSON_SHARE = 0.898  # from crown to soles
# If a crop has to be larger than an upright person needs, the crown may be this far down in it.
MAX_TOP_SHARE = 0.12
HAND_ROOM = 0.1  # torso lengths kept free beyond the outermost joint: a hand reaches past its wrist
# To hold outstretched hands, at most this share of a crop is filled; a smaller one if the image
# cuts the body.
MAX_FILLED_SHARE, MAX_FILLED_SHARE_CUT = 0.25, 0.1

# `Fit.AUTO` does not crop images like those of the training. They have the model's size; or their
# aspect differs by less than this, and the crop around the person is nearly the whole image: what
# both have is at least this share of what either has.
SAME_ASPECT, MIN_IOU = 0.05, 0.8
MIN_JOINTS = 3
MIN_SIDE_PX = 1.0
DECIMALS = 3  # of a crop's edges, pixels
_HALVINGS = 24  # of the interval of heights in which the largest crop is searched


def crop_for(pose: Pose, model_size: Size, image_size: Size, fit: Fit) -> Crop | None:
    """Return the part of an image that the network sees.

    Args:
        pose: (18, 2) as (y, x), the person's pose in pixels of the image; missing: -1.
        model_size: (height, width) of the images that the model was trained on, pixels.
        image_size: (height, width) of the image, pixels.
        fit: how images of other sizes are brought to the model's size.

    Returns:
        The crop, in the model's aspect ratio. None means the whole image, stretched to the
        model's size as the published code does it.

    Raises:
        InputError: the pose has too few joints to crop around.
    """
    relative_aspect = image_size[1] / image_size[0] * model_size[0] / model_size[1]
    has_same_aspect = fit is Fit.AUTO and abs(relative_aspect - 1) <= SAME_ASPECT
    if fit is Fit.STRETCH or (has_same_aspect and image_size == model_size):
        return None
    if fit is Fit.PAD:
        crop = _padded_crop(image_size, model_size)
    else:
        try:
            crop = person_crop(pose, model_size, image_size)
        except InputError:  # too few joints
            if has_same_aspect:
                return None
            raise
    is_whole = has_same_aspect and _iou(crop, image_size) >= MIN_IOU
    return None if is_whole or crop == Crop(0, 0, *image_size) else crop


def _padded_crop(image_size: Size, model_size: Size) -> Crop:
    """Return the smallest crop in the model's aspect with the whole image in its middle."""
    height, width = image_size
    crop_height = max(height, width * model_size[0] / model_size[1])
    crop_width = max(width, height * model_size[1] / model_size[0])
    return Crop((height - crop_height) / 2, (width - crop_width) / 2, crop_height, crop_width)


def person_crop(pose: Pose, model_size: Size, image_size: Size | None = None) -> Crop:
    """Return a crop in the model's aspect that frames a person as training images do.

    The crop leaves no room for legs that are not visible: a half-length image stays one. With the
    image's size, a body that the image cuts off ends at the edge of the crop, and the crop lies
    inside the image as far as it still holds the person.

    Args:
        pose: (18, 2) as (y, x), pixels of the image; missing: -1.
        model_size: (height, width) of the images that the model was trained on, pixels.
        image_size: (height, width) of the image, pixels; None if it is not known.

    Returns:
        The crop, in pixels of the image. It may reach beyond the image.

    Raises:
        InputError: the pose has fewer than `MIN_JOINTS` joints, or all in one place.
    """
    present = present_joints(pose)
    if present.sum() < MIN_JOINTS:
        raise InputError(
            f"{present.sum()} joints are too few to crop around a person; "
            "use the whole image with --fit pad or --fit stretch"
        )
    if not np.ptp(pose[present], axis=0).any():
        raise InputError("the joints are all in one place: there is no person to crop around")
    # A joint's coordinate 0 is the centre of the first pixel, a crop's 0 the edge before it.
    body = Body(with_missing(pose + 0.5, ~present))
    room, aspect = _needed_room(body, image_size), model_size[1] / model_size[0]
    top, left, height = _Framer(room, aspect, image_size).place()
    if image_size and not body.has_any(ANKLES) and top + height > image_size[0]:
        # Nothing says where the body ends, so the image cuts it.
        cut = replace(room, bottom=float(image_size[0]), is_cut_below=True)
        top, left, height = _Framer(cut, aspect, image_size).place()
    return Crop(
        top=round(top, DECIMALS),
        left=round(left, DECIMALS),
        height=round(height, DECIMALS),
        width=round(height * aspect, DECIMALS),
    )


def filled_share(crop: Crop, image_size: Size) -> float:
    """Return the share of a crop, 0 to 1, that lies outside an image and has to be filled.

    Args:
        crop: the crop, pixels of the image.
        image_size: (height, width) of the image, pixels.
    """
    height = min(crop.top + crop.height, image_size[0]) - max(crop.top, 0)
    width = min(crop.left + crop.width, image_size[1]) - max(crop.left, 0)
    return max(0.0, 1 - max(height, 0) * max(width, 0) / (crop.height * crop.width))


def _iou(crop: Crop, image_size: Size) -> float:
    """Return the intersection of a crop and its image over their union, 0 to 1."""
    crop_area, image_area = crop.height * crop.width, image_size[0] * image_size[1]
    common = (1 - filled_share(crop, image_size)) * crop_area
    return common / (crop_area + image_area - common)


@dataclass(frozen=True)
class _Room:
    """What a crop around a person has to hold. All in pixels of the image; 0 is its outer edge.

    Attributes:
        crown: y of the top of the head.
        top: y of what has to be in the crop without a margin: a raised hand, for instance.
        bottom: y of the lower end: the soles with the usual margin, or the edge that cuts the body.
        body_x: from and to which x the body reaches, without its arms.
        reach_x: the same with its arms.
        centre: x of the trunk.
        is_cut_above: whether the image cuts the head off.
        is_cut_below: whether the image cuts the body off below.
        max_top_share: the largest share of the frame that may be above the crown.
    """

    crown: float
    top: float
    bottom: float
    body_x: tuple[float, float]
    reach_x: tuple[float, float]
    centre: float
    is_cut_above: bool = False
    is_cut_below: bool = False
    max_top_share: float = MAX_TOP_SHARE


def _needed_room(body: Body, image_size: Size | None) -> _Room:
    """Return what a crop around a body has to hold."""
    room_px = HAND_ROOM * body.torso
    ends = np.vstack([body.without_arms, body.crown])
    crown, sole = float(ends[:, 0].min()), body.sole
    body_xs, reach_xs = ends[:, 1], np.append(body.joints[:, 1], body.crown[1])
    # The crown and the soles are to have the usual margins.
    margin = (1 - PERSON_SHARE - TOP_SHARE) * (sole - crown) / PERSON_SHARE
    bottom = max(sole + margin, float(body.joints[:, 0].max()) + room_px)
    room = _Room(
        crown=crown,
        top=min(crown, float(body.joints[:, 0].min()) - room_px),
        bottom=bottom,
        body_x=(float(body_xs.min()), float(body_xs.max())),
        reach_x=(float(reach_xs.min()) - room_px, float(reach_xs.max()) + room_px),
        centre=body.trunk_centre,
        max_top_share=1.0 if body.is_lying else MAX_TOP_SHARE,
    )
    return room if image_size is None else _cut_room(room, body, image_size)


def _cut_room(room: _Room, body: Body, image_size: Size) -> _Room:
    """End what has to be held at the image's edges, where they cut the body off."""
    height, width = image_size
    goes_on_to = min(body.min_bottom, float(height))  # legs that are not marked, down to the edge
    is_cut_above = room.crown < 0
    # Where the soles are is an estimate, so half of the feet may seem to be outside.
    doubt_px = SOLE_BELOW_ANKLE / 2 * body.torso if body.has_any(ANKLES) else 0.0
    is_cut_below = body.min_bottom - doubt_px > height
    return replace(
        room,
        crown=max(room.crown, 0.0),
        top=max(room.top, 0.0),
        bottom=float(height) if is_cut_below else max(room.bottom, goes_on_to),
        body_x=_inside(room.body_x, width),
        reach_x=_inside(room.reach_x, width),
        centre=min(max(room.centre, 0.0), float(width)),
        is_cut_above=is_cut_above,
        is_cut_below=is_cut_below,
    )


def _inside(interval: tuple[float, float], end: float) -> tuple[float, float]:
    """Return the part of an interval that lies between 0 and `end`, or its nearest end."""
    low, high = (min(max(edge, 0.0), float(end)) for edge in interval)
    return low, high


@dataclass(frozen=True)
class _Framer:
    """Finds the frame for what has to be held.

    Attributes:
        room: what has to be held.
        aspect: width divided by height.
        image_size: (height, width) of the image, pixels; None if it is not known.
    """

    room: _Room
    aspect: float
    image_size: Size | None

    def place(self) -> tuple[float, float, float]:
        """Return the top, the left edge and the height of the frame."""
        return self._place(self._choose_height())

    def _choose_height(self) -> float:
        """Return the height of the frame.

        The frame grows until it holds the arms too, because a hand outside it would be lost. But if
        too much of it had to be filled, the hands stay outside.
        """
        is_cut = self.room.is_cut_above or self.room.is_cut_below
        max_filled = MAX_FILLED_SHARE_CUT if is_cut else MAX_FILLED_SHARE
        body_height = max(
            self._margined_height(),
            _length(self.room.body_x) / self.aspect,
            MIN_SIDE_PX / min(1, self.aspect),
        )
        height = max(body_height, _length(self.room.reach_x) / self.aspect)
        if self.image_size is None or self._filled_share(height) <= max_filled:
            return height
        low, high = body_height, height
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if self._filled_share(middle) <= max_filled:
                low = middle
            else:
                high = middle
        return low

    def _place(self, height: float) -> tuple[float, float, float]:
        """Return the top, the left edge and the height of a frame of some height."""
        return self._top(height), self._left(height * self.aspect), height

    def _margined_height(self) -> float:
        """Return the height at which the crown has its margin above, and nothing stands out."""
        room = self.room
        crown_height = room.bottom - room.crown
        if not room.is_cut_above:
            crown_height /= 1 - TOP_SHARE
        return max(crown_height, room.bottom - room.top)

    def _top(self, height: float) -> float:
        """Return the top of a frame, so that as little as possible has to be filled."""
        room = self.room
        # The smallest top still holds the feet, the largest leaves the crown its margin.
        low_end = room.bottom - height
        top_share = 0.0 if room.is_cut_above else TOP_SHARE
        high_end = max(low_end, min(room.crown - top_share * height, room.top))
        if self.image_size is None:
            return high_end
        if room.is_cut_below:  # the frame ends where the body does
            return low_end if not room.is_cut_above else low_end / 2
        if room.is_cut_above:
            return high_end
        inside = _hold(high_end, height, (0.0, self.image_size[0]))
        # Up, if there is more image above than below, but not so that the head gets too low.
        return max(
            min(high_end, inside), low_end, min(high_end, room.crown - room.max_top_share * height)
        )

    def _left(self, width: float) -> float:
        """Return the left edge: around the trunk, moved as far as the arms and the image ask."""
        left = self.room.centre - width / 2
        left = _hold(left, width, self.room.reach_x)
        if self.image_size is not None:
            left = _hold(left, width, (0.0, self.image_size[1]))
            left = _hold(left, width, self.room.reach_x)
        return _hold(left, width, self.room.body_x)

    def _filled_share(self, height: float) -> float:
        assert self.image_size is not None
        top, left, _ = self._place(height)
        return filled_share(Crop(top, left, height, height * self.aspect), self.image_size)


def _length(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


def _hold(start: float, length: float, interval: tuple[float, float]) -> float:
    """Return where a frame starts after moving it, no farther than needed, to hold an interval.

    A frame that is shorter than the interval is moved inside it.
    """
    ends = (interval[0], interval[1] - length)
    return min(max(start, min(ends)), max(ends))
