"""The drawn figures: exact keypoints, the published layout, the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest
from make_figures import draw, main, make_scene
from PIL import Image
from support import dptn

from dptn_cli.inference.model_file import read_model
from dptn_cli.io.pair_list import read_pairs
from dptn_cli.keypoints import JOINT_NAMES, Annotations

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "figures"
J = {name: i for i, name in enumerate(JOINT_NAMES)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("figures")
    main([str(path), "--train-people", "2", "--test-people", "1", "--images", "3",
          "--size", "128x88", "--seed", "5", "--workers", "1"])  # fmt: skip
    return path


def test_published_layout(made: Path) -> None:
    for phase, people in (("train", 2), ("test", 1)):
        annotations = Annotations(made / f"fasion-resize-annotation-{phase}.csv")
        assert {p.name for p in (made / phase).iterdir()} == set(annotations)
        pairs = list(read_pairs(made / f"fasion-resize-pairs-{phase}.csv"))
        assert len(pairs) == people * 6
        assert {pair.source for pair in pairs} == set(annotations)


def test_the_same_seed_gives_the_same_files(made: Path, tmp_path: Path) -> None:
    main([str(tmp_path), "--train-people", "2", "--test-people", "1", "--images", "3",
          "--size", "128x88", "--seed", "5", "--workers", "2"])  # fmt: skip
    for path in made.rglob("*.*"):
        assert (tmp_path / path.relative_to(made)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("person", range(12))
def test_keypoints_are_where_the_joints_are_drawn(person: int) -> None:
    scene = make_scene(3, person, person % 4)
    image, pose = draw(scene.person, scene.stance, (256, 176))
    assert image.size == (176, 256)
    assert pose.shape == (18, 2)
    shoulders = pose[[J["right shoulder"], J["left shoulder"]]]
    np.testing.assert_allclose(pose[J["neck"]], shoulders.mean(0), atol=1e-9)
    front = scene.stance.view == "front"
    assert (pose[J["nose"]] != -1).all() == front
    assert (shoulders[0, 1] < shoulders[1, 1]) == front, "the person's right"
    present = pose[(pose != -1).all(axis=1)]
    assert ((present >= 0) & (present < (256, 176))).all()
    # A joint lies on the figure, not on the plain backdrop.
    levels = np.asarray(image).astype(int)
    backdrop = np.array(scene.person.background)
    on_figure = [np.abs(levels[round(y), round(x)] - backdrop).max() > 8 for y, x in present]
    assert np.mean(on_figure) > 0.9


def test_size_scales_the_same_scene() -> None:
    scene = make_scene(1, 2, 3)
    _, large = draw(scene.person, scene.stance, (256, 176))
    _, small = draw(scene.person, scene.stance, (128, 88))
    present = (large != -1).all(axis=1)
    np.testing.assert_allclose((large[present] + 0.5) / 2 - 0.5, small[present], atol=0.3)


def test_the_example_is_what_the_script_makes(tmp_path: Path) -> None:
    """The README of the examples names this very command."""
    command = next(
        line for line in (EXAMPLE / "README.md").read_text().splitlines() if "--flat" in line
    )
    main([str(tmp_path), *command.split()[3:]])
    for name in ("pairs.csv", "keypoints.csv"):
        assert (tmp_path / name).read_bytes() == (EXAMPLE / name).read_bytes()
    made = sorted(p.name for p in (tmp_path / "images").iterdir())
    assert made == sorted(p.name for p in (EXAMPLE / "images").iterdir())
    for name in made:
        one, two = (
            np.asarray(Image.open(folder / "images" / name)) for folder in (tmp_path, EXAMPLE)
        )
        assert np.abs(one.astype(int) - two).mean() < 0.5


def test_the_shipped_model_knows_the_shipped_figures(tmp_path: Path) -> None:
    """Nearer to the true image than the source is, by a wide margin, pair by pair."""
    model = ROOT / "models" / "figures.onnx"
    assert model.stat().st_size < 20_000_000
    result = dptn(
        "transfer", "--pairs", EXAMPLE / "pairs.csv", "--images", EXAMPLE / "images",
        "--model", model, "-o", tmp_path,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    pairs = list(read_pairs(EXAMPLE / "pairs.csv"))
    assert len(pairs) >= 24
    height, width = read_model(model).spec.image_size

    def levels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.asarray(Image.open(path).convert("RGB").resize((width, height))).astype(float)

    errors, copies = [], []
    for pair in pairs:
        made = f"{Path(pair.source).stem}_2_{Path(pair.target).stem}_vis.png"
        truth = levels(EXAMPLE / "images" / pair.target)
        errors.append(np.abs(levels(tmp_path / made) - truth).mean())
        copies.append(np.abs(levels(EXAMPLE / "images" / pair.source) - truth).mean())
    assert np.mean(errors) < 0.6 * np.mean(copies)
