"""The generator rewritten for export: the same function of the same weights, but faster.

It uses three identities, which are exact except for the order of float additions:

- A keypoint map is the outer product of two 1-D Gaussians. The first convolution over the maps
  therefore becomes a small matrix product of 1-D convolutions, and no map is ever drawn.
- A transposed convolution with stride 2 equals four small convolutions, one for each phase of
  the output: the pixels (2y + p, 2x + q). The last decoder block keeps its four phases as
  half-size feature maps, and the output convolution is split in the same way, so that only the
  3 output channels are ever interleaved. The main path and the shortcut of that block each end in
  a transposed convolution; both are computed as one over the concatenated inputs.
- Everything that depends on the source alone is computed once per source, not once per target.
"""

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dptn_cli.network.blocks import LEAKY_SLOPE, DecoderBlock, OutputBlock
from dptn_cli.network.generator import RGB, Generator
from dptn_cli.network.tensors import joint_gaussians
from dptn_cli.network.transformer import Attention, KeyValue, TokenNorm, to_features, to_tokens
from dptn_cli.types import ImageSpec, Size

FEATURE_STRIDE = 8  # pixels of the image for one of the features that become tokens
PHASES = tuple((row, col) for row in (0, 1) for col in (0, 1))


class ExportGenerator(nn.Module):
    """A generator's branch from source to target, for several targets per source.

    Args:
        generator: the trained generator; it is copied.
        spec: the images that the generator was trained on.
    """

    def __init__(self, generator: Generator, spec: ImageSpec) -> None:
        super().__init__()
        generator = _with_export_layers(generator, spec)
        self.generator, self.spec = generator, spec
        first = cast(nn.Conv2d, generator.block0.model[0])
        texture = cast(nn.Conv2d, generator.source_encoder.block0.model[0])
        joints = generator.config.joints
        # Both encoders start with a convolution over the source image: compute the two as one.
        self.image_weight = nn.Parameter(torch.cat([first.weight[:, :RGB], texture.weight]))
        self.image_bias = nn.Parameter(torch.cat([_bias(first), _bias(texture)]))
        self.source_pose_conv = PoseConvolution(first.weight[:, RGB : RGB + joints])
        self.target_pose_conv = PoseConvolution(first.weight[:, RGB + joints :])
        self.last_blocks = LastBlocks(generator.decoder2, generator.outconv)

    def forward(
        self, image: Tensor, source_pose: Tensor, target_pose: Tensor, source_index: Tensor
    ) -> Tensor:
        """Generate the image of each target.

        Args:
            image: (S, 3, H, W) source images in [-1, 1].
            source_pose: (S, J, 2) as (y, x), pixels of the network's grid; (-1, -1) is a missing
                joint.
            target_pose: (T, J, 2) as (y, x), pixels of the network's grid; (-1, -1) is a missing
                joint.
            source_index: (T,) int64, the source that each target starts from.

        Returns:
            (T, 3, H, W) in [-1, 1].
        """
        from_image = F.conv2d(image, self.image_weight, self.image_bias, stride=2, padding=1)
        width = self.generator.config.width
        source_windows = self._pose_windows(source_pose)
        # The part of the first convolution that both branches share.
        common = from_image[:, :width] + self.source_pose_conv(*source_windows)
        source_features = self._features(common + self.target_pose_conv(*source_windows))
        key_values = self._source_key_values(from_image[:, width:], source_features)

        target_part = self.target_pose_conv(*self._pose_windows(target_pose))
        target_features = self._features(common.index_select(0, source_index) + target_part)
        texture = [
            KeyValue(key.index_select(0, source_index), value.index_select(0, source_index))
            for key, value in key_values
        ]
        decoded = self.generator.PTM.decode(target_features, texture)
        decoded = self.generator.decoder1(self.generator.decoder0(decoded))
        return cast(Tensor, self.last_blocks(decoded))

    def _pose_windows(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        rows, cols = joint_gaussians(pose, self.spec.network_size, self.spec.sigma_px)
        dtype = self.image_weight.dtype
        return _windows(rows.to(dtype)), _windows(cols.to(dtype))

    def _features(self, x: Tensor) -> Tensor:
        """Compute F_ss or F_st from the output of the first convolution, (N, width, H/2, W/2)."""
        return self.generator.features_after_block0(_without_first(self.generator.block0.model, x))

    def _source_key_values(self, x: Tensor, source_features: Tensor) -> list[KeyValue]:
        encoder = self.generator.source_encoder
        texture = encoder.encoder1(encoder.encoder0(_without_first(encoder.block0.model, x)))
        transformer = self.generator.PTM
        return transformer.key_values(transformer.encode(source_features), texture)


class TokenNormOfFeatures(nn.InstanceNorm2d):
    """A `TokenNorm` that normalises tokens as features.

    OpenVINO then moves less memory: it keeps features channels last, where they are tokens.

    Args:
        norm: the norm whose weights are shared.
        size: (H, W) of the features.
    """

    def __init__(self, norm: TokenNorm, size: Size) -> None:
        super().__init__(norm.num_features, eps=norm.eps, affine=True)
        self.weight, self.bias, self.size = norm.weight, norm.bias, size

    def forward(self, tokens: Tensor) -> Tensor:
        """Normalise each channel of tokens (N, H*W, C) over the tokens."""
        return to_tokens(super().forward(to_features(tokens, self.size)))


class AttentionOfProducts(Attention):
    """An `Attention` written as two matrix products and a softmax.

    The exporter writes PyTorch's own attention with reshapes around the keys, which no runtime
    can merge with the products.

    Args:
        attention: the attention whose weights are shared.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__(attention.out_proj.in_features, attention.heads)
        self.in_proj_weight, self.in_proj_bias = attention.in_proj_weight, attention.in_proj_bias
        self.out_proj = attention.out_proj

    def _attend(self, query: Tensor, attended: KeyValue) -> Tensor:
        scores = query * query.shape[-1] ** -0.5 @ attended.key.transpose(-2, -1)
        return cast(Tensor, scores.softmax(dim=-1) @ attended.value)


def _with_export_layers(generator: Generator, spec: ImageSpec) -> Generator:
    """Return a copy of a generator whose transformer is written for runtimes."""
    generator = copy.deepcopy(generator)
    height, width = (side // FEATURE_STRIDE for side in spec.network_size)
    for module in list(generator.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, TokenNorm):
                setattr(module, name, TokenNormOfFeatures(child, (height, width)))
            elif isinstance(child, Attention):
                setattr(module, name, AttentionOfProducts(child))
    return generator


class PoseConvolution(nn.Module):
    """A 4x4 convolution with stride 2 and padding 1 over maps that are outer products.

    It computes sum_{j,u,v} w[o,j,u,v] row_j[2y+u-1] col_j[2x+v-1]: first the sum over v, then
    the sum over (j, u).

    Args:
        weight: (C_out, J, 4, 4).
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.channels, self.joints = weight.shape[:2]
        by_joint = weight.permute(1, 0, 2, 3).reshape(self.joints, self.channels * 4, 4)
        self.weight = nn.Parameter(by_joint.contiguous())  # (J, C_out * u, v)

    def forward(self, row_windows: Tensor, col_windows: Tensor) -> Tensor:
        """Convolve the maps.

        Args:
            row_windows: (N, J, 4, H/2), from `_windows`.
            col_windows: (N, J, 4, W/2), from `_windows`.

        Returns:
            (N, C_out, H/2, W/2).
        """
        over_cols = torch.matmul(self.weight, col_windows)  # (N, J, C_out * u, W/2)
        by_tap = (self.joints, self.channels, 4, over_cols.shape[-1])
        over_cols = over_cols.reshape(-1, *by_tap).transpose(1, 2)
        over_cols = over_cols.flatten(2, 3)  # (N, C_out, J * u, W/2)
        rows = row_windows.flatten(1, 2).transpose(1, 2).unsqueeze(1)  # (N, 1, H/2, J * u)
        return torch.matmul(rows, over_cols)


def _windows(values: Tensor) -> Tensor:
    """Return the inputs of a 4-tap filter (stride 2, padding 1): (N, J, L) -> (N, J, 4, L/2)."""
    padded = F.pad(values, (1, 3))
    even_odd = padded.reshape(*values.shape[:2], -1, 2).transpose(2, 3)  # (N, J, 2, L/2 + 2)
    count = values.shape[2] // 2
    return torch.cat([even_odd[..., :count], even_odd[..., 1 : count + 1]], dim=2)


class LastBlocks(nn.Module):
    """The last decoder block and the output block, without a full-size feature map.

    Phase (p, q) of an image holds its pixels (2y + p, 2x + q).
    """

    def __init__(self, block: DecoderBlock, output: OutputBlock) -> None:
        super().__init__()
        self.main = block.model[:-1]
        up = cast(nn.ConvTranspose2d, block.model[-1])
        shortcut = cast(nn.ConvTranspose2d, block.shortcut[-1])
        weight = torch.cat([up.weight, shortcut.weight])  # (C_main + C_in, C_out, 3, 3)
        self.bias = nn.Parameter(_bias(up) + _bias(shortcut))
        final = cast(nn.Conv2d, output.model[2])
        self.up = nn.ParameterList(_transposed_phase_kernel(weight, *phase) for phase in PHASES)
        self.final = nn.ParameterList(
            _output_phase_kernel(final.weight, *phase) for phase in PHASES
        )
        self.final_bias = nn.Parameter(_bias(final).repeat_interleave(len(PHASES)))

    def forward(self, x: Tensor) -> Tensor:
        """Decode features (N, C, H/2, W/2) to images (N, 3, H, W) in [-1, 1]."""
        both = torch.cat([self.main(x), x], dim=1)
        terms: list[Tensor] = []
        for (row, col), up, final in zip(PHASES, self.up, self.final, strict=True):
            # A transposed convolution reads zeros beyond the last row and column.
            phase = F.conv2d(F.pad(both, (0, col, 0, row)), up, self.bias)
            phase = F.leaky_relu(phase, LEAKY_SLOPE)
            # Reflection padding at full size repeats the border of the opposite phase.
            bordered = F.pad(phase, (col, 1 - col, row, 1 - row), mode="replicate")
            terms.append(F.conv2d(bordered, final, None if terms else self.final_bias))
        first, second, third, fourth = terms
        phases = (first + second + third + fourth).tanh()  # (N, 3 * 4, H/2, W/2)
        return F.pixel_shuffle(phases, 2)


def _transposed_phase_kernel(weight: Tensor, row: int, col: int) -> nn.Parameter:
    """Return the taps of a transposed 3x3 convolution that contribute to one output phase.

    With stride 2, output 2y is w[1] x[y] and output 2y + 1 is w[2] x[y] + w[0] x[y+1].

    Args:
        weight: (C_in, C_out, 3, 3).
        row: row of the phase, 0 or 1.
        col: column of the phase, 0 or 1.

    Returns:
        (C_out, C_in, 1 or 2, 1 or 2), the kernel of an ordinary convolution.
    """
    taps = ([1], [2, 0])
    chosen = weight[:, :, taps[row]][:, :, :, taps[col]]
    return nn.Parameter(chosen.transpose(0, 1).contiguous())


def _output_phase_kernel(weight: Tensor, row: int, col: int) -> nn.Parameter:
    """Return what one input phase of a 3x3 convolution contributes to all four output phases.

    Input phase p lies at 2(y+o) + p and output phase r at 2y + r. They meet in tap
    2o + p - r + 1, with o in (0, 1) for p = 0 and in (-1, 0) for p = 1.

    Args:
        weight: (3, C, 3, 3).
        row: row of the input phase, 0 or 1.
        col: column of the input phase, 0 or 1.

    Returns:
        (3 * 4, C, 2, 2), output phases innermost.
    """
    out, channels = weight.shape[:2]
    kernel = weight.new_zeros(out, 2, 2, channels, 2, 2)
    for out_row, out_col in PHASES:
        for i, j in PHASES:
            tap_row, tap_col = 2 * (i - row) + row - out_row + 1, 2 * (j - col) + col - out_col + 1
            if tap_row in range(3) and tap_col in range(3):
                kernel[:, out_row, out_col, :, i, j] = weight[:, :, tap_row, tap_col]
    return nn.Parameter(kernel.flatten(0, 2))


def _without_first(layers: nn.Sequential, x: Tensor) -> Tensor:
    return cast(Tensor, layers[1:](x))


def _bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    if layer.bias is None:
        raise ValueError("every convolution of this network needs a bias")
    return layer.bias


class NormInFloat32(nn.Module):
    """A norm that computes in float32 and returns the dtype of its input."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return cast(Tensor, self.norm(x.float())).to(x.dtype)


def in_half_precision(generator: ExportGenerator) -> ExportGenerator:
    """Return a copy whose weights and arithmetic are float16, except its norms."""
    generator = copy.deepcopy(generator)
    norms = (nn.InstanceNorm1d, nn.InstanceNorm2d)
    for module in list(generator.modules()):
        if isinstance(module, norms):
            continue
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.half()
        for name, child in list(module.named_children()):
            if isinstance(child, norms):
                setattr(module, name, NormInFloat32(child))
    return generator
