"""Compare two models of the same checkpoint: their speed, and the PSNR between their images.

    python tests/bench/bench_precision.py FP32.onnx INT8.onnx [--pairs PAIRS.csv] [--cpu-time]

Both run the same batches through `Session`, in alternating rounds, with all streams busy; ratios
are taken within a round. --cpu-time gives each model one thread and measures CPU time instead of
wall-clock time. The PSNR is over the whole list, so it flatters a model that was calibrated on
it; `dptn export` prints the one that counts.
"""

import argparse
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from dptn_cli.enums import Provider
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.processor import available_cores
from dptn_cli.transfer.pipeline import first_batches
from dptn_cli.transfer.plan import TransferRequest, make_job


def main() -> None:
    """Measure and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs=2)
    parser.add_argument("--pairs", type=Path, default=Path("examples/figures/pairs.csv"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    models = [read_model(path) for path in options.models]
    # With as many streams as cores, each stream has one thread.
    sessions = [Session(model, Provider.CPU, available_cores()) for model in models]
    images = options.pairs.parent / "images"
    with tempfile.TemporaryDirectory() as name:
        request = TransferRequest(Path(name), options.pairs, images if images.is_dir() else None)
        batches = list(first_batches(make_job(request, models[0]), 8, sys.maxsize))
    count = sum(len(batch.target_poses) for batch in batches)
    rounds = []
    with ThreadPoolExecutor(1 if options.cpu_time else available_cores()) as pool:
        results = [np.concatenate(list(pool.map(session.run, batches))) for session in sessions]
        for _ in range(options.rounds):
            round_s = []
            for session in sessions:
                started_s = clock()
                list(pool.map(session.run, batches))
                round_s.append(clock() - started_s)
            rounds.append(round_s)
    squared_error = float(np.square(results[0].astype(float) - results[1]).mean())
    for path, seconds in zip(options.models, zip(*rounds, strict=True), strict=True):
        print(f"{path.name:24} {count / statistics.median(seconds):8.2f} images/s")
    ratio = statistics.median(first_s / second_s for first_s, second_s in rounds)
    print(f"ratio {ratio:.2f}, PSNR {10 * np.log10(255**2 / squared_error):.1f} dB")


if __name__ == "__main__":
    main()
