"""The weights that networks start their training from."""

import torch
from torch import Tensor, nn

from dptn_cli.network.transformer import Attention

GAIN = 0.02


def initialise_generator(generator: nn.Module) -> None:
    """Orthogonal kernels of gain 0.02 and zero biases, as in the published training.

    Attention's stacked projection is Xavier-uniform over the whole (3C, C) matrix; norms start
    at scale 1 and shift 0.
    """
    initialise_kernels(generator)
    for module in generator.modules():
        if isinstance(module, Attention):
            nn.init.xavier_uniform_(module.in_proj_weight)
            nn.init.zeros_(module.in_proj_bias)


@torch.no_grad()
def initialise_kernels(network: nn.Module) -> None:
    """Orthogonal kernels, flattened to (first axis) x (rest), of gain 0.02; biases 0.

    Under spectral norm it is the kernel before the division that is set.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            kernel = getattr(module, "weight_orig", module.weight)
            assert isinstance(kernel, Tensor)
            nn.init.orthogonal_(kernel, gain=GAIN)
    zero_biases(network)


def zero_biases(network: nn.Module) -> None:
    """Set the biases of convolutions and linear layers to 0."""
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
