"""The losses of the published training; every mean is over a batch's pairs and their pixels."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dptn_cli.train.recipe import LossWeights


def lsgan(scores: Tensor, real: bool) -> Tensor:
    """Mean squared distance of a discriminator's scores from 1 (real) or 0 (generated).

    Least squares GAN, Mao et al., ICCV 2017, with a = 0, b = c = 1.
    """
    return (scores.float() - float(real)).square().mean()


def discriminator_loss(discriminator: nn.Module, real: Tensor, generated: Tensor) -> Tensor:
    """Half of how far the discriminator is from telling real from generated.

    Args:
        discriminator: in training mode it makes one power iteration for each of the two.
        real: (N, 3, H, W) in [-1, 1].
        generated: likewise; no gradient reaches it.
    """
    on_real = lsgan(discriminator(real), True)
    return (on_real + lsgan(discriminator(generated.detach()), False)) / 2


class Perception(NamedTuple):
    """How far two batches of images are from each other, as a VGG sees them."""

    content: Tensor
    style: Tensor


class Vgg19(nn.Module):
    """The features that the perceptual losses compare, of a VGG-19 trained on ImageNet.

    Johnson et al., ECCV 2016, with the published layers. Images are fed in [-1, 1] as they
    are, without ImageNet's mean and deviation.

    Args:
        layers: `torchvision.models.vgg19().features`, or its first 32.
    """

    CONTENT = (1, 6, 11, 20, 29)  # relu1_1, relu2_1, relu3_1, relu4_1, relu5_1
    STYLE = (8, 17, 26, 31)  # relu2_2, relu3_4, relu4_4, relu5_2
    LAYERS = 32

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = nn.Sequential(*list(layers)[: self.LAYERS])
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """(N, 3, H, W) in [-1, 1] -> the features (N, C, H', W') of each layer that counts."""
        features = {}
        x = image
        for index, layer in enumerate(self.layers.children()):
            x = layer(x)
            if index in self.CONTENT or index in self.STYLE:
                features[index] = x
        return features

    def compare(self, generated: Tensor, truth: Tensor) -> Perception:
        """Content and style distance, each the sum over its layers of a mean |difference|.

        No gradient reaches `truth`.
        """
        with torch.no_grad():
            wanted = self(truth)
        found = self(generated)
        return Perception(
            content=_sum(_l1(found[i].float(), wanted[i].float()) for i in self.CONTENT),
            style=_sum(_l1(gram(found[i]), gram(wanted[i])) for i in self.STYLE),
        )


def gram(features: Tensor) -> Tensor:
    """Gram matrices of features (N, C, H, W), divided by C H W: (N, C, C) float32."""
    count, channels, height, width = features.shape
    rows = features.float().reshape(count, channels, height * width)
    return rows @ rows.transpose(1, 2) / (channels * height * width)


class Branches(NamedTuple):
    """The two branches' images, each (N, 3, H, W) in [-1, 1]."""

    target: Tensor
    source: Tensor


def branch_terms(generated: Branches, truth: Branches, vgg: Vgg19 | None) -> dict[str, Tensor]:
    """L1, content and style of both branches, as `target_l1` ...; not yet weighted."""
    terms: dict[str, Tensor] = {}
    for branch, made, wanted in zip(Branches._fields, generated, truth, strict=True):
        terms[f"{branch}_l1"] = _l1(made.float(), wanted)
        if vgg is not None:
            perception = vgg.compare(made, wanted)
            terms[f"{branch}_content"] = perception.content
            terms[f"{branch}_style"] = perception.style
    return terms


def generator_loss(terms: Mapping[str, Tensor], weights: LossWeights) -> Tensor:
    """The weighted sum of `branch_terms` and of the term `adversarial`; what is absent is 0."""
    share = {"target": weights.target_share, "source": 1 - weights.target_share}
    of_kind = {"l1": weights.reconstruction, "content": weights.content, "style": weights.style}
    factors = {f"{b}_{k}": share[b] * of_kind[k] for b in share for k in of_kind}
    factors["adversarial"] = weights.adversarial
    return _sum(factors[name] * term for name, term in terms.items())


def _l1(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).abs().mean()


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(tuple(terms)).sum()
