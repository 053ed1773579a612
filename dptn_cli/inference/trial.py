"""A first run of a model that this machine has not seen, in a process of its own with limits.

A stranger's graph may ask for more memory or time than any model of its size needs, and nothing
but running it tells. The trial takes about a second, once for each file: its digest is kept in
the user's cache folder.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import dptn_cli
from dptn_cli.enums import Provider
from dptn_cli.errors import ModelError, short
from dptn_cli.inference.io_binding import is_out_of_memory
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.openvino_model import is_openvino_installed
from dptn_cli.inference.providers import cuda_device_count
from dptn_cli.inference.session import Session, without_provider
from dptn_cli.io.cache import cache_folder
from dptn_cli.types import JOINTS, Batch, Model

FAILED = 3  # exit code of a trial that says why
_MEGABYTE = 1 << 20
_TIMEOUT_S = 120.0


def try_model(model: Model, provider: Provider = Provider.CPU) -> None:
    """Run a model on one image with limits, unless this machine has seen it already.

    Args:
        model: the model.
        provider: where it is to run. It is tried on the CPU in onnxruntime, and in OpenVINO if it
            may run there.

    Raises:
        ModelError: the model does not run, or asks for far more memory or time than a model of
            its size needs.
    """
    _try_in(model, Provider.CPU, model.sha256)
    is_named = provider is Provider.OPENVINO
    if is_openvino_installed() and (is_named or provider is Provider.AUTO):
        _try_in(model, Provider.OPENVINO, f"{model.sha256}-openvino")


def _try_in(model: Model, provider: Provider, seen_name: str) -> None:
    seen = cache_folder() / "models" / seen_name
    try:
        if seen.exists():
            return
        status, reason = _run_trial(model, provider)
        _check(model, status, reason, provider)
        if not status:
            seen.parent.mkdir(parents=True, exist_ok=True)
            seen.touch()
    except OSError:  # Without a cache, the next run tries the model again.
        pass


def _run_trial(model: Model, provider: Provider) -> tuple[int, str]:
    paths = (str(Path(dptn_cli.__file__).parents[1]), os.environ.get("PYTHONPATH"))
    try:
        done = subprocess.run(
            [
                sys.executable,
                "-P",
                "-m",
                "dptn_cli.inference.trial",
                str(model.path.resolve()),
                str(provider),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
    except subprocess.TimeoutExpired:
        return -1, ""
    return done.returncode, done.stdout.decode(errors="replace").strip()


def _check(model: Model, status: int, reason: str, provider: Provider) -> None:
    if status < 0:
        limits = f"{max_seconds(model)} s or {max_bytes(model) // _MEGABYTE:,} MB"
        raise ModelError(
            f"{model.path}: its graph does not run: one image took more than {limits}, or the "
            "process crashed"
        )
    # The trial is on the CPU, which lacks a few operators that a GPU has. What OpenVINO says of a
    # model that onnxruntime runs, its session will say again, or `AUTO` does without it.
    may_run = model.runtime != "any" or cuda_device_count() > 0 or provider is Provider.OPENVINO
    if status == FAILED and (is_out_of_memory(reason) or not may_run):
        raise ModelError(f"{model.path}: its graph does not run: {short(reason, 400)}")


def max_seconds(model: Model) -> int:
    """Return the processor time that no honest model of a size needs for one image."""
    pixels = model.spec.network_size[0] * model.spec.network_size[1]
    return 5 + 2 * pixels // 65536 + int((pixels / 65536) ** 2)


def max_bytes(model: Model) -> int:
    """Return the memory that no honest model of a size needs for one image."""
    pixels = model.spec.network_size[0] * model.spec.network_size[1]
    tokens = pixels // 64
    return 1000 * _MEGABYTE + 4 * model.path.stat().st_size + 4000 * pixels + 100 * tokens**2


def _limit(model: Model) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    seconds = max_seconds(model)
    _, hard_s = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard_s))
    _, hard_bytes = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (max_bytes(model), hard_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(path: Path, provider: Provider) -> int:
    """Run a model on one blank image. Print why if it fails."""
    model = read_model(path)
    _limit(model)
    pose = np.full((1, JOINTS, 2), -1, np.float32)
    image = np.zeros((1, *model.spec.network_size, 3), np.uint8)
    try:
        Session(model, provider, 1, threads=1).run(Batch(image, pose, pose, np.zeros(1, int)))
    except (ModelError, MemoryError) as error:
        reason = without_provider(error) if isinstance(error, ModelError) else str(error)
        print(reason.removeprefix(f"{path}: "))
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Provider(sys.argv[2])))
