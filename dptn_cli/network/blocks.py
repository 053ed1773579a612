"""The convolutional blocks of the generator and the discriminator.

Modules are named as in the published checkpoints, whose tensors are loaded by name.
"""

from typing import cast

import torch
from torch import Tensor, nn

LEAKY_SLOPE = 0.1


def instance_norm(channels: int) -> nn.InstanceNorm2d:
    """Return an affine instance norm without running statistics, eps 1e-5."""
    return nn.InstanceNorm2d(channels, affine=True)


def activation() -> nn.LeakyReLU:
    """Return the activation that every block uses."""
    return nn.LeakyReLU(LEAKY_SLOPE)


def downsample(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Return a 4x4 convolution that halves height and width."""
    return nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1)


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Return a 3x3 convolution that keeps height and width."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def upsample(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    """Return a 3x3 transposed convolution that doubles height and width."""
    return nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1)


class FirstEncoderBlock(nn.Module):
    """The first block of an encoder, (N, C_in, H, W) -> (N, C_out, H/2, W/2)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            downsample(channels_in, channels_out),
            instance_norm(channels_out),
            activation(),
            conv3x3(channels_out, channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x))


class EncoderBlock(nn.Module):
    """A pre-activation block of an encoder, (N, C_in, H, W) -> (N, C_out, H/2, W/2)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            instance_norm(channels_in),
            activation(),
            downsample(channels_in, channels_out),
            instance_norm(channels_out),
            activation(),
            conv3x3(channels_out, channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x))


class ResidualBlock(nn.Module):
    """A residual block with a 1x1 convolution as its shortcut, (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            instance_norm(channels),
            activation(),
            conv3x3(channels, channels),
            instance_norm(channels),
            activation(),
            conv3x3(channels, channels),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x) + self.shortcut(x))


class DecoderBlock(nn.Module):
    """A residual block of the decoder, (N, C_in, H, W) -> (N, C_out, 2H, 2W).

    Its shortcut is a transposed convolution.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            instance_norm(channels_in),
            activation(),
            conv3x3(channels_in, channels_out),
            instance_norm(channels_out),
            activation(),
            upsample(channels_out, channels_out),
        )
        self.shortcut = nn.Sequential(upsample(channels_in, channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x) + self.shortcut(x))


class OutputBlock(nn.Module):
    """The block from features to images, (N, C, H, W) -> (N, 3, H, W) in [-1, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            activation(), nn.ReflectionPad2d(1), nn.Conv2d(channels, 3, 3), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x))


class DiscriminatorBlock(nn.Module):
    """A residual block with spectral norm, (N, C_in, H, W) -> (N, C_out, H/2, W/2).

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        first: True for the block that takes the image. It has no leading activation, and its
            hidden layer has `channels_out` channels instead of `channels_in`.
    """

    def __init__(self, channels_in: int, channels_out: int, *, first: bool = False) -> None:
        super().__init__()
        hidden = channels_out if first else channels_in
        layers: list[nn.Module] = [] if first else [activation()]
        layers += [
            spectral(conv3x3(channels_in, hidden)),
            activation(),
            spectral(downsample(hidden, channels_out)),
        ]
        self.model = nn.Sequential(*layers)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2), spectral(nn.Conv2d(channels_in, channels_out, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x) + self.shortcut(x))


def spectral(layer: nn.Module) -> nn.Module:
    """Add spectral norm to a layer, with one power iteration per forward pass in training.

    This is the older `torch.nn.utils.spectral_norm`, because the published checkpoints use its
    tensor names (`weight_orig`, `weight_u`, `weight_v`).
    """
    return torch.nn.utils.spectral_norm(layer)
