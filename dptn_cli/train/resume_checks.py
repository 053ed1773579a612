"""Checks that a checkpoint belongs to the run that resumes from it."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator

from dptn_cli.errors import InputError
from dptn_cli.types import Pair


def pair_list_digest(pairs: Sequence[Pair]) -> str:
    """Return a digest of pairs and their order, which a run's batches depend on."""
    digest = blake2b(digest_size=16)
    for pair in pairs:
        digest.update(f"{pair.source}\0{pair.target}\n".encode("utf-8", "surrogatepass"))
    return f"{len(pairs)} pairs, {digest.hexdigest()}"


def check_settings(path: Path, stored: Any, current: Mapping[str, Any]) -> None:
    """Check that a checkpoint has the settings of the current run.

    Args:
        path: the checkpoint.
        stored: its settings; anything but a dict counts as none.
        current: the settings of this run.

    Raises:
        InputError: they differ; the message names the settings.
    """
    before, now = _flatten(stored if isinstance(stored, dict) else {}), _flatten(current)
    differences = [
        f"{name} was {before.get(name, 'unknown')}, now {now.get(name, 'unknown')}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    if differences:
        raise InputError(
            f"{path.parent} belongs to a run with other settings ({'; '.join(differences)}): use "
            "another folder or the same settings"
        )


def check_same_step(accelerator: Accelerator, folder: Path, step: int) -> None:
    """Check that all processes resume from the same step.

    Raises:
        InputError: they do not, so they read different run folders; raised in every process.
    """
    own_step = torch.tensor([step], device=accelerator.device)
    steps = sorted(set(cast(torch.Tensor, accelerator.gather(own_step)).tolist()))
    if len(steps) > 1:
        raise InputError(
            f"{folder}: the processes resume from different steps, {steps}: the run folder must be "
            "on a disk that all machines share"
        )


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one dict, with dots in the names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = tuple(value) if isinstance(value, list) else value
    return flat
