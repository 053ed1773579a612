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
    """The dual-task generator: it draws the person of an image in another pose.

    Its two branches, source to source and source to target, share the encoder, the residual
    blocks and the decoder. `forward` runs both, which only training needs. F_ss and F_st are the
    paper's names for the encoded features of the two branches.

    Args:
        config: widths and depths; None for the published ones.
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
        """Encode an image and two poses as features: F_ss or F_st, depending on `target_maps`.

        Args:
            source_image: (N, 3, H, W) in [-1, 1].
            source_maps: (N, J, H, W) keypoint maps of the source pose.
            target_maps: (N, J, H, W) keypoint maps of the target pose for F_st, or `source_maps`
                again for F_ss.

        Returns:
            (N, 4 width, H/8, W/8).
        """
        x = torch.cat([source_image, source_maps, target_maps], dim=1)
        return self.features_after_block0(self.block0(x))

    def features_after_block0(self, x: Tensor) -> Tensor:
        """Encode the output of the first block, (N, width, H/2, W/2) -> (N, 4 width, H/8, W/8)."""
        x = self.encoder1(self.encoder0(x))
        for index in range(self.config.residual_blocks):
            x = self.get_submodule(f"mblock{index}")(x)
        return x

    def source_texture(self, source_image: Tensor, source_features: Tensor) -> list[KeyValue]:
        """Return all that the target branch needs from the source.

        Args:
            source_image: (N, 3, H, W) in [-1, 1].
            source_features: F_ss, (N, 4 width, H/8, W/8).

        Returns:
            Keys and values for each Texture Transfer Block (TTB).
        """
        memory = self.PTM.encode(source_features)
        return self.PTM.key_values(memory, self.source_encoder(source_image))

    def decode(self, features: Tensor) -> Tensor:
        """Decode features (N, 4 width, H/8, W/8) to images (N, 3, H, W) in [-1, 1]."""
        x = self.decoder2(self.decoder1(self.decoder0(features)))
        return cast(Tensor, self.outconv(x))

    def forward(
        self, source_image: Tensor, source_maps: Tensor, target_maps: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Generate the target and the source.

        Args:
            source_image: (N, 3, H, W) in [-1, 1].
            source_maps: (N, J, H, W) keypoint maps of the source pose.
            target_maps: (N, J, H, W) keypoint maps of the target pose.

        Returns:
            The generated target and the generated source, each (N, 3, H, W) in [-1, 1].
        """
        f_ss = self.features(source_image, source_maps, source_maps)
        f_st = self.features(source_image, source_maps, target_maps)
        texture = self.source_texture(source_image, f_ss)
        return self.decode(self.PTM.decode(f_st, texture)), self.decode(f_ss)


class SourceEncoder(nn.Module):
    """The encoder of the image without poses: (N, 3, H, W) -> F_s (N, 4 width, H/8, W/8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block0 = FirstEncoderBlock(RGB, width)
        self.encoder0 = EncoderBlock(width, 2 * width)
        self.encoder1 = EncoderBlock(2 * width, 4 * width)

    def forward(self, image: Tensor) -> Tensor:
        """Encode images (N, 3, H, W) in [-1, 1]."""
        return cast(Tensor, self.encoder1(self.encoder0(self.block0(image))))
