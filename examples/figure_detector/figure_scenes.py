"""Scenes to train a pose detector on: drawn figures of many sizes, on many backdrops.

Every scene comes from (seed, number) alone, so that a set of any length needs no files.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import numpy as np
from make_figures import Person, Stance, draw, sample_person, sample_stance
from PIL import Image
from scene_backdrops import Array, sample_backdrop

USUAL = (256, 176)
SCALES = (0.5, 1.35)  # larger images are reduced before they are looked at
KINDS = ("usual", "enlarged", "wide", "two", "empty")
CHANCES = (0.44, 0.22, 0.18, 0.11, 0.05)


@dataclass(frozen=True)
class FigureScene:
    """An image, and the joints of the people on it.

    Attributes:
        image: RGB.
        poses: each (18, 2) as (y, x) in pixels of the image, -1 where not seen.
    """

    image: Image.Image
    poses: tuple[Array, ...]


def make_scene(seed: int, number: int) -> FigureScene:
    """The scene of this number."""
    rng = np.random.default_rng([seed, number])
    kind = str(rng.choice(KINDS, p=CHANCES))
    size, stances = _composition(rng, kind)
    if len(stances) == 1 and rng.random() < 0.45:
        scene = _studio_scene(rng, stances[0], size)
    else:
        scene = _pasted_scene(rng, stances, size)
    return _photographed(rng, scene)


def _composition(rng: np.random.Generator, kind: str) -> tuple[tuple[int, int], tuple[Stance, ...]]:
    """The image's size (height, width), and who stands where on it."""
    if kind == "usual":
        stance = sample_stance(rng, (_log_uniform(rng, *SCALES),) * 2)
        return USUAL, (_moved(rng, stance, 0.06 + 0.3 * abs(1 - stance.scale)),)
    if kind == "enlarged":
        factor = _log_uniform(rng, *SCALES)
        size = (round(USUAL[0] * factor), round(USUAL[1] * factor))
        return size, (sample_stance(rng, (0.85, 1.05)),)
    if kind == "two":
        size = (USUAL[0], int(rng.integers(220, 360)))
        return size, (_beside(rng, -1), _beside(rng, 1))
    height, width = (int(side) for side in rng.integers(150, 400, 2))
    if kind == "empty":
        return (height, width), ()
    figure = _log_uniform(rng, SCALES[0] * USUAL[0], SCALES[1] * USUAL[0])
    stance = sample_stance(rng, (figure / height,) * 2)
    return (height, width), (_moved(rng, stance, 0.25),)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _moved(rng: np.random.Generator, stance: Stance, reach: float) -> Stance:
    across, down = stance.offset + rng.uniform(-reach, reach, 2)
    return replace(stance, offset=(float(across), float(down)))


def _beside(rng: np.random.Generator, side: int) -> Stance:
    """One of two people, left or right of the middle, seldom overlapping the other."""
    stance = sample_stance(rng, (0.6, 0.98))
    return replace(stance, offset=(side * float(rng.uniform(0.17, 0.3)), stance.offset[1]))


def _studio_scene(rng: np.random.Generator, stance: Stance, size: tuple[int, int]) -> FigureScene:
    """A figure as `make_figures.py` draws it, on its own plain background and floor."""
    background = str(rng.choice(("light", "dark", "studio"), p=(0.4, 0.35, 0.25)))
    image, pose = draw(sample_person(rng, background), stance, size)
    return FigureScene(image, (pose,))


def _pasted_scene(
    rng: np.random.Generator, stances: tuple[Stance, ...], size: tuple[int, int]
) -> FigureScene:
    """Figures laid over a backdrop, each hiding what it covers of those before it."""
    canvas = sample_backdrop(rng, size)
    poses: list[Array] = []
    for stance in stances:
        person = sample_person(rng, str(rng.choice(("light", "dark"))))
        colours, see_through, pose = cut_out(person, stance, size)
        canvas = colours + see_through * canvas
        poses = [_uncovered(pose_before, see_through) for pose_before in poses]
        poses.append(pose)
    image = Image.fromarray(np.clip(canvas.round(), 0, 255).astype(np.uint8))
    return FigureScene(image, tuple(poses))


def cut_out(person: Person, stance: Stance, size: tuple[int, int]) -> tuple[Array, Array, Array]:
    """A figure without its background, from what it looks like on black and on white.

    Returns:
        Its colours (H, W, 3) weighted by its cover, the share (H, W, 1) of the backdrop that
        is seen through it (its shadow lets some through), and its joints (18, 2).
    """
    on_black, on_white = (
        draw(replace(person, background=(level,) * 3, floor=False), stance, size)
        for level in (0, 255)
    )
    black, white = (np.asarray(image, dtype=np.float64) for image, _ in (on_black, on_white))
    return black, (white - black).mean(axis=2, keepdims=True) / 255, on_black[1]


def _uncovered(pose: Array, see_through: Array) -> Array:
    """The pose without the joints that a figure before it hides."""
    rows, columns = np.maximum(pose.round().astype(int), 0).T
    hidden = see_through[rows, columns, 0] < 0.5
    return np.where(hidden[:, None], -1.0, pose)


def _photographed(rng: np.random.Generator, scene: FigureScene) -> FigureScene:
    """The scene under another light, sometimes coarse, sometimes through JPEG."""
    light = rng.uniform(0.35, 1.15) if rng.random() < 0.35 else rng.uniform(0.85, 1.1)
    tint = rng.uniform(0.92, 1.08, 3) if rng.random() < 0.4 else np.ones(3)
    lit = np.asarray(scene.image, dtype=np.float64) * light * tint
    image = Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
    if rng.random() < 0.25:  # as small images look when they are enlarged
        share = rng.uniform(0.4, 0.8)
        small = (round(image.width * share), round(image.height * share))
        image = image.resize(small, Image.Resampling.BILINEAR).resize(
            image.size, Image.Resampling.BILINEAR
        )
    if rng.random() < 0.2:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(35, 95)))
        image = Image.open(buffer).convert("RGB")
    return FigureScene(image, scene.poses)
