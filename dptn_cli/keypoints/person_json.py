"""One person's joints in a JSON pose file, in all the shapes that tools write them.

- a flat list: x, y, v, x, y, v, ... (COCO, OpenPose); or x, y, x, y, ...
- a list of lists: [[x, y], ...] or [[x, y, v], ...], the confidences perhaps beside it (mmpose)
- columns: {"x": [...], "y": [...], "visible": [...]} (Ultralytics)
- a list of objects: [{"x": ..., "y": ..., "visibility": ...}, ...] (MediaPipe)
- an object with a point for each name: {"left_shoulder": [x, y, v], ...}

v is a confidence or COCO's flag, and 0 says that the joint is missing. So does `null` or NaN in
place of a coordinate, or the point (0, 0), which Ultralytics writes for joints of a low confidence.
Without a v, so does a negative point.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError
from dptn_cli.keypoints.joints import (
    BLAZEPOSE_ORDER,
    COCO_ORDER,
    HALPE_26_ORDER,
    HALPE_136_ORDER,
    WHOLE_BODY_ORDER,
    Confidence,
    JointOrder,
    joint_of_name,
    named_order,
)
from dptn_cli.types import Pose, Size

MAX_COORDINATE_PX = 1e6
MAX_FRACTION = 2.0  # a joint beyond the image may have a fraction above 1
FRACTIONS_SHARE = 0.8  # of the joints; detectors put single ones far outside
MIN_CANVAS_PX = 3  # a smaller one says only that coordinates are fractions

KEYPOINTS_KEYS = ("keypoints", "landmarks", "pose_landmarks", "poseLandmarks", "landmark")
SCORES_KEYS = ("keypoint_scores", "keypoints_scores", "keypoints_score", "scores")
# In lower case. MediaPipe has both `visibility` and `presence`.
_VISIBILITY_KEYS = (
    "visible", "visibility", "v", "confidence", "score", "c", "conf", "likelihood", "presence",
    "probability", "prob", "vis",
)  # fmt: skip
_NAME_KEYS = ("name", "label", "part", "joint", "keypoint", "type", "body_part", "id")
_NAMES_KEYS = ("keypoint_names", "keypoints_names", "joint_names")
# Lists of joints without names, by their length. COCO's 17 come first in all but MediaPipe's.
ORDERS = (COCO_ORDER, HALPE_26_ORDER, BLAZEPOSE_ORDER, WHOLE_BODY_ORDER, HALPE_136_ORDER)

Joints = npt.NDArray[np.float64]
"""(J, 3) as (x, y, v), in the order of the file."""


def keypoints_of(entry: Mapping[str, Any]) -> object:
    """Return what an entry has for keypoints, or None if it has none."""
    values = next((entry[key] for key in KEYPOINTS_KEYS if entry.get(key)), None)
    if isinstance(values, dict) and isinstance(values.get("landmark"), list):
        values = values["landmark"]  # MediaPipe's message as an object
    if isinstance(values, list) and len(values) == 1 and isinstance(values[0], list | dict):
        return values[0] or None  # a batch of one
    return values or None


def scores_of(entry: Mapping[str, Any]) -> list[Any] | None:
    """Return the confidences that an entry has beside its keypoints, or None."""
    return next((entry[key] for key in SCORES_KEYS if isinstance(entry.get(key), list)), None)


def parse_person(
    entry: Mapping[str, Any], order: JointOrder | None, canvas: Size | None
) -> tuple[Pose, Confidence]:
    """Read the joints of a person's entry.

    Args:
        entry: the person; `keypoints_of` is not None.
        order: the order of the joints; None to tell it by names in the entry, or by their number.
        canvas: (height, width) of the image, pixels; None if the file does not say.

    Returns:
        The pose (18, 2) as (y, x) in pixels, and the confidences (18,).

    Raises:
        InputError: the joints are not numbers or have an unknown number, or are fractions of an
            image of unknown size.
    """
    scores = scores_of(entry)
    if scores and len(scores) == 1 and isinstance(scores[0], list):
        scores = scores[0]  # a batch of one, as in `keypoints_of`
    names = next((entry[key] for key in _NAMES_KEYS if isinstance(entry.get(key), list)), None)
    if names:
        order = _known_order(list(map(str, names)))
    return parse_joints(keypoints_of(entry), (order,) if order else ORDERS, canvas, scores)


def parse_joints(
    values: object,
    orders: Sequence[JointOrder],
    canvas: Size | None = None,
    scores: object = None,
) -> tuple[Pose, Confidence]:
    """Read joints of any shape; see `parse_person`.

    Args:
        values: the joints, as they stand in the file.
        orders: the orders that they may have, each of another length.
        canvas: (height, width) of the image, pixels; None if the file does not say.
        scores: the confidences, if they stand apart from the joints.
    """
    names, rows = _named_rows(values)
    if names:
        order = _known_order(names)
        joints_xyv = _from_rows(rows, scores)
    else:
        joints_xyv = _from_rows(rows, scores) if rows else _from_flat(values, orders, scores)
        order = _order_of_length(len(joints_xyv), orders)
    return order.to_pose(_to_pixels(joints_xyv, canvas))


def _known_order(names: Sequence[str]) -> JointOrder:
    order = named_order(names)
    if order is None:
        raise InputError(f"the joints are named {list_names(names)}: too few of them are known")
    return order


def _order_of_length(length: int, orders: Sequence[JointOrder]) -> JointOrder:
    for order in orders:
        if order.length == length:
            return order
    raise InputError(f"expected {_lengths(orders)} joints, found {length}")


def _lengths(orders: Sequence[JointOrder]) -> str:
    lengths = sorted(order.length for order in orders)
    return " or ".join(filter(None, (", ".join(map(str, lengths[:-1])), str(lengths[-1]))))


def _named_rows(values: object) -> tuple[list[str], list[list[object]]]:
    """Return the names of the joints, if they have any, and a row of numbers for each joint."""
    if isinstance(values, dict):
        if isinstance(values.get("x"), list) and isinstance(values.get("y"), list):
            return [], _from_columns(values)
        points = list(values.values())
        if points and all(isinstance(point, list) for point in points):
            return list(map(str, values)), points
        if points and all(isinstance(point, dict) for point in points):
            return list(map(str, values)), _rows_of(points)
        raise InputError("the keypoints are an object without joints")
    if not isinstance(values, list):
        raise InputError("the keypoints are not a list")
    if values and all(isinstance(point, list) for point in values):
        return [], values
    if values and all(isinstance(point, dict) for point in values):
        return _names_of(values), _rows_of(values)
    return [], []


def _names_of(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of joints, whichever key they are under; empty if there are none.

    Of several texts beside a point, the one that names the most joints is taken.
    """
    keys = list(dict.fromkeys(k for point in points for k in point if isinstance(point[k], str)))
    keys.sort(key=lambda key: key not in _NAME_KEYS)  # a tie goes to these
    named = [[str(point.get(key, "")) for point in points] for key in keys]
    known = [len({*map(joint_of_name, names)} - {""}) for names in named]
    if any(known):
        return named[known.index(max(known))]
    names = [next((p[k] for k in _NAME_KEYS if isinstance(p.get(k), str)), "") for p in points]
    return names if any(names) else []


def _visibility_in(values: Mapping[str, Any]) -> object:
    """Return the visibility or confidence in a point, or the column of them; None if absent."""
    given = {key.lower(): value for key, value in values.items() if value not in (None, [])}
    return next((given[key] for key in _VISIBILITY_KEYS if key in given), None)


def _from_columns(values: Mapping[str, Any]) -> list[list[object]]:
    columns = [values["x"], values["y"]]
    visible = _visibility_in(values)
    if isinstance(visible, list):
        columns.append(visible)
    if len({len(column) for column in columns}) != 1:
        raise InputError("the keypoints have lists of different lengths for x, y and visibility")
    return [list(row) for row in zip(*columns, strict=True)]


def _rows_of(points: Sequence[Mapping[str, Any]]) -> list[list[object]]:
    """Return x, y and, if any point has one, the confidence of each point."""
    if not all("x" in point and "y" in point for point in points):
        raise InputError("a joint has no x and y")
    visible = [_visibility_in(point) for point in points]
    if all(value is None for value in visible):
        return [[point["x"], point["y"]] for point in points]
    return [[p["x"], p["y"], value] for p, value in zip(points, visible, strict=True)]


def _from_rows(rows: Sequence[Sequence[object]], scores: object) -> Joints:
    widths = {len(row) for row in rows}
    if len(widths) != 1 or not widths <= {2, 3, 4}:
        raise InputError("the joints are not [x, y] or [x, y, confidence] each")
    numbers = parse_numbers([value for row in rows for value in row]).reshape(len(rows), -1)
    if isinstance(scores, list):
        return _with_scores(numbers[:, :2], scores)
    if numbers.shape[1] == 2:
        return _without_scores(numbers)
    _check_confidences(numbers)
    return _clean(numbers[:, [0, 1, -1]])


def _check_confidences(numbers: Joints) -> None:
    """Refuse rows that are not x, y, perhaps z, and a confidence."""
    negative = numbers[numbers[:, 2] < 0, :2]
    # A joint at (0, 0) is missing anyway.
    if numbers.shape[1] == 3 and ((negative >= 0).all(axis=1) & negative.any(axis=1)).any():
        raise InputError("the third number of a joint is below 0, so it is no confidence")
    if len(numbers) > 3 and np.array_equal(numbers[:, 0], np.arange(len(numbers))):
        raise InputError("the first number of each joint counts the joints: it is not an x")


def _from_flat(values: object, orders: Sequence[JointOrder], scores: object) -> Joints:
    numbers = parse_numbers(values)
    lengths = [order.length for order in orders]
    if isinstance(scores, list) and len(numbers) == 2 * len(scores):
        return _with_scores(numbers.reshape(-1, 2), scores)
    if len(numbers) in [3 * length for length in lengths]:
        joints_xyv = numbers.reshape(-1, 3)
        _check_confidences(joints_xyv)
        return _clean(joints_xyv)
    if len(numbers) in [2 * length for length in lengths]:
        return _without_scores(numbers.reshape(-1, 2))
    raise InputError(
        f"expected 3 numbers for each of {_lengths(orders)} joints, found {len(numbers)} numbers"
    )


def _with_scores(points_xy: npt.NDArray[np.float64], scores: Sequence[object]) -> Joints:
    confidences = parse_numbers([s[0] if isinstance(s, list) and s else s for s in scores])
    if len(confidences) != len(points_xy):
        raise InputError(f"{len(points_xy)} joints, but {len(confidences)} confidences")
    return _clean(np.column_stack([points_xy, confidences]))


def _without_scores(points_xy: npt.NDArray[np.float64]) -> Joints:
    is_missing = (points_xy < 0).all(axis=1)
    return _clean(np.column_stack([points_xy, np.where(is_missing, 0.0, 1.0)]))


def _clean(joints_xyv: Joints) -> Joints:
    """Mark joints without coordinates as missing, and refuse impossible coordinates."""
    joints_xyv = joints_xyv.copy()
    points_xy = joints_xyv[:, :2]
    is_missing = np.isnan(points_xy).any(axis=1) | (points_xy == 0).all(axis=1)
    is_missing |= joints_xyv[:, 2] <= 0
    joints_xyv[is_missing] = 0
    if np.isnan(joints_xyv[:, 2]).any():
        raise InputError("a joint has coordinates, but no number for its confidence")
    check_coordinates(joints_xyv)
    return joints_xyv


def _to_pixels(joints_xyv: Joints, canvas: Size | None) -> Joints:
    present_xy = joints_xyv[joints_xyv[:, 2] > 0, :2]
    if not are_fractions(present_xy):
        return joints_xyv
    if (present_xy < -0.1).mean() > 1 - FRACTIONS_SHARE:
        raise InputError("the keypoints are from -1 to 1; convert them to pixels")
    if canvas is None or min(canvas) < MIN_CANVAS_PX:
        raise InputError(
            "the keypoints are fractions of an image whose size the file does not state; "
            "convert them to pixels"
        )
    height, width = canvas
    return joints_xyv * (width, height, 1)


def are_fractions(points: npt.NDArray[np.float64]) -> bool:
    """Return whether points (N, 2) are fractions of an image's sides instead of pixels."""
    is_fraction = (np.abs(points) <= MAX_FRACTION).all(axis=1)
    return len(points) >= 3 and bool(is_fraction.mean() >= FRACTIONS_SHARE)


def parse_numbers(values: object) -> npt.NDArray[np.float64]:
    """Convert a list from a JSON file to an array.

    Returns:
        (N,) float64; NaN where the file has `null` or NaN.

    Raises:
        InputError: `values` is not a list, or holds anything but numbers.
    """
    if not isinstance(values, list):
        raise InputError("the keypoints are not a list")
    numbers = [math.nan if value is None else value for value in values]
    if any(type(number) not in (int, float) for number in numbers):  # bool is an int to isinstance
        raise InputError("the keypoints are not all numbers")
    try:
        return np.array(numbers, np.float64)
    except OverflowError as error:
        raise InputError("a keypoint is too large to be a pixel") from error


def check_coordinates(numbers: npt.NDArray[np.float64]) -> None:
    """Make sure that numbers can be pixel coordinates.

    Raises:
        InputError: a number is not finite, or beyond `MAX_COORDINATE_PX`.
    """
    if not np.isfinite(numbers).all() or np.abs(numbers).max(initial=0) > MAX_COORDINATE_PX:
        raise InputError("a keypoint is not finite, or too large to be a pixel")


def list_names(names: Sequence[str]) -> str:
    """Return the first few names of joints, for messages."""
    return ", ".join(names[:6])[:100] + (", ..." if len(names) > 6 else "")
