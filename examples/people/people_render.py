"""A small renderer: rasterises meshes on the CPU, with light from a studio's sky and one lamp.

Light is computed at the vertices. For each of a few directions a depth map says which vertices the
sky can see from there, which gives soft shadows under chins, arms and feet; the lamp is a disc of
several directions. Colour is computed at 4×4 samples in each pixel, from `people_colours`.

Axes: x to the image's right, y away from the camera, z up; metres. Colours are linear RGB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# isort: split
from people_raster import (
    add_normals,
    average,
    compare,
    rasterise,
    rasterise_depth,
    shade,
    transform,
)

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]

SAMPLES = 4  # in each direction, in a pixel
FOCAL = 85 / 36  # of a lens of 85 mm before a sensor of 36 mm height
_SKY_MAP, _SKY_EXTENT = 144, 2.6  # pixels and metres of a depth map
_LAMP_MAP = 320
_SKY_DIRECTIONS, _LAMP_DIRECTIONS = 22, 7
_FLOOR_STEPS, _FLOOR_RADIUS = 41, 1.3
_FAR = 1e9


@dataclass(frozen=True)
class Camera:
    """A camera that looks along +y; it is shifted, not tilted.

    Attributes:
        x: of its axis, metres.
        z: height of the image's middle, metres.
        eye_z: height of the lens, metres.
        distance: from the lens to the plane y = 0, metres.
        height: of what it sees in that plane, metres.
    """

    x: float
    z: float
    eye_z: float
    distance: float
    height: float

    def project(self, points: Floats, size: tuple[int, int]) -> Singles:
        """Return x and y in pixels and the depth in metres (N, 3) of points (N, 3).

        Args:
            points: metres.
            size: (height, width) of the image, pixels.
        """
        height, width = size
        depth = np.maximum(points[:, 1] + self.distance, 0.05)
        scale = self.distance / depth * height / self.height
        x = width / 2 + (points[:, 0] - self.x) * scale
        horizon = height / 2 - (self.eye_z - self.z) * height / self.height
        y = horizon - (points[:, 2] - self.eye_z) * scale
        return np.stack([x, y, depth], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Light:
    """The light of a studio.

    Attributes:
        sky: strength of the light from all around.
        lamp: strength of the lamp.
        direction: (3,) from the scene to the lamp, of length 1.
        softness: radius of the lamp, as a tangent.
        backdrop: (3,) colour of the backdrop.
    """

    sky: float
    lamp: float
    direction: Floats
    softness: float
    backdrop: Floats


@dataclass(frozen=True)
class Scene:
    """What is to be drawn.

    Attributes:
        vertices: (V, 3) metres.
        rest: (V, 3) the same vertices before they were posed.
        faces: (F, 3) triangles.
        materials: (F,) row of each triangle in `table`.
        guides: (F, 3, 3) coordinates along the cloth at each corner; see `people_materials`.
        table: (M, P) the materials; see `people_materials`.
        floor: height of the floor, metres.
    """

    vertices: Floats
    rest: Floats
    faces: Ints
    materials: Ints
    guides: Floats
    table: Floats
    floor: float


@dataclass(frozen=True)
class Picture:
    """A drawn image.

    Attributes:
        image: the image.
        depth: (height, width) of the nearest surface at each sample, metres.
    """

    image: Image.Image
    depth: Singles


def render(scene: Scene, camera: Camera, light: Light, size: tuple[int, int]) -> Picture:
    """Draw a scene.

    Args:
        scene: what is drawn.
        camera: from where.
        light: in which light.
        size: (height, width) of the image, pixels.
    """
    height, width = size[0] * SAMPLES, size[1] * SAMPLES
    normals = vertex_normals(scene.vertices, scene.faces)
    faces = scene.faces.astype(np.int32)
    grid = _floor_grid(scene)
    points = np.concatenate([scene.vertices, grid])
    up = np.tile([0.0, 0.0, 1.0], (len(grid), 1))
    facing = np.concatenate([normals, up])
    sky, lamp = _visibility(points, facing, len(scene.vertices), faces, light)
    projected = camera.project(scene.vertices, (height, width))
    depth = np.full((height, width), _FAR, np.float32)
    nearest = np.full((height, width), -1, np.int32)
    corner = np.zeros((height, width, 2), np.float32)
    rasterise(projected, faces, depth, nearest, corner)
    floor = _floor_light(sky[len(normals) :], lamp[len(normals) :], light)
    backdrop = _backdrop(scene, camera, light, floor, size)
    colours = np.repeat(np.repeat(backdrop, SAMPLES, axis=0), SAMPLES, axis=1)
    eye = np.array([camera.x, -camera.distance, camera.eye_z])
    shade(
        nearest, corner, faces, scene.materials.astype(np.int32), scene.table,
        scene.vertices, scene.rest, normals, scene.guides, sky, lamp,
        light.direction, light.sky, light.lamp, eye, colours,
    )  # fmt: skip
    pixels = np.zeros((*size, 3))
    average(colours, pixels)
    return Picture(Image.fromarray(_encode(pixels)), depth)


def vertex_normals(vertices: Floats, faces: Ints) -> Floats:
    """Return the normals (V, 3) of vertices: the sum of the faces' around them, of length 1."""
    normals = np.zeros_like(vertices)
    add_normals(vertices, faces, normals)
    return np.asarray(normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12))


def _encode(colours: Floats) -> NDArray[np.uint8]:
    """Return sRGB bytes of linear colours; what is brighter than 0.8 is compressed."""
    bright = np.maximum(colours - 0.8, 0)
    colours = np.minimum(colours, 0.8) + 0.2 * (1 - np.exp(-bright / 0.2))
    low = colours * 12.92
    high = 1.055 * np.maximum(colours, 1e-6) ** (1 / 2.4) - 0.055
    encoded = np.where(colours < 0.0031308, low, high)
    return np.asarray(np.rint(encoded.clip(0, 1) * 255).astype(np.uint8))


def _directions(count: int) -> Floats:
    """Return directions (count, 3) of equal weight over the upper half, more of them from above."""
    number = np.arange(count) + 0.5
    z = np.sqrt(1 - number / count * 0.98)
    angle = number * np.pi * (3 - np.sqrt(5))
    side = np.sqrt(1 - z * z)
    return np.stack([side * np.cos(angle), side * np.sin(angle), z], axis=1)


def _disc(direction: Floats, softness: float, count: int) -> Floats:
    """Return directions (count, 3) around one."""
    side = np.cross(direction, [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    up = np.cross(side, direction)
    number = np.arange(count) + 0.5
    radius, angle = softness * np.sqrt(number / count), number * np.pi * (3 - np.sqrt(5))
    around = np.outer(radius * np.cos(angle), side) + np.outer(radius * np.sin(angle), up)
    directions = direction + around
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def _visibility(
    points: Floats, normals: Floats, count: int, faces: NDArray[np.int32], light: Light
) -> tuple[Floats, Floats]:
    """Return for each point the light from the sky (0..1) and how much it sees of the lamp.

    The first `count` points are the vertices of the faces.
    """
    middle = (points[:count].min(axis=0) + points[:count].max(axis=0)) / 2
    sky, weight = np.zeros(len(points)), 0.0
    for direction in _directions(_SKY_DIRECTIONS):
        seen = _seen(points, faces, direction, middle, _SKY_MAP, 0.025)
        # The studio is brighter from above and from the camera's side.
        strength = 1.0 - 0.35 * direction[1]
        sky += strength * seen * (normals @ direction).clip(0)
        weight += strength * direction[2]
    lamp = np.zeros(len(points))
    for direction in _disc(light.direction, light.softness, _LAMP_DIRECTIONS):
        lamp += _seen(points, faces, direction, middle, _LAMP_MAP, 0.02)
    lamp /= _LAMP_DIRECTIONS
    # The floor throws back some of the light that falls on it.
    bounce = 0.22 * (1 - normals[:, 2]) / 2
    return sky / weight + bounce, lamp


def _seen(
    points: Floats, faces: NDArray[np.int32], direction: Floats, middle: Floats, side: int,
    bias: float,
) -> Floats:  # fmt: skip
    """Return how much of each point can be seen from a direction, 0..1."""
    across = np.cross(direction, [0.0, 0.02, 1.0])
    across /= np.linalg.norm(across)
    basis = np.stack([across, np.cross(across, direction), -direction], axis=1)
    scale = np.array([side / _SKY_EXTENT, side / _SKY_EXTENT, 1.0])
    offset = np.array([side / 2, side / 2, 0.0])
    matrix = (basis * scale).astype(np.float32)
    looked = np.empty((len(points), 3), np.float32)
    transform(points, matrix, (offset - middle @ matrix).astype(np.float32), looked)
    depth = np.full((side, side), _FAR, np.float32)
    rasterise_depth(looked, faces, depth)
    return np.asarray(compare(looked, depth, np.float32(bias)))


def _floor_grid(scene: Scene) -> Floats:
    """Return points (n, 3) on the floor around the middle of the scene."""
    line = np.linspace(-_FLOOR_RADIUS, _FLOOR_RADIUS, _FLOOR_STEPS)
    x, y = np.meshgrid(line, line)
    return np.stack([x.ravel(), y.ravel(), np.full(x.size, scene.floor)], axis=1)


def _floor_light(sky: Floats, lamp: Floats, light: Light) -> Floats:
    """Return the light on the floor's grid, as a share of that on an empty floor."""
    bright = light.sky * sky + light.lamp * light.direction[2] * lamp
    empty = light.sky * max(sky.max(), 1e-6) + light.lamp * light.direction[2]
    return np.asarray((bright / empty).reshape(_FLOOR_STEPS, _FLOOR_STEPS))


def _backdrop(
    scene: Scene, camera: Camera, light: Light, floor: Floats, size: tuple[int, int]
) -> Floats:
    """Return the backdrop (height, width, 3): a floor that bends up into a wall."""
    height, width = size
    rows = (np.arange(height) + 0.5)[:, None]
    columns = (np.arange(width) + 0.5)[None, :]
    pixel = camera.height / height / camera.distance  # tangent of a pixel
    horizon = height / 2 - (camera.eye_z - camera.z) * height / camera.height
    down = np.maximum((rows - horizon) * pixel, 1e-4)
    depth = (camera.eye_z - scene.floor) / down
    y = np.broadcast_to(depth - camera.distance, (height, width))
    x = camera.x + (columns - width / 2) * pixel * depth
    step = 2 * _FLOOR_RADIUS / (_FLOOR_STEPS - 1)
    shadow = _bilinear(floor, (y + _FLOOR_RADIUS) / step, (x + _FLOOR_RADIUS) / step)
    far = np.clip(np.sqrt(x * x + y * y) / _FLOOR_RADIUS, 0, 1) ** 2
    shadow = shadow * (1 - far) + far
    # Towards the wall the floor gets a little darker, and the corners of the image too.
    wall = np.clip((y - 0.6) / 1.6, 0, 1)
    shade = 1 - 0.05 * wall * wall * (3 - 2 * wall)
    corner = ((columns / width - 0.5) ** 2 + (rows / height - 0.45) ** 2) * 0.16
    return np.asarray(
        (light.backdrop * (shadow * shade * (1 - corner))[..., None]).astype(np.float64)
    )


def _bilinear(values: Floats, y: Floats, x: Floats) -> Floats:
    """Interpolate on a grid; 1 outside it."""
    inside = (y >= 0) & (x >= 0) & (y < values.shape[0] - 1) & (x < values.shape[1] - 1)
    y, x = np.where(inside, y, 0.0), np.where(inside, x, 0.0)
    top, left = y.astype(np.int64), x.astype(np.int64)
    dy, dx = y - top, x - left
    upper = values[top, left] * (1 - dx) + values[top, left + 1] * dx
    lower = values[top + 1, left] * (1 - dx) + values[top + 1, left + 1] * dx
    return np.where(inside, upper * (1 - dy) + lower * dy, 1.0)
