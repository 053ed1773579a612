"""The colour of a point on a surface: skin with a face, cloth with patterns, leather, hair, eyes.

Patterns are functions of where a point lies on the cloth at rest, so that they are the same in
every image of one person. `people_materials` says what a material and a guide are.
"""

# Numba works from the values' types; annotations would only hinder it.
# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"

from __future__ import annotations

import numpy as np
from numba import njit

# isort: split
import people_materials as pm

compiled = njit(cache=True, fastmath=True, error_model="numpy")

_EYE_X = 0.031  # of the reference head, metres
_GLYPH = 7  # cells of an emblem in each direction, mirrored at the middle


@compiled
def _hash(x, y, z):
    """Return a number in 0..1 that depends on three integers."""
    h = (x * 374761393 + y * 668265263 + z * 2147483647) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFF) / 65535.0


@compiled
def noise(x, y, z):
    """Return value noise in 0..1, smooth, with cells of length 1."""
    ix, iy, iz = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    fx, fy, fz = x - ix, y - iy, z - iz
    fx, fy, fz = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy), fz * fz * (3 - 2 * fz)
    total = 0.0
    for corner in range(8):
        dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
        weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
        total += weight * _hash(ix + dx, iy + dy, iz + dz)
    return total


@compiled
def _step(edge, width, value):
    """Return 0 below an edge, 1 above it, and a smooth step of a width between."""
    t = min(1.0, max(0.0, (value - edge) / width + 0.5))
    return t * t * (3 - 2 * t)


@compiled
def _wave(value):
    """Return a triangle wave of period 1, from 0 to 1 and back."""
    return abs(2 * (value - np.floor(value)) - 1)


@compiled
def _cells(u, v, seed):
    """Return the distance to the nearest of randomly placed points, and that point's number."""
    iu, iv = int(np.floor(u)), int(np.floor(v))
    best, number = 9.0, 0.0
    for dv in range(-1, 2):
        for du in range(-1, 2):
            cu, cv = iu + du, iv + dv
            x = cu + 0.2 + 0.6 * _hash(cu, cv, seed)
            y = cv + 0.2 + 0.6 * _hash(cu, cv, seed + 7)
            distance = np.sqrt((u - x) ** 2 + (v - y) ** 2)
            if distance < best:
                best, number = distance, _hash(cu, cv, seed + 13)
    return best, number


@compiled
def _stripes(kind, u, v, share):
    """Return the shares of the second and the third colour in a pattern of straight bands."""
    if kind == pm.ACROSS:
        return _step(share, 0.08, _wave(v)), 0.0
    if kind == pm.ALONG:
        return _step(share, 0.08, _wave(u)), 0.0
    if kind == pm.CHECK:
        a, b = _step(0.5, 0.08, _wave(u)), _step(0.5, 0.08, _wave(v))
        return (a + b) / 2, 0.0
    if kind == pm.TARTAN:
        a, b = _step(share, 0.08, _wave(u)), _step(share, 0.08, _wave(v))
        thin = max(_step(0.93, 0.05, _wave(u + 0.37)), _step(0.93, 0.05, _wave(v + 0.37)))
        return (a + b) / 2 * (1 - thin), thin * 0.8
    if kind == pm.ZIGZAG:
        return _step(share, 0.1, _wave(v + 0.5 * _wave(u * 0.7))), 0.0
    if kind == pm.PINSTRIPES:
        return 0.7 * _step(0.86, 0.1, _wave(u)), 0.0
    a = _step(0.5, 0.08, 0.5 * (_wave(u) + _wave(v * 0.6)))
    lines = max(_step(0.94, 0.05, _wave(u + 0.3 * v)), _step(0.94, 0.05, _wave(u - 0.3 * v)))
    return a * (1 - lines), lines


@compiled
def _prints(kind, u, v, share, seed):
    """Return the shares of the second and the third colour in a pattern of single figures."""
    if kind == pm.DOTS:
        shift = 0.5 * (int(np.floor(v)) & 1)
        x, y = u + shift - np.floor(u + shift) - 0.5, v - np.floor(v) - 0.5
        return 1 - _step(0.5 * share, 0.1, np.sqrt(x * x + y * y)), 0.0
    distance, number = _cells(u, v, seed)
    if kind == pm.SPOTS:
        ring = 1 - _step(0.36 + 0.08 * number, 0.08, distance)
        inner = 1 - _step(0.2 + 0.08 * number, 0.08, distance)
        return ring * (1 - inner), inner * 0.6
    petals = 0.34 + 0.08 * np.sin(9 * number + 5 * np.arctan2(v - np.floor(v), u - np.floor(u)))
    flower = 1 - _step(petals, 0.08, distance)
    heart = 1 - _step(0.13, 0.08, distance)
    if number < 0.5:
        return flower * (1 - heart), flower * heart
    return flower * heart, flower * (1 - heart)


@compiled
def _pattern(row, along, around, rest):
    """Return the shares of the second and the third colour at a point of a cloth."""
    kind, period, share, seed = (
        int(row[pm.PATTERN]),
        row[pm.PERIOD],
        row[pm.SHARE],
        int(row[pm.SEED]),
    )
    if kind in (pm.PLAIN, pm.DENIM):
        return 0.0, 0.0
    if kind == pm.BLOCK:
        return _step(share, 0.004, along), 0.0
    if kind == pm.CLOUDS:
        x, y, z = rest[0] / period + seed, rest[1] / period, rest[2] / period
        second = _step(0.5, 0.06, noise(x, y, z))
        return second, (1 - second) * _step(0.6, 0.06, noise(x, y + 31, z))
    u, v = around / period, along / period
    if kind in (pm.DOTS, pm.FLOWERS, pm.SPOTS):
        return _prints(kind, u, v, share, seed)
    return _stripes(kind, u, v, share)


@compiled
def _emblem(row, rest):
    """Return the share of the emblem's colour at a point: a mirrored figure of square cells."""
    size = row[pm.EMBLEM_SIZE]
    if size <= 0 or rest[1] > row[pm.FRONT]:
        return 0.0
    u = (rest[0] - row[pm.EMBLEM_X]) / size + 0.5
    v = (row[pm.EMBLEM_Z] - rest[2]) / size + 0.5
    if u < 0 or v < 0 or u >= 1 or v >= 1:
        return 0.0
    column, line = int(u * _GLYPH), int(v * _GLYPH)
    column = min(column, _GLYPH - 1 - column)
    seed = int(row[pm.EMBLEM_BITS])
    style = seed % 4
    if style == 0:  # A disc with a figure cut out.
        filled = (u - 0.5) ** 2 + (v - 0.5) ** 2 < 0.23 and _hash(column, line, seed) > 0.35
    elif style == 1:  # Lines of writing.
        filled = line % 2 == 0 and _hash(int(u * 14), line, seed) > 0.25
    elif style == 2:  # A bar across.
        filled = 0.35 < v < 0.65
    else:
        filled = _hash(column, line, seed) > 0.5
    return 1.0 if filled else 0.0


@compiled
def _cloth(row, along, around, rest):
    """Return the colour of cloth with its pattern and emblem."""
    x, y, z = rest
    second, third = _pattern(row, along, around, rest)
    weave = 0.94 + 0.12 * noise(x * 160, y * 160, z * 160)
    if row[pm.PATTERN] == pm.DENIM:
        weave = 0.72 + 0.4 * noise(around * 60, along * 18, 3.0)
        weave += 0.15 * noise(x * 300, 0.0, z * 90)
    emblem = _emblem(row, rest)
    bare = (1 - emblem) * weave
    first = 1 - second - third
    r = first * row[pm.BASE] + second * row[pm.SECOND] + third * row[pm.THIRD]
    g = first * row[pm.BASE + 1] + second * row[pm.SECOND + 1] + third * row[pm.THIRD + 1]
    b = first * row[pm.BASE + 2] + second * row[pm.SECOND + 2] + third * row[pm.THIRD + 2]
    return (
        r * bare + row[pm.EMBLEM_COLOUR] * emblem,
        g * bare + row[pm.EMBLEM_COLOUR + 1] * emblem,
        b * bare + row[pm.EMBLEM_COLOUR + 2] * emblem,
    )


@compiled
def _bump(x, y, z, normal, strength):
    """Tilt a normal by the slope of noise at a point."""
    d = 0.15
    h = noise(x, y, z)
    gx, gy, gz = noise(x + d, y, z) - h, noise(x, y + d, z) - h, noise(x, y, z + d) - h
    k = strength / d
    nx, ny, nz = normal
    along = gx * nx + gy * ny + gz * nz
    nx, ny, nz = nx - k * (gx - along * nx), ny - k * (gy - along * ny), nz - k * (gz - along * nz)
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    return nx / length, ny / length, nz / length


@compiled
def _beard(row, side, height, rest):
    """Return how much of the skin a beard covers at a point of the face."""
    top = 0.016 + min(0.05, 1.6 * max(0.0, side - 0.03))
    edge = _step(0.0, 0.02, top - height)
    bare = 1 - _step(0.0, 0.008, abs(height + 0.003) - 0.007) * 0.9 if side < 0.026 else 0.0
    grain = 0.7 + 0.6 * noise(rest[0] * 400, rest[1] * 400, rest[2] * 400)
    return min(0.85, row[pm.BEARD] * edge * (1 - bare) * grain)


@compiled
def _skin(row, rest):
    """Return the colour of skin, with lips, cheeks, beard and the rims of the eyes."""
    x, y, z = rest
    mottle = 0.95 + 0.1 * noise(x * 45, y * 45, z * 45)
    r, g, b = row[pm.BASE] * mottle, row[pm.BASE + 1] * mottle, row[pm.BASE + 2] * mottle
    unit = row[pm.EYE_X] / _EYE_X  # of this head
    if z < row[pm.MOUTH_Z] - 0.09 * unit or y > row[pm.EYE_Y] + 0.07 * unit:
        return r, g, b
    side, height = abs(x) / unit, (z - row[pm.MOUTH_Z]) / unit
    if row[pm.BEARD] > 0:
        k = _beard(row, side, height, rest)
        r, g, b = r * (1 - k) + 0.03 * k, g * (1 - k) + 0.02 * k, b * (1 - k) + 0.015 * k
    # Lips: two bows that meet in a line.
    corner = side / (row[pm.MOUTH_WIDTH] / unit)
    bow = 1 - min(1.0, corner) ** 2
    lips = _step(0.0, 0.003, 0.0085 * bow + 0.001 - height)
    lips *= _step(0.0, 0.003, height + 0.0105 * bow) * (1 - _step(0.97, 0.06, corner))
    line = 1 - 0.55 * (1 - _step(0.0012, 0.002, abs(height))) * lips
    r = (r * (1 - lips) + row[pm.LIPS] * lips) * line
    g = (g * (1 - lips) + row[pm.LIPS + 1] * lips) * line
    b = (b * (1 - lips) + row[pm.LIPS + 2] * lips) * line
    cheek = np.exp(-((side - 0.042) ** 2 + (height - 0.03) ** 2) / (2 * 0.016**2)) * row[pm.BLUSH]
    g, b = g * (1 - 0.28 * cheek), b * (1 - 0.22 * cheek)
    across, up = (abs(x) - row[pm.EYE_X]) / unit, (z - row[pm.EYE_Z]) / unit
    ring = np.sqrt((across / 0.0185) ** 2 + (up / 0.0105) ** 2)
    rim = (1 - _step(1.12, 0.3, ring)) * row[pm.MAKE_UP] * (1.0 if up > -0.002 else 0.45)
    shade = 1 - 0.75 * rim
    return r * shade, g * shade, b * shade


@compiled
def _eye(row, rest):
    """Return the colour of an eyeball: white, iris, pupil."""
    unit = row[pm.EYE_X] / _EYE_X
    distance = np.sqrt((abs(rest[0]) - row[pm.EYE_X]) ** 2 + (rest[2] - row[pm.EYE_Z]) ** 2) / unit
    iris = 1 - _step(0.0064, 0.0012, distance)
    pupil = 1 - _step(0.0026, 0.001, distance)
    white = 0.74 * (1 - iris)
    return (
        white + iris * row[pm.BASE] * (1 - pupil),
        white * 0.97 + iris * row[pm.BASE + 1] * (1 - pupil),
        white * 0.95 + iris * row[pm.BASE + 2] * (1 - pupil),
    )


@compiled
def _surface(row, rest, guide, normal):
    """Return the colour, the normal with its bumps, the gloss and its power of a point."""
    kind = int(row[pm.KIND])
    if kind == pm.CLOTH:
        around = np.arctan2(guide[1], guide[2]) * np.sqrt(guide[1] ** 2 + guide[2] ** 2)
        shift = int(row[pm.SEED]) % 97
        x, y, z = rest
        normal = _bump(x * 7 + shift, y * 7, z * 13, normal, row[pm.FOLDS])
        normal = _bump(x * 17 + shift, y * 17, z * 26, normal, 0.4 * row[pm.FOLDS])
        return _cloth(row, guide[0], around, rest), normal, row[pm.GLOSS], 8.0
    if kind == pm.HAIR:
        angle = np.arctan2(rest[0], -(rest[1] - row[pm.FRONT]))
        strand = noise(angle * 26, rest[2] * 9, rest[1] * 9) * 0.6
        strand += noise(angle * 70, rest[2] * 14, 5.0) * 0.4
        k = 0.45 + 1.1 * strand
        colour = (row[pm.BASE] * k, row[pm.BASE + 1] * k, row[pm.BASE + 2] * k)
        normal = _bump(angle * 22, rest[2] * 6, rest[1] * 6, normal, 0.2)
        return colour, normal, row[pm.GLOSS] * (0.3 + 1.4 * strand), 40.0
    if kind == pm.EYE:
        return _eye(row, rest), normal, 0.8, 90.0
    if kind == pm.SKIN:
        return _skin(row, rest), normal, row[pm.GLOSS], 20.0
    return (row[pm.BASE], row[pm.BASE + 1], row[pm.BASE + 2]), normal, row[pm.GLOSS], 30.0


@compiled
def surface_colour(row, rest, guide, normal, view, lamp_direction, sky, lamp):
    """Return the light (red, green, blue) that a point sends to the camera.

    Args:
        row: the material.
        rest: (x, y, z) of the point at rest, metres.
        guide: the guide at the point.
        normal: (x, y, z) of length 1, on the camera's side.
        view: (x, y, z) of length 1, towards the camera.
        lamp_direction: (x, y, z) of length 1, towards the lamp.
        sky: the light that falls on the point from the sky.
        lamp: the light that would fall on it from the lamp if it faced it.
    """
    kind = int(row[pm.KIND])
    colour, normal, gloss, power = _surface(row, rest, guide, normal)
    nx, ny, nz = normal
    facing = nx * lamp_direction[0] + ny * lamp_direction[1] + nz * lamp_direction[2]
    hx, hy, hz = (
        lamp_direction[0] + view[0], lamp_direction[1] + view[1], lamp_direction[2] + view[2]
    )  # fmt: skip
    length = np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9
    shine = max(0.0, (nx * hx + ny * hy + nz * hz) / length)
    grazing = (1 - max(0.0, nx * view[0] + ny * view[1] + nz * view[2])) ** 4
    # Light that enters skin comes out beyond the shadow's edge, red light farthest.
    wrap = (0.32, 0.16, 0.1) if kind == pm.SKIN else (0.0, 0.0, 0.0)
    if kind == pm.EYE:
        sky *= 1.15
    sheen = row[pm.SHEEN] * (sky + lamp * max(0.0, facing)) * grazing
    if kind == pm.HAIR:  # Strands run down, and shine where they stand across the light (Kajiya).
        down_x, down_y, down_z = nx * nz, ny * nz, nz * nz - 1
        size = np.sqrt(down_x * down_x + down_y * down_y + down_z * down_z) + 1e-6
        cosine = (down_x * hx + down_y * hy + down_z * hz) / (size * length)
        shine = np.sqrt(max(0.0, 1 - cosine * cosine))
        gloss *= min(1.0, max(0.0, 1.5 * facing))
        grazing *= 0.3
    extra = gloss * (lamp * shine**power + 0.35 * sky * grazing) + sheen
    return (
        colour[0] * (sky + lamp * max(0.0, (facing + wrap[0]) / (1 + wrap[0]))) + extra,
        colour[1] * (sky + lamp * max(0.0, (facing + wrap[1]) / (1 + wrap[1]))) + extra,
        colour[2] * (sky + lamp * max(0.0, (facing + wrap[2]) / (1 + wrap[2]))) + extra,
    )
