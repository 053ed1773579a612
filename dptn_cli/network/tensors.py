"""Images and poses as the networks see them, and back: the one home of these conversions."""

import torch
from torch import Tensor


def image_to_tensor(image_u8: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float32 in [-1, 1], x / 127.5 - 1."""
    return image_u8.permute(0, 3, 1, 2).float() / 127.5 - 1


def tensor_to_image(tensor: Tensor) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> (N, H, W, 3) uint8 RGB, truncated as the published code does."""
    levels = ((tensor.float() + 1) / 2 * 255).clamp(0, 255)
    return levels.to(torch.uint8).permute(0, 2, 3, 1)


def keypoint_maps(pose_yx: Tensor, size: tuple[int, int], sigma_px: float = 6.0) -> Tensor:
    """Draw one Gaussian a joint.

    exp(-((row - y)^2 + (col - x)^2) / (2 sigma^2)) at the joint's whole pixel, as the published
    code draws it. The Gaussian is separable, so this is the outer product of two 1-D ones.

    Args:
        pose_yx: (N, J, 2) as (y, x), pixels of the network's grid, truncated here toward zero;
            (-1, -1) is a missing joint. A joint outside the image is drawn all the same.
        size: (height, width) of the network's grid.
        sigma_px: standard deviation, pixels.

    Returns:
        (N, J, height, width) float32 in [0, 1]; zeros for a missing joint.
    """
    rows, cols = joint_lines(pose_yx, size, sigma_px)
    return (rows.unsqueeze(3) * cols.unsqueeze(2)).float()


def joint_lines(
    pose_yx: Tensor, size: tuple[int, int], sigma_px: float = 6.0
) -> tuple[Tensor, Tensor]:
    """The two 1-D Gaussians of each joint, whose outer product is its keypoint map.

    Returns:
        (N, J, height) and (N, J, width) float64; the first is zeros for a missing joint.
    """
    present = (pose_yx != -1).any(dim=2)  # (N, J)
    whole = pose_yx.trunc()
    rows = _gaussian(whole[:, :, 0], size[0], sigma_px) * present.unsqueeze(2)
    return rows, _gaussian(whole[:, :, 1], size[1], sigma_px)


def _gaussian(centre: Tensor, length: int, sigma_px: float) -> Tensor:
    """(N, J) centres -> (N, J, length), float64: one float32 ulp here is 4e-4 in the image."""
    pixels = torch.arange(length, dtype=torch.float64, device=centre.device)
    distance = pixels - centre.double().unsqueeze(2)
    return torch.exp(distance.square() * (-0.5 / sigma_px**2))
