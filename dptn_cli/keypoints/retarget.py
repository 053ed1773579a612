"""A target skeleton at the source person's size, place and build."""

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import InputError
from dptn_cli.keypoints.joints import JOINT_NAMES, NECK
from dptn_cli.keypoints.network_grid import with_missing
from dptn_cli.types import MISSING, Pose

MID_HIP = len(JOINT_NAMES)  # a nineteenth joint between the hips
# Grown people's limbs, measured against their height, differ by some 5 %. A limb that differs by
# more than this is not longer or shorter but points towards the camera.
MAX_DIFFERENCE = 1.15
DIGITS = 3  # a coordinate must not fall below a whole pixel by the last bit of a product

HEAD = "head"
# From joint to joint outwards, and which limb's length that is; None: width and face, whose
# lengths change with the view more than with the person.
_BONES: tuple[tuple[int, int, str | None], ...] = (
    (NECK, MID_HIP, "torso"),
    (NECK, 2, None), (2, 3, "upper arm"), (3, 4, "forearm"),
    (NECK, 5, None), (5, 6, "upper arm"), (6, 7, "forearm"),
    (MID_HIP, 8, None), (8, 9, "thigh"), (9, 10, "shin"),
    (MID_HIP, 11, None), (11, 12, "thigh"), (12, 13, "shin"),
    (NECK, 0, HEAD), (NECK, 14, HEAD), (NECK, 15, HEAD), (NECK, 16, HEAD), (NECK, 17, HEAD),
)  # fmt: skip
_PARENTS = {end: (start, limb) for start, end, limb in _BONES}
_ANKLES = [10, 13]
_LIMBS = ("torso", "thigh", "shin", "upper arm", "forearm", HEAD)


def retarget(target: Pose, source: Pose) -> Pose:
    """Bring a target pose to the size, build and place of the person in a source pose.

    The size is the ratio of the limbs' lengths, source to target, in the weighted median over
    limbs: one limb that points towards the camera does not change it. Each limb then takes the
    source's own ratio, but no further than `MAX_DIFFERENCE` from the size: that is how far
    people's builds differ. What differs more is foreshortened in one of the images, and a
    target limb that is short because it points at the camera has to stay short; drawn at the
    source's full length, it would be another pose. Directions are the target's throughout.

    The lowest ankle comes to stand where the source's lowest stands, and the trunk's middle to
    where the source's is. Without ankles in both, the neck or hips keep their height.

    Args:
        target: (18, 2) as (y, x), any unit that is the same along both axes; missing: -1.
        source: likewise, in the pixels that are wanted.

    Returns:
        The target pose in the source's pixels. Neither the target's scale nor its place
        matters; the source's own pose comes back as it is.

    Raises:
        InputError: the two have no limb in common.
    """
    far, near = _with_mid_hip(target), _with_mid_hip(source)
    lengths_far, lengths_near = _lengths(far), _lengths(near)
    lengths_far[HEAD], lengths_near[HEAD] = _head_lengths(far, near)
    known = [limb for limb in _LIMBS if lengths_far.get(limb, 0) > 0 < lengths_near.get(limb, 0)]
    if not known:
        raise InputError("the target pose has no limb in common with the source pose")
    ratios = {limb: lengths_near[limb] / lengths_far[limb] for limb in known}
    size = _weighted_median(ratios, lengths_near)
    allowed = (size / MAX_DIFFERENCE, size * MAX_DIFFERENCE)
    scales = {limb: float(np.clip(ratio, *allowed)) for limb, ratio in ratios.items()}
    grown = _grown(far, scales, size)
    grown += _shift(grown, near)
    placed: Pose = np.round(grown[:MID_HIP], DIGITS)
    return with_missing(placed, ~_known(far)[:MID_HIP])


def _with_mid_hip(pose: Pose) -> Pose:
    """(19, 2); NaN where missing."""
    known = np.where((pose == MISSING).any(axis=1, keepdims=True), np.nan, pose)
    return np.vstack([known, known[[8, 11]].mean(axis=0)])


def _known(joints: Pose) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(joints).all(axis=1))


def _lengths(joints: Pose) -> dict[str, float]:
    """Each limb's length, the longer of left and right: it is the less foreshortened."""
    lengths: dict[str, float] = {}
    for start, end, limb in _BONES:
        length = float(np.linalg.norm(joints[end] - joints[start]))
        if limb and np.isfinite(length):
            lengths[limb] = max(length, lengths.get(limb, 0))
    return lengths


def _head_lengths(*skeletons: Pose) -> list[float]:
    """From the neck to the middle of the ears, or eyes, or to the nose: the same in each."""
    for face in ([16, 17], [14, 15], [0]):
        vectors = [joints[face].mean(axis=0) - joints[NECK] for joints in skeletons]
        lengths = [float(np.linalg.norm(vector)) for vector in vectors]
        if np.isfinite(lengths).all():
            return lengths
    return [0.0 for _ in skeletons]


def _weighted_median(ratios: dict[str, float], weights: dict[str, float]) -> float:
    ordered = sorted(ratios, key=lambda limb: ratios[limb])
    shares = np.cumsum([weights[limb] for limb in ordered])
    return ratios[ordered[int(np.searchsorted(shares, shares[-1] / 2))]]


def _grown(far: Pose, scales: dict[str, float], size: float) -> Pose:
    """The skeleton walked outwards from the neck, each bone at its limb's scale.

    A joint whose own parent is missing hangs on the next one inwards, at the body's scale.
    """
    grown = np.full_like(far, np.nan)
    there = _known(far)
    root = NECK if there[NECK] else int(np.flatnonzero(there)[0])
    grown[root] = 0
    for _, joint, limb in _BONES:
        if there[joint] and joint != root:
            start, _ = _PARENTS[joint]
            scale = scales.get(limb or "", size) if there[start] else size
            while not np.isfinite(grown[start]).all():
                start = _PARENTS[start][0] if start in _PARENTS else root
            grown[joint] = grown[start] + (far[joint] - far[start]) * scale
    return grown


def _shift(grown: Pose, near: Pose) -> npt.NDArray[np.float64]:
    """(y, x) from the walked skeleton to the source's ground line and trunk."""
    ankles = [np.nanmax(joints[_ANKLES, 0], initial=-np.inf) for joints in (grown, near)]
    common = _known(grown) & _known(near)
    trunk = [joint for joint in (NECK, MID_HIP) if common[joint]] or np.flatnonzero(common)
    down, across = np.mean(near[trunk] - grown[trunk], axis=0)
    if np.isfinite(ankles).all():
        down = ankles[1] - ankles[0]
    return np.array([down, across])
