"""The drawn figures have exact keypoints and the published layout, and depend on the seed alone."""

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
JOINT = {name: i for i, name in enumerate(JOINT_NAMES)}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("figures")
    main([str(path), "--train-people", "2", "--test-people", "1", "--images", "3",
          "--size", "128x88", "--seed", "5", "--workers", "1"])  # fmt: skip
    return path


def test_published_layout(dataset: Path) -> None:
    for phase, people in (("train", 2), ("test", 1)):
        annotations = Annotations(dataset / f"fasion-resize-annotation-{phase}.csv")
        assert {path.name for path in (dataset / phase).iterdir()} == set(annotations)
        pairs = list(read_pairs(dataset / f"fasion-resize-pairs-{phase}.csv"))
        assert len(pairs) == people * 6
        assert {pair.source for pair in pairs} == set(annotations)


def test_the_same_seed_gives_the_same_files(dataset: Path, tmp_path: Path) -> None:
    main([str(tmp_path), "--train-people", "2", "--test-people", "1", "--images", "3",
          "--size", "128x88", "--seed", "5", "--workers", "2"])  # fmt: skip
    for path in dataset.rglob("*.*"):
        assert (tmp_path / path.relative_to(dataset)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("person", range(12))
def test_keypoints_match_the_drawn_joints(person: int) -> None:
    scene = make_scene(3, person, person % 4)
    image, pose = draw(scene.person, scene.stance, (256, 176))
    assert image.size == (176, 256)
    assert pose.shape == (18, 2)
    shoulders = pose[[JOINT["right shoulder"], JOINT["left shoulder"]]]
    np.testing.assert_allclose(pose[JOINT["neck"]], shoulders.mean(0), atol=1e-9)
    front = scene.stance.view == "front"
    assert (pose[JOINT["nose"]] != -1).all() == front
    assert (shoulders[0, 1] < shoulders[1, 1]) == front, "the person's right"
    present = pose[(pose != -1).all(axis=1)]
    assert ((present >= 0) & (present < (256, 176))).all()
    # Joints are on the figure, not on the plain backdrop.
    pixels = np.asarray(image).astype(int)
    backdrop = np.array(scene.person.background)
    on_figure = [np.abs(pixels[round(y), round(x)] - backdrop).max() > 8 for y, x in present]
    assert np.mean(on_figure) > 0.9


def test_a_scene_is_the_same_at_every_size() -> None:
    scene = make_scene(1, 2, 3)
    _, large = draw(scene.person, scene.stance, (256, 176))
    _, small = draw(scene.person, scene.stance, (128, 88))
    present = (large != -1).all(axis=1)
    np.testing.assert_allclose((large[present] + 0.5) / 2 - 0.5, small[present], atol=0.3)


def test_the_script_reproduces_the_shipped_example(tmp_path: Path) -> None:
    """The command is read from the README of the examples."""
    command = next(
        line for line in (EXAMPLE / "README.md").read_text().splitlines() if "--flat" in line
    )
    main([str(tmp_path), *command.split()[3:]])
    for name in ("pairs.csv", "keypoints.csv"):
        assert (tmp_path / name).read_bytes() == (EXAMPLE / name).read_bytes()
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == sorted(path.name for path in (EXAMPLE / "images").iterdir())
    for name in names:
        drawn, shipped = (
            np.asarray(Image.open(folder / "images" / name)) for folder in (tmp_path, EXAMPLE)
        )
        assert np.abs(drawn.astype(int) - shipped).mean() < 0.5


def test_the_shipped_model_beats_a_copy_of_the_source(tmp_path: Path) -> None:
    """On average, its results are much closer to the true images than the sources are."""
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

    def read_pixels(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.asarray(Image.open(path).convert("RGB").resize((width, height))).astype(float)

    errors, copy_errors = [], []
    for pair in pairs:
        name = f"{Path(pair.source).stem}_2_{Path(pair.target).stem}_vis.png"
        truth = read_pixels(EXAMPLE / "images" / pair.target)
        errors.append(np.abs(read_pixels(tmp_path / name) - truth).mean())
        copy_errors.append(np.abs(read_pixels(EXAMPLE / "images" / pair.source) - truth).mean())
    assert np.mean(errors) < 0.6 * np.mean(copy_errors)
