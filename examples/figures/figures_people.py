"""Drawn people and stances: their looks, how they are sampled, and where their joints are.

Lengths are in body units: a person of ordinary proportions is 1.0 from crown to sole.
Body axes: X points to the person's left, Y down, Z to the front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Colour = tuple[int, int, int]

NOSE, NECK = 0, 1
SHOULDER, ELBOW, WRIST = (2, 5), (3, 6), (4, 7)  # (the person's right, the person's left)
HIP, KNEE, ANKLE = (8, 11), (9, 12), (10, 13)
EYE, EAR = (14, 15), (16, 17)

UPPER_ARM, FOREARM, THIGH, SHIN, SOLE = 0.166, 0.147, 0.232, 0.218, 0.036
HEAD_ABOVE_NECK = 0.112
CAMERA_PITCH = np.deg2rad(8.0)
FILL = 0.92  # share of the image's height that the tallest person takes

SKINS: tuple[Colour, ...] = (
    (252, 219, 194), (243, 200, 168), (228, 178, 140), (205, 150, 110),
    (172, 118, 82), (139, 92, 62), (104, 68, 48),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (38, 32, 36), (62, 42, 34), (98, 62, 40), (142, 88, 48), (196, 146, 74),
    (232, 196, 120), (168, 70, 40), (150, 150, 156),
)  # fmt: skip
CLOTHES: tuple[Colour, ...] = (
    (222, 70, 66), (240, 128, 62), (246, 196, 72), (122, 178, 86), (44, 138, 104),
    (50, 150, 164), (72, 134, 208), (44, 76, 142), (112, 88, 176), (178, 92, 164),
    (232, 124, 152), (128, 44, 62), (62, 66, 78), (150, 156, 168), (246, 242, 232),
    (118, 88, 64), (204, 176, 138),
)  # fmt: skip
BOTTOMS: tuple[Colour, ...] = (
    (52, 78, 124), (88, 122, 170), (44, 48, 60), (92, 96, 106), (122, 94, 68),
    (192, 168, 128), (82, 100, 74), (124, 50, 64), (36, 100, 108), (208, 92, 84),
)  # fmt: skip
SHOES: tuple[Colour, ...] = (
    (48, 46, 54), (244, 244, 246), (196, 62, 60), (122, 80, 52), (58, 92, 156), (236, 178, 66),
)  # fmt: skip
STUDIO: Colour = (248, 248, 248)
LIGHT: tuple[Colour, ...] = (
    (242, 242, 244), (228, 232, 238), (224, 238, 246), (246, 232, 226), (230, 242, 230),
    (248, 240, 220), (236, 230, 246), (252, 252, 252),
)  # fmt: skip
DARK: tuple[Colour, ...] = (
    (38, 40, 48), (32, 46, 62), (52, 38, 54), (34, 56, 52), (60, 50, 44),
)  # fmt: skip

PATTERNS = ("plain", "stripes", "pinstripes", "dots", "checks", "print")
HAIR_STYLES = ("short", "parted", "bob", "long", "bun", "ponytail", "curly", "bald")


@dataclass(frozen=True)
class Fabric:
    """A cloth.

    Attributes:
        colour: its main colour.
        pattern: one of `PATTERNS`.
        accent: colour of the pattern.
        period: distance after which the pattern repeats, body units.
    """

    colour: Colour
    pattern: str = "plain"
    accent: Colour = (255, 255, 255)
    period: float = 0.06


@dataclass(frozen=True)
class Body:
    """The measures of a body.

    Attributes:
        height: factor of the whole figure's height; 1 is the tallest.
        shoulder: half the distance of the shoulder joints, body units.
        hip: half the distance of the hip joints, body units.
        waist: half the width of the waist, body units.
        build: factor of the limbs' and the trunk's girth.
        legs: factor of the legs' length.
        head: factor of the head's size.
    """

    height: float
    shoulder: float
    hip: float
    waist: float
    build: float
    legs: float
    head: float


@dataclass(frozen=True)
class Person:
    """A person's looks, the same in all their images.

    Attributes:
        body: the measures of the body.
        skin: colour of the skin.
        hair: colour of the hair.
        hair_style: one of `HAIR_STYLES`.
        hair_side: side of the parting and of a ponytail, -1 or 1.
        beard: whether the person has a beard.
        eyes: colour of the irises.
        top: cloth of the top.
        sleeves: cloth of the (right, left) sleeve.
        sleeve_length: share of the arm that the sleeves cover; 0 for none, 0.5 is the elbow.
        neckline: `round`, `vee` or `collar`.
        tucked: whether the top is tucked in.
        bottom: cloth of the trousers, shorts, skirt or dress.
        bottom_kind: `trousers`, `shorts`, `skirt` or `dress`.
        bottom_length: of trousers, the share of the shin that they cover; of a skirt or dress, the
            share of the leg, where 0.5 is the knee; shorts cover 0.4 more than this of the thigh.
        shoes: colour of the shoes.
        background: colour of the image's background.
        floor: whether the floor has a colour of its own.
    """

    body: Body
    skin: Colour
    hair: Colour
    hair_style: str
    hair_side: int
    beard: bool
    eyes: Colour
    top: Fabric
    sleeves: tuple[Fabric, Fabric]
    sleeve_length: float
    neckline: str
    tucked: bool
    bottom: Fabric
    bottom_kind: str
    bottom_length: float
    shoes: Colour
    background: Colour
    floor: bool


@dataclass(frozen=True)
class Limb:
    """The angles of an arm's or a leg's two bones, degrees from straight down.

    Attributes:
        upper_out: angle of the upper bone away from the body's middle.
        upper_fore: angle of the upper bone to the front.
        lower_out: angle of the lower bone away from the body's middle.
        lower_fore: angle of the lower bone to the front.
        turn: angle of a foot's tip away from the body's middle; unused for arms.
    """

    upper_out: float
    upper_fore: float
    lower_out: float
    lower_fore: float
    turn: float = 15.0


@dataclass(frozen=True)
class Stance:
    """A pose, view and place; it changes between images of one person. Pairs are (right, left).

    Attributes:
        view: `front` or `back`.
        yaw: turn about the vertical from that view, degrees.
        lean: tilt of the trunk to the person's left, degrees.
        shoulder_tilt: slope of the shoulders, degrees; positive if the left one is lower.
        hip_tilt: slope of the hips, degrees; positive if the left one is lower.
        head_tilt: tilt of the head to the person's left, degrees.
        head_turn: turn of the head against the trunk, degrees.
        arms: angles of the arms.
        legs: angles of the legs.
        offset: (x, y) shift from the image's middle, shares of its width and height.
        scale: size of the figure; 1 fills the image's height.
    """

    view: str
    yaw: float
    lean: float
    shoulder_tilt: float
    hip_tilt: float
    head_tilt: float
    head_turn: float
    arms: tuple[Limb, Limb]
    legs: tuple[Limb, Limb]
    offset: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0

    @property
    def turn(self) -> float:
        """Turn of the body about the vertical, radians; 0 faces the viewer."""
        return float(np.deg2rad(self.yaw + (180.0 if self.view == "back" else 0.0)))


@dataclass(frozen=True)
class Skeleton:
    """A posed body in the image. Points are (x, y) in pixels; depth grows towards the viewer.

    Attributes:
        points: (18, 2) joints.
        depth: (18,) depth of each joint, body units.
        toes: (2, 2) tips of the feet, right first.
        toe_depth: (2,) depth of the tips, body units.
        head: (2,) centre of the head.
        unit: pixels of one body unit.
        floor: y of the floor.
    """

    points: Array
    depth: Array
    toes: Array
    toe_depth: Array
    head: Array
    unit: float
    floor: float


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _distance(first: Colour, second: Colour) -> float:
    # The eye separates greens best and blues worst.
    return float(np.linalg.norm(np.subtract(first, second) * (0.8, 1.2, 0.7)))


def _pick_apart(
    rng: np.random.Generator, colours: tuple[Colour, ...], others: list[Colour], gap: float
) -> Colour:
    """Pick a colour at least `gap` away from the others, or any after 24 tries."""
    colour = _pick(rng, colours)
    for _ in range(24):
        if min(_distance(colour, other) for other in others) >= gap:
            break
        colour = _pick(rng, colours)
    return colour


def _sample_top(rng: np.random.Generator, avoid: list[Colour]) -> Fabric:
    colour = _pick_apart(rng, CLOTHES, avoid, 75)
    pattern = str(rng.choice(PATTERNS, p=(0.26, 0.2, 0.12, 0.14, 0.12, 0.16)))
    accent = _pick_apart(rng, CLOTHES, [colour], 130)
    low = {"dots": 0.062, "pinstripes": 0.052, "checks": 0.066}.get(pattern, 0.054)
    return Fabric(colour, pattern, accent, float(rng.uniform(low, low + 0.022)))


def _sample_sleeves(
    rng: np.random.Generator, top: Fabric, avoid: list[Colour]
) -> tuple[Fabric, Fabric]:
    """Sample two sleeves: of the top's cloth, or in one or two other colours."""
    matching = Fabric(top.colour) if top.pattern == "print" else top
    choice = rng.random()
    if choice < 0.62:
        return matching, matching
    other = Fabric(_pick_apart(rng, CLOTHES, [top.colour, *avoid], 85))
    if choice < 0.72:
        return other, other
    if choice < 0.86:
        return (matching, other) if rng.random() < 0.5 else (other, matching)
    return other, Fabric(_pick_apart(rng, CLOTHES, [top.colour, other.colour, *avoid], 85))


def _sample_bottom(
    rng: np.random.Generator, top: Fabric, avoid: list[Colour]
) -> tuple[str, float, Fabric]:
    kind = str(rng.choice(("trousers", "shorts", "skirt", "dress"), p=(0.5, 0.17, 0.17, 0.16)))
    low, high = {
        "trousers": (0.93, 1.0), "shorts": (0.33, 0.48), "skirt": (0.3, 0.62), "dress": (0.3, 0.7),
    }[kind]  # fmt: skip
    length = float(rng.uniform(low, high))
    if kind == "dress":
        return kind, length, Fabric(top.colour) if top.pattern == "print" else top
    colour = _pick_apart(rng, BOTTOMS, [*avoid, top.colour], 70)
    patterned = rng.random() < (0.4 if kind == "skirt" else 0.14) and top.pattern == "plain"
    pattern = str(rng.choice(("stripes", "checks", "pinstripes", "dots"))) if patterned else "plain"
    accent = _pick_apart(rng, CLOTHES, [colour], 120)
    return kind, length, Fabric(colour, pattern, accent, float(rng.uniform(0.062, 0.078)))


def _sample_body(rng: np.random.Generator, feminine: bool) -> Body:
    build = float(np.clip(rng.normal(0.96 if feminine else 1.02, 0.12), 0.8, 1.3))
    shoulder, hip, waist = (
        ((0.095, 0.108), (0.055, 0.064), (0.067, 0.076))
        if feminine
        else ((0.108, 0.123), (0.051, 0.058), (0.078, 0.087))
    )
    return Body(
        height=float(rng.uniform(0.935, 1.0)),
        shoulder=float(rng.uniform(*shoulder)),
        hip=float(rng.uniform(*hip)),
        waist=float(rng.uniform(*waist)) * (0.25 + 0.75 * build),
        build=build,
        legs=float(rng.uniform(0.97, 1.04)),
        head=float(rng.uniform(0.98, 1.1)),
    )


def _sample_hair(rng: np.random.Generator, feminine: bool) -> str:
    mostly_long = (0.06, 0.06, 0.2, 0.26, 0.16, 0.18, 0.08, 0.0)
    mostly_short = (0.36, 0.28, 0.03, 0.05, 0.03, 0.03, 0.1, 0.12)
    return str(rng.choice(HAIR_STYLES, p=mostly_long if feminine else mostly_short))


def sample_person(rng: np.random.Generator, background: str = "light") -> Person:
    """Sample a person's looks and background.

    Args:
        rng: source of randomness.
        background: `light`, `dark`, `mixed` for either of them, or `studio` for a white that is
            the same for everybody.
    """
    dark = background == "dark" or (background == "mixed" and rng.random() < 0.5)
    studio = background == "studio"
    backdrop = STUDIO if studio else _pick(rng, DARK if dark else LIGHT)
    skin = _pick_apart(rng, SKINS, [backdrop], 45)
    top = _sample_top(rng, [backdrop, skin])
    kind, length, bottom = _sample_bottom(rng, top, [backdrop, skin])
    feminine = kind in ("skirt", "dress") or rng.random() < 0.3
    neckline = str(rng.choice(("round", "vee", "collar"), p=(0.46, 0.28, 0.26)))
    return Person(
        body=_sample_body(rng, feminine),
        skin=skin,
        hair=_pick_apart(rng, HAIRS, [backdrop, skin], 55),
        hair_style=_sample_hair(rng, feminine),
        hair_side=1 if rng.random() < 0.5 else -1,
        beard=bool(not feminine and rng.random() < 0.3),
        eyes=_pick(rng, ((52, 38, 32), (46, 64, 84), (58, 74, 48))),
        top=top,
        sleeves=_sample_sleeves(rng, top, [backdrop, skin]),
        sleeve_length=float(rng.choice((0.0, 0.27, 0.36, 0.97), p=(0.14, 0.22, 0.24, 0.4))),
        neckline=neckline if top.pattern != "print" else "round",
        tucked=bool(kind == "skirt" or rng.random() < 0.3),
        bottom=bottom,
        bottom_kind=kind,
        bottom_length=length,
        shoes=_pick_apart(rng, SHOES, [backdrop, bottom.colour, skin], 60),
        background=backdrop,
        floor=bool(rng.random() < 0.5 and not studio),
    )


_ARM_RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    # upper_out, upper_fore, lower_out, lower_fore
    "hang": ((5, 15), (-6, 8), (0, 9), (2, 24)),
    "away": ((18, 42), (-6, 10), (4, 36), (2, 26)),
    "hip": ((40, 54), (-16, -6), (-52, -38), (4, 16)),
    "pocket": ((20, 28), (-18, -8), (-22, -14), (8, 20)),
    "fore": ((4, 14), (0, 12), (-35, 24), (38, 58)),
    "belly": ((12, 24), (4, 14), (-74, -52), (16, 30)),
    "chin": ((2, 12), (18, 30), (-164, -150), (22, 34)),
    "side": ((58, 92), (-6, 10), (78, 140), (0, 22)),
    "wave": ((62, 112), (-4, 12), (150, 196), (0, 20)),
    "up": ((132, 162), (-6, 12), (150, 192), (0, 14)),
    "head": ((112, 138), (-16, -8), (232, 252), (-22, -12)),
    "behind": ((14, 24), (-24, -14), (-52, -34), (-28, -16)),
    # the two crossed arms; they have no entry in _ARM_CHANCES
    "over": ((10, 16), (12, 18), (-98, -90), (24, 30)),
    "under": ((10, 16), (6, 10), (-86, -78), (12, 18)),
}
_ARM_CHANCES = (0.27, 0.14, 0.12, 0.08, 0.06, 0.05, 0.04, 0.07, 0.07, 0.04, 0.03, 0.03)
_LEG_RANGES: dict[str, tuple[tuple[float, float], ...]] = {
    "straight": ((0, 5), (-2, 3), (0, 4), (-5, 0)),
    "wide": ((7, 14), (-2, 4), (7, 13), (-6, 0)),
    "free": ((7, 15), (6, 16), (-3, 9), (-18, -5)),
    "ahead": ((-1, 4), (12, 24), (-2, 3), (-6, 6)),
    "rear": ((0, 5), (-14, -5), (-1, 5), (-38, -16)),
    "across": ((-11, -6), (4, 10), (-13, -8), (-6, 2)),
    "upright": ((0, 3), (-3, 1), (0, 3), (-5, 0)),
}


def _sample_limb(
    rng: np.random.Generator, table: dict[str, tuple[tuple[float, float], ...]], kind: str
) -> Limb:
    angles = [float(rng.uniform(low, high)) for low, high in table[kind]]
    return Limb(angles[0], angles[1], angles[2], angles[3], float(rng.uniform(4, 26)))


def _fits(right: Limb, left: Limb) -> bool:
    """Return whether both hands of an average body stay inside the image."""
    for limb in (right, left):
        elbow = UPPER_ARM * _direction(limb.upper_out, limb.upper_fore, 1)
        wrist = elbow + FOREARM * _direction(limb.lower_out, limb.lower_fore, 1)
        if 0.115 + wrist[0] > 0.315 or 0.19 + wrist[1] < -0.005:
            return False
    return True


def _sample_arms(rng: np.random.Generator) -> tuple[Limb, Limb]:
    """Sample arms: independent, the same kind on both sides, or crossed on the chest."""
    choice = rng.random()
    if choice < 0.07:
        first, second = (_sample_limb(rng, _ARM_RANGES, kind) for kind in ("over", "under"))
        return (first, second) if rng.random() < 0.5 else (second, first)
    for _ in range(50):
        kinds = rng.choice(list(_ARM_RANGES)[: len(_ARM_CHANCES)], size=2, p=_ARM_CHANCES)
        if choice < 0.32:
            kinds[1] = kinds[0]
        right, left = (_sample_limb(rng, _ARM_RANGES, str(kind)) for kind in kinds)
        if _fits(right, left):
            break
    return right, left


def _sample_legs(rng: np.random.Generator) -> tuple[Limb, Limb, float]:
    """Sample the right leg, the left leg and the hip's tilt that goes with them."""
    pairs = (("straight", "straight"), ("wide", "wide"), ("upright", "free"), ("ahead", "rear"),
             ("upright", "across"))  # fmt: skip
    kinds = pairs[int(rng.choice(5, p=(0.28, 0.18, 0.24, 0.2, 0.1)))]
    first, second = (_sample_limb(rng, _LEG_RANGES, kind) for kind in kinds)
    tilt = {"free": float(rng.uniform(2, 7)), "rear": float(rng.uniform(-2, 3))}.get(kinds[1], 0.0)
    # A positive tilt lowers the left hip. It must be the loose leg's, which is the second one.
    return (first, second, tilt) if rng.random() < 0.5 else (second, first, -tilt)


def sample_stance(
    rng: np.random.Generator, scale: tuple[float, float] = (1.0, 1.0), view: str | None = None
) -> Stance:
    """Sample a natural standing pose and a view.

    Args:
        rng: source of randomness.
        scale: range of the figure's size; 1 fills the image's height.
        view: `front` or `back`; None samples it, with about 35 % back views.
    """
    view = view or ("back" if rng.random() < 0.35 else "front")
    arms = _sample_arms(rng)
    right, left, tilt = _sample_legs(rng)
    size = float(rng.uniform(*scale))
    reach = np.array([0.016, 0.008]) + abs(1.0 - size) * np.array([0.2, 0.35 * (size > 1)])
    shift = rng.uniform(-1, 1, 2) * reach
    shift[1] += 0.42 * max(1.0 - size, 0.0)  # a small figure stands on the same floor
    yaw = float(np.clip(rng.normal(0, 13), -30, 30))
    return Stance(
        view=view,
        yaw=yaw,
        lean=float(np.clip(rng.normal(0, 1.6), -4, 4) - 0.3 * tilt),
        shoulder_tilt=float(rng.normal(0, 1.5) - 0.6 * tilt),
        hip_tilt=tilt,
        head_tilt=float(np.clip(rng.normal(0, 4.5), -11, 11)),
        head_turn=float(np.clip(rng.normal(0, 10), max(-20, -32 - yaw), min(20, 32 - yaw))),
        arms=arms,
        legs=(right, left),
        offset=(float(shift[0]), float(shift[1])),
        scale=size,
    )


def _direction(out: float, fore: float, side: int) -> Array:
    """Return the unit vector of a bone in body axes; `side` is -1 for right, 1 for left."""
    a, b = np.deg2rad(out), np.deg2rad(fore)
    bone = (side * np.sin(a) * np.cos(b), np.cos(a) * np.cos(b), np.sin(b))
    return np.array(bone, dtype=np.float64)


def _axis(degrees: float) -> Array:
    angle = np.deg2rad(degrees)
    return np.array((np.cos(angle), np.sin(angle), 0.0), dtype=np.float64)


def _head_joints(joints: Array, person: Person, stance: Stance) -> Array:
    """Set the face's joints, in body axes, in `joints`; return the head's centre."""
    tilt = np.deg2rad(stance.head_tilt + 0.5 * stance.lean)
    up = np.array([np.sin(tilt), -np.cos(tilt), 0.0])
    head: Array = joints[NECK] + HEAD_ABOVE_NECK * (0.4 + 0.6 * person.body.head) * up
    turn = np.deg2rad(stance.head_turn)
    ahead = np.array([np.sin(turn), 0.0, np.cos(turn)])
    across = np.array([np.cos(turn) * np.cos(tilt), np.sin(tilt), -np.sin(turn)])
    size = person.body.head
    joints[NOSE] = head + size * (0.054 * ahead - 0.020 * up)
    for side, sign in enumerate((-1, 1)):
        joints[EYE[side]] = head + size * (0.044 * ahead + sign * 0.0195 * across)
        joints[EAR[side]] = head + size * (sign * 0.049 * across - 0.008 * up)
    return head


def _body_joints(person: Person, stance: Stance) -> tuple[Array, Array, Array]:
    """Return joints (18, 3), toes (2, 3) and head centre (3,) in body axes; 0 is the pelvis."""
    joints = np.zeros((18, 3))
    toes = np.zeros((2, 3))
    lean = np.deg2rad(stance.lean)
    joints[NECK] = 0.315 * np.array([np.sin(lean), -np.cos(lean), 0.0])
    for side, sign in enumerate((-1, 1)):
        arm, leg = stance.arms[side], stance.legs[side]
        shoulder = joints[NECK] + sign * person.body.shoulder * _axis(stance.shoulder_tilt)
        elbow = shoulder + UPPER_ARM * _direction(arm.upper_out, arm.upper_fore, sign)
        wrist = elbow + FOREARM * _direction(arm.lower_out, arm.lower_fore, sign)
        hip = sign * person.body.hip * _axis(stance.hip_tilt)
        knee = hip + THIGH * person.body.legs * _direction(leg.upper_out, leg.upper_fore, sign)
        ankle = knee + SHIN * person.body.legs * _direction(leg.lower_out, leg.lower_fore, sign)
        for names, point in zip(
            (SHOULDER, ELBOW, WRIST, HIP, KNEE, ANKLE),
            (shoulder, elbow, wrist, hip, knee, ankle), strict=True,
        ):  # fmt: skip
            joints[names[side]] = point
        tip = np.deg2rad(leg.turn)
        toes[side] = ankle + (sign * 0.075 * np.sin(tip), 0.014, 0.075 * np.cos(tip))
    return joints, toes, _head_joints(joints, person, stance)


def pose(person: Person, stance: Stance, size: tuple[int, int]) -> Skeleton:
    """Project a posed body onto an image of a size (height, width)."""
    joints, toes, head = _body_joints(person, stance)
    body = np.concatenate([joints, toes, head[None]])
    cos, sin = np.cos(stance.turn), np.sin(stance.turn)
    across = body[:, 0] * cos + body[:, 2] * sin
    depth = body[:, 2] * cos - body[:, 0] * sin
    down = body[:, 1] * np.cos(CAMERA_PITCH) + depth * np.sin(CAMERA_PITCH)
    # The camera's pitch must not make the head nod: it stays right above the neck.
    down[[NOSE, *EYE, *EAR]] = body[[NOSE, *EYE, *EAR], 1]
    down[-1] = body[-1, 1]
    height, width = size
    fill = FILL * person.body.height * stance.scale
    unit = fill * height
    floor = down[list(ANKLE)].max() + SOLE
    middle = 0.5 * across[list(ANKLE)].mean() + 0.5 * across[NECK]
    x = (across - middle) * unit + (0.5 + stance.offset[0]) * width
    bottom = (0.5 + 0.5 * fill + stance.offset[1]) * height
    y = (down - floor) * unit + bottom
    points = np.stack([x, y], axis=1) - 0.5
    return Skeleton(points[:18], depth[:18], points[18:20], depth[18:20], points[20], unit,
                    bottom - 0.5)  # fmt: skip
