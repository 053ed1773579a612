"""The renderer's loops over triangles, vertices and samples, compiled by Numba.

Samples are the pixels of an image before it is reduced. Points are (N, 3): x, y in pixels of a
map or image, and depth. A barycentric corner (w1, w2) leaves w0 = 1 - w1 - w2.
"""

# Numba works from the values' types; annotations would only hinder it.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

import numpy as np

# isort: split
from people_colours import compiled, surface_colour


@compiled
def average(samples, pixels):
    """Write the mean colour of each block of samples (H S, W S, 3) into pixels (H, W, 3), zeros."""
    size = samples.shape[0] // pixels.shape[0]
    for y in range(samples.shape[0]):
        for x in range(samples.shape[1]):
            for k in range(3):
                pixels[y // size, x // size, k] += samples[y, x, k] / size**2


@compiled
def transform(points, matrix, offset, moved):
    """Write points @ matrix + offset into moved (N, 3)."""
    for k in range(points.shape[0]):
        x, y, z = points[k, 0], points[k, 1], points[k, 2]
        for j in range(3):
            moved[k, j] = x * matrix[0, j] + y * matrix[1, j] + z * matrix[2, j] + offset[j]


@compiled
def add_normals(vertices, faces, normals):
    """Add to each vertex's normal (V, 3) those of the triangles around it, by their size."""
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        ux, uy, uz = vertices[b] - vertices[a]
        vx, vy, vz = vertices[c] - vertices[a]
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            normals[k, 0] += x
            normals[k, 1] += y
            normals[k, 2] += z


@compiled
def rasterise(points, faces, depth, nearest, corner):
    """Draw triangles (F, 3) over a depth map, the nearest in front.

    Args:
        points: (V, 3).
        faces: (F, 3).
        depth: (H, W) of the nearest surface so far; updated.
        nearest: (H, W) number of the nearest triangle; updated.
        corner: (H, W, 2) barycentric corner (w1, w2) in it; updated.
    """
    height, width = depth.shape
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        x0, y0 = points[a, 0], points[a, 1]
        x1, y1 = points[b, 0] - x0, points[b, 1] - y0
        x2, y2 = points[c, 0] - x0, points[c, 1] - y0
        area = x1 * y2 - x2 * y1
        if abs(area) < 1e-9:
            continue
        left = max(0, int(np.floor(x0 + min(0.0, x1, x2) - 0.5)))
        right = min(width - 1, int(np.ceil(x0 + max(0.0, x1, x2))))
        top = max(0, int(np.floor(y0 + min(0.0, y1, y2) - 0.5)))
        bottom = min(height - 1, int(np.ceil(y0 + max(0.0, y1, y2))))
        z0, z1, z2 = points[a, 2], points[b, 2], points[c, 2]
        for y in range(top, bottom + 1):
            py = y + 0.5 - y0
            for x in range(left, right + 1):
                px = x + 0.5 - x0
                w1 = (px * y2 - x2 * py) / area
                w2 = (x1 * py - px * y1) / area
                if w1 < 0 or w2 < 0 or w1 + w2 > 1:
                    continue
                z = z0 + w1 * (z1 - z0) + w2 * (z2 - z0)
                if z < depth[y, x]:
                    depth[y, x] = z
                    nearest[y, x] = t
                    corner[y, x, 0] = w1
                    corner[y, x, 1] = w2


@compiled
def rasterise_depth(points, faces, depth):
    """Draw triangles (F, 3) over a depth map (H, W) in which a triangle covers about a pixel."""
    height, width = depth.shape
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        x0, y0 = points[a, 0], points[a, 1]
        x1, y1 = points[b, 0] - x0, points[b, 1] - y0
        x2, y2 = points[c, 0] - x0, points[c, 1] - y0
        left = max(0, int(x0 + min(0.0, x1, x2)))
        right = min(width - 1, int(x0 + max(0.0, x1, x2)))
        top = max(0, int(y0 + min(0.0, y1, y2)))
        bottom = min(height - 1, int(y0 + max(0.0, y1, y2)))
        area = x1 * y2 - x2 * y1
        z0, z1, z2 = points[a, 2], points[b, 2], points[c, 2]
        if abs(area) < 0.25 or (right - left) * (bottom - top) == 0:
            # Smaller than a pixel: it covers those that it touches.
            z = (z0 + z1 + z2) / 3
            for y in range(top, bottom + 1):
                for x in range(left, right + 1):
                    depth[y, x] = min(depth[y, x], z)
            continue
        for y in range(top, bottom + 1):
            py = y + 0.5 - y0
            for x in range(left, right + 1):
                px = x + 0.5 - x0
                w1 = (px * y2 - x2 * py) / area
                w2 = (x1 * py - px * y1) / area
                if w1 >= -0.01 and w2 >= -0.01 and w1 + w2 <= 1.01:
                    z = z0 + w1 * (z1 - z0) + w2 * (z2 - z0)
                    depth[y, x] = min(depth[y, x], z)


@compiled
def compare(points, depth, bias):
    """Return the share of the 2×2 nearest pixels whose surface is not before a point."""
    height, width = depth.shape
    seen = np.ones(points.shape[0])
    for k in range(points.shape[0]):
        x, y, z = points[k, 0] - 0.5, points[k, 1] - 0.5, points[k, 2] - bias
        left, top = int(np.floor(x)), int(np.floor(y))
        if left < 0 or top < 0 or left >= width - 1 or top >= height - 1:
            continue
        dx, dy = x - left, y - top
        total = 0.0
        if depth[top, left] >= z:
            total += (1 - dx) * (1 - dy)
        if depth[top, left + 1] >= z:
            total += dx * (1 - dy)
        if depth[top + 1, left] >= z:
            total += (1 - dx) * dy
        if depth[top + 1, left + 1] >= z:
            total += dx * dy
        seen[k] = total
    return seen


@compiled
def _mix(values, a, b, c, w1, w2):
    """Interpolate the rows a, b, c of values (V, 3)."""
    w0 = 1 - w1 - w2
    return (
        w0 * values[a, 0] + w1 * values[b, 0] + w2 * values[c, 0],
        w0 * values[a, 1] + w1 * values[b, 1] + w2 * values[c, 1],
        w0 * values[a, 2] + w1 * values[b, 2] + w2 * values[c, 2],
    )


@compiled
def _unit(x, y, z):
    """Return a vector of length 1."""
    length = np.sqrt(x * x + y * y + z * z) + 1e-9
    return x / length, y / length, z / length


@compiled
def _towards(normal, view):
    """Turn a normal that points away from the camera."""
    x, y, z = normal
    facing = x * view[0] + y * view[1] + z * view[2]
    if facing < -0.3:  # The inside of a sleeve or a skirt.
        return -x, -y, -z
    if facing < 0.02:  # An outline: normals that are interpolated look past it.
        k = 0.02 - facing
        return x + k * view[0], y + k * view[1], z + k * view[2]
    return normal


@compiled
def shade(
    nearest, corner, faces, materials, table, vertices, rest, normals, guides, sky, lamp,
    direction, sky_strength, lamp_strength, eye, colours,
):  # fmt: skip
    """Write the colours of all samples that a triangle covers into colours (H, W, 3).

    Args:
        nearest: (H, W) number of the triangle at each sample; -1 for none.
        corner: (H, W, 2) barycentric corner in it.
        faces: (F, 3).
        materials: (F,) row of each triangle in the table.
        table: (M, P) the materials; see `people_materials`.
        vertices: (V, 3) metres.
        rest: (V, 3) metres, before they were posed.
        normals: (V, 3).
        guides: (F, 3, 3) coordinates along the cloth at each corner.
        sky: (V,) light from the sky.
        lamp: (V,) how much a vertex sees of the lamp.
        direction: (3,) towards the lamp.
        sky_strength: of the sky's light.
        lamp_strength: of the lamp's light.
        eye: (3,) place of the camera, metres.
        colours: (H, W, 3) linear RGB; updated.
    """
    height, width = nearest.shape
    for y in range(height):
        for x in range(width):
            t = nearest[y, x]
            if t < 0:
                continue
            a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
            w1, w2 = corner[y, x, 0], corner[y, x, 1]
            w0 = 1 - w1 - w2
            point = _mix(vertices, a, b, c, w1, w2)
            view = _unit(eye[0] - point[0], eye[1] - point[1], eye[2] - point[2])
            normal = _mix(normals, a, b, c, w1, w2)
            normal = _towards(_unit(normal[0], normal[1], normal[2]), view)
            colour = surface_colour(
                table[materials[t]], _mix(rest, a, b, c, w1, w2),
                _mix(guides[t], 0, 1, 2, w1, w2), normal, view, direction,
                sky_strength * (w0 * sky[a] + w1 * sky[b] + w2 * sky[c]),
                lamp_strength * (w0 * lamp[a] + w1 * lamp[b] + w2 * lamp[c]),
            )  # fmt: skip
            for k in range(3):
                colours[y, x, k] = colour[k]
