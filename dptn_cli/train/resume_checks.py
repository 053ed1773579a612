"""What may change when a run is resumed, and checks that nothing else has changed."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator

from dptn_cli.errors import InputError, ModelError
from dptn_cli.train.data import Position
from dptn_cli.types import Pair

# The settings in a checkpoint that may change, with their options. Nothing of what the networks
# and optimisers have learned depends on them. Settings that are not in a checkpoint may change too.
CHANGEABLE = {
    "epochs": "--epochs",
    "constant_epochs": "--constant-epochs",
    "batch_size": "--batch-size",
    "precision": "--precision",
}
# The settings that may not change, with their options.
FIXED = {
    "generator.width": "--width",
    "frame.dataset": "--dataset",
    "frame.image_size": "--image-size",
    "frame.network_size": "--network-size",
    "weights.reconstruction": "--reconstruction",
    "weights.content": "--content",
    "weights.style": "--style",
    "weights.adversarial": "--adversarial",
    "weights.target_share": "--target-share",
    "discriminator_layers": "--discriminator-layers",
    "learning_rate": "--learning-rate",
    "discriminator_rate": "--discriminator-rate",
    "betas": "--beta1 and --beta2",
    "ema_decay": "--ema-decay",
    "initialisation": "--init",
    "discriminator_initialisation": "--init-discriminator",
    "flip": "--flip",
    "drop_last": "--drop-last",
    "seed": "--seed",
    "training list": "list of training pairs",
}


def pair_list_digest(pairs: Sequence[Pair]) -> str:
    """Return a digest of pairs and their order, which a run's batches depend on."""
    digest = blake2b(digest_size=16)
    for pair in pairs:
        digest.update(f"{pair.source}\0{pair.target}\n".encode("utf-8", "surrogatepass"))
    return f"{len(pairs)} pairs, {digest.hexdigest()}"


def check_settings(path: Path, stored: Any, current: Mapping[str, Any]) -> list[str]:
    """Check that a checkpoint's run can go on with the settings of the current run.

    Args:
        path: the checkpoint.
        stored: its settings.
        current: the settings of this run.

    Returns:
        What has changed and may change: a text for each option, with both values.

    Raises:
        InputError: a setting has changed that may not; the message names the options, both values
            and the way out.
        ModelError: the checkpoint has no settings.
    """
    if not isinstance(stored, dict):
        raise ModelError(f"{path}: not a complete checkpoint of `dptn train`: it has no settings")
    before, now = _flatten(stored), _flatten(current)
    different = [
        name
        for name in sorted(before.keys() | now.keys())
        if name not in before or name not in now or before[name] != now[name]
    ]
    if "generator.width" in different and "generator.feed_forward" in different:
        different.remove("generator.feed_forward")  # it follows from the width
    changes = {
        name: f"{CHANGEABLE.get(name) or FIXED.get(name, name)} was "
        f"{_text(before.get(name, 'unknown'))}, now {_text(now.get(name, 'unknown'))}"
        for name in different
    }
    refused = [text for name, text in changes.items() if name not in CHANGEABLE]
    if refused:
        raise InputError(
            f"{path.parent} belongs to a run with other settings ({'; '.join(refused)}): use the "
            f"same settings, or another folder{_start_from(path.parent, different)}"
        )
    return list(changes.values())


def _start_from(run: Path, different: Sequence[str]) -> str:
    """Return the options with which a new run starts from a run's weights, where they fit it."""
    if any(name.startswith("generator.") for name in different):
        return ""
    options = f"; to start there from these weights: --init {run / 'generator-last-raw.pth'}"
    discriminator = run / "discriminator-last.pth"
    if "discriminator_layers" not in different and discriminator.exists():
        options += f" --init-discriminator {discriminator}"
    return options


def check_epochs(run: Path, epochs: int, position: Position) -> None:
    """Check that a run that goes on with fewer epochs has not trained more already.

    Args:
        run: the run's folder.
        epochs: number of epochs of this run.
        position: where the next step would lie.

    Raises:
        InputError: it has trained more.
    """
    started = position.epoch + (position.pair > 0)
    if epochs < started:
        part = " and a part of the next" if position.pair else ""
        raise InputError(
            f"--epochs {epochs}: the run in {run} has already trained {position.epoch} epochs"
            f"{part}: give at least --epochs {started}, or use another folder"
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


def _text(value: Any) -> str:
    """Return a setting as the user would write it."""
    if isinstance(value, tuple):
        separator = "x" if all(isinstance(part, int) for part in value) else " and "
        return separator.join(map(str, value))
    return str(value)
