"""The DPTN discriminator: a patch discriminator with spectral norm in every layer."""

from typing import cast

from torch import Tensor, nn

from dptn_cli.network.blocks import DiscriminatorBlock, activation, spectral

WIDTHS = (32, 64, 128, 128)


class Discriminator(nn.Module):
    """A score for each patch of an image.

    It maps images (N, 3, H, W) in [-1, 1] to scores (N, 1, H / 2^L, W / 2^L).

    Args:
        layers: L, the number of blocks; 4 in the published fashion model, 3 in market's.
    """

    def __init__(self, layers: int = 4) -> None:
        super().__init__()
        self.layers = layers
        widths = WIDTHS[:layers]
        self.block0 = DiscriminatorBlock(3, widths[0], first=True)
        for index in range(layers - 1):
            block = DiscriminatorBlock(widths[index], widths[index + 1])
            self.add_module(f"encoder{index}", block)
        self.nonlinearity = activation()
        self.conv = spectral(nn.Conv2d(widths[-1], 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Score every patch: near 1 if it looks real, near 0 if generated (LSGAN)."""
        x = self.block0(image)
        for index in range(self.layers - 1):
            x = self.get_submodule(f"encoder{index}")(x)
        return cast(Tensor, self.conv(self.nonlinearity(x)))
