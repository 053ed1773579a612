"""Attention as one operator of onnxruntime, which has fast kernels for it on CUDA."""

import copy
from typing import cast

import torch
from torch import Tensor, nn

from dptn_cli.network.inference import InferenceGenerator
from dptn_cli.network.transformer import Attention, KeyValue

FUSED_OPERATOR = "com.microsoft::MultiHeadAttention"


class FusedAttention(nn.Module):
    """An `Attention` whose scores, softmax and weighted sum become one ONNX operator.

    The operator takes tokens as they are, (N, L, C), and divides the scores by the root of
    C / heads of itself. Exists only to be exported: PyTorch makes zeros of it.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention

    def key_value(self, keys: Tensor, values: Tensor) -> KeyValue:
        """Project `keys` and `values`, each (N, L, C), and leave them so."""
        return KeyValue(self.attention.project(keys, 1), self.attention.project(values, 2))

    def forward(self, queries: Tensor, attended: KeyValue) -> Tensor:
        """Attend from `queries` (N, L, C) over what `key_value` gave; (N, L, C)."""
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


def with_fused_attention(inference: InferenceGenerator) -> InferenceGenerator:
    """A copy to be exported, with every attention as one operator."""
    inference = copy.deepcopy(inference)
    for module in list(inference.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Attention):
                setattr(module, name, FusedAttention(child))
    return inference
