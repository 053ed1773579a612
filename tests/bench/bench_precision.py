"""Two models of the same checkpoint beside each other, in one run: speed and PSNR.

    python tests/bench/bench_precision.py FP32.onnx INT8.onnx [--pairs PAIRS.csv] [--cpu-time]

Both get the same batches through `Session`, in alternating rounds, all lanes at once; ratios are
taken within a round. --cpu-time gives each one thread and counts the processor's time instead of
the clock's. The PSNR is over the whole list, so it flatters a model that was calibrated on it;
`dptn export` tells the one that counts.
"""

import argparse
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from bench_transfer import batches

from dptn_cli.enums import Provider
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session, available_cores
from dptn_cli.transfer.plan import Request, make_job


def main() -> None:
    """Print the rounds' median."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=Path, nargs=2)
    parser.add_argument("--pairs", type=Path, default=Path("examples/figures/pairs.csv"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    models = [read_model(path) for path in options.models]
    # As many lanes as cores have one thread each.
    sessions = [Session(model, Provider.CPU, available_cores()) for model in models]
    images = options.pairs.parent / "images"
    with tempfile.TemporaryDirectory() as name:
        request = Request(Path(name), options.pairs, images if images.is_dir() else None)
        ready = batches(make_job(request, models[0]))
    count = sum(len(batch.target_poses) for batch in ready)
    rounds = []
    with ThreadPoolExecutor(1 if options.cpu_time else available_cores()) as streams:
        made = [np.concatenate(list(streams.map(one.run, ready))) for one in sessions]
        for _ in range(options.rounds):
            taken_s = []
            for session in sessions:
                started_s = clock()
                list(streams.map(session.run, ready))
                taken_s.append(clock() - started_s)
            rounds.append(taken_s)
    squares = float(np.square(made[0].astype(float) - made[1]).mean())
    for path, taken in zip(options.models, zip(*rounds, strict=True), strict=True):
        print(f"{path.name:24} {count / statistics.median(taken):8.2f} images/s")
    ratio = statistics.median(one / other for one, other in rounds)
    print(f"ratio {ratio:.2f}, PSNR {10 * np.log10(255**2 / squares):.1f} dB")


if __name__ == "__main__":
    main()
