"""The DPTN generator."""

from typing import cast

import torch
from torch import Tensor, nn

from dptn_cli.network.blocks import (
    DecoderBlock,
    EncoderBlock,
    FirstEncoderBlock,
    OutputBlock,
    ResidualBlock,
)
from dptn_cli.network.config import GeneratorConfig
from dptn_cli.network.transformer import KeyValue, PoseTransformer

RGB = 3


class Generator(nn.Module):
    """A person's image and two poses in, the person in the second pose out.

    The two branches, source to source and source to target, share encoder, residual blocks and
    decoder. Inference needs `source_features` ... `image` alone; training calls `forward`.
    """

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GeneratorConfig()
        width, features = config.width, config.feature_width
        self.block0 = FirstEncoderBlock(RGB + 2 * config.joints, width)
        self.encoder0 = EncoderBlock(width, 2 * width)
        self.encoder1 = EncoderBlock(2 * width, features)
        for index in range(config.residual_blocks):
            self.add_module(f"mblock{index}", ResidualBlock(features))
        self.PTM = PoseTransformer(config)
        self.source_encoder = SourceEncoder(width)
        self.decoder0 = DecoderBlock(features, 2 * width)
        self.decoder1 = DecoderBlock(2 * width, width)
        self.decoder2 = DecoderBlock(width, width)
        self.outconv = OutputBlock(width)

    def features(self, source_image: Tensor, source_maps: Tensor, target_maps: Tensor) -> Tensor:
        """F_ss or F_st, by the maps given.

        Args:
            source_image: (N, 3, H, W) in [-1, 1].
            source_maps: (N, J, H, W) keypoint maps of the source.
            target_maps: (N, J, H, W) of the pose to reach (F_st), or the source's again (F_ss).

        Returns:
            (N, 4 width, H/8, W/8)
        """
        x = torch.cat([source_image, source_maps, target_maps], dim=1)
        return self.features_behind(self.block0(x))

    def features_behind(self, x: Tensor) -> Tensor:
        """The features from what the first block gave, (N, width, H/2, W/2)."""
        x = self.encoder1(self.encoder0(x))
        for index in range(self.config.residual_blocks):
            x = self.get_submodule(f"mblock{index}")(x)
        return x

    def source_texture(self, source_image: Tensor, source_features: Tensor) -> list[KeyValue]:
        """All that the target branch takes from the source: keys and values, one pair a TTB."""
        memory = self.PTM.encode(source_features)
        return self.PTM.key_values(memory, self.source_encoder(source_image))

    def image(self, features: Tensor) -> Tensor:
        """Decode features (N, 4 width, H/8, W/8) to images (N, 3, H, W) in [-1, 1]."""
        x = self.decoder2(self.decoder1(self.decoder0(features)))
        return cast(Tensor, self.outconv(x))

    def forward(
        self, source_image: Tensor, source_maps: Tensor, target_maps: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Both branches, as training needs them.

        Args:
            source_image: (N, 3, H, W) in [-1, 1].
            source_maps: (N, J, H, W).
            target_maps: (N, J, H, W).

        Returns:
            The generated target and the generated source, each (N, 3, H, W) in [-1, 1].
        """
        f_ss = self.features(source_image, source_maps, source_maps)
        f_st = self.features(source_image, source_maps, target_maps)
        texture = self.source_texture(source_image, f_ss)
        return self.image(self.PTM.decode(f_st, texture)), self.image(f_ss)


class SourceEncoder(nn.Module):
    """F_s: (N, 3, H, W) -> (N, 4 width, H/8, W/8), the texture of the image alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block0 = FirstEncoderBlock(RGB, width)
        self.encoder0 = EncoderBlock(width, 2 * width)
        self.encoder1 = EncoderBlock(2 * width, 4 * width)

    def forward(self, image: Tensor) -> Tensor:
        """Encode images in [-1, 1]."""
        return cast(Tensor, self.encoder1(self.encoder0(self.block0(image))))
