"""The Frechet distance between two Gaussians, and the running sums that yield their parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FEATURE_WIDTH = 2048
"""Features of an image, in both Inceptions."""

FeatureNetwork: TypeAlias = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""A network that turns (N, H, W, 3) uint8 images into (N, FEATURE_WIDTH) float32 features."""

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """The mean and the covariance of a set of features.

    Attributes:
        mean: (D,) float64.
        factor: (K, D) float64, with covariance = factor.T @ factor. K is D, or N for a set of no
            more images than features.
        count: N, the number of images; at least 2.
    """

    mean: Matrix
    factor: Matrix
    count: int

    @property
    def covariance(self) -> Matrix:
        """(D, D) float64, normalised by N - 1."""
        return self.factor.T @ self.factor


class FeatureSums:
    """Running sums of features and of their products, in float64. Memory does not grow with N.

    Args:
        width: D, the number of features of an image.
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self._width = width
        self._sum = np.zeros(width)
        self._products = np.zeros((width, width))
        # The features themselves while there are at most D rows: they are then a smaller and
        # more exact factor of the singular covariance than its square root would be.
        self._rows: list[Matrix] = []

    def add(self, features: npt.NDArray[np.floating]) -> None:
        """Add (N, D) features."""
        exact = features.astype(np.float64)
        self.count += len(exact)
        self._sum += exact.sum(axis=0)
        self._products += exact.T @ exact
        if self.count <= self._width:
            self._rows.append(exact)
        else:
            self._rows = []

    def gaussian(self) -> Gaussian:
        """Return the Gaussian of all features added so far.

        Raises:
            ValueError: fewer than two images were added, which have no covariance.
        """
        if self.count < 2:
            raise ValueError("a covariance needs at least two images")
        mean = self._sum / self.count
        if self._rows:
            centred = np.concatenate(self._rows) - mean
            return Gaussian(mean, centred / np.sqrt(self.count - 1), self.count)
        covariance = (self._products - self.count * np.outer(mean, mean)) / (self.count - 1)
        return Gaussian(mean, factor_of(covariance), self.count)


def factor_of(covariance: Matrix) -> Matrix:
    """Return a (D, D) matrix F with F.T @ F = covariance."""
    try:
        return np.asarray(np.linalg.cholesky(covariance).T, np.float64)
    except np.linalg.LinAlgError:  # Singular: a feature is constant, or a sum of others.
        values, vectors = np.linalg.eigh(covariance)
        return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))).T, np.float64)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Return |mean_a - mean_b|^2 + tr(A) + tr(B) - 2 tr(sqrt(A B)), at least 0.

    This is the FID of Heusel et al. (2017). With A = F.T F and B = G.T G, the trace of sqrt(A B)
    is the sum of the singular values of F G.T. This way no complex numbers arise and no root of a
    rounding error is taken, so singular covariances need no correction.
    """
    shift = a.mean - b.mean
    traces = float((a.factor**2).sum() + (b.factor**2).sum())
    singular_values = np.linalg.svd(a.factor @ b.factor.T, compute_uv=False)
    return max(0.0, float(shift @ shift) + traces - 2 * float(singular_values.sum()))
