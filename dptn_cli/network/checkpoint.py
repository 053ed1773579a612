"""Published checkpoints and our own, read without running any code in them.

A published `*_net_G.pth` is a plain state_dict of the default configuration. Other programs wrap
it in dicts and put prefixes such as `module.` before all names. The transformer may be called
`transformer` instead of `PTM`, and some convolutions are stored twice under two names. Our own
checkpoint is a dict that holds the same tensors under `generator`, next to the generator's
configuration and image sizes.
"""

import hashlib
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dptn_cli.errors import DptnError, ModelError, short
from dptn_cli.io.files import write_atomic
from dptn_cli.network.config import GeneratorConfig
from dptn_cli.network.discriminator import Discriminator
from dptn_cli.network.generator import Generator
from dptn_cli.network.torch_file import StoredTensor, read_torch_file
from dptn_cli.types import ImageSpec

FORMAT = "dptn-generator-1"
MAX_LISTED = 8
MAX_NAME = 120
MAX_DICTS = 200  # looked into for a network's weights
MAX_PREFIXES = 8
MAX_SIDE = 1 << 20

_OLDER_NAMES = (
    (re.compile(r"^(mblock\d+)\.conv1\."), r"\1.model.2."),
    (re.compile(r"^(mblock\d+)\.conv2\."), r"\1.model.5."),
    (re.compile(r"^(mblock\d+)\.bypass\."), r"\1.shortcut.0."),
    (re.compile(r"^outconv\.conv1\."), "outconv.model.2."),
    (re.compile(r"^transformer\."), "PTM."),
)
# Exponential moving averages, as training programs name them.
_AVERAGE = re.compile(r"(?i)(^|[._-])(ema|average|averaged|avg|swa)([._-]|$)")
# Tensors that only one of the two networks has.
_SIGNS = {
    "generator": {"outconv.model.2.weight", "source_encoder.block0.model.0.weight"},
    "discriminator": {"conv.weight_orig", "conv.weight_u"},
}


@dataclass(frozen=True)
class LoadedGenerator:
    """A generator read from a checkpoint.

    Attributes:
        generator: the network with its weights, in evaluation mode, on the CPU.
        spec: the images it was trained on; None for a published checkpoint.
        sha256: SHA-256 of the checkpoint file, in hexadecimal.
        note: which weights were used, if the file holds more; else empty.
    """

    generator: Generator
    spec: ImageSpec | None
    sha256: str
    note: str = ""


def load_generator(path: Path) -> LoadedGenerator:
    """Read a generator from a published checkpoint or one of our own.

    Every tensor must be there and fit; no checkpoint is loaded in part.

    Raises:
        ModelError: the file is missing, truncated or not a checkpoint, or tensors are missing,
            unexpected, of the wrong shape or not finite; the message lists them.
    """
    config, spec, stored, note = _parse(path, read_torch_file(path))
    state = _load(path, stored, _expected(config))
    generator = Generator(config)
    generator.load_state_dict(state)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return LoadedGenerator(generator.eval(), spec, sha256, note)


def load_discriminator(path: Path, discriminator: Discriminator) -> str:
    """Load the weights of a published discriminator, or one of our own.

    Args:
        path: the checkpoint.
        discriminator: the network that gets the weights.

    Returns:
        What of the checkpoint was read, as `LoadedGenerator.note`.

    Raises:
        ModelError: as `load_generator`.
    """
    content = _named_values(path, read_torch_file(path))
    expected = discriminator.state_dict()
    chosen = find_network(path, content, "discriminator", expected)
    discriminator.load_state_dict(_load(path, chosen.tensors, expected))
    return chosen.note


def _expected(config: GeneratorConfig) -> dict[str, Tensor]:
    with torch.device("meta"):  # No memory: a stranger's sizes may be absurd.
        return Generator(config).state_dict()


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
    """Read all of a checkpoint: tensors, and plain values in dicts, lists and tuples.

    Raises:
        ModelError: the file cannot be read, or is not a dict with strings as keys.
    """
    content = _named_values(path, read_torch_file(path))
    limit = path.stat().st_size
    loaded: dict[int, Tensor] = {}

    def load(value: Any) -> Any:
        nonlocal limit
        if isinstance(value, StoredTensor):
            if id(value) not in loaded:
                limit -= value.nbytes
                if limit < 0:
                    raise ModelError(f"{path}: its tensors are larger than the file")
                loaded[id(value)] = value.load()
            return loaded[id(value)]
        if isinstance(value, dict):
            return {key: load(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(load, value))
        return value

    try:
        return {name: load(value) for name, value in content.items()}
    except RecursionError as error:
        raise ModelError(f"{path}: its values are nested too deeply") from error


def _named_values(path: Path, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ModelError(f"{path}: {short(content)}, not a dict of named tensors")
    return content


def _parse(
    path: Path, content: Any
) -> tuple[GeneratorConfig, ImageSpec | None, Mapping[str, StoredTensor], str]:
    """Return the configuration, the image sizes, the tensors and the note of a checkpoint."""
    content = _named_values(path, content)
    if "format" not in content:
        config = GeneratorConfig()
        chosen = find_network(path, content, "generator", _expected(config))
        return config, None, chosen.tensors, chosen.note
    if content["format"] != FORMAT:
        raise ModelError(
            f"{path}: format {short(content['format'])!r}, but this dptn reads {FORMAT!r}"
        )
    try:
        config = GeneratorConfig(**_sizes(content["config"]))
        spec = _image_spec(content["frame"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, DptnError) as error:
        raise ModelError(f"{path}: its configuration cannot be read: {error}") from error
    tensors = _only_tensors(path, content.get("generator"))
    blocks = config.residual_blocks + config.context_blocks + config.transfer_blocks
    if blocks > len(tensors):
        raise ModelError(f"{path}: {blocks} blocks, but only {len(tensors)} tensors")
    return config, spec, published_to_own_names(path, tensors), ""


def _sizes(values: Any) -> dict[str, int]:
    sizes: dict[str, int] = _known_fields(values, GeneratorConfig)
    for name, value in sizes.items():
        if type(value) is not int or abs(value) > sys.maxsize:
            raise ValueError(f"{name} is {short(value)}, not a size")
    return sizes


def _image_spec(values: Any) -> ImageSpec:
    values = _known_fields(values, ImageSpec)
    sigma_px, dataset = values.get("sigma_px", ImageSpec.sigma_px), values["dataset"]
    if type(sigma_px) not in (int, float):
        raise ValueError(f"sigma_px is {short(sigma_px)}, not a number")
    if not isinstance(dataset, str) or not dataset.isprintable() or len(dataset) > MAX_NAME:
        raise ValueError(f"dataset is {short(dataset)!r}, not a name")
    sizes = []
    for key in ("image_size", "network_size"):
        size = values[key]
        if not isinstance(size, list | tuple) or [type(side) for side in size] != [int, int]:
            raise ValueError(f"{key} is {short(size)}, not a height and a width")
        if not all(0 < side < MAX_SIDE for side in size):
            raise ValueError(f"{key} is out of range")
        sizes.append((size[0], size[1]))
    return ImageSpec(dataset, sizes[0], sizes[1], float(sigma_px))


def _known_fields(values: Any, record: type) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise TypeError(f"{short(values)} in place of its fields")
    if unknown := set(values) - {field.name for field in fields(record)}:
        names = ", ".join(sorted(map(short, unknown))[:MAX_LISTED])
        raise ValueError(f"{names} were added by a newer dptn")
    return dict(values)


@dataclass(frozen=True)
class NetworkWeights:
    """The tensors of one network among the values of a checkpoint.

    Attributes:
        tensors: the tensors by our own names.
        label: where they are in the file; empty if they are all that is in it.
        left_out: where else in the file are tensors by the same names.
    """

    tensors: Mapping[str, StoredTensor]
    label: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What was read of the file, for the user; empty if all of it was."""
        if not self.label:
            return ""
        others = f", not {', '.join(map(short, self.left_out))}" if self.left_out else ""
        return f"the weights are read from {short(self.label)}{others}"


def find_network(
    path: Path, content: Mapping[str, Any], network: str, expected: Mapping[str, object]
) -> NetworkWeights:
    """Find a network's weights in a checkpoint, which may be wrapped in dicts and in prefixes.

    Averaged weights (EMA) are taken before raw ones.

    Args:
        path: the checkpoint, for messages.
        content: its values by name.
        network: `generator` or `discriminator`.
        expected: the network's state_dict; only the names count.

    Raises:
        ModelError: no weights of the network are there, or several and none is the average.
    """
    if content.get("format") == FORMAT and network == "discriminator":
        raise ModelError(f"{path}: the weights of a generator, not of a discriminator")
    if isinstance(content.get("config"), dict) and "step" in content:
        raise ModelError(
            f"{path}: a checkpoint for resuming `dptn train`; the {network} is in "
            f"{network}-last.pth in the same folder"
        )
    groups = [
        (label, names)
        for label, names in _groups(content)
        if 2 * len(expected.keys() & _own_names(names)) > len(expected)
    ]
    if not groups:
        raise ModelError(f"{path}: {_why_not(content, network, expected)}")
    averages = [group for group in groups if _AVERAGE.search(group[0])]
    candidates = averages or groups
    label, names = candidates[0]
    if any(other != names for _, other in candidates):
        listed = ", ".join(short(other) for other, _ in candidates[:MAX_LISTED])
        raise ModelError(
            f"{path}: several {network}s: {listed}: save the dict that you want in a file of its "
            "own, with torch.save"
        )
    tensors = published_to_own_names(path, _only_tensors(path, names))
    return NetworkWeights(tensors, label, tuple(other for other, _ in groups if other != label))


def _groups(content: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dicts that may be a network's, and where they are: without shared prefixes.

    A dict that holds tensors is one. If its names have different first parts, then the names of
    each first part are one more.
    """
    pending: list[tuple[str, dict[str, Any]]] = [("", dict(content))]
    for _ in range(MAX_DICTS):
        if not pending:
            return
        label, values = pending.pop(0)
        if any(isinstance(value, StoredTensor) for value in values.values()):
            values = _without_shared_prefix(values)
            yield label, values
            for part in sorted({name.partition(".")[0] for name in values}):
                inner = {
                    name.removeprefix(f"{part}."): value
                    for name, value in values.items()
                    if name.startswith(f"{part}.")
                }
                if len(inner) > 1:
                    pending.append((f"{label}.{part}".lstrip("."), inner))
        for name, value in values.items():
            if isinstance(value, dict) and all(isinstance(key, str) for key in value):
                pending.append((f"{label}.{name}".lstrip("."), value))


def _without_shared_prefix(values: dict[str, Any]) -> dict[str, Any]:
    for _ in range(MAX_PREFIXES):
        prefix = next(iter(values), "").partition(".")[0] + "."
        if len(values) < 2 or not all(name.startswith(prefix) for name in values):
            break
        values = {name.removeprefix(prefix): value for name, value in values.items()}
    return values


def _why_not(content: Mapping[str, Any], network: str, expected: Mapping[str, object]) -> str:
    """Say what is in a checkpoint that does not hold a network."""
    other = "generator" if network == "discriminator" else "discriminator"
    for _, names in _groups(content):
        if _SIGNS[other] <= _own_names(names):
            return f"the weights of a {other}, not of a {network}"
    if content and not any(isinstance(value, StoredTensor) for value in content.values()):
        keys = ", ".join(map(short, list(content)[:MAX_LISTED]))
        more = f" and {len(content) - MAX_LISTED} more" if len(content) > MAX_LISTED else ""
        return (
            f"no weights of a {network} in it, but {keys}{more}: save the dict of its weights in "
            "a file of its own, with torch.save"
        )
    own_names = _own_names(_without_shared_prefix(dict(content)))
    unexpected = own_names - expected.keys()
    return problems_line({"missing": expected.keys() - own_names, "unexpected": unexpected})


def _only_tensors(path: Path, values: Any) -> dict[str, StoredTensor]:
    if not isinstance(values, dict):
        raise ModelError(f"{path}: {short(values)} in place of the weights")
    for name, value in values.items():
        if not isinstance(value, StoredTensor):
            kind = type(value).__name__
            raise ModelError(f"{path}: {short(name)!r} is a {kind}, not a tensor")
    return values


def _own_name(published_name: str) -> str:
    name = published_name
    for pattern, replacement in _OLDER_NAMES:
        name = pattern.sub(replacement, name)
    return name


def _own_names(names: Iterable[str]) -> set[str]:
    return set(map(_own_name, names))


def published_to_own_names(
    path: Path, tensors: Mapping[str, StoredTensor]
) -> dict[str, StoredTensor]:
    """Replace older names, and merge tensors that are stored twice.

    Args:
        path: the checkpoint, for messages.
        tensors: the tensors by their published names.

    Raises:
        ModelError: the two copies of a tensor differ.
    """
    state: dict[str, StoredTensor] = {}
    for published_name, tensor in tensors.items():
        name = _own_name(str(published_name))
        if name in state and state[name] != tensor and not _equal(path, state[name], tensor):
            raise ModelError(f"{path}: two different tensors for {short(name)}")
        state[name] = tensor
    return state


def _equal(path: Path, first: StoredTensor, second: StoredTensor) -> bool:
    if first.shape != second.shape or first.nbytes > path.stat().st_size:
        return False
    return torch.equal(first.load(), second.load())


def _load(
    path: Path, stored: Mapping[str, StoredTensor], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Read the tensors of a network, after checking that each has the expected shape.

    Raises:
        ModelError: as `check_tensors`, or the tensors are not floats, or are larger than the file.
    """
    _check_shapes(path, stored, expected)
    floats = {name for name, tensor in expected.items() if tensor.is_floating_point()}
    if others := {name for name in floats if not stored[name].dtype.is_floating_point}:
        raise ModelError(
            f"{path}: weights must be float, but {problems_line({'of another type': others})}"
        )
    if sum(tensor.nbytes for tensor in stored.values()) > path.stat().st_size:
        raise ModelError(f"{path}: its tensors are larger than the file")
    # In the network's own type, in which a number of a larger one can become infinite.
    tensors = {name: tensor.load().to(expected[name].dtype) for name, tensor in stored.items()}
    check_tensors(path, tensors, expected)
    return tensors


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
    _check_shapes(path, tensors, expected)
    if infinite := {name for name, tensor in tensors.items() if not tensor.isfinite().all()}:
        raise ModelError(f"{path}: {problems_line({'not finite': infinite})}")


def _check_shapes(
    path: Path, tensors: Mapping[str, Tensor | StoredTensor], expected: Mapping[str, Tensor]
) -> None:
    problems = {
        "missing": expected.keys() - tensors.keys(),
        "unexpected": tensors.keys() - expected.keys(),
        "of the wrong shape": {
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(expected[name].shape)}"
            for name in tensors.keys() & expected.keys()
            if tuple(tensors[name].shape) != tuple(expected[name].shape)
        },
    }
    if any(problems.values()):
        raise ModelError(f"{path}: {problems_line(problems)}")


def problems_line(problems: Mapping[str, Collection[str]]) -> str:
    """List the names of tensors that do not fit, by what is wrong with them."""
    lists = (_summary(kind, sorted(names)) for kind, names in problems.items() if names)
    return "not the weights of this network: " + "; ".join(lists)


def _summary(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"{len(names)} {kind}: {', '.join(map(_short_name, names[:MAX_LISTED]))}{more}"


def _short_name(name: str) -> str:
    return name if name.isprintable() and len(name) <= MAX_NAME else short(name)
