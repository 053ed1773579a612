"""How people stand in fashion photos: sampling a stance, and posing a person in it.

Directions of limbs are given as (down, forward, outward) in the frame of the torso or the hips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# isort: split
from people_assets import Floats
from people_bodies import Bodies, Person

Direction = tuple[float, float, float]

FRONT, THREE_QUARTER, SIDE, BACK = "front", "three-quarter", "side", "back"
VIEWS = (FRONT, FRONT, FRONT, THREE_QUARTER, THREE_QUARTER, SIDE, BACK, BACK)
"""The views of one person's images, in proportions like those of fashion photos."""

# Upper arm and forearm, and how far each number may vary.
_ARMS: Mapping[str, tuple[Direction, Direction, float]] = {
    "down": ((1, 0.0, 0.17), (1, 0.18, 0.06), 0.06),
    "hip": ((1, -0.2, 0.58), (0.72, 0.5, -0.72), 0.04),
    "pocket": ((1, -0.12, 0.3), (0.95, 0.3, -0.1), 0.04),
    "behind": ((1, -0.35, 0.28), (0.55, -0.3, -0.6), 0.04),
    "waist": ((1, 0.1, 0.22), (0.12, 0.75, -0.72), 0.05),
    "chin": ((1, 0.35, 0.15), (-0.95, 0.45, -0.3), 0.04),
    "hair": ((0.12, 0.3, 0.95), (-0.62, 0.08, -0.8), 0.03),
    "out": ((1, 0.05, 0.5), (0.9, 0.2, 0.45), 0.08),
    "held": ((1, 0.08, 0.14), (0.3, 0.95, 0.02), 0.06),
    "strap": ((1, 0.1, 0.28), (-0.6, 0.55, -0.5), 0.04),
    "wave": ((0.15, 0.15, 1.0), (-0.95, 0.15, 0.25), 0.06),
}
_ARM_SHARES = {"down": 9, "hip": 4, "pocket": 4, "behind": 1, "waist": 1.5, "chin": 1, "hair": 0.7,
               "out": 1.5, "held": 1, "strap": 1, "wave": 0.2}  # fmt: skip

# Thigh and shin of the one leg and of the other, and the pitch of their feet.
_Leg = tuple[Direction, Direction, float]
_LEGS: Mapping[str, tuple[_Leg, _Leg]] = {
    "straight": (((1, 0.0, 0.05), (1, -0.03, 0.03), 0), ((1, 0.0, 0.05), (1, -0.03, 0.03), 0)),
    "apart": (((1, 0.0, 0.14), (1, -0.03, 0.12), 0), ((1, 0.02, 0.16), (1, -0.04, 0.12), 0)),
    "relaxed": (((1, 0.0, 0.02), (1, -0.03, 0.0), 0), ((1, 0.2, 0.13), (1, -0.2, 0.08), 0)),
    "walking": (((1, 0.36, 0.02), (1, 0.06, 0.0), 0), ((1, -0.2, 0.02), (1, -0.55, 0.02), 0.45)),
    "crossed": (((1, 0.12, -0.13), (1, 0.02, -0.11), 0), ((1, -0.04, 0.02), (1, -0.06, 0), 0)),
    "bent": (((1, 0.0, 0.04), (1, -0.03, 0.02), 0), ((1, 0.42, 0.1), (1, -0.4, 0.04), 0.3)),
}
_LEG_SHARES = {"straight": 4, "apart": 3, "relaxed": 4, "walking": 3, "crossed": 1.5, "bent": 1}


@dataclass(frozen=True)
class Stance:
    """How a person stands.

    Attributes:
        yaw: how far the person is turned to their left, radians; 0 faces the camera.
        twist: of the chest against the hips, radians; lean: of the torso to its left; stoop:
            forward.
        hips: roll of the hips, radians.
        head: yaw, pitch and roll of the head against the chest, radians.
        arms: for the left and the right one, directions of upper arm and forearm.
        legs: for the left and the right one, directions of thigh and shin, and pitch of the foot.
        curl: how far the fingers are bent, radians at each joint.
    """

    yaw: float
    twist: float
    lean: float
    stoop: float
    hips: float
    head: tuple[float, float, float]
    arms: tuple[tuple[Direction, Direction], tuple[Direction, Direction]]
    legs: tuple[_Leg, _Leg]
    curl: float


def sample_stance(rng: np.random.Generator, view: str) -> Stance:
    """Sample a stance.

    Args:
        rng: source of chance.
        view: one of `VIEWS`.
    """
    sign = float(rng.choice((-1, 1)))
    yaw = {
        FRONT: rng.normal(0, 0.1),
        THREE_QUARTER: sign * rng.uniform(0.35, 0.9),
        SIDE: sign * rng.uniform(1.2, 1.8),
        BACK: np.pi + rng.normal(0, 0.3),
    }[view]
    # Who is turned away often looks back at the camera.
    head_yaw = rng.normal(0, 0.18) - (sign * rng.uniform(0, 0.5) if view == THREE_QUARTER else 0)
    arms = (_sample_arm(rng), _sample_arm(rng))
    if rng.random() < 0.35 and arms[0][1][0] > 0:  # Not both hands in the air.
        arms = (arms[0], arms[0])
    return Stance(
        yaw=float(yaw),
        twist=rng.normal(0, 0.08),
        lean=rng.normal(0, 0.03),
        stoop=rng.normal(0.02, 0.03),
        hips=rng.normal(0, 0.04),
        head=(float(head_yaw), rng.normal(0.02, 0.08), rng.normal(0, 0.05)),
        arms=arms,
        legs=_sample_legs(rng),
        curl=rng.uniform(0.12, 0.4),
    )


def _choose(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    values = np.array(list(shares.values()), float)
    return str(rng.choice(list(shares), p=values / values.sum()))


def _vary(direction: Direction, spread: float, rng: np.random.Generator) -> Direction:
    down, forward, outward = np.array(direction) + rng.normal(0, spread, 3)
    return float(down), float(forward), float(outward)


def _sample_arm(rng: np.random.Generator) -> tuple[Direction, Direction]:
    upper, lower, spread = _ARMS[_choose(rng, _ARM_SHARES)]
    return _vary(upper, spread, rng), _vary(lower, spread, rng)


def _sample_legs(rng: np.random.Generator) -> tuple[_Leg, _Leg]:
    first, second = (
        (_vary(thigh, 0.02, rng), _vary(shin, 0.02, rng), pitch)
        for thigh, shin, pitch in _LEGS[_choose(rng, _LEG_SHARES)]
    )
    return (first, second) if rng.random() < 0.5 else (second, first)


def pose(bodies: Bodies, person: Person, stance: Stance) -> tuple[Floats, Floats]:
    """Put a person in a stance.

    Returns:
        The vertices (V, 3), and the joints (18, 3) in OpenPose's order, metres.
    """
    turned = _rotations(bodies, person, stance)
    count = len(bodies.bones)
    rotations, places = np.zeros((count, 3, 3)), np.zeros((count, 3))
    for bone, name in enumerate(bodies.bones):
        parent = bodies.parents[bone]
        inherited = rotations[parent] if parent >= 0 else np.eye(3)
        # A curl is relative to the bone before; all else is absolute.
        rotations[bone] = (
            inherited @ turned[name] if name.startswith("finger") else turned.get(name, inherited)
        )
        places[bone] = person.heads[bone]
        if parent >= 0:
            step = person.heads[bone] - person.heads[parent]
            places[bone] = rotations[parent] @ step + places[parent]
    moves = np.concatenate(
        [rotations, (places - np.einsum("bij,bj->bi", rotations, person.heads))[..., None]], axis=2
    )
    mixed = (person.bone_weights @ moves.reshape(count, 12)).reshape(-1, 3, 4)
    vertices = np.einsum("vij,vj->vi", mixed[:, :, :3], person.vertices) + mixed[:, :, 3]
    head = moves[bodies.index("head")]
    marks = person.marks @ head[:, :3].T + head[:, 3]
    return vertices, _joints(bodies, places, marks)


def _joints(bodies: Bodies, places: Floats, marks: Floats) -> Floats:
    """Return OpenPose's 18 joints (18, 3) of posed bones and of the marks on the head."""

    def limb(side: str, *names: str) -> list[Floats]:
        return [places[bodies.index(f"{name}.{side}")] for name in names]

    arms = {side: limb(side, "upperarm01", "lowerarm01", "wrist") for side in "LR"}
    legs = {side: limb(side, "upperleg01", "lowerleg01", "foot") for side in "LR"}
    neck = (arms["L"][0] + arms["R"][0]) / 2
    nose, left_eye, right_eye, left_ear, right_ear = marks
    return np.stack(
        [nose, neck, *arms["R"], *arms["L"], *legs["R"], *legs["L"],
         right_eye, left_eye, right_ear, left_ear]
    )  # fmt: skip


def _rotations(bodies: Bodies, person: Person, stance: Stance) -> dict[str, Floats]:
    """Return the rotations of bones; those of fingers are relative to the bone before."""
    heads = person.heads

    def segment(first: str, last: str) -> Floats:
        return np.asarray(heads[bodies.index(last)] - heads[bodies.index(first)])

    hips = _around_z(stance.yaw) @ _around_y(stance.hips)
    torso = _around_z(stance.yaw + stance.twist / 2) @ _around_y(stance.lean)
    chest = _around_z(stance.yaw + stance.twist) @ _around_y(stance.lean) @ _around_x(stance.stoop)
    yaw, pitch, roll = stance.head
    head = chest @ _around_z(yaw) @ _around_x(pitch) @ _around_y(roll)
    neck = chest @ _around_z(yaw / 2) @ _around_x(pitch / 2)
    turned = {"root": hips, "spine05": torso, "spine03": chest, "neck01": neck, "head": head}
    for side, sign, arm, leg in zip("LR", (1, -1), stance.arms, stance.legs, strict=True):
        upper, lower = (_direction(part, sign) for part in arm)
        raised = max(0.0, 0.4 - arm[0][0])  # The shoulder follows an arm that is lifted.
        turned[f"clavicle.{side}"] = chest @ _around_y(sign * (0.1 - 0.35 * raised))
        rest = segment(f"upperarm01.{side}", f"lowerarm01.{side}")
        turned[f"upperarm01.{side}"] = chest @ _between(rest, upper)
        rest = segment(f"lowerarm01.{side}", f"wrist.{side}")
        turned[f"lowerarm01.{side}"] = chest @ _between(rest, lower)
        thigh, shin, foot = leg
        rest = segment(f"upperleg01.{side}", f"lowerleg01.{side}")
        turned[f"upperleg01.{side}"] = hips @ _between(rest, _direction(thigh, sign))
        rest = segment(f"lowerleg01.{side}", f"foot.{side}")
        turned[f"lowerleg01.{side}"] = hips @ _between(rest, _direction(shin, sign))
        turned[f"foot.{side}"] = hips @ _around_z(sign * 0.14) @ _around_x(foot)
        turned |= _fingers(bodies, heads, side, sign, stance.curl)
    return turned


def _fingers(bodies: Bodies, heads: Floats, side: str, sign: int, curl: float) -> dict[str, Floats]:
    """Return the rotations that bend the fingers towards the palm."""
    index, little, middle = (
        heads[bodies.index(f"finger{number}-1.{side}")] for number in (2, 5, 3)
    )
    along = middle - heads[bodies.index(f"wrist.{side}")]
    palm = np.cross(along, little - index)
    palm *= np.sign(palm @ (-sign, 0.0, -1.0)) / np.linalg.norm(palm)
    turned = {}
    for name in bodies.bones:
        if name.startswith("finger") and name.endswith(side):
            axis = np.cross(along / np.linalg.norm(along), palm)
            angle = 0.0 if name.startswith("finger1") else curl
            turned[name] = _about(axis / np.linalg.norm(axis), angle)
    return turned


def _direction(parts: Direction, sign: int) -> Floats:
    down, forward, outward = parts
    vector = np.array([sign * outward, -forward, -down])
    return np.asarray(vector / np.linalg.norm(vector))


def _between(first: Floats, second: Floats) -> Floats:
    """Return the smallest rotation that takes one direction to another."""
    first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
    cross, cosine = np.cross(first, second), first @ second
    k = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.asarray(np.eye(3) + k + k @ k / max(1 + cosine, 1e-3))


def _about(axis: Floats, angle: float) -> Floats:
    """Return the rotation about an axis of length 1 (Rodrigues)."""
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k)


def _around_x(angle: float) -> Floats:
    return _about(np.array([1.0, 0.0, 0.0]), angle)


def _around_y(angle: float) -> Floats:
    return _about(np.array([0.0, 1.0, 0.0]), angle)


def _around_z(angle: float) -> Floats:
    return _about(np.array([0.0, 0.0, 1.0]), angle)
