"""Scenes for training a pose detector: drawn figures of many sizes on many backdrops.

Every scene depends on (seed, number) alone, so a set of any length needs no files.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from make_figures import Person, Stance, draw, sample_person, sample_stance
from PIL import Image
from scene_backdrops import Array, sample_backdrop

USUAL_SIZE = (256, 176)  # (height, width)
SCALES = (0.5, 1.35)  # the detector reduces larger images first
KINDS = ("usual", "enlarged", "wide", "two", "empty")
CHANCES = (0.44, 0.22, 0.18, 0.11, 0.05)


@dataclass(frozen=True)
class FigureScene:
    """An image and the joints of the people in it.

    Attributes:
        image: the RGB image.
        poses: for each person the joints (18, 2) as (y, x) in pixels, -1 where hidden or missing.
    """

    image: Image.Image
    poses: tuple[Array, ...]


def make_scene(seed: int, number: int) -> FigureScene:
    """Return the scene of a number."""
    rng = np.random.default_rng([seed, number])
    kind = str(rng.choice(KINDS, p=CHANCES))
    size, stances = _composition(rng, kind)
    if len(stances) == 1 and rng.random() < 0.45:
        scene = _studio_scene(rng, stances[0], size)
    else:
        scene = _pasted_scene(rng, stances, size)
    return _augment(rng, scene)


def _composition(rng: np.random.Generator, kind: str) -> tuple[tuple[int, int], tuple[Stance, ...]]:
    """Sample the image's size (height, width) and the stances of the people in it."""
    if kind == "usual":
        stance = sample_stance(rng, (_log_uniform(rng, *SCALES),) * 2)
        return USUAL_SIZE, (_move(rng, stance, 0.06 + 0.3 * abs(1 - stance.scale)),)
    if kind == "enlarged":
        factor = _log_uniform(rng, *SCALES)
        size = (round(USUAL_SIZE[0] * factor), round(USUAL_SIZE[1] * factor))
        return size, (sample_stance(rng, (0.85, 1.05)),)
    if kind == "two":
        size = (USUAL_SIZE[0], int(rng.integers(220, 360)))
        return size, (_one_of_two(rng, -1), _one_of_two(rng, 1))
    height, width = (int(side) for side in rng.integers(150, 400, 2))
    if kind == "empty":
        return (height, width), ()
    figure_px = _log_uniform(rng, SCALES[0] * USUAL_SIZE[0], SCALES[1] * USUAL_SIZE[0])
    stance = sample_stance(rng, (figure_px / height,) * 2)
    return (height, width), (_move(rng, stance, 0.25),)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _move(rng: np.random.Generator, stance: Stance, max_shift: float) -> Stance:
    """Shift a figure by up to a share of the image's sides."""
    x, y = stance.offset + rng.uniform(-max_shift, max_shift, 2)
    return replace(stance, offset=(float(x), float(y)))


def _one_of_two(rng: np.random.Generator, side: int) -> Stance:
    """Sample one of two people, left (-1) or right (1) of the middle; they seldom overlap."""
    stance = sample_stance(rng, (0.6, 0.98))
    return replace(stance, offset=(side * float(rng.uniform(0.17, 0.3)), stance.offset[1]))


def _studio_scene(rng: np.random.Generator, stance: Stance, size: tuple[int, int]) -> FigureScene:
    """Draw a figure as `make_figures.py` does, with its own plain background and floor."""
    background = str(rng.choice(("light", "dark", "studio"), p=(0.4, 0.35, 0.25)))
    image, pose = draw(sample_person(rng, background), stance, size)
    return FigureScene(image, (pose,))


def _pasted_scene(
    rng: np.random.Generator, stances: tuple[Stance, ...], size: tuple[int, int]
) -> FigureScene:
    """Paste figures onto a backdrop; later ones hide joints of earlier ones."""
    canvas = sample_backdrop(rng, size)
    poses: list[Array] = []
    for stance in stances:
        person = sample_person(rng, str(rng.choice(("light", "dark"))))
        colours, transparency, pose = cut_out(person, stance, size)
        canvas = colours + transparency * canvas
        poses = [*(_without_hidden(earlier, transparency) for earlier in poses), pose]
    image = Image.fromarray(np.clip(canvas.round(), 0, 255).astype(np.uint8))
    return FigureScene(image, tuple(poses))


def cut_out(person: Person, stance: Stance, size: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Cut a figure out by drawing it on black and on white.

    Returns:
        Colours (H, W, 3), premultiplied by opacity; transparency (H, W, 1) from 0 to 1, partial
        in the figure's shadow; joints (18, 2).
    """
    on_black, on_white = (
        draw(replace(person, background=(level,) * 3, floor=False), stance, size)
        for level in (0, 255)
    )
    black, white = (np.asarray(image, dtype=np.float64) for image, _ in (on_black, on_white))
    return black, (white - black).mean(axis=2, keepdims=True) / 255, on_black[1]


def _without_hidden(pose: Array, transparency: Array) -> Array:
    """Remove the joints of a pose that a figure in front hides."""
    rows, columns = np.maximum(pose.round().astype(int), 0).T
    hidden = transparency[rows, columns, 0] < 0.5
    return np.where(hidden[:, None], -1.0, pose)


def _augment(rng: np.random.Generator, scene: FigureScene) -> FigureScene:
    """Change a scene's light, and sometimes its sharpness; add JPEG artefacts to some."""
    light = rng.uniform(0.35, 1.15) if rng.random() < 0.35 else rng.uniform(0.85, 1.1)
    tint = rng.uniform(0.92, 1.08, 3) if rng.random() < 0.4 else np.ones(3)
    lit = np.asarray(scene.image, dtype=np.float64) * light * tint
    image = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    if rng.random() < 0.25:  # blurred like a small image that was enlarged
        factor = rng.uniform(0.4, 0.8)
        small = (round(image.width * factor), round(image.height * factor))
        image = image.resize(small, Image.Resampling.BILINEAR).resize(
            image.size, Image.Resampling.BILINEAR
        )
    if rng.random() < 0.2:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(35, 95)))
        image = Image.open(buffer).convert("RGB")
    return FigureScene(image, scene.poses)
