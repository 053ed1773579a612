"""Compare the speed of `dptn evaluate`'s pixel metrics with a one-process scikit-image loop.

    python tests/bench/bench_evaluate.py [--pairs 8000] [--height 64] [--width 52] [--rounds 3]

Both compute every pixel metric of both protocols on the same files, and their values must be
equal. Rounds alternate, so that other load on the machine affects both; medians are compared.
The peak memory is printed after the first thousand pairs and at the end.
"""

import argparse
import contextlib
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dptn_cli.enums import Dataset
from dptn_cli.evaluate.networks import Networks
from dptn_cli.evaluate.plan import EvalRequest, Plan, make_plan
from dptn_cli.evaluate.progress import EvalProgress
from dptn_cli.evaluate.run import evaluate
from dptn_cli.evaluate.types import EvalOptions
from dptn_cli.metrics.protocols import Kind
from dptn_cli.processor import available_cores

DISTINCT_IMAGES = 40
"""The other files are hard links to these."""


def make_images(folder: Path, pairs: int, size: tuple[int, int]) -> None:
    """Write results under the published names, and the true images."""
    random = np.random.default_rng(0)
    for name in ("results", "truth"):
        (folder / name).mkdir()
    for index in range(pairs):
        result = folder / "results" / f"a{index:05d}_2_b{index % DISTINCT_IMAGES}_vis.png"
        if index >= DISTINCT_IMAGES:
            os.link(
                folder
                / "results"
                / f"a{index % DISTINCT_IMAGES:05d}_2_b{index % DISTINCT_IMAGES}_vis.png",
                result,
            )
            continue
        true = random.integers(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(true).save(folder / "truth" / f"b{index}.png")
        noise = random.integers(-40, 41, true.shape)
        Image.fromarray(np.clip(true + noise, 0, 255).astype(np.uint8)).save(result)


def score_with_scikit_image(plan: Plan) -> dict[str, list[float]]:
    """Compute the metrics in a plain loop: read, compute, append."""
    ssim: Any = structural_similarity
    psnr: Any = peak_signal_noise_ratio
    wang: dict[str, Any] = {"gaussian_weights": True, "use_sample_covariance": False}
    scores: dict[str, list[float]] = {}
    for pair in plan.pairing.pairs:
        x, y = (np.asarray(Image.open(p).convert("RGB")) for p in (pair.generated, pair.truth))
        a, b = x / 255.0, y / 255.0
        span = float(x.max()) - float(x.min())
        row = {
            "paper.ssim": ssim(b * 255, a * 255, data_range=span, channel_axis=-1, **wang),
            "paper.psnr": psnr(b, a, data_range=1),
            "paper.l1": np.abs(a - b).mean(),
            "paper.mae": np.abs(a - b).sum() / (a + b).sum(),
            "standard.ssim": ssim(y, x, data_range=255, channel_axis=-1, **wang),
            "standard.psnr": psnr(y, x, data_range=255),
        }
        if min(x.shape[:2]) >= 51:
            row["paper.ssim_win51"] = ssim(b, a, win_size=51, data_range=1, channel_axis=-1)
        for name, value in row.items():
            scores.setdefault(name, []).append(float(value))
    return scores


def pixel_metrics_only(plan: Plan) -> Plan:
    """Return the plan without LPIPS, whose weights this machine may have."""
    return replace(plan, metrics=tuple(m for m in plan.metrics if m.kind == Kind.PIXELS))


class MemoryProgress(EvalProgress):
    """A progress display that records the process's peak memory so far, MB."""

    def __init__(self) -> None:
        self.megabytes: list[float] = []

    @contextlib.contextmanager
    def stage(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Record the peak memory at every pair."""
        yield lambda _: self.megabytes.append(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        )


def format_seconds(rounds_s: list[float]) -> str:
    """Format the seconds of every round."""
    return ", ".join(f"{round_s:.1f}" for round_s in rounds_s)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=8000)
    parser.add_argument("--height", type=int, default=64)
    parser.add_argument("--width", type=int, default=52)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder, options.pairs, (options.height, options.width))
        plan = pixel_metrics_only(
            make_plan(EvalRequest(folder / "results", folder / "truth", dataset=Dataset.MARKET))
        )
        progress = MemoryProgress()
        dptn_s, scikit_image_s = [], []
        for _ in range(options.rounds):
            started_s = time.perf_counter()
            eval_options = EvalOptions(batch_size=32, workers=available_cores())
            report = evaluate(plan, Networks({}, {}, {}), options=eval_options, progress=progress)
            dptn_s.append(time.perf_counter() - started_s)
            started_s = time.perf_counter()
            scores = score_with_scikit_image(plan)
            scikit_image_s.append(time.perf_counter() - started_s)
            for metric, values in scores.items():
                np.testing.assert_allclose(report.table.values[metric], values, atol=1e-6, rtol=0)
    print(f"{options.pairs:,} pairs of {options.height}x{options.width}, every value equal to 1e-6")
    for title, rounds_s in (
        ("scikit-image, one process", scikit_image_s),
        (f"dptn, {available_cores()} workers, report included", dptn_s),
    ):
        median_s = statistics.median(rounds_s)
        print(f"{title}: median {median_s:.1f} s of {format_seconds(rounds_s)}")
    print(
        f"dptn is {statistics.median(scikit_image_s) / statistics.median(dptn_s):.2f} times as fast"
    )
    megabytes = progress.megabytes
    first, last = megabytes[min(999, options.pairs - 1)], megabytes[options.pairs - 1]
    print(f"peak memory: {first:.0f} MB after 1,000 pairs, {last:.0f} MB at the end")


if __name__ == "__main__":
    main()
