"""Whether a checkpoint is of the run that is to go on: its settings, its data, its place."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator

from dptn_cli.errors import InputError
from dptn_cli.types import Pair


def list_digest(pairs: Sequence[Pair]) -> str:
    """Of the pairs in their order, on which the order of a run's batches depends."""
    digest = blake2b(digest_size=16)
    for pair in pairs:
        digest.update(f"{pair.source}\0{pair.target}\n".encode("utf-8", "surrogatepass"))
    return f"{len(pairs)} pairs, {digest.hexdigest()}"


def check_settings(path: Path, found: Any, wanted: Mapping[str, Any]) -> None:
    """Compare a checkpoint's settings with those asked for.

    Raises:
        InputError: they differ; it names the settings.
    """
    here, there = _flat(wanted), _flat(found if isinstance(found, dict) else {})
    differing = [
        f"{name} {there.get(name, 'unknown')} there, {here.get(name, 'unknown')} asked for"
        for name in sorted(here.keys() | there.keys())
        if here.get(name) != there.get(name)
    ]
    if differing:
        raise InputError(
            f"{path.parent} belongs to a run with other settings ({'; '.join(differing)}); "
            "name another folder, or give the same settings"
        )


def check_place(accelerator: Accelerator, folder: Path, step: int) -> None:
    """Make sure that every process goes on after the same step.

    Raises:
        InputError: in every process, where they do not: each saw another run folder.
    """
    here = torch.tensor([step], device=accelerator.device)
    steps = cast(torch.Tensor, accelerator.gather(here)).tolist()
    if len(set(steps)) > 1:
        raise InputError(
            f"{folder}: the processes go on after different steps, {sorted(set(steps))}: the run "
            "folder must be on a disk that all machines share"
        )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = tuple(value) if isinstance(value, list) else value
    return flat
