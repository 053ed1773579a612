"""The Frechet distance, compared with its closed form, a direct root and torch-fidelity."""

import numpy as np
import numpy.typing as npt
import pytest
import scipy.linalg

from dptn_cli.metrics.fid import FeatureSums, Gaussian, Matrix, factor_of, frechet_distance


def gaussian(mean: Matrix, covariance: Matrix) -> Gaussian:
    return Gaussian(mean, factor_of(covariance), 1000)


def sums_of(*parts: npt.NDArray[np.floating]) -> Gaussian:
    sums = FeatureSums(parts[0].shape[1])
    for part in parts:
        sums.add(part)
    return sums.gaussian()


def test_closed_form_for_commuting_covariances() -> None:
    """For diagonal covariances it is |m1 - m2|^2 + sum (s1 - s2)^2."""
    random = np.random.default_rng(0)
    m1, m2, s1, s2 = random.uniform(0.1, 2, (4, 30))
    distance = frechet_distance(gaussian(m1, np.diag(s1**2)), gaussian(m2, np.diag(s2**2)))
    assert distance == pytest.approx(((m1 - m2) ** 2).sum() + ((s1 - s2) ** 2).sum(), abs=1e-9)


def test_direct_matrix_square_root() -> None:
    random = np.random.default_rng(1)
    a, b = random.standard_normal((400, 20)), random.standard_normal((300, 20)) * 1.4 + 0.3
    b[:, 0] += b[:, 1]
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    shift = a.mean(0) - b.mean(0)
    expected = shift @ shift + np.trace(cov_a + cov_b - 2 * root)
    assert frechet_distance(sums_of(a), sums_of(b)) == pytest.approx(expected, abs=1e-8)


def test_torch_fidelity_agrees_on_the_same_features() -> None:
    from dptn_cli.network.torchvision_compat import import_torchvision

    import_torchvision()
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    random = np.random.default_rng(2)
    a, b = random.standard_normal((90, 16)), random.standard_normal((70, 16)) + 0.5
    statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(sums_of(a), sums_of(b)) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("rows", [5, 60])
def test_sums_match_numpys_mean_and_covariance_however_the_features_are_split(rows: int) -> None:
    features = np.random.default_rng(3).standard_normal((rows, 12)).astype(np.float32)
    for parts in ([features], [features[:2], features[2:]], [*features[:, None]]):
        gaussian_of_parts = sums_of(*parts)
        assert gaussian_of_parts.count == rows
        np.testing.assert_allclose(
            gaussian_of_parts.mean, features.mean(0, dtype=float), atol=1e-12
        )
        expected = np.cov(features.astype(float), rowvar=False)
        np.testing.assert_allclose(gaussian_of_parts.covariance, expected, atol=1e-12)


def test_fewer_images_than_features_agree_with_the_direct_root() -> None:
    """Both covariances are singular."""
    random = np.random.default_rng(4)
    a, b = random.standard_normal((6, 20)), random.standard_normal((9, 20)) + 1
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    eigenvalues = np.linalg.eigvals(cov_a @ cov_b)
    shift = a.mean(0) - b.mean(0)
    roots = np.sqrt(eigenvalues.astype(complex)).real.sum()
    expected = shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * roots
    assert frechet_distance(sums_of(a), sums_of(b)) == pytest.approx(expected, abs=1e-5)


def test_constant_features_have_singular_covariances_and_do_no_harm() -> None:
    constant = np.full((50, 8), 0.7)
    varied = np.random.default_rng(5).standard_normal((50, 8))
    assert frechet_distance(sums_of(constant), sums_of(constant)) == pytest.approx(0, abs=1e-12)
    expected = ((varied.mean(0) - 0.7) ** 2).sum() + varied.var(0, ddof=1).sum()
    assert frechet_distance(sums_of(constant), sums_of(varied)) == pytest.approx(expected, abs=1e-6)


def test_the_distance_of_a_set_to_itself_is_zero_and_never_negative() -> None:
    features = np.random.default_rng(6).standard_normal((200, 16))
    assert 0 <= frechet_distance(sums_of(features), sums_of(features)) < 1e-9


def test_one_image_has_no_covariance() -> None:
    sums = FeatureSums(4)
    sums.add(np.ones((1, 4)))
    with pytest.raises(ValueError, match="two images"):
        sums.gaussian()
