"""Clothes, hair, eyes and eyebrows of MakeHuman: reading the files and fitting them to a body.

The formats are MakeHuman's: `.obj` for a mesh, and `.mhclo` for how it follows a body. Each of a
garment's vertices is bound to three vertices of the body, with a weight for each and an offset in
units of the body's size, per axis
(http://www.makehumancommunity.org/wiki/Documentation:File_formats_and_extensions).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SOURCE = (
    "clothes/, hair/ and eyebrows/ from https://github.com/makehumancommunity/makehuman-assets, "
    "folder base, and eyes/ from https://github.com/makehumancommunity/makehuman, folder "
    "makehuman/data"
)
DIGEST = "630a7ae10cd439b5eac38f3a07d9789c9f3b6b5a9d34c510c80b04de76e9938a"
"""The `digest` of the files that models/people-start.pth was trained with."""

SUITS = (
    "female_casualsuit01", "female_casualsuit02", "female_elegantsuit01", "female_sportsuit01",
    "male_casualsuit01", "male_casualsuit02", "male_casualsuit03", "male_casualsuit04",
    "male_casualsuit05", "male_casualsuit06", "male_elegantsuit01", "male_worksuit01",
)  # fmt: skip
SHOES = ("shoes01", "shoes02", "shoes03", "shoes04", "shoes05", "shoes06")
HAIR = ("afro01", "bob01", "bob02", "braid01", "long01", "ponytail01", "short01", "short02",
        "short03", "short04")  # fmt: skip
EYEBROWS = ("eyebrow001", "eyebrow003", "eyebrow006", "eyebrow010")
EYES = "high-poly"
FOLDERS = (
    *(f"clothes/{name}" for name in (*SUITS, *SHOES)),
    *(f"hair/{name}" for name in HAIR),
    *(f"eyebrows/{name}" for name in EYEBROWS),
    f"eyes/{EYES}",
)
DECIMETRES = 10.0  # MakeHuman's unit, in a metre.


class AssetError(Exception):
    """A file of the assets is missing or cannot be read."""


@dataclass(frozen=True)
class Garment:
    """A mesh that follows a body.

    Attributes:
        name: its folder's name.
        faces: (F, 4) indices of vertices; a triangle repeats its last one.
        chart: (F,) number of the connected piece of the texture map that a face belongs to.
        piece: (F,) number of the connected piece of the mesh that a face belongs to.
        anchors: (V, 3) the body's vertices that each vertex is bound to.
        weights: (V, 3) the weight of each.
        offsets: (V, 3) offsets in decimetres on the reference body, in MakeHuman's axes.
        scales: for each of MakeHuman's axes, two vertices of the body and their distance along it
            on the reference body, decimetres; None for an axis that has none.
        hides: the body's vertices that the garment covers.
    """

    name: str
    faces: Ints
    chart: Ints
    piece: Ints
    anchors: Ints
    weights: Floats
    offsets: Floats
    scales: tuple[tuple[int, int, float] | None, ...]
    hides: Ints

    def fit(self, body: Floats) -> Floats:
        """Return the vertices (V, 3) on a body.

        Args:
            body: (19158, 3) the body's vertices at rest, metres, z up, facing -y.
        """
        base = np.stack([body[:, 0], body[:, 2], -body[:, 1]], axis=1) * DECIMETRES
        scale = np.ones(3)
        for axis, entry in enumerate(self.scales):
            if entry is not None:
                first, second, reference = entry
                scale[axis] = abs(base[first, axis] - base[second, axis]) / reference
        fitted = (base[self.anchors] * self.weights[..., None]).sum(axis=1)
        fitted = (fitted + self.offsets * scale) / DECIMETRES
        return np.stack([fitted[:, 0], -fitted[:, 2], fitted[:, 1]], axis=1)

    def bone_weights(self, body_weights: Floats) -> Floats:
        """Return the weights (V, bones) with which bones move the vertices.

        Args:
            body_weights: (19158, bones), those of the body.
        """
        mixed = (body_weights[self.anchors] * self.weights.clip(0)[..., None]).sum(axis=1)
        return np.asarray(mixed / mixed.sum(axis=1, keepdims=True))


def asset_files(folder: Path) -> list[Path]:
    """Return the files that are read, below the folder of the assets.

    Raises:
        AssetError: one is missing.
    """
    files = []
    for name in FOLDERS:
        found = sorted((folder / name).glob("*.mhclo"))
        if not found:
            raise AssetError(f"{folder / name}: no .mhclo file; get {SOURCE}")
        files += [found[0], found[0].parent / _object_name(found[0])]
    return files


def digest(folder: Path) -> str:
    """Return the sha256 of the sorted lines `SHA256  PATH` of all files that are read.

    Raises:
        AssetError: a file is missing.
    """
    try:
        lines = [
            f"{hashlib.sha256(path.read_bytes()).hexdigest()}  "
            f"{path.relative_to(folder).as_posix()}"
            for path in asset_files(folder)
        ]
    except OSError as error:
        raise AssetError(str(error)) from error
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def load_garments(folder: Path) -> dict[str, Garment]:
    """Read all garments, by their folder's name below the folder of the assets.

    Raises:
        AssetError: a file is missing or damaged.
    """
    return {name: load_garment(folder / name) for name in FOLDERS}


def load_garment(folder: Path) -> Garment:
    """Read the first garment of a folder.

    Raises:
        AssetError: a file is missing or damaged.
    """
    binding = sorted(folder.glob("*.mhclo"))[0]
    try:
        faces, chart = _read_faces(folder / _object_name(binding))
        return _read_binding(binding, faces, chart)
    except (OSError, ValueError, IndexError) as error:
        raise AssetError(f"{folder}: cannot be read: {error}") from error


def _object_name(binding: Path) -> str:
    for line in binding.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("obj_file"):
            return line.split()[1]
    raise AssetError(f"{binding}: names no obj_file")


def _read_faces(path: Path) -> tuple[Ints, Ints]:
    """Return the faces (F, 4) of an .obj file, and the chart (F,) of each."""
    corners, texture = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("f "):
            parts = [corner.split("/") for corner in line.split()[1:]]
            if len(parts) not in (3, 4):
                raise ValueError(f"a face of {len(parts)} corners")
            vertices = [int(part[0]) - 1 for part in parts]
            charted = [int(part[1]) - 1 if len(part) > 1 and part[1] else 0 for part in parts]
            corners.append((vertices + vertices[-1:])[:4])
            texture.append((charted + charted[-1:])[:4])
    if not corners:
        raise ValueError("no faces")
    return np.array(corners), connected(np.array(texture))


def connected(faces: Ints) -> Ints:
    """Return for each of the faces (F, 4) the number of the connected piece it belongs to."""
    label = np.arange(faces.max() + 1)
    while True:
        lowest = label[faces].min(axis=1)
        updated = label.copy()
        np.minimum.at(updated, faces.ravel(), np.repeat(lowest, faces.shape[1]))
        if (updated == label).all():
            break
        label = updated
    return np.unique(label[faces[:, 0]], return_inverse=True)[1]


def _read_binding(path: Path, faces: Ints, chart: Ints) -> Garment:
    rows: list[list[float]] = []
    scales: dict[str, tuple[int, int, float]] = {}
    hides: list[int] = []
    section = ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scales[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] in ("verts", "delete_verts"):
            section = words[0]
        elif section == "verts" and words[0].isdigit():
            rows.append(_binding_row(words))
        elif section == "delete_verts" and words[0].isdigit():
            hides += _ranges(words)
    table = np.array(rows)
    if faces.max() >= len(table):
        raise ValueError(f"{len(table)} vertices are bound, and faces use {faces.max() + 1}")
    return Garment(
        path.parent.name,
        faces,
        chart,
        connected(faces),
        table[:, :3].astype(np.int64),
        table[:, 3:6],
        table[:, 6:],
        tuple(scales.get(axis) for axis in "xyz"),
        np.array(sorted(set(hides)), np.int64),
    )


def _binding_row(words: list[str]) -> list[float]:
    if len(words) == 1:  # A vertex that sits on one of the body's.
        return [float(words[0])] * 3 + [1, 0, 0, 0, 0, 0]
    return [float(word) for word in words[:9]]


def _ranges(words: list[str]) -> list[int]:
    """Parse `3 5 - 8 12` to 3, 5, 6, 7, 8, 12."""
    numbers: list[int] = []
    previous_is_dash = False
    for word in words:
        if word == "-":
            previous_is_dash = True
        elif previous_is_dash:
            numbers += range(numbers[-1] + 1, int(word) + 1)
            previous_is_dash = False
        else:
            numbers.append(int(word))
    return numbers
