"""The initial weights of the networks."""

import torch
from torch import Tensor, nn

from dptn_cli.network.transformer import Attention

GAIN = 0.02


def init_generator(generator: nn.Module) -> None:
    """Set orthogonal kernels with gain 0.02 and zero biases, as the published training did.

    The stacked projection of each attention is Xavier-uniform over the whole (3C, C) matrix.
    Norms keep scale 1 and shift 0.
    """
    init_kernels(generator)
    for module in generator.modules():
        if isinstance(module, Attention):
            nn.init.xavier_uniform_(module.in_proj_weight)
            nn.init.zeros_(module.in_proj_bias)


@torch.no_grad()
def init_kernels(network: nn.Module) -> None:
    """Set orthogonal kernels with gain 0.02 and zero biases.

    Each kernel is orthogonal as a matrix of (first axis) x (all other axes). Under spectral
    norm, the kernel before normalisation is set.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            # torch's spectral norm recomputes `weight` from `weight_orig` in every forward pass.
            kernel = getattr(module, "weight_orig", module.weight)
            assert isinstance(kernel, Tensor)
            nn.init.orthogonal_(kernel, gain=GAIN)
    zero_biases(network)


def zero_biases(network: nn.Module) -> None:
    """Set the biases of all convolutions and linear layers to 0."""
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
