"""The weights a generator starts its training from."""

from torch import nn

from dptn_cli.network.transformer import Attention

GAIN = 0.02


def initialise_generator(generator: nn.Module) -> None:
    """Orthogonal kernels of gain 0.02 and zero biases, as in the published training.

    Kernels are flattened to (first axis) x (rest). Attention's stacked projection is
    Xavier-uniform over the whole (3C, C) matrix; norms start at scale 1 and shift 0.
    """
    for module in generator.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.orthogonal_(module.weight, gain=GAIN)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, Attention):
            nn.init.xavier_uniform_(module.in_proj_weight)
            nn.init.zeros_(module.in_proj_bias)
