"""Checkpoints: the published ones and our own, read without ever running their code.

A published `*_net_G.pth` is a plain state_dict of the default configuration. Names may carry
the prefix `module.`, the transformer may be called `transformer` instead of `PTM`, and some
convolutions stand twice, under two names. Our own checkpoint is a dict that holds the same
tensors under `generator` and what they need beside them.
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

_SECOND_NAMES = (
    (re.compile(r"^(mblock\d+)\.conv1\."), r"\1.model.2."),
    (re.compile(r"^(mblock\d+)\.conv2\."), r"\1.model.5."),
    (re.compile(r"^(mblock\d+)\.bypass\."), r"\1.shortcut.0."),
    (re.compile(r"^outconv\.conv1\."), "outconv.model.2."),
    (re.compile(r"^transformer\."), "PTM."),
)


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator as a checkpoint holds it.

    Attributes:
        generator: with its weights, in evaluation mode, on the CPU.
        spec: the images it was trained on; None in a published checkpoint.
        sha256: of the file.
    """

    generator: Generator
    spec: ImageSpec | None
    sha256: str


def load_generator(path: Path) -> LoadedGenerator:
    """Read a published or own checkpoint, completely or not at all.

    Raises:
        ModelError: no such file, not a checkpoint, truncated, tensors missing, unexpected, of
            another shape or not finite; the message lists them.
    """
    content = read_checkpoint(path)
    config, spec, tensors = _parts(path, content)
    generator = Generator(config)
    state = published_to_own_names(path, tensors)
    check_tensors(path, state, generator.state_dict())
    generator.load_state_dict(state)
    return LoadedGenerator(generator.eval(), spec, hashlib.sha256(path.read_bytes()).hexdigest())


def save_generator(path: Path, generator: Generator, spec: ImageSpec) -> None:
    """Write an own checkpoint, atomically: official tensor names, configuration and frame."""
    content = {
        "format": FORMAT,
        "config": asdict(generator.config),
        "frame": asdict(spec),
        "generator": {name: t.detach().cpu() for name, t in generator.state_dict().items()},
    }
    write_atomic(path, lambda file: torch.save(content, file))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read any checkpoint with `weights_only=True`: tensors and plain values, no code.

    Raises:
        ModelError: it cannot be read, or is no dict with names as keys.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # The unpickler raises nearly anything at broken files.
        raise ModelError(
            f"{path}: not a PyTorch checkpoint, truncated, or with objects in it that are not "
            f"tensors ({type(error).__name__})"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ModelError(f"{path}: a {type(content).__name__}, not a dict of named tensors")
    return content


def _parts(
    path: Path, content: dict[str, Any]
) -> tuple[GeneratorConfig, ImageSpec | None, Mapping[str, Any]]:
    if "format" not in content:
        return GeneratorConfig(), None, content
    if content["format"] != FORMAT:
        raise ModelError(f"{path}: format {content['format']!r}, this dptn reads {FORMAT!r}")
    try:
        config = GeneratorConfig(**_known(content["config"], GeneratorConfig))
        values = _known(content["frame"], ImageSpec)
        values |= {key: tuple(values[key]) for key in ("image_size", "network_size")}
        return config, ImageSpec(**values), dict(content["generator"])
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise ModelError(f"{path}: its configuration cannot be read: {error}") from error


def _known(values: Mapping[str, Any], record: type) -> dict[str, Any]:
    names = {field.name for field in fields(record)}
    if unknown := set(values) - names:
        raise ValueError(f"{sorted(unknown)} came with a newer dptn")
    return dict(values)


def published_to_own_names(path: Path, tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """Undo prefixes, older names and double storage.

    Raises:
        ModelError: an entry is no tensor, or two copies of one tensor differ.
    """
    state: dict[str, Tensor] = {}
    for published, tensor in tensors.items():
        if published == "config" and isinstance(tensor, dict):
            raise ModelError(
                f"{path}: this is what `dptn train` goes on from; the generator is in "
                "generator-last.pth or generator-best.pth beside it"
            )
        if not isinstance(tensor, Tensor):
            raise ModelError(f"{path}: {published!r} is a {type(tensor).__name__}, not a tensor")
        name = published.removeprefix("module.")
        for pattern, replacement in _SECOND_NAMES:
            name = pattern.sub(replacement, name)
        if name in state and not torch.equal(state[name], tensor):
            raise ModelError(f"{path}: two different tensors for {name}")
        state[name] = tensor
    return state


def check_tensors(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Compare names, shapes and values with what a network needs.

    Raises:
        ModelError: one error with all that is wrong.
    """
    common = found.keys() & expected.keys()
    misshapen = sorted(
        f"{name} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in common
        if found[name].shape != expected[name].shape
    )
    broken = sorted(name for name in common if not found[name].isfinite().all())
    kinds = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "misshapen": misshapen,
        "not finite": broken,
    }
    if any(kinds.values()):
        lists = "; ".join(_listed(kind, names) for kind, names in kinds.items() if names)
        raise ModelError(f"{path}: not the weights of this network: {lists}")


def _listed(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"{len(names)} {kind}: {', '.join(names[:MAX_LISTED])}{more}"
