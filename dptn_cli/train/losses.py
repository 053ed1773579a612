"""The losses of the published training. Every mean is over all pairs and pixels of a batch."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dptn_cli.train.recipe import LossWeights


def lsgan(scores: Tensor, real: bool) -> Tensor:
    """Return the mean squared distance of a discriminator's scores from their label.

    Least squares GAN, Mao et al., ICCV 2017, with a = 0 and b = c = 1.

    Args:
        scores: output of the discriminator, of any shape.
        real: True for the label 1 (real), False for 0 (generated).
    """
    return (scores.float() - float(real)).square().mean()


def discriminator_loss(discriminator: nn.Module, real: Tensor, generated: Tensor) -> Tensor:
    """Return the mean of the discriminator's losses on real and on generated images.

    Args:
        discriminator: the network. In training mode, spectral norm makes a power iteration in each
            of the two passes.
        real: (N, 3, H, W) in [-1, 1].
        generated: (N, 3, H, W) in [-1, 1]; it gets no gradient.
    """
    # Two passes, not one over both: the published training makes two power iterations as well.
    on_real = lsgan(discriminator(real), True)
    return (on_real + lsgan(discriminator(generated.detach()), False)) / 2


class PerceptualTerms(NamedTuple):
    """The perceptual losses between two batches of images, not weighted.

    Attributes:
        content: sum over layers of the mean absolute difference of the features.
        style: sum over layers of the mean absolute difference of the features' Gram matrices.
    """

    content: Tensor
    style: Tensor


class Vgg19(nn.Module):
    """The features of a VGG-19 trained on ImageNet that the perceptual losses compare.

    The losses are those of Johnson et al., ECCV 2016, with the layers of the published training.
    As there, images enter the network in [-1, 1], not normalised by ImageNet's mean and deviation.

    Args:
        layers: `torchvision.models.vgg19().features`, or its first 32 layers.
    """

    CONTENT = (1, 6, 11, 20, 29)  # relu1_1, relu2_1, relu3_1, relu4_1, relu5_1
    STYLE = (8, 17, 26, 31)  # relu2_2, relu3_4, relu4_4, relu5_2
    LAYERS = 32

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = nn.Sequential(*list(layers)[: self.LAYERS])
        self.eval().requires_grad_(False)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Return the features (N, C, H', W') of each compared layer, by index.

        Args:
            image: (N, 3, H, W) in [-1, 1].
        """
        features = {}
        x = image
        for index, layer in enumerate(self.layers.children()):
            x = layer(x)
            if index in self.CONTENT or index in self.STYLE:
                features[index] = x
        return features

    def compare(self, generated: Tensor, truth: Tensor) -> PerceptualTerms:
        """Compare generated images with true ones.

        Args:
            generated: (N, 3, H, W) in [-1, 1].
            truth: (N, 3, H, W) in [-1, 1]; it gets no gradient.
        """
        with torch.no_grad():
            expected = self(truth)
        features = self(generated)
        return PerceptualTerms(
            content=_sum(_l1(features[i].float(), expected[i].float()) for i in self.CONTENT),
            style=_sum(_l1(gram(features[i]), gram(expected[i])) for i in self.STYLE),
        )


def gram(features: Tensor) -> Tensor:
    """Return the Gram matrices of features (N, C, H, W), divided by C H W: (N, C, C) float32."""
    count, channels, height, width = features.shape
    rows = features.float().reshape(count, channels, height * width)
    return rows @ rows.transpose(1, 2) / (channels * height * width)


class Branches(NamedTuple):
    """The images of the two branches.

    Attributes:
        target: (N, 3, H, W) in [-1, 1].
        source: (N, 3, H, W) in [-1, 1].
    """

    target: Tensor
    source: Tensor


def branch_terms(generated: Branches, truth: Branches, vgg: Vgg19 | None) -> dict[str, Tensor]:
    """Return the loss terms of both branches, not weighted.

    Args:
        generated: the generated images.
        truth: the true images.
        vgg: network of the perceptual terms; None leaves them out.

    Returns:
        Scalars named `target_l1`, `target_content`, `target_style`, `source_l1`, ...
    """
    terms: dict[str, Tensor] = {}
    for branch, image, expected in zip(Branches._fields, generated, truth, strict=True):
        terms[f"{branch}_l1"] = _l1(image.float(), expected)
        if vgg is not None:
            perceptual = vgg.compare(image, expected)
            terms[f"{branch}_content"] = perceptual.content
            terms[f"{branch}_style"] = perceptual.style
    return terms


def generator_loss(terms: Mapping[str, Tensor], weights: LossWeights) -> Tensor:
    """Return the weighted sum of the terms.

    Args:
        terms: scalars from `branch_terms`, and `adversarial`; missing terms count as 0.
        weights: the weights of the terms.
    """
    branches = {"target": weights.target_share, "source": 1 - weights.target_share}
    kinds = {"l1": weights.reconstruction, "content": weights.content, "style": weights.style}
    factors = {
        f"{branch}_{kind}": share * weight
        for branch, share in branches.items()
        for kind, weight in kinds.items()
    }
    factors["adversarial"] = weights.adversarial
    return _sum(factors[name] * term for name, term in terms.items())


def _l1(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).abs().mean()


def _sum(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(tuple(terms)).sum()
