"""The generator rearranged for inference: the same function of the same weights, in less time.

Three identities, exact but for the order of float additions:

- A keypoint map is the outer product of two 1-D Gaussians, so the first convolution over the
  maps is a small matrix product of 1-D convolutions. No map is ever drawn.
- A stride-2 transposed convolution is four small convolutions, one for each phase of the output:
  pixels (2y + p, 2x + q). The last block's are left as four images of half the size, and the
  output convolution is taken apart in the same way, so nothing is interleaved before the 3
  channels of the result. The block's two transposed convolutions, of its main path and its
  shortcut, are one over both inputs.
- What depends on the source alone is computed for each source, not for each target.
"""

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dptn_cli.network.blocks import LEAKY_SLOPE, DecoderBlock, OutputBlock
from dptn_cli.network.generator import RGB, Generator
from dptn_cli.network.tensors import joint_lines
from dptn_cli.network.transformer import KeyValue
from dptn_cli.types import ImageSpec

PHASES = tuple((row, col) for row in (0, 1) for col in (0, 1))


class InferenceGenerator(nn.Module):
    """Target images of a generator, for its branch source to target alone.

    Args:
        generator: its weights are used, and copied where they are rearranged.
        spec: the images it was trained on.
    """

    def __init__(self, generator: Generator, spec: ImageSpec) -> None:
        super().__init__()
        self.generator, self.spec = generator, spec
        first = cast(nn.Conv2d, generator.block0.model[0])
        texture = cast(nn.Conv2d, generator.source_encoder.block0.model[0])
        joints = generator.config.joints
        of_source, of_target = first.weight[:, RGB : RGB + joints], first.weight[:, RGB + joints :]
        # Both encoders look at the image: one convolution for the two.
        self.of_image = nn.Parameter(torch.cat([first.weight[:, :RGB], texture.weight]))
        self.of_image_bias = nn.Parameter(torch.cat([_bias(first), _bias(texture)]))
        self.of_source_pose = PoseConvolution(of_source)
        self.of_target_pose = PoseConvolution(of_target)
        self.last = LastBlocks(generator.decoder2, generator.outconv)

    def forward(
        self, image: Tensor, source_pose: Tensor, target_pose: Tensor, source_index: Tensor
    ) -> Tensor:
        """Make the targets' images.

        Args:
            image: (S, 3, H, W) in [-1, 1].
            source_pose: (S, J, 2) as (y, x), pixels of the network's grid; (-1, -1) is missing.
            target_pose: (T, J, 2), likewise.
            source_index: (T,) which source each target starts from.

        Returns:
            (T, 3, H, W) in [-1, 1].
        """
        seen = F.conv2d(image, self.of_image, self.of_image_bias, stride=2, padding=1)
        width = self.generator.config.width
        source_lines = self._lines(source_pose)
        common = seen[:, :width] + self.of_source_pose(*source_lines)  # of both branches
        source_features = self._features(common + self.of_target_pose(*source_lines))
        shared = self._source_texture(seen[:, width:], source_features)

        to_target = self.of_target_pose(*self._lines(target_pose))
        features = self._features(common.index_select(0, source_index) + to_target)
        texture = [
            KeyValue(key.index_select(0, source_index), value.index_select(0, source_index))
            for key, value in shared
        ]
        decoded = self.generator.PTM.decode(features, texture)
        return cast(Tensor, self.last(self.generator.decoder1(self.generator.decoder0(decoded))))

    def _lines(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        rows, cols = joint_lines(pose, self.spec.network_size, self.spec.sigma_px)
        dtype = self.of_image.dtype
        return _windows(rows.to(dtype)), _windows(cols.to(dtype))

    def _features(self, x: Tensor) -> Tensor:
        """From behind the first convolution to F_ss or F_st."""
        return self.generator.features_behind(_behind_first(self.generator.block0.model, x))

    def _source_texture(self, x: Tensor, source_features: Tensor) -> list[KeyValue]:
        encoder = self.generator.source_encoder
        texture = encoder.encoder1(encoder.encoder0(_behind_first(encoder.block0.model, x)))
        transformer = self.generator.PTM
        return transformer.key_values(transformer.encode(source_features), texture)


class PoseConvolution(nn.Module):
    """A 4x4 convolution, stride 2, pad 1, over keypoint maps that are outer products.

    sum_{j,u,v} w[o,j,u,v] row_j[2y+u-1] col_j[2x+v-1]: first over v, then over (j, u).

    Args:
        weight: (C_out, J, 4, 4).
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.channels, self.joints = weight.shape[:2]
        by_joint = weight.permute(1, 0, 2, 3).reshape(self.joints, self.channels * 4, 4)
        self.weight = nn.Parameter(by_joint.contiguous())  # (J, C_out * u, v)

    def forward(self, row_windows: Tensor, col_windows: Tensor) -> Tensor:
        """(N, J, 4, H/2) and (N, J, 4, W/2), as `_windows` gives them -> (N, C_out, H/2, W/2)."""
        over_cols = torch.matmul(self.weight, col_windows)  # (N, J, C_out * u, W/2)
        by_tap = (self.joints, self.channels, 4, over_cols.shape[-1])
        over_cols = over_cols.reshape(-1, *by_tap).transpose(1, 2)
        over_cols = over_cols.flatten(2, 3)  # (N, C_out, J * u, W/2)
        rows = row_windows.flatten(1, 2).transpose(1, 2).unsqueeze(1)  # (N, 1, H/2, J * u)
        return torch.matmul(rows, over_cols)


def _windows(lines: Tensor) -> Tensor:
    """(N, J, L) -> (N, J, 4, L/2): what a 4-tap filter of stride 2, pad 1 sees at each place."""
    padded = F.pad(lines, (1, 3))
    even_odd = padded.reshape(*lines.shape[:2], -1, 2).transpose(2, 3)  # (N, J, 2, L/2 + 2)
    places = lines.shape[2] // 2
    return torch.cat([even_odd[..., :places], even_odd[..., 1 : places + 1]], dim=2)


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
        self.up = nn.ParameterList(_phase_of_transposed(weight, *phase) for phase in PHASES)
        self.final = nn.ParameterList(_phase_of_final(final.weight, *phase) for phase in PHASES)
        self.final_bias = nn.Parameter(_bias(final).repeat_interleave(len(PHASES)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H/2, W/2) -> (N, 3, H, W) in [-1, 1]."""
        both = torch.cat([self.main(x), x], dim=1)
        terms: list[Tensor] = []
        for (row, col), up, final in zip(PHASES, self.up, self.final, strict=True):
            # Nothing lies beyond the last row and column.
            phase = F.conv2d(F.pad(both, (0, col, 0, row)), up, self.bias)
            phase = F.leaky_relu(phase, LEAKY_SLOPE)
            # Reflection at full size repeats the border row of the other phase.
            bordered = F.pad(phase, (col, 1 - col, row, 1 - row), mode="replicate")
            terms.append(F.conv2d(bordered, final, None if terms else self.final_bias))
        first, second, third, fourth = terms
        phases = (first + second + third + fourth).tanh()  # (N, 3 * 4, H/2, W/2)
        return F.pixel_shuffle(phases, 2)


def _phase_of_transposed(weight: Tensor, row: int, col: int) -> nn.Parameter:
    """The taps of a transposed 3x3 convolution (C_in, C_out, 3, 3), stride 2, that a phase sees.

    Output 2y is w[1] x[y], output 2y + 1 is w[2] x[y] + w[0] x[y+1].

    Returns:
        (C_out, C_in, 1 or 2, 1 or 2), for an ordinary convolution.
    """
    taps = ([1], [2, 0])
    chosen = weight[:, :, taps[row]][:, :, :, taps[col]]
    return nn.Parameter(chosen.transpose(0, 1).contiguous())


def _phase_of_final(weight: Tensor, row: int, col: int) -> nn.Parameter:
    """What an input phase adds to the four output phases of a 3x3 convolution (3, C, 3, 3).

    Input phase p is at 2(y+o) + p, output phase r at 2y + r: they meet in tap 2o + p - r + 1,
    with o in (0, 1) for p = 0 and in (-1, 0) for p = 1.

    Returns:
        (3 * 4, C, 2, 2), output phases innermost.
    """
    out, channels = weight.shape[:2]
    taken = weight.new_zeros(out, 2, 2, channels, 2, 2)
    for out_row, out_col in PHASES:
        for i, j in PHASES:
            tap_row, tap_col = 2 * (i - row) + row - out_row + 1, 2 * (j - col) + col - out_col + 1
            if tap_row in range(3) and tap_col in range(3):
                taken[:, out_row, out_col, :, i, j] = weight[:, :, tap_row, tap_col]
    return nn.Parameter(taken.flatten(0, 2))


def _behind_first(layers: nn.Sequential, x: Tensor) -> Tensor:
    return cast(Tensor, layers[1:](x))


def _bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    if layer.bias is None:
        raise ValueError("a convolution of this network without a bias")
    return layer.bias


class NormInFloat32(nn.Module):
    """A norm that computes in float32 whatever it is given, and answers in kind."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return cast(Tensor, self.norm(x.float())).to(x.dtype)


def in_half_precision(inference: InferenceGenerator) -> InferenceGenerator:
    """A copy with weights and arithmetic in float16, and its norms in float32."""
    inference = copy.deepcopy(inference)
    norms = (nn.InstanceNorm1d, nn.InstanceNorm2d)
    for module in list(inference.modules()):
        if isinstance(module, norms):
            continue
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.half()
        for name, child in list(module.named_children()):
            if isinstance(child, norms):
                setattr(module, name, NormInFloat32(child))
    return inference
