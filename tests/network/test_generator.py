"""The generator and its inputs, compared with values of the official code."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from support import Golden
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from dptn_cli.io.resize import resize_to_disk, resize_to_network
from dptn_cli.keypoints import to_network
from dptn_cli.network.config import IMAGE_SPECS
from dptn_cli.network.generator import Generator
from dptn_cli.network.tensors import image_to_tensor, keypoint_maps, tensor_to_image
from dptn_cli.network.transformer import to_tokens

FASHION = IMAGE_SPECS["fashion"]


class Features:
    """All intermediate values between the golden inputs and the images."""

    def __init__(self, generator: Generator, golden: Golden) -> None:
        fitted = [
            resize_to_network(Image.fromarray(np.asarray(image, np.uint8)), FASHION.network_size)
            for image in golden["source"]
        ]
        self.image = image_to_tensor(torch.from_numpy(np.stack(fitted)))
        self.source_maps = self._maps(golden["source_keypoints"])
        self.target_maps = self._maps(golden["target_keypoints"])
        # The golden values were computed with the plain attention kernel.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            self.f_ss = generator.features(self.image, self.source_maps, self.source_maps)
            self.f_st = generator.features(self.image, self.source_maps, self.target_maps)
            self.f_s = generator.source_encoder(self.image)
            self.memory = generator.PTM.encode(self.f_ss)
            texture = generator.source_texture(self.image, self.f_ss)
            self.after_ptm = generator.PTM.decode(self.f_st, texture)
            self.target, self.source = generator(self.image, self.source_maps, self.target_maps)

    @staticmethod
    def _maps(keypoints: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
        poses = [
            to_network(np.asarray(pose, np.float64), FASHION.image_size, FASHION.network_size)
            for pose in keypoints
        ]
        return keypoint_maps(torch.from_numpy(np.stack(poses)), FASHION.network_size)


@pytest.fixture(scope="module")
def computed(official_generator: Generator, golden: Golden) -> Iterator[Features]:
    # Two threads, as for the golden values: with one, the order of the sums alone changes an
    # image of these stand-in weights by 3e-4.
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield Features(official_generator, golden)
    torch.set_num_threads(threads)


def test_parameters(official_generator: Generator) -> None:
    assert sum(p.numel() for p in official_generator.parameters()) == 9_794_371


def test_image_input(computed: Features, golden: Golden) -> None:
    assert np.array_equal(computed.image[:, :, ::16, ::16].numpy(), golden["source_input"])


def test_keypoint_maps(computed: Features, golden: Golden) -> None:
    rows = computed.source_maps[:, :, ::64, ::4].numpy()
    np.testing.assert_allclose(rows, golden["source_heatmap_rows"], atol=1e-7)
    for maps, name in ((computed.source_maps, "source"), (computed.target_maps, "target")):
        sums = maps.sum((2, 3)).numpy()
        np.testing.assert_allclose(sums, golden[f"{name}_heatmap_sums"], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "golden_name"),
    [("f_ss", "F_ss"), ("f_st", "F_st"), ("f_s", "F_s"), ("after_ptm", "F_st_after_PTM")],
)
def test_features(computed: Features, golden: Golden, name: str, golden_name: str) -> None:
    assert_near(getattr(computed, name)[:, ::16], golden[golden_name])


def assert_near(features: Tensor, expected: npt.NDArray[Any]) -> None:
    """Compare to 2e-4 of the features' range, which is up to 31 where an image's is 1."""
    scale = np.abs(expected).max()
    np.testing.assert_allclose(features.numpy() / scale, expected / scale, rtol=0, atol=2e-4)


def test_memory(computed: Features, golden: Golden) -> None:
    assert_near(computed.memory.transpose(1, 2)[:, ::16], golden["memory"])


def test_generated_images(computed: Features, golden: Golden) -> None:
    np.testing.assert_allclose(
        computed.target.numpy(), golden["generated_target"], rtol=0, atol=2e-4
    )
    np.testing.assert_allclose(
        computed.source.numpy(), golden["generated_source"], rtol=0, atol=2e-4
    )


def test_result_in_levels(computed: Features, golden: Golden) -> None:
    at_network_size = tensor_to_image(computed.target).numpy()
    result = np.stack([resize_to_disk(image, FASHION.image_size) for image in at_network_size])
    difference = np.abs(result.astype(int) - golden["result"])
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.999


def test_tokens_are_row_major() -> None:
    features = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    assert torch.equal(to_tokens(features)[1, 2 * 5 + 3], features[1, :, 2, 3])


def test_keypoint_map_of_one_joint() -> None:
    pose = torch.full((1, 18, 2), -1.0)
    pose[0, 4] = torch.tensor([10.9, 3.2])
    pose[0, 5] = torch.tensor([-1.0, 7.0])  # outside, not missing: only one axis is -1
    maps = keypoint_maps(pose, (32, 24), sigma_px=6)
    assert maps[0, 4].argmax() == 10 * 24 + 3
    assert maps[0, 4, 10, 3] == 1
    assert maps[0, 4, 12, 3] == pytest.approx(np.exp(-4 / 72))
    assert maps[0, 5].max() > 0
    assert maps[0, [0, 17]].abs().sum() == 0


def test_levels_are_truncated() -> None:
    values = torch.tensor([-1.5, -1.0, 0.0, 0.999, 1.0, 1.5]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert tensor_to_image(values)[0, 0, :, 0].tolist() == [0, 0, 127, 254, 255, 255]


def test_every_level_survives_the_round_trip() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(1, 16, 16, 3)
    back = tensor_to_image(image_to_tensor(levels) + 1e-5)
    assert torch.equal(back, levels)
