"""Strangers' checkpoints: plain tensors and values are read, all else is refused in one line."""

import io
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support import TINY_SPEC, tiny_generator
from torch import Tensor

from dptn_cli.errors import ModelError
from dptn_cli.inference.model_file import read_model
from dptn_cli.network.checkpoint import load_generator, read_checkpoint, save_generator
from dptn_cli.network.config import GeneratorConfig
from dptn_cli.network.generator import Generator

NAME = "decoder0.model.2.bias"


def content_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as raised:
        load_generator(path)
    message = str(raised.value)
    assert "\n" not in message and len(message) < 1500
    return message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.to(torch.float8_e4m3fn), "a tensor of a rare type, such as float8"),
        (lambda t: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8), "a quantised tensor"),
        (lambda t: t.to_sparse(), "a sparse tensor"),
        (lambda t: torch.nested.nested_tensor([t, t]), "a nested tensor"),
        (lambda t: t.to("meta"), "a meta tensor, which holds no values"),
        (lambda t: t.to(torch.complex64), "ComplexFloatStorage"),
        (lambda t: t.int(), f"1 of another type: {NAME}"),
        (lambda t: t.double() * 1e300, f"1 not finite: {NAME}"),
        (lambda _: torch.zeros(1).expand(10**6, 10**6), r"(1000000, 1000000) instead of"),
        (lambda _: torch.nn.Linear(1, 1), "it contains torch.nn.modules.linear.Linear"),
        (lambda t: [t], "is a list, not a tensor"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_only_dense_floats_are_weights(
    tmp_path: Path, tiny_checkpoint: Path, change: Callable[[Tensor], object], message: str
) -> None:
    content = content_of(tiny_checkpoint)
    content["generator"][NAME] = change(content["generator"][NAME] + 1)
    torch.save(content, tmp_path / "m.pth")
    assert message in refused(tmp_path / "m.pth")


@pytest.mark.parametrize(
    "value",
    [torch.zeros(2), True, 10**5000, float("nan"), "64", None, [1], {"a": 1}, -1, 10**18],
    ids=lambda value: type(value).__name__,
)
def test_a_configuration_of_anything_but_numbers(
    tmp_path: Path, tiny_checkpoint: Path, value: object
) -> None:
    content = content_of(tiny_checkpoint)
    path = tmp_path / "m.pth"
    for part in ("config", "frame"):
        torch.save(content | {part: value}, path)
        assert "in place of its fields" in refused(path) or "newer dptn" in refused(path)
        for key in content[part]:
            if (key, value) == ("dataset", "64"):
                continue
            torch.save(content | {part: content[part] | {key: value}}, path)
            assert "its configuration cannot be read" in refused(path)
    torch.save(content | {"generator": value}, path)
    assert "m.pth: " in refused(path)


def test_sizes_without_weights(tmp_path: Path, tiny_checkpoint: Path) -> None:
    content = content_of(tiny_checkpoint)
    for key in ("residual_blocks", "context_blocks"):
        torch.save(content | {"config": content["config"] | {key: 4096}}, tmp_path / "m.pth")
        assert "blocks, but only" in refused(tmp_path / "m.pth")
    torch.save(content | {"config": content["config"] | {"width": 4096}}, tmp_path / "m.pth")
    assert "of the wrong shape" in refused(tmp_path / "m.pth")


def test_weights_that_share_a_few_values_take_no_memory(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    """Views with a stride of 0 make a large network of a small file."""
    content = content_of(tiny_checkpoint)
    config = content["config"] | {"width": 1024}
    with torch.device("meta"):
        shapes = Generator(GeneratorConfig(**config)).state_dict()
    value = torch.zeros(1)
    weights = {name: value.expand(tensor.shape) for name, tensor in shapes.items()}
    torch.save(content | {"config": config, "generator": weights}, tmp_path / "m.pth")
    assert "its tensors are larger than the file" in refused(tmp_path / "m.pth")
    with pytest.raises(ModelError, match="larger than the file"):
        read_checkpoint(tmp_path / "m.pth")


def rewritten(
    source: Path, target: Path, change: Callable[[str, bytes], bytes], **how: Any
) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **how) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def test_sizes_that_do_not_fit_the_file(tmp_path: Path, tiny_checkpoint: Path) -> None:
    path = tmp_path / "m.pth"
    rewritten(tiny_checkpoint, path, lambda _, data: data, compression=zipfile.ZIP_DEFLATED)
    assert "its entries are compressed" in refused(path)
    rewritten(tiny_checkpoint, path, lambda name, data: data[:-4] if "/data/" in name else data)
    assert "a tensor's size does not fit" in refused(path)
    damaged = bytearray(tiny_checkpoint.read_bytes())
    with zipfile.ZipFile(tiny_checkpoint) as archive:
        (largest,) = sorted(archive.infolist(), key=lambda entry: entry.file_size)[-1:]
    damaged[largest.header_offset + 200] ^= 64
    path.write_bytes(damaged)
    assert "damaged: its checksums are wrong" in refused(path)


@pytest.mark.parametrize("legacy", [False, True])
def test_mutated_files(tmp_path: Path, legacy: bool) -> None:
    """Seeded changes of the bytes; each file is read or refused, and nothing else happens."""
    draw = random.Random(14)
    base, path = tmp_path / "base.pth", tmp_path / "m.pth"
    save_generator(base, tiny_generator(), TINY_SPEC)
    buffer = io.BytesIO()
    torch.save(content_of(base), buffer, _use_new_zipfile_serialization=not legacy)
    head = len(buffer.getvalue()) if not legacy else buffer.getvalue().index(b"storage") + 10_000
    ends = {True: 0, False: 0}
    for _ in range(60):

        def change(name: str, data: bytes, end: int = 0) -> bytes:
            if not name.endswith("data.pkl"):
                return data
            mutant = bytearray(data)
            for _ in range(draw.choice([1, 1, 2, 4])):
                at = draw.randrange(end or len(mutant))
                new = (bytes([draw.randrange(256)]), b"\x8a\x08" + draw.randbytes(8), b"")
                mutant[at : at + 1] = draw.choice(new)
            return bytes(mutant)

        if legacy:
            path.write_bytes(change("data.pkl", buffer.getvalue(), head))
        else:
            rewritten(base, path, change)
        for read in (load_generator, read_checkpoint):
            try:
                read(path)
                ends[True] += 1
            except ModelError as error:
                assert "\n" not in str(error)
                ends[False] += 1
    assert ends[True] and ends[False]


def test_keys_that_take_for_ever_to_hash_are_refused(tmp_path: Path) -> None:
    # The pickle of {t: None}, where t is a pair of pairs of pairs ... of one shared empty tuple.
    body = b")q\x00" + b"".join(b"h%c\x86q%c" % (bytes([n]), n + 1) for n in range(40)).replace(
        b"\x86", b"h\x00\x86"
    )
    pickle = b"\x80\x02}" + body + b"Ns."
    with zipfile.ZipFile(tmp_path / "m.pth", "w") as archive:
        archive.writestr("m/data.pkl", pickle)
    assert "m.pth: " in refused(tmp_path / "m.pth")


def test_devices_and_folders_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    for path in (Path("/dev/zero"), tmp_path / "pipe.pth"):
        assert refused(path) == f"{path}: not a regular file"
        with pytest.raises(ModelError, match="not a regular file"):
            read_model(path)
    assert "Is a directory" in refused(tmp_path)
