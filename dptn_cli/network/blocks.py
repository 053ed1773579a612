"""The convolutional blocks of generator and discriminator.

Module names follow the published checkpoints, so that their tensors load by name.
"""

from typing import cast

import torch
from torch import Tensor, nn

LEAKY_SLOPE = 0.1


def norm(channels: int) -> nn.InstanceNorm2d:
    """Affine instance norm without running statistics, eps 1e-5."""
    return nn.InstanceNorm2d(channels, affine=True)


def activation() -> nn.LeakyReLU:
    """The one activation of every block."""
    return nn.LeakyReLU(LEAKY_SLOPE)


def halve(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 4x4 convolution that halves height and width."""
    return nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1)


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps height and width."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


def double(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    """A 3x3 transposed convolution that doubles height and width."""
    return nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1)


class FirstEncoderBlock(nn.Module):
    """(N, C_in, H, W) -> (N, C_out, H/2, W/2), straight from the image."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            halve(channels_in, channels_out),
            norm(channels_out),
            activation(),
            conv3x3(channels_out, channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x))


class EncoderBlock(nn.Module):
    """(N, C_in, H, W) -> (N, C_out, H/2, W/2), pre-activated."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            norm(channels_in),
            activation(),
            halve(channels_in, channels_out),
            norm(channels_out),
            activation(),
            conv3x3(channels_out, channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x))


class ResidualBlock(nn.Module):
    """(N, C, H, W) -> (N, C, H, W), with a 1x1 convolution as its shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            norm(channels),
            activation(),
            conv3x3(channels, channels),
            norm(channels),
            activation(),
            conv3x3(channels, channels),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x) + self.shortcut(x))


class DecoderBlock(nn.Module):
    """(N, C_in, H, W) -> (N, C_out, 2H, 2W), with a transposed convolution as its shortcut."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            norm(channels_in),
            activation(),
            conv3x3(channels_in, channels_out),
            norm(channels_out),
            activation(),
            double(channels_out, channels_out),
        )
        self.shortcut = nn.Sequential(double(channels_in, channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x) + self.shortcut(x))


class OutputBlock(nn.Module):
    """(N, C, H, W) -> (N, 3, H, W) in [-1, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            activation(), nn.ReflectionPad2d(1), nn.Conv2d(channels, 3, 3), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x))


class DiscriminatorBlock(nn.Module):
    """(N, C_in, H, W) -> (N, C_out, H/2, W/2), spectrally normalised.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        first: the block sees the image: no leading activation, hidden width the output's.
    """

    def __init__(self, channels_in: int, channels_out: int, *, first: bool = False) -> None:
        super().__init__()
        hidden = channels_out if first else channels_in
        layers: list[nn.Module] = [] if first else [activation()]
        layers += [
            spectral(conv3x3(channels_in, hidden)),
            activation(),
            spectral(halve(hidden, channels_out)),
        ]
        self.model = nn.Sequential(*layers)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2), spectral(nn.Conv2d(channels_in, channels_out, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return cast(Tensor, self.model(x) + self.shortcut(x))


def spectral(layer: nn.Module) -> nn.Module:
    """Spectral norm, one power iteration per training pass.

    The older `torch.nn.utils.spectral_norm`, because published checkpoints hold its tensor
    names (`weight_orig`, `weight_u`, `weight_v`).
    """
    return torch.nn.utils.spectral_norm(layer)
