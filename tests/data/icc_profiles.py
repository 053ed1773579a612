"""Small ICC profiles, written by the specification (ICC.1:2001-04)."""

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

D50 = (0.9642, 1.0, 0.8249)
# Columns: the primaries' XYZ, adapted to D50.
SRGB = ((0.4361, 0.3851, 0.1431), (0.2225, 0.7169, 0.0606), (0.0139, 0.0971, 0.7141))
DISPLAY_P3 = ((0.5151, 0.2920, 0.1571), (0.2412, 0.6922, 0.0666), (-0.0011, 0.0419, 0.7841))
ADOBE_RGB = ((0.6097, 0.2053, 0.1492), (0.3111, 0.6257, 0.0632), (0.0195, 0.0609, 0.7446))
Matrix = Sequence[Sequence[float]]


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(x, y, z)


def _gamma(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(exponent * 256))


def _table(curve: npt.NDArray[np.float64]) -> bytes:
    levels = np.round(curve * 65535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + levels + b"\0" * (len(levels) % 4)


def _profile(device: bytes, space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    position = 128 + 4 + 12 * len(tags)
    table, content = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", position + len(content), len(data))
        content += data + b"\0" * (-len(data) % 4)
    header = b"\0" * 8 + b"\x02\x40\0\0" + device + space + pcs + b"\0" * 12 + b"acsp"
    header = header.ljust(68, b"\0") + _fixed(*D50)
    body = header.ljust(128, b"\0") + table + content
    return struct.pack(">I", len(body)) + body[4:]


def to_linear(levels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the light of sRGB levels, both 0 to 1."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def from_linear(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the sRGB levels of light, both 0 to 1."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def rgb_profile(matrix: Matrix, gamma: float | None = None) -> bytes:
    """Return an RGB profile; `gamma` None is the curve of sRGB."""
    curve = _gamma(gamma) if gamma else _table(to_linear(np.linspace(0, 1, 1024)))
    tags = {b"wtpt": _xyz(*D50)}
    for index, channel in enumerate((b"r", b"g", b"b")):
        tags[channel + b"XYZ"] = _xyz(*(row[index] for row in matrix))
        tags[channel + b"TRC"] = curve
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def gray_profile(gamma: float | None) -> bytes:
    """Return a gray profile; `gamma` None is the curve of sRGB."""
    curve = _gamma(gamma) if gamma else _table(to_linear(np.linspace(0, 1, 1024)))
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(*D50), b"kTRC": curve})


def cmyk_profile() -> bytes:
    """Return a profile of a gray printer: L* is 100 without ink, half with C, M or Y, 0 with K."""
    ramp = bytes(range(256))
    nodes = b""
    for corner in range(16):  # K changes fastest
        coloured, black = bool(corner >> 1), corner & 1
        nodes += bytes([0 if black else 128 if coloured else 255, 128, 128])
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    tags = {b"wtpt": _xyz(*D50), b"A2B0": lut + ramp * 4 + nodes + ramp * 3}
    return _profile(b"prtr", b"CMYK", b"Lab ", tags)


def rgb_in_srgb(
    pixels: npt.NDArray[np.uint8], matrix: Matrix, gamma: float | None
) -> npt.NDArray[np.float64]:
    """Return what a viewer shows of pixels, (…, 3), in sRGB levels of 255."""
    levels = pixels / 255
    light = levels**gamma if gamma else to_linear(levels)
    to_srgb = np.linalg.inv(np.array(SRGB)) @ np.array(matrix)
    return 255 * from_linear(light @ to_srgb.T)
