"""The weights of the networks before the first step."""

from dataclasses import replace

import torch
from torch import nn
from training import CONFIG

from dptn_cli.network.discriminator import Discriminator
from dptn_cli.train.initial_weights import create_networks


def fresh_discriminator(initialisation: str) -> Discriminator:
    config = replace(CONFIG, discriminator_initialisation=initialisation)
    discriminator = create_networks(config, {}).discriminator
    assert discriminator is not None
    return discriminator


def kernels(discriminator: Discriminator) -> list[torch.Tensor]:
    convolutions = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) > 3
    for convolution in convolutions:
        assert convolution.bias is None or not convolution.bias.any(), "published: biases 0"
    return [getattr(c, "weight_orig", c.weight).detach() for c in convolutions]


def test_the_discriminator_keeps_torchs_kernels_as_the_published_run_did() -> None:
    for kernel in kernels(fresh_discriminator("torch")):
        bound = kernel[0].numel() ** -0.5
        assert 0.9 * bound < kernel.abs().max() <= bound
        assert abs(kernel.std() / (bound / 3**0.5) - 1) < 0.1


def test_the_orthogonal_discriminator() -> None:
    for kernel in kernels(fresh_discriminator("orthogonal")):
        flat = kernel.flatten(1)
        flat = flat if flat.shape[0] <= flat.shape[1] else flat.T
        torch.testing.assert_close(flat @ flat.T, 0.02**2 * torch.eye(len(flat)), atol=1e-6, rtol=0)


def test_the_generator_as_published() -> None:
    generator = create_networks(CONFIG, {}).generator
    for module in generator.modules():
        if isinstance(module, nn.Conv2d):
            flat = module.weight.detach().flatten(1)
            flat = flat if flat.shape[0] <= flat.shape[1] else flat.T
            torch.testing.assert_close(
                flat @ flat.T, 0.02**2 * torch.eye(len(flat)), atol=1e-6, rtol=0
            )
            assert module.bias is None or not module.bias.any()
