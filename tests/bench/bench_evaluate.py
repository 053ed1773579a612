"""How much faster `dptn evaluate` scores pixels than a one-process scikit-image loop.

    python tests/bench/bench_evaluate.py [--pairs 8000] [--height 64] [--width 52] [--rounds 3]

Every pixel metric of both protocols on the same files; the values must be equal. Rounds
alternate, so that what else the machine does hits both; medians are compared. Then the memory:
what the process holds after the first thousand pairs and at the end.
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
from dptn_cli.evaluate.pixels import default_workers
from dptn_cli.evaluate.plan import Plan, Request, make_plan
from dptn_cli.evaluate.progress import EvalProgress
from dptn_cli.evaluate.run import evaluate
from dptn_cli.evaluate.types import EvalOptions
from dptn_cli.metrics.protocols import Kind

KEPT = 40
"""Distinct images; the other files are links to them."""


def make_images(folder: Path, pairs: int, size: tuple[int, int]) -> None:
    """Results by the published names, and their true images."""
    random = np.random.default_rng(0)
    for name in ("results", "truth"):
        (folder / name).mkdir()
    for index in range(pairs):
        result = folder / "results" / f"a{index:05d}_2_b{index % KEPT}_vis.png"
        if index >= KEPT:
            os.link(folder / "results" / f"a{index % KEPT:05d}_2_b{index % KEPT}_vis.png", result)
            continue
        true = random.integers(0, 256, (*size, 3)).astype(np.uint8)
        Image.fromarray(true).save(folder / "truth" / f"b{index}.png")
        noise = random.integers(-40, 41, true.shape)
        Image.fromarray(np.clip(true + noise, 0, 255).astype(np.uint8)).save(result)


def by_scikit_image(plan: Plan) -> dict[str, list[float]]:
    """What somebody would write: read, compute, append."""
    ssim: Any = structural_similarity
    psnr: Any = peak_signal_noise_ratio
    wang: dict[str, Any] = {"gaussian_weights": True, "use_sample_covariance": False}
    found: dict[str, list[float]] = {}
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
            found.setdefault(name, []).append(float(value))
    return found


def pixels_alone(plan: Plan) -> Plan:
    """The plan without LPIPS, which this machine may have the weights of."""
    return replace(plan, metrics=tuple(m for m in plan.metrics if m.kind == Kind.PIXELS))


class Held(EvalProgress):
    """A progress that notes the process's largest memory so far, MB."""

    def __init__(self) -> None:
        self.megabytes: list[float] = []

    @contextlib.contextmanager
    def stage(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Note it at every pair."""
        yield lambda _: self.megabytes.append(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        )


def rounded(seconds: list[float]) -> str:
    """Every round's seconds."""
    return ", ".join(f"{one:.1f}" for one in seconds)


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
        plan = pixels_alone(
            make_plan(Request(folder / "results", folder / "truth", dataset=Dataset.MARKET))
        )
        held = Held()
        ours_s, theirs_s = [], []
        for _ in range(options.rounds):
            started_s = time.perf_counter()
            eval_options = EvalOptions(batch_size=32, workers=default_workers())
            report = evaluate(plan, Networks({}, {}, {}), options=eval_options, progress=held)
            ours_s.append(time.perf_counter() - started_s)
            started_s = time.perf_counter()
            found = by_scikit_image(plan)
            theirs_s.append(time.perf_counter() - started_s)
            for metric, values in found.items():
                np.testing.assert_allclose(report.table.values[metric], values, atol=1e-6, rtol=0)
    print(f"{options.pairs:,} pairs of {options.height}x{options.width}, every value equal to 1e-6")
    for title, seconds in (
        ("scikit-image, one process", theirs_s),
        (f"dptn, {default_workers()} workers, report included", ours_s),
    ):
        print(f"{title}: median {statistics.median(seconds):.1f} s of {rounded(seconds)}")
    print(f"{statistics.median(theirs_s) / statistics.median(ours_s):.2f} times as fast")
    first, last = held.megabytes[min(999, options.pairs - 1)], held.megabytes[options.pairs - 1]
    print(f"memory after 1,000 pairs {first:.0f} MB, at the end {last:.0f} MB")


if __name__ == "__main__":
    main()
