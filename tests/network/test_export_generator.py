"""The generator for export computes the same images as the generator."""

import pytest
import torch
import torch.nn.functional as F
from support import TINY_SPEC, tiny_generator

from dptn_cli.network.blocks import DecoderBlock, OutputBlock
from dptn_cli.network.export_generator import (
    ExportGenerator,
    LastBlocks,
    PoseConvolution,
    _windows,
)
from dptn_cli.network.tensors import joint_gaussians, keypoint_maps
from dptn_cli.types import ImageSpec


def poses(count: int, size: tuple[int, int]) -> torch.Tensor:
    """Joints inside and outside the image, some missing."""
    pose = (torch.rand(count, 18, 2) * 1.4 - 0.2) * torch.tensor(size)
    pose[:, 3] = -1
    return pose


@pytest.mark.parametrize("size", [(64, 48), (32, 64), (24, 24)])
@pytest.mark.parametrize(("sources", "targets"), [(1, 1), (3, 2), (2, 5)])
def test_it_generates_the_same_images(size: tuple[int, int], sources: int, targets: int) -> None:
    torch.manual_seed(0)
    generator = tiny_generator().double()
    spec = ImageSpec("any", size, size, sigma_px=TINY_SPEC.sigma_px)
    image = torch.rand(sources, 3, *size, dtype=torch.float64) * 2 - 1
    source_pose, target_pose = poses(sources, size), poses(targets, size)
    index = torch.randint(sources, (targets,))
    with torch.no_grad():
        maps = [
            keypoint_maps(pose, size, spec.sigma_px).double()
            for pose in (source_pose[index], target_pose)
        ]
        expected, _ = generator(image[index], *maps)
        generated = ExportGenerator(generator, spec)(image, source_pose, target_pose, index)
    # The generator rounds its maps to float32; the generator for export has no maps.
    torch.testing.assert_close(generated, expected, atol=2e-4, rtol=0)


def test_the_first_convolution_over_the_poses() -> None:
    torch.manual_seed(0)
    weight, size = torch.randn(5, 18, 4, 4), (16, 24)
    pose = poses(3, size)
    expected = F.conv2d(keypoint_maps(pose, size), weight, stride=2, padding=1)
    rows, cols = (values.float() for values in joint_gaussians(pose, size))
    generated = PoseConvolution(weight)(_windows(rows), _windows(cols))
    torch.testing.assert_close(generated, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_last_blocks_to_every_border_pixel() -> None:
    torch.manual_seed(0)
    block, output = DecoderBlock(6, 4).double(), OutputBlock(4).double()
    x = torch.randn(2, 6, 5, 7, dtype=torch.float64)
    generated = LastBlocks(block, output)(x)
    assert generated.shape == (2, 3, 10, 14)
    torch.testing.assert_close(generated, output(block(x)), atol=1e-12, rtol=0)
