"""What people look like: their bodies, what they wear, and the materials of it all."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# isort: split
import people_materials as pm
from people_assets import Floats, Garment, Ints

Colour = NDArray[np.float64]

# The piece of clothing that each chart of a suit belongs to: Top, Sleeve, Bottom, Skirt, Collar,
# Inner garment, Detail. In the order of the charts.
_PIECES = {
    "female_casualsuit01": "TTSSBB",
    "female_casualsuit02": "BBDBBTTSS",
    "female_elegantsuit01": "KCCTTTSSSS",
    "female_sportsuit01": "TTSSBB",
    "male_casualsuit01": "CTBBSS",
    "male_casualsuit02": "BBTTSS",
    "male_casualsuit03": "CCTTTSSSSBB",
    "male_casualsuit04": "TTSSBB",
    "male_casualsuit05": "CCTTPPSPPTPPSPPIIIIBB",
    "male_casualsuit06": "TTSSBB",
    "male_elegantsuit01": "BBTITTISSSS" + "D" * 12,
    "male_worksuit01": "TDBBBBBBDDD",
}
_WOMEN = (
    "female_casualsuit01", "female_casualsuit01", "female_casualsuit02", "female_elegantsuit01",
    "female_elegantsuit01", "female_sportsuit01", "male_casualsuit03", "male_casualsuit06",
    "male_worksuit01",
)  # fmt: skip
_MEN = (
    "male_casualsuit01", "male_casualsuit02", "male_casualsuit03", "male_casualsuit04",
    "male_casualsuit05", "male_casualsuit06", "male_elegantsuit01", "male_worksuit01",
)  # fmt: skip
_WOMENS_HAIR = ("bob01", "bob02", "braid01", "long01", "long01", "ponytail01", "ponytail01",
                "afro01", "short03")  # fmt: skip
_MENS_HAIR = ("short01", "short02", "short03", "short04", "short04", "short01", "afro01")

# Hue, saturation and value of dyes.
_DYES = (
    (0.0, 0.0, 0.93), (0.1, 0.05, 0.9), (0.0, 0.0, 0.13), (0.62, 0.55, 0.25), (0.0, 0.0, 0.55),
    (0.6, 0.45, 0.6), (0.58, 0.3, 0.8), (0.0, 0.75, 0.7), (0.97, 0.65, 0.45), (0.22, 0.4, 0.42),
    (0.12, 0.65, 0.8), (0.95, 0.3, 0.88), (0.48, 0.5, 0.55), (0.77, 0.3, 0.75), (0.08, 0.45, 0.6),
    (0.09, 0.3, 0.8), (0.4, 0.5, 0.5), (0.04, 0.65, 0.85), (0.55, 0.6, 0.75), (0.33, 0.35, 0.75),
)  # fmt: skip
_SKINS = np.array(
    [(0.74, 0.50, 0.39), (0.68, 0.43, 0.31), (0.56, 0.33, 0.22), (0.42, 0.23, 0.14),
     (0.26, 0.13, 0.075), (0.13, 0.062, 0.036)]
)  # fmt: skip
_HAIRS = np.array(
    [(0.012, 0.01, 0.009), (0.035, 0.02, 0.012), (0.09, 0.045, 0.02), (0.17, 0.075, 0.028),
     (0.42, 0.27, 0.11), (0.6, 0.45, 0.24), (0.28, 0.07, 0.02), (0.32, 0.31, 0.3)]
)  # fmt: skip
_IRISES = np.array(
    [(0.05, 0.025, 0.012), (0.09, 0.05, 0.02), (0.07, 0.13, 0.22), (0.08, 0.13, 0.07)]
)


@dataclass(frozen=True)
class Look:
    """What a person looks like, except for the materials.

    Attributes:
        body: the body's measures, as `anny` names them.
        suit, shoes, hair, eyebrows: names of what is worn.
        male: whether a man.
        sleeve, leg: length of the sleeves and the legs of clothes, as a share of the arm's and the
            leg's; 1 leaves them as they are.
    """

    body: Mapping[str, float]
    suit: str
    shoes: str
    hair: str
    eyebrows: str
    male: bool
    sleeve: float
    leg: float

    @property
    def trousers(self) -> bool:
        """Whether the suit has legs."""
        return "K" not in _PIECES[self.suit] and self.suit != "female_casualsuit02"


def sample_look(rng: np.random.Generator) -> Look:
    """Sample what a person looks like."""
    male = bool(rng.random() < 0.48)
    origin = rng.dirichlet((0.6, 0.6, 0.6))
    body = {
        "gender": rng.uniform(0.85, 1.0) if male else rng.uniform(0.0, 0.12),
        "age": rng.uniform(0.5, 0.8),
        "muscle": rng.uniform(0.4, 0.75) if male else rng.uniform(0.35, 0.6),
        "weight": rng.uniform(0.35, 0.7),
        "height": rng.uniform(0.4, 0.65),
        "proportions": rng.uniform(0.6, 0.95),
        "african": origin[0],
        "asian": origin[1],
        "caucasian": origin[2],
    }
    suit = str(rng.choice(_MEN if male else _WOMEN))
    return Look(
        {name: float(value) for name, value in body.items()},
        suit,
        f"shoes{rng.integers(1, 7):02d}",
        str(rng.choice(_MENS_HAIR if male else _WOMENS_HAIR)),
        str(rng.choice(("eyebrow001", "eyebrow003", "eyebrow006", "eyebrow010"))),
        male,
        float(rng.choice((1.0, 1.0, 0.5, 0.3))) if suit not in _FORMAL else 1.0,
        float(rng.choice((1.0, 1.0, 1.0, 0.52, 0.4, 0.75))) if suit not in _FORMAL else 1.0,
    )


_FORMAL = ("male_elegantsuit01", "male_casualsuit05", "female_elegantsuit01")


def materials(
    look: Look, suit: Garment, face: Mapping[str, float], rng: np.random.Generator
) -> tuple[Floats, dict[str, Ints]]:
    """Sample the materials of a person.

    Args:
        look: what the person looks like.
        suit: what is worn.
        face: places at rest: mouth_z, mouth_width, eye_x, eye_y, eye_z, head_y, chest_z, spine_y.
        rng: source of chance.

    Returns:
        The materials, one row each, and the rows of each part: of `suit` one for each chart, of
        `shoes`, `socks`, `hair`, `eyes` and `eyebrows` one. Row 0 is skin.
    """
    skin = _skin(look, face, rng)
    hair = _hair(skin[pm.BASE : pm.BASE + 3], face, rng)
    brow = _row(pm.BROW, hair[pm.BASE : pm.BASE + 3] * 0.6)
    socks = _row(pm.CLOTH, _linear(0, 0, float(rng.choice((0.9, 0.9, 0.12, 0.5)))))
    rows = [skin, _shoes(rng), hair, _eye(face, rng), brow, socks]
    pieces = _clothes(look, face, rng)
    numbers = {piece: len(rows) + k for k, piece in enumerate(pieces)}
    rows += list(pieces.values())
    charts = np.array([numbers[piece] for piece in _PIECES[suit.name]])
    parts = {"suit": charts, "shoes": [1], "hair": [2], "eyes": [3], "eyebrows": [4], "socks": [5]}
    return np.stack(rows), {name: np.array(part) for name, part in parts.items()}


def _row(kind: int, colour: Colour) -> Floats:
    row = np.zeros(pm.COLUMNS)
    row[pm.KIND], row[pm.PERIOD] = kind, 1.0
    row[pm.BASE : pm.BASE + 3] = colour
    return row


def _place_face(row: Floats, face: Mapping[str, float]) -> None:
    for column, name in (
        (pm.MOUTH_Z, "mouth_z"), (pm.MOUTH_WIDTH, "mouth_width"), (pm.EYE_X, "eye_x"),
        (pm.EYE_Y, "eye_y"), (pm.EYE_Z, "eye_z"), (pm.FRONT, "head_y"),
    ):  # fmt: skip
        row[column] = face[name]


def _skin(look: Look, face: Mapping[str, float], rng: np.random.Generator) -> Floats:
    # People of African descent are darker, as a rule.
    tone = np.clip(rng.normal(0.8 + 3.4 * look.body["african"], 0.6), 0, len(_SKINS) - 1.001)
    low = int(tone)
    skin = _SKINS[low] * (1 - tone + low) + _SKINS[low + 1] * (tone - low)
    skin = skin * rng.uniform(0.94, 1.06, 3)
    row = _row(pm.SKIN, skin)
    _place_face(row, face)
    natural = skin * (0.86, 0.6, 0.62)
    painted = np.array([rng.uniform(0.35, 0.55), rng.uniform(0.03, 0.12), rng.uniform(0.05, 0.14)])
    paint = 0.0 if look.male else float(rng.choice((0.0, 0.35, 0.8)))
    row[pm.LIPS : pm.LIPS + 3] = natural * (1 - paint) + painted * paint
    row[pm.BEARD] = float(rng.choice((0.0, 0.0, 0.25, 0.5, 0.9))) if look.male else 0.0
    row[pm.BLUSH] = rng.uniform(0.2, 0.8)
    row[pm.MAKE_UP] = 0.35 if look.male else rng.uniform(0.5, 1.0)
    row[pm.GLOSS] = rng.uniform(0.04, 0.09)
    return row


def _hair(skin: Colour, face: Mapping[str, float], rng: np.random.Generator) -> Floats:
    shares = np.array((3, 4, 3, 2, 2, 1.5, 0.7, 0.7))
    if _lightness(skin) < 0.5:  # Dark skin goes with dark hair, as a rule.
        shares = np.array((6, 3, 1, 0.1, 0.1, 0.05, 0.05, 0.3))
    base = _HAIRS[rng.choice(len(_HAIRS), p=shares / shares.sum())]
    while abs(_lightness(base) - _lightness(skin)) < 0.12:
        base = _HAIRS[rng.choice(len(_HAIRS))]
    base = base * rng.uniform(0.8, 1.2)
    row = _row(pm.HAIR, base)
    _place_face(row, face)
    row[pm.GLOSS] = 0.04 + 0.3 * base.mean()
    return row


def _eye(face: Mapping[str, float], rng: np.random.Generator) -> Floats:
    row = _row(pm.EYE, _IRISES[rng.choice(4, p=(0.4, 0.25, 0.2, 0.15))])
    _place_face(row, face)
    return row


def _shoes(rng: np.random.Generator) -> Floats:
    if rng.random() < 0.7:
        colour = _linear(
            *[(0, 0, 0.1), (0, 0, 0.9), (0.07, 0.5, 0.35), (0, 0, 0.4)][rng.integers(4)]
        )
    else:
        colour = _dye(rng)
    row = _row(pm.LEATHER, colour)
    row[pm.GLOSS] = rng.uniform(0.05, 0.25)
    return row


def _clothes(look: Look, face: Mapping[str, float], rng: np.random.Generator) -> dict[str, Floats]:
    """Return the material of each piece of a suit."""
    top = _cloth(rng, patterned=0.62)
    bottom = _cloth(rng, patterned=0.2)
    if bottom[pm.PATTERN] == pm.BLOCK:
        bottom[pm.PATTERN] = pm.PLAIN
    if rng.random() < 0.4 and look.suit not in _FORMAL:
        bottom = _denim(rng)
    if look.suit == "male_elegantsuit01":
        top = _cloth(rng, patterned=0.0)
        top[pm.PATTERN] = rng.choice((pm.PLAIN, pm.PLAIN, pm.PINSTRIPES, pm.TARTAN))
        top[pm.PERIOD] = 0.03 if top[pm.PATTERN] == pm.PINSTRIPES else 0.09
        bottom = top.copy() if rng.random() < 0.75 else bottom
    sleeve, inner = top.copy(), _cloth(rng, patterned=0.3)
    if rng.random() < 0.18:
        sleeve = _cloth(rng, patterned=0.2)
        sleeve[pm.FOLDS] = top[pm.FOLDS]
    collar = top.copy() if rng.random() < 0.6 else _cloth(rng, patterned=0.0)
    if look.suit not in _FORMAL and rng.random() < 0.4:
        _add_emblem(top, face, rng)
    skirt = _cloth(rng, patterned=0.4) if rng.random() < 0.7 else top.copy()
    detail = _row(pm.LEATHER, _dye(rng))
    pocket = top.copy()
    pocket[pm.BASE : pm.THIRD + 3] *= 0.85
    for row in (skirt, bottom, sleeve, collar, inner, pocket):
        row[pm.EMBLEM_SIZE] = 0.0
    return {"T": top, "S": sleeve, "B": bottom, "K": skirt, "C": collar, "I": inner, "D": detail,
            "P": pocket}  # fmt: skip


def _cloth(rng: np.random.Generator, patterned: float) -> Floats:
    """Sample a cloth, which is plain unless `patterned`, a probability, says otherwise."""
    first, second, third = _dye(rng), _dye(rng), _dye(rng)
    while np.abs(_lightness(first) - _lightness(second)) < 0.18:
        second = _dye(rng)
    row = _row(pm.CLOTH, first)
    row[pm.SECOND : pm.SECOND + 3], row[pm.THIRD : pm.THIRD + 3] = second, third
    row[pm.PATTERN] = pm.PLAIN
    if rng.random() < patterned:
        row[pm.PATTERN] = rng.choice([p for p in range(1, pm.PATTERNS) if p != pm.DENIM])
    low, high = _PERIODS.get(int(row[pm.PATTERN]), (0.04, 0.1))
    row[pm.PERIOD] = rng.uniform(low, high)
    row[pm.SHARE] = rng.uniform(0.35, 0.65)
    if row[pm.PATTERN] == pm.BLOCK:
        row[pm.PERIOD], row[pm.SHARE] = 1.0, rng.uniform(0.18, 0.4)
    row[pm.SEED] = rng.integers(1, 10_000)
    row[pm.FOLDS] = rng.uniform(0.05, 0.13)
    row[pm.GLOSS], row[pm.SHEEN] = rng.uniform(0.0, 0.04), rng.uniform(0.02, 0.12)
    return row


_PERIODS = {
    pm.ACROSS: (0.03, 0.12), pm.ALONG: (0.03, 0.09), pm.CHECK: (0.03, 0.09),
    pm.TARTAN: (0.07, 0.14), pm.DOTS: (0.035, 0.09), pm.FLOWERS: (0.06, 0.13),
    pm.CLOUDS: (0.05, 0.14), pm.ZIGZAG: (0.05, 0.12), pm.SPOTS: (0.045, 0.09),
    pm.PINSTRIPES: (0.02, 0.04), pm.DIAMONDS: (0.07, 0.13),
}  # fmt: skip


def _denim(rng: np.random.Generator) -> Floats:
    row = _row(pm.CLOTH, _linear(0.6 + rng.uniform(-0.03, 0.02), rng.uniform(0.3, 0.65),
                                 rng.uniform(0.3, 0.75)))  # fmt: skip
    row[pm.PATTERN], row[pm.FOLDS], row[pm.SEED] = pm.DENIM, 0.12, rng.integers(1, 10_000)
    return row


def _add_emblem(row: Floats, face: Mapping[str, float], rng: np.random.Generator) -> None:
    small = rng.random() < 0.25
    row[pm.EMBLEM_SIZE] = 0.07 if small else rng.uniform(0.14, 0.22)
    row[pm.EMBLEM_X] = 0.075 if small else 0.0
    row[pm.EMBLEM_Z] = face["chest_z"] - (0.02 if small else rng.uniform(0.06, 0.1))
    row[pm.FRONT] = face["spine_y"] - 0.03
    colour = _dye(rng)
    while np.abs(_lightness(colour) - _lightness(row[pm.BASE : pm.BASE + 3])) < 0.22:
        colour = _dye(rng)
    row[pm.EMBLEM_COLOUR : pm.EMBLEM_COLOUR + 3] = colour
    row[pm.EMBLEM_BITS] = rng.integers(1, 1 << 20)


def _dye(rng: np.random.Generator) -> Colour:
    hue, saturation, value = _DYES[rng.integers(len(_DYES))]
    return _linear(
        hue + rng.normal(0, 0.02),
        np.clip(saturation * rng.uniform(0.75, 1.2), 0, 1),
        np.clip(value * rng.uniform(0.85, 1.1), 0.05, 0.95),
    )


def _linear(hue: float, saturation: float, value: float) -> Colour:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value)) ** 2.2


def _lightness(colour: Colour) -> float:
    return float((colour @ (0.21, 0.72, 0.07)) ** (1 / 2.2))
