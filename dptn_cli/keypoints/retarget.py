"""Retarget: a target pose at the size and place of the source person, and with their build."""

import numpy as np
import numpy.typing as npt

from dptn_cli.errors import PoseError
from dptn_cli.keypoints.joints import HIPS, JOINT_NAMES, NECK
from dptn_cli.keypoints.network_grid import with_missing
from dptn_cli.types import MISSING, Pose

MID_HIP = len(JOINT_NAMES)  # index of a nineteenth joint, midway between the hips
# Adults' limb lengths, relative to their height, differ by about 5 %. Where two limbs differ by
# more than this factor, one is not longer: the other points towards or away from the camera.
MAX_BUILD_RATIO = 1.15
DECIMALS = 3  # so that the last bit of a product does not push a coordinate below a whole pixel

HEAD = "head"
# From joint to joint, outwards from the neck, and the limb whose length that is. None: shoulder
# and hip widths, whose lengths change with the view more than with the person.
_BONES: tuple[tuple[int, int, str | None], ...] = (
    (NECK, MID_HIP, "torso"),
    (NECK, 2, None), (2, 3, "upper arm"), (3, 4, "forearm"),
    (NECK, 5, None), (5, 6, "upper arm"), (6, 7, "forearm"),
    (MID_HIP, 8, None), (8, 9, "thigh"), (9, 10, "shin"),
    (MID_HIP, 11, None), (11, 12, "thigh"), (12, 13, "shin"),
    (NECK, 0, HEAD), (NECK, 14, HEAD), (NECK, 15, HEAD), (NECK, 16, HEAD), (NECK, 17, HEAD),
)  # fmt: skip
_PARENTS = {end: start for start, end, _ in _BONES}
_ANKLES = [10, 13]
_LIMBS = ("torso", "thigh", "shin", "upper arm", "forearm", HEAD)


def retarget(target: Pose, source: Pose) -> Pose:
    """Bring a target pose to the size, build and place of the person in a source pose.

    The scale is the weighted median of the limbs' length ratios, source to target, so that one
    limb pointing at the camera does not change it. Each limb is then scaled by its own ratio,
    but by no more than `MAX_BUILD_RATIO` away from that, which is how far people's builds
    differ. A larger difference is foreshortening in one of the images. A target limb that is
    short because it points at the camera has to stay short: at the source's full length, it
    would be another pose. All directions are the target's.

    Vertically, the lowest ankle is aligned with the source's lowest ankle; horizontally, the
    middle of the trunk with the source's. If either pose has no ankles, the trunk is aligned
    both ways.

    Args:
        target: (18, 2) as (y, x), in any unit that is the same along both axes; missing: -1.
        source: (18, 2) as (y, x), in the pixels that the result is to have; missing: -1.

    Returns:
        The target pose in the source's pixels, (18, 2) as (y, x). It does not depend on the
        target's scale or place. A source pose retargeted to itself does not change.

    Raises:
        PoseError: the two poses have no limb in common.
    """
    target, source = _with_mid_hip(target), _with_mid_hip(source)
    target_lengths, source_lengths = _limb_lengths(target), _limb_lengths(source)
    target_lengths[HEAD], source_lengths[HEAD] = _head_lengths(target, source)
    ratios = {
        limb: source_lengths[limb] / target_lengths[limb]
        for limb in _LIMBS
        if target_lengths.get(limb, 0) > 0 and source_lengths.get(limb, 0) > 0
    }
    if not ratios:
        raise _no_common_limb(source_lengths, target_lengths)
    scale = _weighted_median(ratios, source_lengths)
    allowed = (scale / MAX_BUILD_RATIO, scale * MAX_BUILD_RATIO)
    scales = {limb: float(np.clip(ratio, *allowed)) for limb, ratio in ratios.items()}
    scaled = _scale_limbs(target, scales, scale)
    scaled += _offset(scaled, source)
    placed: Pose = np.round(scaled[:MID_HIP], DECIMALS)
    return with_missing(placed, ~_is_present(target)[:MID_HIP])


def _no_common_limb(source: dict[str, float], target: dict[str, float]) -> PoseError:
    """Return the error that says which of two poses is at fault, by their limbs' lengths."""
    for role, other, lengths in (("source", "target", source), ("target", "source", target)):
        if not any(lengths.values()):
            return PoseError(
                f"no limb of the {role} pose has both of its joints, so the {role} has no limb in "
                f"common with the {other}",
                role,
            )
    limbs = [", ".join(limb for limb in lengths if lengths[limb]) for lengths in (source, target)]
    return PoseError(
        f"the poses have no limb in common: the source shows only {limbs[0]}, the target only "
        f"{limbs[1]}"
    )


def _with_mid_hip(pose: Pose) -> Pose:
    """Return (19, 2): the pose and its mid hip, NaN where missing."""
    joints = np.where((pose == MISSING).any(axis=1, keepdims=True), np.nan, pose)
    return np.vstack([joints, joints[HIPS].mean(axis=0)])


def _is_present(joints: Pose) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isfinite(joints).all(axis=1))


def _limb_lengths(joints: Pose) -> dict[str, float]:
    """Return each limb's length: the longer of left and right, as it is less foreshortened."""
    lengths: dict[str, float] = {}
    for start, end, limb in _BONES:
        length = float(np.linalg.norm(joints[end] - joints[start]))
        if limb and np.isfinite(length):
            lengths[limb] = max(length, lengths.get(limb, 0))
    return lengths


def _head_lengths(*skeletons: Pose) -> list[float]:
    """Return the length from the neck to the same part of the head in each skeleton.

    That part is the middle of the ears, else of the eyes, else the nose: the first that all the
    skeletons have. Without one, the lengths are 0.
    """
    for part in ([16, 17], [14, 15], [0]):
        vectors = [joints[part].mean(axis=0) - joints[NECK] for joints in skeletons]
        lengths = [float(np.linalg.norm(vector)) for vector in vectors]
        if np.isfinite(lengths).all():
            return lengths
    return [0.0 for _ in skeletons]


def _weighted_median(ratios: dict[str, float], weights: dict[str, float]) -> float:
    ordered = sorted(ratios, key=lambda limb: ratios[limb])
    cumulative = np.cumsum([weights[limb] for limb in ordered])
    return ratios[ordered[int(np.searchsorted(cumulative, cumulative[-1] / 2))]]


def _scale_limbs(joints: Pose, limb_scales: dict[str, float], scale: float) -> Pose:
    """Rebuild the skeleton outwards from the neck, each bone at its limb's scale.

    If a joint's parent is missing, the joint hangs on the nearest present joint further in, at
    the scale of the whole body.

    Args:
        joints: (19, 2) as (y, x), NaN where missing.
        limb_scales: factor for each limb's length.
        scale: factor for everything that is not a limb in `limb_scales`.

    Returns:
        (19, 2) as (y, x), with the neck, or the first present joint, at (0, 0).
    """
    scaled = np.full_like(joints, np.nan)
    present = _is_present(joints)
    root = NECK if present[NECK] else int(np.flatnonzero(present)[0])
    scaled[root] = 0
    for start, end, limb in _BONES:
        if present[end] and end != root:
            bone_scale = limb_scales.get(limb or "", scale) if present[start] else scale
            while not np.isfinite(scaled[start]).all():
                start = _PARENTS.get(start, root)
            scaled[end] = scaled[start] + (joints[end] - joints[start]) * bone_scale
    return scaled


def _offset(scaled: Pose, source: Pose) -> npt.NDArray[np.float64]:
    """Return the (y, x) offset that puts a skeleton on the source's ground and trunk."""
    present = _is_present(scaled) & _is_present(source)
    trunk = [joint for joint in (NECK, MID_HIP) if present[joint]] or np.flatnonzero(present)
    if len(trunk):
        y, x = np.mean(source[trunk] - scaled[trunk], axis=0)
    else:  # a left arm in place of a right one, for instance
        y, x = np.nanmean(source, axis=0) - np.nanmean(scaled, axis=0)
    scaled_ground, source_ground = (
        np.nanmax(joints[_ANKLES, 0], initial=-np.inf) for joints in (scaled, source)
    )
    if np.isfinite([scaled_ground, source_ground]).all():
        y = source_ground - scaled_ground
    return np.array([y, x])
