"""Published checkpoints and our own, read without running any code in them.

A published `*_net_G.pth` is a plain state_dict of the default configuration. Its names may have
the prefix `module.`, the transformer may be called `transformer` instead of `PTM`, and some
convolutions are stored twice under two names. Our own checkpoint is a dict that holds the same
tensors under `generator`, next to the generator's configuration and image sizes.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dptn_cli.errors import InputError, ModelError
from dptn_cli.io.files import write_atomic
from dptn_cli.network.config import GeneratorConfig
from dptn_cli.network.generator import Generator
from dptn_cli.types import ImageSpec

FORMAT = "dptn-generator-1"
MAX_LISTED = 8

_OLDER_NAMES = (
    (re.compile(r"^(mblock\d+)\.conv1\."), r"\1.model.2."),
    (re.compile(r"^(mblock\d+)\.conv2\."), r"\1.model.5."),
    (re.compile(r"^(mblock\d+)\.bypass\."), r"\1.shortcut.0."),
    (re.compile(r"^outconv\.conv1\."), "outconv.model.2."),
    (re.compile(r"^transformer\."), "PTM."),
)


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator read from a checkpoint.

    Attributes:
        generator: the network with its weights, in evaluation mode, on the CPU.
        spec: the images it was trained on; None for a published checkpoint.
        sha256: SHA-256 of the checkpoint file, in hexadecimal.
    """

    generator: Generator
    spec: ImageSpec | None
    sha256: str


def load_generator(path: Path) -> LoadedGenerator:
    """Read a generator from a published checkpoint or one of our own.

    Every tensor must be there and fit; no checkpoint is loaded in part.

    Raises:
        ModelError: the file is missing, truncated or not a checkpoint, or tensors are missing,
            unexpected, of the wrong shape or not finite; the message lists them.
    """
    content = read_checkpoint(path)
    config, spec, tensors = _parse(path, content)
    generator = Generator(config)
    state = published_to_own_names(path, tensors)
    check_tensors(path, state, generator.state_dict())
    generator.load_state_dict(state)
    return LoadedGenerator(generator.eval(), spec, hashlib.sha256(path.read_bytes()).hexdigest())


def save_generator(path: Path, generator: Generator, spec: ImageSpec) -> None:
    """Write one of our own checkpoints atomically.

    Args:
        path: the file; its folder must exist.
        generator: stored with its configuration and the published tensor names.
        spec: the images that it was trained on.

    Raises:
        OSError: the file cannot be written.
    """
    content = {
        "format": FORMAT,
        "config": asdict(generator.config),
        "frame": asdict(spec),
        "generator": {
            name: tensor.detach().cpu() for name, tensor in generator.state_dict().items()
        },
    }
    write_atomic(path, lambda file: torch.save(content, file))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read any checkpoint with `weights_only=True`, which allows tensors and plain values only.

    Raises:
        ModelError: the file cannot be read, or is not a dict with strings as keys.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # On a broken file, unpickling can raise almost anything.
        raise ModelError(
            f"{path}: not a PyTorch checkpoint, truncated, or contains objects other than tensors "
            f"and plain values ({type(error).__name__})"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ModelError(f"{path}: a {type(content).__name__}, not a dict of named tensors")
    return content


def _parse(
    path: Path, content: dict[str, Any]
) -> tuple[GeneratorConfig, ImageSpec | None, Mapping[str, Any]]:
    """Return the configuration, the image sizes and the tensors of a checkpoint."""
    if "format" not in content:
        return GeneratorConfig(), None, content
    if content["format"] != FORMAT:
        raise ModelError(f"{path}: format {content['format']!r}, but this dptn reads {FORMAT!r}")
    try:
        config = GeneratorConfig(**_known_fields(content["config"], GeneratorConfig))
        values = _known_fields(content["frame"], ImageSpec)
        values |= {key: tuple(values[key]) for key in ("image_size", "network_size")}
        return config, ImageSpec(**values), dict(content["generator"])
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise ModelError(f"{path}: its configuration cannot be read: {error}") from error


def _known_fields(values: Mapping[str, Any], record: type) -> dict[str, Any]:
    names = {field.name for field in fields(record)}
    if unknown := set(values) - names:
        raise ValueError(f"{sorted(unknown)} were added by a newer dptn")
    return dict(values)


def published_to_own_names(path: Path, tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """Remove prefixes, replace older names, and merge tensors that are stored twice.

    Args:
        path: the checkpoint, for messages.
        tensors: the tensors by their published names.

    Raises:
        ModelError: an entry is not a tensor, or the two copies of a tensor differ.
    """
    state: dict[str, Tensor] = {}
    for published_name, tensor in tensors.items():
        if published_name == "config" and isinstance(tensor, dict):
            raise ModelError(
                f"{path}: a checkpoint for resuming `dptn train`; the generator is in "
                "generator-last.pth or generator-best.pth in the same folder"
            )
        if not isinstance(tensor, Tensor):
            raise ModelError(
                f"{path}: {published_name!r} is a {type(tensor).__name__}, not a tensor"
            )
        name = published_name.removeprefix("module.")
        for pattern, replacement in _OLDER_NAMES:
            name = pattern.sub(replacement, name)
        if name in state and not torch.equal(state[name], tensor):
            raise ModelError(f"{path}: two different tensors for {name}")
        state[name] = tensor
    return state


def check_tensors(
    path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    """Check names, shapes and values of tensors against those that a network expects.

    Args:
        path: the checkpoint, for the message.
        tensors: the tensors of the checkpoint.
        expected: the network's state_dict.

    Raises:
        ModelError: the tensors do not fit; one message lists everything that is wrong.
    """
    common = tensors.keys() & expected.keys()
    problems = {
        "missing": expected.keys() - tensors.keys(),
        "unexpected": tensors.keys() - expected.keys(),
        "of the wrong shape": {
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(expected[name].shape)}"
            for name in common
            if tensors[name].shape != expected[name].shape
        },
        "not finite": {name for name in common if not tensors[name].isfinite().all()},
    }
    if any(problems.values()):
        lists = "; ".join(
            _summary(kind, sorted(names)) for kind, names in problems.items() if names
        )
        raise ModelError(f"{path}: not the weights of this network: {lists}")


def _summary(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"{len(names)} {kind}: {', '.join(names[:MAX_LISTED])}{more}"
