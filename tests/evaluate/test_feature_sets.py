"""The features of a set: batches, failures, and the cache of the real set."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluation_folders import MARKET, Scene, fake_features, image, make_scene
from PIL import Image

from dptn_cli.errors import InputError
from dptn_cli.evaluate.feature_sets import ImageSet, Measuring, measure, measure_cached
from dptn_cli.evaluate.pairing import list_images
from dptn_cli.io.images import read_image
from dptn_cli.metrics.weights import NETWORKS

NETWORK = "inception_tensorflow"


class Counted:
    """The fake network, and how many images it has seen."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(
        self, images_u8: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        self.seen += len(images_u8)
        return fake_features(images_u8)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
    weights = NETWORKS[NETWORK].weights.path
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    return make_scene(tmp_path, pairs=1, real=5)


@pytest.fixture
def network() -> Counted:
    return Counted()


@pytest.fixture
def real_mean(scene: Scene, network: Counted, tmp_path: Path) -> Callable[[], float]:
    """Measures the real set through the cache; the sum of its mean."""
    (tmp_path / "scratch").mkdir()

    def mean() -> float:
        images = ImageSet(scene.real, tuple(list_images(scene.real)))
        told: list[int] = []
        measuring = Measuring(NETWORK, network, 2, 2, tmp_path / "scratch", told.append)
        found = measure_cached(images, measuring, read_image)
        assert sum(told) == len(images.names)
        assert found.gaussian is not None
        assert len(found.features()) == found.gaussian.count
        np.testing.assert_allclose(found.features().mean(0), found.gaussian.mean, rtol=1e-6)
        return float(found.gaussian.mean.sum())

    return mean


def test_an_unchanged_set_is_measured_once(
    scene: Scene, network: Counted, real_mean: Callable[[], float]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in scene.real.iterdir()}
    assert real_mean() == real_mean()
    assert network.seen == 5
    assert {path: path.stat().st_mtime_ns for path in scene.real.iterdir()} == before


@pytest.mark.parametrize("change", ["content", "time", "another", "fewer", "weights"])
def test_a_changed_set_is_measured_anew(
    change: str, scene: Scene, network: Counted, real_mean: Callable[[], float]
) -> None:
    real_mean()
    first = scene.real / "r0.png"
    if change == "content":
        Image.fromarray(image(9, MARKET)).save(first)
    elif change == "time":
        os.utime(first, ns=(1, 1))
    elif change == "another":
        Image.fromarray(image(9, MARKET)).save(scene.real / "r9.png")
    elif change == "fewer":
        first.unlink()
    elif change == "weights":
        NETWORKS[NETWORK].weights.path.write_bytes(b"others")
    real_mean()
    assert network.seen == 10 + {"another": 1, "fewer": -1}.get(change, 0)


@pytest.mark.parametrize("name", ["gaussian.npz", "features.f32"])
def test_a_damaged_entry_is_made_anew(
    name: str, network: Counted, real_mean: Callable[[], float], tmp_path: Path
) -> None:
    wanted = real_mean()
    (entry,) = (tmp_path / "cache" / "features").iterdir()
    (entry / name).write_bytes(b"damaged")
    assert real_mean() == wanted
    assert network.seen == 10
    assert real_mean() == wanted
    assert network.seen == 10


def test_a_set_with_a_broken_image_is_not_kept_so_that_it_is_told_again(
    scene: Scene, network: Counted, tmp_path: Path
) -> None:
    (scene.real / "r0.png").write_bytes(b"")
    images = ImageSet(scene.real, tuple(list_images(scene.real)))
    measuring = Measuring(NETWORK, network, 2, 2, tmp_path, lambda _: None)
    for _ in range(2):
        found = measure_cached(images, measuring, read_image)
        assert [problem.name for problem in found.failed] == ["r0.png"]
        assert found.gaussian is not None
        assert found.gaussian.count == len(found.features()) == 4
    assert list((tmp_path / "cache" / "features").iterdir()) == []


def test_images_of_several_sizes_are_one_set(
    scene: Scene, network: Counted, tmp_path: Path
) -> None:
    Image.fromarray(image(3, (40, 30))).save(scene.real / "r2.png")
    images = ImageSet(scene.real, tuple(list_images(scene.real)))
    found = measure(images, Measuring(NETWORK, network, 4, 3, tmp_path, lambda _: None), read_image)
    wanted = [fake_features(read_image(scene.real / name)[None])[0] for name in images.names]
    np.testing.assert_array_equal(found.features(), np.stack(wanted))


def test_a_cache_that_cannot_be_written_says_which(
    scene: Scene, network: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "file"))
    images = ImageSet(scene.real, tuple(list_images(scene.real)))
    with pytest.raises(InputError, match="file"):
        measure_cached(
            images, Measuring(NETWORK, network, 4, 1, tmp_path, lambda _: None), read_image
        )
