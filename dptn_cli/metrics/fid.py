"""Frechet distance between two Gaussians, and the running sums that give their parameters."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set of features.

    Attributes:
        mean: (D,) float64.
        factor: (K, D) float64, with covariance = factor.T @ factor; K is D, or N where there are
            no more images than features.
        count: N, at least 2.
    """

    mean: Matrix
    factor: Matrix
    count: int

    @property
    def covariance(self) -> Matrix:
        """(D, D) float64, normalised by N - 1."""
        return self.factor.T @ self.factor


class FeatureSums:
    """Sums of features and of their products, float64: the memory does not grow with N.

    Args:
        width: D, features an image.
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self._width = width
        self._sum = np.zeros(width)
        self._products = np.zeros((width, width))
        self._first: list[Matrix] = []  # As long as there are no more than D.

    def add(self, features: npt.NDArray[np.floating]) -> None:
        """Add (N, D) features."""
        exact = features.astype(np.float64)
        self.count += len(exact)
        self._sum += exact.sum(axis=0)
        self._products += exact.T @ exact
        if self.count <= self._width:
            self._first.append(exact)
        else:
            self._first = []

    def gaussian(self) -> Gaussian:
        """The Gaussian of what was added.

        Raises:
            ValueError: fewer than two images have no covariance.
        """
        if self.count < 2:
            raise ValueError("a covariance needs at least two images")
        mean = self._sum / self.count
        if self._first:
            centred = np.concatenate(self._first) - mean
            return Gaussian(mean, centred / np.sqrt(self.count - 1), self.count)
        covariance = (self._products - self.count * np.outer(mean, mean)) / (self.count - 1)
        return Gaussian(mean, factor_of(covariance), self.count)


def factor_of(covariance: Matrix) -> Matrix:
    """A (D, D) matrix F with F.T @ F = covariance."""
    try:
        return np.asarray(np.linalg.cholesky(covariance).T, np.float64)
    except np.linalg.LinAlgError:  # Singular: some feature never changes, or follows others.
        values, vectors = np.linalg.eigh(covariance)
        return np.asarray((vectors * np.sqrt(np.clip(values, 0, None))).T, np.float64)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + tr(A) + tr(B) - 2 tr(sqrt(A B)); 0 or more.

    With A = F.T F and B = G.T G, the trace of sqrt(A B) is the sum of the singular values of
    F G.T. No complex numbers arise and no root of a rounding error is taken, so that singular
    covariances need no remedy.
    """
    shift = a.mean - b.mean
    traces = float((a.factor**2).sum() + (b.factor**2).sum())
    singular_values = np.linalg.svd(a.factor @ b.factor.T, compute_uv=False)
    return max(0.0, float(shift @ shift) + traces - 2 * float(singular_values.sum()))
