"""The Pose Transformer Module: Context Augment Blocks and Texture Transfer Blocks.

Tokens are the pixels of a feature map in row-major order, (N, L, C), without positional
encoding. What depends only on the source has methods of its own (`encode`, `key_values`), so
that many target poses of one source can share it.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dptn_cli.network.blocks import activation
from dptn_cli.network.config import GeneratorConfig


class KeyValue(NamedTuple):
    """Projected keys and values of an attention.

    Attributes:
        key: (N, heads, L, C / heads) from an `Attention`.
        value: (N, heads, L, C / heads) from an `Attention`.
    """

    key: Tensor
    value: Tensor


class TokenNorm(nn.InstanceNorm1d):
    """Instance norm of tokens (N, L, C) over L, per sample and channel."""

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """Normalise each channel over the tokens."""
        return super().forward(tokens.transpose(1, 2)).transpose(1, 2)


class Attention(nn.Module):
    """Scaled dot-product attention with the tensor names of `torch.nn.MultiheadAttention`.

    Keys and values are projected in `key_value`, separately from the queries, so that they can
    be computed once per source. `in_proj_weight` (3C, C) stacks the rows of q, k and v.

    Args:
        width: channels C of the tokens.
        heads: attention heads; they divide `width`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def project(self, tokens: Tensor, part: int) -> Tensor:
        """Project tokens (N, L, C) to queries (`part` 0), keys (1) or values (2), (N, L, C)."""
        width = self.out_proj.in_features
        rows = slice(part * width, (part + 1) * width)
        return F.linear(tokens, self.in_proj_weight[rows], self.in_proj_bias[rows])

    def _per_head(self, projected: Tensor) -> Tensor:
        # (N, L, C) -> (N, heads, L, C / heads)
        per_head = (*projected.shape[:2], self.heads, projected.shape[2] // self.heads)
        return projected.reshape(per_head).transpose(1, 2)

    def key_value(self, keys: Tensor, values: Tensor) -> KeyValue:
        """Project `keys` and `values`, each (N, L, C) -> (N, heads, L, C / heads)."""
        key = self._per_head(self.project(keys, 1))
        return KeyValue(key, self._per_head(self.project(values, 2)))

    def forward(self, queries: Tensor, attended: KeyValue) -> Tensor:
        """Attend from `queries` (N, L, C) to the output of `key_value`; returns (N, L, C)."""
        query = self._per_head(self.project(queries, 0))
        mixed = self._attend(query, attended)
        # (N, heads, L, C / heads) -> (N, L, C)
        return cast(Tensor, self.out_proj(mixed.transpose(1, 2).flatten(2)))

    def _attend(self, query: Tensor, attended: KeyValue) -> Tensor:
        # All (N, heads, L, C / heads).
        return F.scaled_dot_product_attention(query, attended.key, attended.value)


class FeedForward(nn.Module):
    """The feed-forward part of CAB and TTB: two linear layers with an activation between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.activation = activation()

    def feed_forward(self, tokens: Tensor) -> Tensor:
        """Apply the two layers, (N, L, C) -> (N, L, C)."""
        return cast(Tensor, self.linear2(self.activation(self.linear1(tokens))))


class ContextAugmentBlock(FeedForward):
    """CAB: self-attention over the source features, with norms after the residual sums."""

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__(width, hidden)
        self.self_attn = Attention(width, heads)
        self.norm1 = TokenNorm(width)
        self.norm2 = TokenNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Apply the block to source tokens, (N, L, C) -> (N, L, C)."""
        attended = self.self_attn(tokens, self.self_attn.key_value(tokens, tokens))
        tokens = self.norm1(tokens + attended)
        return cast(Tensor, self.norm2(tokens + self.feed_forward(tokens)))


class TextureTransferBlock(FeedForward):
    """TTB: self-attention over the target features, then attention to the source's texture.

    Norms come after the residual sums.
    """

    def __init__(self, width: int, hidden: int, heads: int) -> None:
        super().__init__(width, hidden)
        self.self_attn = Attention(width, heads)
        self.multihead_attn = Attention(width, heads)
        self.norm1 = TokenNorm(width)
        self.norm2 = TokenNorm(width)
        self.norm3 = TokenNorm(width)

    def forward(self, tokens: Tensor, source: KeyValue) -> Tensor:
        """Apply the block to target tokens, (N, L, C) -> (N, L, C)."""
        attended = self.self_attn(tokens, self.self_attn.key_value(tokens, tokens))
        tokens = self.norm1(tokens + attended)
        tokens = self.norm2(tokens + self.multihead_attn(tokens, source))
        return cast(Tensor, self.norm3(tokens + self.feed_forward(tokens)))


class ContextEncoder(nn.Module):
    """A stack of CABs, whose output is the memory."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        sizes = (config.feature_width, config.feed_forward, config.heads)
        self.layers = nn.ModuleList(
            ContextAugmentBlock(*sizes) for _ in range(config.context_blocks)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Apply the blocks to source tokens, (N, L, C) -> (N, L, C)."""
        for block in self.layers:
            tokens = block(tokens)
        return tokens


class TextureDecoder(nn.Module):
    """A stack of TTBs, followed by a norm."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        sizes = (config.feature_width, config.feed_forward, config.heads)
        self.layers = nn.ModuleList(
            TextureTransferBlock(*sizes) for _ in range(config.transfer_blocks)
        )
        self.norm = TokenNorm(config.feature_width)

    def forward(self, tokens: Tensor, source: list[KeyValue]) -> Tensor:
        """Apply the blocks to target tokens, (N, L, C) -> (N, L, C).

        Args:
            tokens: the target features.
            source: keys and values for each block.
        """
        for block, attended in zip(self.layers, source, strict=True):
            tokens = block(tokens, attended)
        return cast(Tensor, self.norm(tokens))


class PoseTransformer(nn.Module):
    """The Pose Transformer Module (PTM)."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.encoder = ContextEncoder(config)
        self.decoder = TextureDecoder(config)

    def encode(self, source_features: Tensor) -> Tensor:
        """Compute the memory (N, H*W, C) from F_ss (N, C, H, W)."""
        return cast(Tensor, self.encoder(to_tokens(source_features)))

    def key_values(self, memory: Tensor, texture: Tensor) -> list[KeyValue]:
        """Project keys from the memory and values from the texture, for each TTB.

        Args:
            memory: (N, H*W, C), from `encode`.
            texture: F_s, (N, C, H, W).
        """
        values = to_tokens(texture)
        return [
            cast(TextureTransferBlock, block).multihead_attn.key_value(memory, values)
            for block in self.decoder.layers
        ]

    def decode(self, target_features: Tensor, source: list[KeyValue]) -> Tensor:
        """Carry the source's texture over to F_st, (N, C, H, W) -> (N, C, H, W).

        Args:
            target_features: F_st.
            source: the output of `key_values`.
        """
        tokens = self.decoder(to_tokens(target_features), source)
        return to_features(tokens, target_features.shape[2:])


def to_tokens(features: Tensor) -> Tensor:
    """Flatten features (N, C, H, W) to tokens (N, H*W, C), row-major."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def to_features(tokens: Tensor, size: Sequence[int]) -> Tensor:
    """Arrange tokens (N, H*W, C) as features (N, C, H, W), given (H, W)."""
    return tokens.reshape(-1, *size, tokens.shape[2]).permute(0, 3, 1, 2)
