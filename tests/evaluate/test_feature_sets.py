"""The features of a set: batches, failures, and the cache of the reference set."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evaluation_folders import MARKET, Scene, fake_features, image, make_scene
from PIL import Image

from dptn_cli.evaluate.feature_sets import FeatureExtractor, ImageSet
from dptn_cli.evaluate.pairing import list_images
from dptn_cli.io.images import read_image
from dptn_cli.metrics.weights import NETWORKS

NETWORK = "inception_tensorflow"


class CountingNetwork:
    """The fake network, with a count of the images it has seen."""

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
    return make_scene(tmp_path, pairs=1, references=5)


@pytest.fixture
def network() -> CountingNetwork:
    return CountingNetwork()


@pytest.fixture
def reference_mean(scene: Scene, network: CountingNetwork, tmp_path: Path) -> Callable[[], float]:
    """Return a function that extracts the reference set through the cache and sums its mean."""
    (tmp_path / "scratch").mkdir()

    def mean() -> float:
        images = ImageSet(scene.reference, tuple(list_images(scene.reference)))
        advances: list[int] = []
        extractor = FeatureExtractor(NETWORK, network, 2, 2, tmp_path / "scratch", advances.append)
        features = extractor.extract_cached(images)
        assert sum(advances) == len(images.names)
        assert features.gaussian is not None
        assert len(features.features()) == features.gaussian.count
        np.testing.assert_allclose(features.features().mean(0), features.gaussian.mean, rtol=1e-6)
        return float(features.gaussian.mean.sum())

    return mean


def test_an_unchanged_set_is_extracted_once(
    scene: Scene, network: CountingNetwork, reference_mean: Callable[[], float]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in scene.reference.iterdir()}
    assert reference_mean() == reference_mean()
    assert network.seen == 5
    assert {path: path.stat().st_mtime_ns for path in scene.reference.iterdir()} == before


@pytest.mark.parametrize("change", ["content", "time", "another", "fewer", "weights"])
def test_a_changed_set_is_extracted_again(
    change: str, scene: Scene, network: CountingNetwork, reference_mean: Callable[[], float]
) -> None:
    reference_mean()
    first = scene.reference / "r0.png"
    if change == "content":
        Image.fromarray(image(9, MARKET)).save(first)
    elif change == "time":
        os.utime(first, ns=(1, 1))
    elif change == "another":
        Image.fromarray(image(9, MARKET)).save(scene.reference / "r9.png")
    elif change == "fewer":
        first.unlink()
    elif change == "weights":
        NETWORKS[NETWORK].weights.path.write_bytes(b"others")
    reference_mean()
    assert network.seen == 10 + {"another": 1, "fewer": -1}.get(change, 0)


@pytest.mark.parametrize("name", ["gaussian.npz", "features.f32"])
def test_a_damaged_entry_is_replaced(
    name: str, network: CountingNetwork, reference_mean: Callable[[], float], tmp_path: Path
) -> None:
    expected = reference_mean()
    (entry,) = (tmp_path / "cache" / "features").iterdir()
    (entry / name).write_bytes(b"damaged")
    assert reference_mean() == expected
    assert network.seen == 10
    assert reference_mean() == expected
    assert network.seen == 10


def test_a_set_with_a_broken_image_is_not_cached_so_that_it_is_reported_again(
    scene: Scene, network: CountingNetwork, tmp_path: Path
) -> None:
    (scene.reference / "r0.png").write_bytes(b"")
    images = ImageSet(scene.reference, tuple(list_images(scene.reference)))
    extractor = FeatureExtractor(NETWORK, network, 2, 2, tmp_path, lambda _: None)
    for _ in range(2):
        features = extractor.extract_cached(images)
        assert [problem.name for problem in features.failed] == ["r0.png"]
        assert features.gaussian is not None
        assert features.gaussian.count == len(features.features()) == 4
    assert not (tmp_path / "cache" / "features").exists()


def test_images_of_several_sizes_are_one_set(
    scene: Scene, network: CountingNetwork, tmp_path: Path
) -> None:
    Image.fromarray(image(3, (40, 30))).save(scene.reference / "r2.png")
    images = ImageSet(scene.reference, tuple(list_images(scene.reference)))
    extractor = FeatureExtractor(NETWORK, network, 4, 3, tmp_path, lambda _: None)
    features = extractor.extract(images)
    expected = [fake_features(read_image(scene.reference / name)[None])[0] for name in images.names]
    np.testing.assert_array_equal(features.features(), np.stack(expected))


@pytest.mark.parametrize("problem", ["a file", "a file where features are kept"])
def test_a_cache_that_cannot_be_written_stops_nothing(
    scene: Scene,
    network: CountingNetwork,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
) -> None:
    cache = tmp_path / "unusable"
    if problem == "a file":
        cache.write_text("")
    else:
        cache.mkdir()
        (cache / "features").write_text("")
    monkeypatch.setenv("DPTN_CACHE", str(cache))
    images = ImageSet(scene.reference, tuple(list_images(scene.reference)))
    notes: list[str] = []
    extractor = FeatureExtractor(NETWORK, network, 4, 1, tmp_path, lambda _: None, notes.append)
    features = extractor.extract_cached(images)
    assert len(features.features()) == 5
    (note,) = notes
    assert note.startswith(f"the features of {scene.reference} are not kept")
    assert "$DPTN_CACHE names another folder" in note
