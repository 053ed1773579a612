"""The session beside a plain export and beside PyTorch, on the same images, in one run.

    python tests/bench/bench_graph.py [--dataset fashion] [--rounds 5] [--cpu-time]

The published generator with stand-in weights, three ways: the PyTorch loop at batch 1, which is
what the official test script does; its plain `torch.onnx.export` at batch 1 in onnxruntime as it
comes; and `Session` on the file of `dptn export`, for distinct pairs and for one source in 16
poses, in float32 and in int8 (whose images are worthless with such weights; its speed is that
of trained ones). None of them decodes the source branch's image, which only training needs.
Rounds alternate, so that what else the machine does hits all; ratios are taken within a round.
--cpu-time gives every way one thread and counts the processor's time instead of the clock's: what
is left of a comparison on a machine that is busy with other things.
"""

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))
from seeded_weights import official_state_dict

from dptn_cli.enums import Provider
from dptn_cli.export.int8 import quantize
from dptn_cli.export.onnx import export
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session, available_cores
from dptn_cli.inference.throughput import example_batch
from dptn_cli.network.checkpoint import load_generator
from dptn_cli.network.config import IMAGE_SPECS
from dptn_cli.network.generator import Generator
from dptn_cli.network.tensors import image_to_tensor, keypoint_maps

DATA = Path(__file__).parents[1] / "data"
POSES = 16


class PlainTarget(nn.Module):
    """The official forward pass at test time."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor, source_maps: Tensor, target_maps: Tensor) -> Tensor:
        """(1, 3, H, W) in [-1, 1]."""
        generator = self.generator
        to_source = generator.features(image, source_maps, source_maps)
        to_target = generator.features(image, source_maps, target_maps)
        texture = generator.source_texture(image, to_source)
        return generator.decode(generator.PTM.decode(to_target, texture))


def plain_export(plain: PlainTarget, inputs: tuple[Tensor, ...], path: Path) -> None:
    """torch.onnx.export as it comes, batch 1."""
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(
            plain, inputs, path, dynamo=True, external_data=False, verbose=False,
            input_names=["image", "source_maps", "target_maps"],
        )  # fmt: skip


def ways(dataset: str, folder: Path, threads: int) -> dict[str, Callable[[], int]]:
    """Each way by its name: does some images, tells how many."""
    spec = IMAGE_SPECS[dataset]
    state = official_state_dict(DATA / "dptn_generator_keys.json")
    torch.save({name: torch.from_numpy(v) for name, v in state.items()}, folder / "g.pth")
    loaded = load_generator(folder / "g.pth")
    export(loaded, spec, folder / "ours.onnx")
    plain = PlainTarget(loaded.generator).eval()
    one = example_batch(spec, 1, 1)
    poses = (torch.from_numpy(pose) for pose in (one.source_poses, one.target_poses))
    maps = (keypoint_maps(pose, spec.network_size) for pose in poses)
    inputs = (image_to_tensor(torch.from_numpy(one.sources)), *maps)
    plain_export(plain, inputs, folder / "plain.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    exported = onnxruntime.InferenceSession(
        str(folder / "plain.onnx"), options, providers=["CPUExecutionProvider"]
    )
    feeds = {
        entry.name: value.numpy()
        for entry, value in zip(exported.get_inputs(), inputs, strict=True)
    }
    quantised = quantize(onnx.load(folder / "ours.onnx"), [example_batch(spec, 4, 4)])
    onnx.save(quantised, folder / "int8.onnx")
    ours, int8 = (
        Session(read_model(folder / f"{name}.onnx"), Provider.CPU, streams=available_cores())
        for name in ("ours", "int8")
    )
    streams = threads or ours.streams
    pool = ThreadPoolExecutor(streams)

    def by(session: Session, sources: int, targets: int) -> Callable[[], int]:
        batches = [example_batch(spec, sources, targets)] * streams
        return lambda: sum(map(len, pool.map(session.run, batches)))

    return {
        "PyTorch, batch 1": lambda: len(plain(*inputs)),
        "plain export, batch 1": lambda: len(exported.run(None, feeds)[0]),
        "dptn, distinct pairs": by(ours, 4, 4),
        f"dptn, one source in {POSES} poses": by(ours, 1, POSES),
        "int8, distinct pairs": by(int8, 4, 4),
        f"int8, one source in {POSES} poses": by(int8, 1, POSES),
    }


def seconds_an_image(work: Callable[[], int], clock: Callable[[], float]) -> float:
    """Of as many calls as make eight images."""
    images, started_s = 0, clock()
    while images < 8:
        images += work()
    return (clock() - started_s) / images


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=sorted(IMAGE_SPECS), default="fashion")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    clock, threads = (time.process_time, 1) if options.cpu_time else (time.perf_counter, 0)
    if threads:
        torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as name:
        measured = ways(options.dataset, Path(name), threads)
        rounds = []
        for _ in range(options.rounds + 1):  # the first warms up
            rounds.append({way: seconds_an_image(work, clock) for way, work in measured.items()})
    pytorch, plain, *_ = measured
    for way in measured:
        taken = np.array([one[way] for one in rounds[1:]])
        beside = [
            statistics.median(one[other] / one[way] for one in rounds[1:])
            for other in (pytorch, plain)
        ]
        print(
            f"{way:30} {np.median(taken):.3f} s an image ({taken.min():.3f} to {taken.max():.3f})"
            f", {beside[0]:.2f}x PyTorch, {beside[1]:.2f}x the plain export"
        )


if __name__ == "__main__":
    main()
