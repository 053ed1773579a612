"""Lists of numbers from files that strangers send."""

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError

MAX_COORDINATE = 1e6


def finite_numbers(values: object) -> npt.NDArray[np.float64]:
    """A list of numbers that can be keypoints.

    Returns:
        (N,) float.

    Raises:
        InputError: no list, something else than numbers in it, or one that no pixel has.
    """
    if not isinstance(values, list):
        raise InputError("the keypoints are not a list")
    if any(type(value) not in (int, float) for value in values):
        raise InputError("the keypoints are not all numbers")
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError as error:
        raise InputError("a keypoint is too large to be a pixel") from error
    if not np.isfinite(array).all() or np.abs(array).max(initial=0) > MAX_COORDINATE:
        raise InputError("a keypoint is not finite, or too large to be a pixel")
    return array
