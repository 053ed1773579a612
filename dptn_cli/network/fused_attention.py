"""Attention as a single onnxruntime operator, which has fast CUDA kernels."""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from dptn_cli.network.export_generator import ExportGenerator
from dptn_cli.network.transformer import Attention, KeyValue

FUSED_OPERATOR = "com.microsoft::MultiHeadAttention"


class FusedAttention(nn.Module):
    """An `Attention` whose scores, softmax and weighted sum become one ONNX operator.

    The operator takes tokens (N, L, C) without a separate axis for the heads, and scales the
    scores by 1 / sqrt(C / heads) itself. This module can only be exported: in PyTorch the
    operator returns zeros.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def key_value(self, keys: Tensor, values: Tensor) -> KeyValue:
        """Project `keys` and `values`, each (N, L, C) -> (N, L, C)."""
        return KeyValue(self.attention.project(keys, 1), self.attention.project(values, 2))

    def forward(self, queries: Tensor, attended: KeyValue) -> Tensor:
        """Attend from `queries` (N, L, C) to the output of `key_value`; returns (N, L, C)."""
        query = self.attention.project(queries, 0)
        mixed = torch.onnx.ops.symbolic(
            FUSED_OPERATOR,
            (query, *attended),
            {"num_heads": self.attention.heads},
            dtype=query.dtype,
            shape=query.shape,
            version=1,
        )
        return cast(Tensor, self.attention.out_proj(mixed))


def with_fused_attention(generator: ExportGenerator) -> ExportGenerator:
    """Return a copy for export in which every attention is one operator."""
    generator = copy.deepcopy(generator)
    for module in list(generator.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Attention):
                setattr(module, name, FusedAttention(child))
    return generator
