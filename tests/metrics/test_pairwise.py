"""Every pixel metric, compared with an independent computation by scikit-image."""

import math
from typing import Any

import numpy as np
import pytest
from evaluation_folders import FASHION, MARKET, image, similar
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dptn_cli.enums import Dataset, Protocol
from dptn_cli.metrics.pairwise import score_pixels
from dptn_cli.metrics.protocols import METRICS, Kind
from dptn_cli.types import ImageU8

BOTH = tuple(Protocol)


def independent(generated: ImageU8, truth: ImageU8, dataset: Dataset) -> dict[str, float]:
    """Compute the scores by scikit-image, on a canvas built by hand."""
    ssim: Any = structural_similarity  # scikit-image declares no types
    psnr: Any = peak_signal_noise_ratio
    a, b = generated / 255.0, truth / 255.0
    if dataset == Dataset.FASHION:
        a, b = (np.pad(x, ((0, 0), (40, 40), (0, 0)), constant_values=1.0) for x in (a, b))
    wang: dict[str, Any] = {
        "gaussian_weights": True,
        "use_sample_covariance": False,
        "channel_axis": 2,
    }
    return {
        "paper.ssim": ssim(b * 255, a * 255, data_range=(a.max() - a.min()) * 255, **wang),
        "paper.ssim_win51": ssim(b, a, win_size=51, data_range=1, channel_axis=2),
        "paper.psnr": psnr(b, a, data_range=1),
        "paper.l1": np.abs(a - b).mean(),
        "paper.mae": np.abs(a - b).sum() / (a + b).sum(),
        "standard.ssim": ssim(truth, generated, data_range=255, **wang),
        "standard.psnr": psnr(truth, generated),
    }


@pytest.mark.parametrize(
    ("dataset", "size"), [(Dataset.FASHION, FASHION), (Dataset.MARKET, MARKET)]
)
@pytest.mark.parametrize("seed", [0, 3, 8])
def test_every_pixel_metric_agrees_with_scikit_image(
    dataset: Dataset, size: tuple[int, int], seed: int
) -> None:
    truth = image(seed, size)
    generated = similar(truth, seed)
    scores = score_pixels(generated, truth, BOTH, dataset)
    expected = independent(generated, truth, dataset)
    assert scores.values.keys() == {m.id for m in METRICS if m.kind == Kind.PIXELS}
    assert scores.values == pytest.approx(expected, abs=1e-6)
    assert not scores.undefined


def test_an_image_of_little_contrast_agrees_too() -> None:
    """In float32, its variance would be lost in rounding."""
    random = np.random.default_rng(0)
    truth = random.integers(238, 246, (128, 64, 3)).astype(np.uint8)
    generated = random.integers(238, 246, (128, 64, 3)).astype(np.uint8)
    scores = score_pixels(generated, truth, BOTH, Dataset.MARKET)
    assert scores.values == pytest.approx(independent(generated, truth, Dataset.MARKET), abs=1e-6)


def test_the_white_canvas_adds_its_share_of_columns_to_psnr() -> None:
    truth = image(1)
    scores = score_pixels(similar(truth, 1), truth, BOTH, Dataset.FASHION).values
    gain_db = scores["paper.psnr"] - scores["standard.psnr"]
    assert gain_db == pytest.approx(10 * math.log10(256 / 176), abs=1e-5)
    assert gain_db == pytest.approx(1.6273, abs=1e-4)


def test_market_has_no_canvas() -> None:
    truth = image(1, MARKET)
    scores = score_pixels(similar(truth, 1), truth, BOTH, Dataset.MARKET).values
    assert scores["paper.psnr"] == pytest.approx(scores["standard.psnr"], abs=1e-5)


def test_the_published_ssim_takes_its_data_range_from_the_generated_image_alone() -> None:
    truth = image(1, MARKET)
    narrow = (truth // 4 + 90).astype(np.uint8)
    forward = score_pixels(narrow, truth, BOTH, Dataset.MARKET).values
    backward = score_pixels(truth, narrow, BOTH, Dataset.MARKET).values
    assert forward["standard.ssim"] == pytest.approx(backward["standard.ssim"], abs=1e-9)
    assert abs(forward["paper.ssim"] - backward["paper.ssim"]) > 1e-3


def test_only_the_protocol_asked_for_is_computed() -> None:
    truth = image(1, MARKET)
    scores = score_pixels(truth, truth, (Protocol.STANDARD,), None)
    assert scores.values.keys() == {"standard.ssim", "standard.psnr"}


def test_equal_images() -> None:
    truth = image(2)
    scores = score_pixels(truth, truth, BOTH, Dataset.FASHION).values
    assert scores["paper.ssim"] == scores["standard.ssim"] == pytest.approx(1)
    assert scores["paper.psnr"] == math.inf
    assert scores["paper.l1"] == scores["paper.mae"] == 0


def test_two_black_images_have_no_mae_of_zero_by_zero() -> None:
    black = np.zeros((128, 64, 3), np.uint8)
    scores = score_pixels(black, black, BOTH, Dataset.MARKET)
    assert scores.values["paper.mae"] == 0
    assert math.isnan(scores.values["paper.ssim"])
    assert "one single value" in scores.undefined["paper.ssim"]


def test_images_smaller_than_a_window_have_no_ssim_but_all_other_scores() -> None:
    small = image(2, (32, 16))
    scores = score_pixels(similar(small, 2), small, BOTH, Dataset.MARKET)
    assert scores.undefined.keys() == {"paper.ssim_win51"}
    assert "51 pixels" in scores.undefined["paper.ssim_win51"]


def test_fashion_images_of_another_size_do_not_fit_the_canvas() -> None:
    square = image(2, (256, 256))
    scores = score_pixels(similar(square, 2), square, BOTH, Dataset.FASHION)
    assert all("256x176" in reason for reason in scores.undefined.values())
    assert len(scores.undefined) == 5
    assert math.isfinite(scores.values["standard.ssim"])
