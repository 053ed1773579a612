"""Conversions of images and poses to the networks' tensors and back."""

import torch
from torch import Tensor


def image_to_tensor(image_u8: Tensor) -> Tensor:
    """Convert (N, H, W, 3) uint8 RGB to (N, 3, H, W) float32 in [-1, 1], as x / 127.5 - 1."""
    return image_u8.permute(0, 3, 1, 2).float() / 127.5 - 1


def tensor_to_image(tensor: Tensor) -> Tensor:
    """Convert (N, 3, H, W) in [-1, 1] to (N, H, W, 3) uint8 RGB.

    Values are truncated, not rounded, as in the published code.
    """
    levels = ((tensor.float() + 1) / 2 * 255).clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1)


def keypoint_maps(pose_yx: Tensor, size: tuple[int, int], sigma_px: float = 6.0) -> Tensor:
    """Draw one Gaussian per joint.

    A map is exp(-((row - y)^2 + (col - x)^2) / (2 sigma^2)), with y and x truncated to whole
    pixels, as in the published code. This Gaussian is separable, so a map is computed as the
    outer product of two 1-D Gaussians.

    Args:
        pose_yx: (N, J, 2) as (y, x), pixels of the network's grid, truncated here toward zero.
            (-1, -1) is a missing joint. A joint outside the image is still drawn.
        size: (height, width) of the network's grid.
        sigma_px: standard deviation, pixels.

    Returns:
        (N, J, height, width) float32 in [0, 1]; zeros for a missing joint.
    """
    rows, cols = joint_gaussians(pose_yx, size, sigma_px)
    return (rows.unsqueeze(3) * cols.unsqueeze(2)).float()


def joint_gaussians(
    pose_yx: Tensor, size: tuple[int, int], sigma_px: float = 6.0
) -> tuple[Tensor, Tensor]:
    """Return the two 1-D Gaussians of each joint, whose outer product is its keypoint map.

    Args:
        pose_yx: (N, J, 2) as (y, x), pixels of the network's grid; (-1, -1) is a missing joint.
        size: (height, width) of the network's grid.
        sigma_px: standard deviation, pixels.

    Returns:
        (N, J, height) along the rows and (N, J, width) along the columns, float64. The first is
        zeros for a missing joint.
    """
    is_present = (pose_yx != -1).any(dim=2)  # (N, J)
    pixel = pose_yx.trunc()
    rows = _gaussian(pixel[:, :, 0], size[0], sigma_px) * is_present.unsqueeze(2)
    return rows, _gaussian(pixel[:, :, 1], size[1], sigma_px)


def _gaussian(centre: Tensor, length: int, sigma_px: float) -> Tensor:
    """Evaluate a Gaussian around each centre: (N, J) -> (N, J, length) float64."""
    # float64, because a float32 rounding error here changes the generated image by 4e-4.
    pixels = torch.arange(length, dtype=torch.float64, device=centre.device)
    distance = pixels - centre.double().unsqueeze(2)
    return torch.exp(distance.square() * (-0.5 / sigma_px**2))
