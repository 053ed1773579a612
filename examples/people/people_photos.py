"""Photos of people: light, framing, and which joints can be seen in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

# isort: split
from people_assets import Floats
from people_bodies import Bodies
from people_layout import Row, Settings
from people_poses import VIEWS, pose, sample_stance
from people_render import FOCAL, Camera, Light, Scene, render

_FULL_SHARE, _KNEES_SHARE = 0.72, 0.14  # of the images; the rest ends at the hips
_VISIBLE_WITHIN = np.array(
    # How far before a joint the surface above it may lie, metres: a limb's thickness and a bit.
    [0.04, 0.2, 0.26, 0.09, 0.07, 0.26, 0.09, 0.07, 0.28, 0.13, 0.11, 0.28, 0.13, 0.11,
     0.035, 0.035, 0.05, 0.05]
)  # fmt: skip


class Studio:
    """Renders people; made once in each process."""

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(1)
        self._settings, self._bodies = settings, Bodies(settings.assets)

    def render_person(self, number: int, folder: Path) -> list[Row]:
        """Render and save the images of a person; return their keypoints."""
        seed = self._settings.seed
        rng = np.random.default_rng([seed, number])
        person = self._bodies.sample(rng)
        light = _sample_light(rng)
        rows = []
        for image, view in enumerate(VIEWS):
            frame_rng = np.random.default_rng([seed, number, 1 + image])
            vertices, joints = pose(self._bodies, person, sample_stance(frame_rng, view))
            floor = float(vertices[person.faces].reshape(-1, 3)[:, 2].min())
            scene = Scene(vertices, person.vertices, person.faces, person.materials,
                          person.guides, person.table, floor)  # fmt: skip
            camera = _sample_camera(frame_rng, scene, joints, full=image == 0)
            picture = render(scene, camera, light, self._settings.size)
            points = camera.project(joints, self._settings.size)
            visible = _visible(points, picture.depth, self._settings.size)
            name = f"p{number:05d}_{image}.jpg"
            partial = folder / f".{name}.part"
            picture.image.save(partial, "JPEG", quality=95, subsampling=0)
            partial.replace(folder / name)
            places = points.astype(np.float64).round(1)
            xs, ys = (np.where(visible, places[:, k], -1.0) for k in (0, 1))
            rows.append((name, ys.tolist(), xs.tolist()))
        return rows


def _sample_light(rng: np.random.Generator) -> Light:
    azimuth = rng.choice((-1, 1)) * rng.uniform(0.25, 0.95)
    height = rng.uniform(0.5, 0.95)
    direction = np.array(
        [np.sin(azimuth) * np.cos(height), -np.cos(azimuth) * np.cos(height), np.sin(height)]
    )
    backdrop = np.full(3, rng.choice((rng.uniform(0.5, 0.95), rng.uniform(0.88, 1.05))))
    if rng.random() < 0.2:
        backdrop *= rng.uniform(0.75, 1.0, 3)
    sky = rng.uniform(0.5, 0.75)
    return Light(sky, rng.uniform(1.05, 1.3) - sky * 0.55, direction, rng.uniform(0.12, 0.4),
                 backdrop)  # fmt: skip


def _sample_camera(rng: np.random.Generator, scene: Scene, joints: Floats, full: bool) -> Camera:
    """Frame a person: from head to feet, to the knees or to the hips."""
    points = scene.vertices[np.unique(scene.faces)]
    top, bottom = points[:, 2].max(), points[:, 2].min()
    height = (top - bottom) / rng.uniform(0.86, 0.92)
    above = rng.uniform(0.4, 0.62) * (height - (top - bottom))
    kind = 0.0 if full else rng.random()
    hips, knees = joints[[8, 11], 2].mean(), joints[[9, 12], 2].mean()
    if kind > _FULL_SHARE:
        low = knees if kind < _FULL_SHARE + _KNEES_SHARE else hips
        low -= rng.uniform(0.0, 0.12)
        height = (top - low) / 0.94
        above = 0.06 * height
    middle = joints[[2, 5, 8, 11], 0].mean() + rng.normal(0, 0.015)
    lens = bottom + rng.uniform(0.5, 0.75) * (top - bottom)
    distance = max(height, 1.5) * FOCAL * rng.uniform(0.9, 1.2)
    return Camera(float(middle), float(top + above - height / 2), float(lens), distance, height)


def _visible(
    points: NDArray[np.float32], depth: NDArray[np.float32], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return for each joint (18,) whether it is in the image and not hidden.

    Args:
        points: (18, 3) x and y in pixels, depth in metres.
        depth: of the nearest surface at each sample, metres.
        size: (height, width) of the image, pixels.
    """
    height, width = size
    inside = (points[:, 0] >= 0) & (points[:, 0] < width)
    inside &= (points[:, 1] >= 0) & (points[:, 1] < height)
    samples = depth.shape[0] // height
    visible = np.zeros(len(points), bool)
    for joint, (x, y, z) in enumerate(points):
        if not inside[joint]:
            continue
        row, column = int(y * samples), int(x * samples)
        near = depth[max(0, row - samples) : row + samples + 1,
                     max(0, column - samples) : column + samples + 1]  # fmt: skip
        visible[joint] = bool((near > z - _VISIBLE_WITHIN[joint]).mean() > 0.3)
    return visible
