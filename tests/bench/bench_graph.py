"""Compare the speed of `Session` with PyTorch and with a plain ONNX export of the same generator.

    python tests/bench/bench_graph.py [--dataset fashion] [--rounds 5] [--cpu-time]
        [--flush-denormals]

The published generator with stand-in weights runs as:
- PyTorch at batch 1, as the official test script does;
- what a careful user would write: PyTorch in bf16 (autocast, channels last), and that in
  `torch.compile`, for distinct pairs in batches of 4;
- a plain `torch.onnx.export` at batch 1, in onnxruntime with its defaults;
- `Session` on the file of `dptn export`, for distinct pairs in batches of 4 and for one source in
  16 poses, in onnxruntime and in OpenVINO, in float32, bf16 and int8. With stand-in weights the
  images of low precisions are worthless, but the speed is that of trained weights.
None of them decodes the source branch's image, which only training needs. Rounds alternate, so
that other load on the machine affects all; ratios are taken within a round. --cpu-time gives each
one thread and measures CPU time instead of wall-clock time, for a machine that is busy.
--flush-denormals lets PyTorch and the plain export flush denormal numbers as `Session` does:
stand-in weights produce more of them than trained ones.
"""

import argparse
import contextlib
import copy
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

from dptn_cli.enums import Arithmetic, Provider
from dptn_cli.export.int8 import quantize
from dptn_cli.export.onnx import export
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.openvino_model import has_bf16
from dptn_cli.inference.session import Session
from dptn_cli.inference.throughput import example_batch
from dptn_cli.network.checkpoint import load_generator
from dptn_cli.network.config import IMAGE_SPECS
from dptn_cli.network.generator import Generator
from dptn_cli.network.tensors import image_to_tensor, keypoint_maps
from dptn_cli.processor import available_cores
from dptn_cli.types import ImageSpec

DATA = Path(__file__).parents[1] / "data"
BATCH, POSES = 4, 16
BASELINES = ("PyTorch, batch 1", "plain export, batch 1", "torch.compile in bf16")
SESSIONS = (
    ("onnxruntime fp32", "fp32", Provider.CPU, Arithmetic.MODEL),
    ("onnxruntime int8", "int8", Provider.CPU, Arithmetic.MODEL),
    ("OpenVINO fp32", "fp32", Provider.OPENVINO, Arithmetic.MODEL),
    ("OpenVINO bf16", "fp32", Provider.OPENVINO, Arithmetic.BF16),
    ("OpenVINO int8", "int8", Provider.OPENVINO, Arithmetic.MODEL),
    ("OpenVINO int8 and bf16", "int8", Provider.OPENVINO, Arithmetic.BF16),
)


class PlainTarget(nn.Module):
    """The official forward pass at test time: the target branch alone."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor, source_maps: Tensor, target_maps: Tensor) -> Tensor:
        """Return the generated image, (1, 3, H, W) in [-1, 1]."""
        generator = self.generator
        to_source = generator.features(image, source_maps, source_maps)
        to_target = generator.features(image, source_maps, target_maps)
        texture = generator.source_texture(image, to_source)
        return generator.decode(generator.PTM.decode(to_target, texture))


def plain_export(plain: PlainTarget, inputs: tuple[Tensor, ...], path: Path) -> None:
    """Export with the defaults of `torch.onnx.export`, at batch 1."""
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(
            plain, inputs, path, dynamo=True, external_data=False, verbose=False,
            input_names=["image", "source_maps", "target_maps"],
        )  # fmt: skip


def contenders(
    dataset: str, folder: Path, threads: int, *, flush_denormals: bool
) -> dict[str, Callable[[], int]]:
    """Set up the implementations to compare.

    Args:
        dataset: name of the preset.
        folder: folder to write the models into.
        threads: CPU threads for each; 0 for all cores.
        flush_denormals: whether the plain export flushes them.

    Returns:
        By name, a function that generates some images and returns their number.
    """
    spec = IMAGE_SPECS[dataset]
    state = official_state_dict(DATA / "dptn_generator_keys.json")
    torch.save({name: torch.from_numpy(v) for name, v in state.items()}, folder / "g.pth")
    loaded = load_generator(folder / "g.pth")
    export(loaded, spec, folder / "fp32.onnx")
    plain = PlainTarget(loaded.generator).eval()
    inputs = pytorch_inputs(spec, 1)
    plain_export(plain, inputs, folder / "plain.onnx")
    channels_last = copy.deepcopy(plain).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    compiled = torch.compile(channels_last)
    batched = tuple(x.to(memory_format=torch.channels_last) for x in pytorch_inputs(spec, BATCH))

    def in_bf16(module: Callable[..., Tensor]) -> Callable[[], int]:
        def run() -> int:
            with torch.autocast("cpu", torch.bfloat16):
                return len(module(*batched).float())

        return run

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.set_denormal_as_zero", str(int(flush_denormals)))
    exported = onnxruntime.InferenceSession(
        str(folder / "plain.onnx"), options, providers=["CPUExecutionProvider"]
    )
    feeds = {
        entry.name: value.numpy()
        for entry, value in zip(exported.get_inputs(), inputs, strict=True)
    }
    quantized = quantize(onnx.load(folder / "fp32.onnx"), [example_batch(spec, 4, 4)])
    onnx.save(quantized, folder / "int8.onnx")
    streams = threads or available_cores()
    pool = ThreadPoolExecutor(streams)

    def runner(session: Session, sources: int, targets: int) -> Callable[[], int]:
        batches = [example_batch(spec, sources, targets)] * streams
        return lambda: sum(map(len, pool.map(session.run, batches)))

    works: dict[str, Callable[[], int]] = {
        "PyTorch, batch 1": lambda: len(plain(*inputs)),
        "plain export, batch 1": lambda: len(exported.run(None, feeds)[0]),
        "PyTorch in bf16": in_bf16(channels_last),
        "torch.compile in bf16": in_bf16(compiled),
    }
    for title, name, provider, arithmetic in SESSIONS:
        if arithmetic is Arithmetic.BF16 and not has_bf16():
            continue
        session = Session(
            read_model(folder / f"{name}.onnx"), provider, available_cores(), arithmetic=arithmetic
        )
        works[f"{title}, distinct pairs"] = runner(session, BATCH, BATCH)
        works[f"{title}, one source"] = runner(session, 1, POSES)
    return works


def pytorch_inputs(spec: ImageSpec, count: int) -> tuple[Tensor, ...]:
    """Return the image and the two keypoint maps of `count` distinct pairs."""
    batch = example_batch(spec, count, count)
    poses = (torch.from_numpy(pose) for pose in (batch.source_poses, batch.target_poses))
    maps = (keypoint_maps(pose, spec.network_size) for pose in poses)
    return (image_to_tensor(torch.from_numpy(batch.sources)), *maps)


def seconds_per_image(work: Callable[[], int], clock: Callable[[], float]) -> float:
    """Repeat some work until it has generated eight images; return the seconds of one."""
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
    parser.add_argument("--flush-denormals", action="store_true")
    options = parser.parse_args()
    clock, threads = (time.process_time, 1) if options.cpu_time else (time.perf_counter, 0)
    # The threads that PyTorch starts inherit the mode of this one.
    torch.set_flush_denormal(options.flush_denormals)
    if threads:
        torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as name:
        works = contenders(
            options.dataset, Path(name), threads, flush_denormals=options.flush_denormals
        )
        rounds = []
        for _ in range(options.rounds + 1):
            rounds.append({title: seconds_per_image(work, clock) for title, work in works.items()})
    del rounds[0]  # it warmed up
    baselines = [title for title in works if title in BASELINES]
    for title in works:
        seconds = np.array([round_s[title] for round_s in rounds])
        speedups = [
            statistics.median(round_s[baseline] / round_s[title] for round_s in rounds)
            for baseline in baselines
        ]
        beside = ", ".join(
            f"{speedup:.2f}x {baseline}"
            for speedup, baseline in zip(speedups, baselines, strict=True)
        )
        print(
            f"{title:38} {np.median(seconds):.3f} s per image "
            f"({seconds.min():.3f} to {seconds.max():.3f}), {beside}"
        )


if __name__ == "__main__":
    main()
