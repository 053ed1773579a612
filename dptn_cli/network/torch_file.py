"""Tensors in the files of `torch.save`, read without torch's unpickler.

A stranger's file may promise anything: terabytes in a few bytes, sparse and quantised tensors,
objects that run code. This reader knows dense tensors and plain values only, and compares every
size with the file's own length before it allocates memory. Tensors are read when they are asked
for, so the rest of a large file costs nothing.

https://pytorch.org/docs/stable/notes/serialization.html describes the zip format. Before PyTorch
1.6, files were five pickles, then each storage as a count and its bytes.
"""

import math
import mmap
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from dptn_cli.errors import ModelError, short, user_errors
from dptn_cli.io.content_kinds import AGAIN, content_kind, not_a, open_regular

EXPECTED = "a PyTorch checkpoint"
MAX_OPERATIONS = 1_000_000  # of a pickle; a checkpoint of a thousand tensors has 50,000
MAX_PICKLE_BYTES = 64 << 20
MAX_DIMENSIONS = 16
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = (
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE"),
    *("SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING", "BINBYTES"),
    "SHORT_BINBYTES",
)
_LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
# What parsing raises on damaged bytes.
_BROKEN = (
    *(ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, EOFError),
    *(RecursionError, MemoryError, NotImplementedError, AssertionError, zipfile.BadZipFile),
    *(struct.error, zlib.error),
)
DAMAGED = f"not {EXPECTED}, or a damaged one"
WRONG_SIZE = f"{DAMAGED}: a tensor's size does not fit"
RARE = "a tensor of a rare type, such as float8"
_DTYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
# Tensors of other kinds, by the functions that torch would rebuild them with.
_OTHER_TENSORS = {
    "_rebuild_qtensor": "a quantised tensor",
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_sparse_csr_tensor": "a sparse tensor",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_meta_tensor_no_storage": "a meta tensor, which holds no values",
    "_rebuild_tensor_v3": RARE,
    "_rebuild_wrapper_subclass": "a tensor of a class of its own",
}


class _NotReadable(Exception):
    """The file holds what this reader does not read; the message completes "PATH: "."""


class _Storages(Protocol):
    """The bytes of a file's storages."""

    def check(self, key: str, nbytes: int) -> None:
        """Check a storage's size, if it is known before the tensors are."""

    def read(self, key: str) -> memoryview:
        """Return the bytes of a storage."""


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype
    count: int
    storages: _Storages


@dataclass(frozen=True)
class StoredTensor:
    """A dense tensor in a file, which lies within its storage.

    Attributes:
        shape: its shape.
        stride: steps between elements in each dimension, in elements.
        offset: its first element in the storage.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    _storage: _Storage = field(repr=False)

    @property
    def dtype(self) -> torch.dtype:
        """The type of its elements."""
        return self._storage.dtype

    @property
    def nbytes(self) -> int:
        """Bytes that a copy of it needs."""
        return math.prod(self.shape) * self.dtype.itemsize

    def load(self) -> Tensor:
        """Read it. The tensor owns its memory.

        Raises:
            ModelError: the file has changed or is damaged.
        """
        if not math.prod(self.shape):
            return torch.empty(self.shape, dtype=self.dtype)
        start, end = self.offset, self.offset + _span(self.shape, self.stride)
        data = self._storage.storages.read(self._storage.key)
        size = self.dtype.itemsize
        elements = torch.frombuffer(bytearray(data[start * size : end * size]), dtype=self.dtype)
        return elements.as_strided(self.shape, self.stride)


def read_torch_file(path: Path) -> Any:
    """Read the plain values of a file, with a `StoredTensor` for each tensor.

    Dicts, lists, tuples and sets keep their structure; sets become lists.

    Raises:
        ModelError: the file cannot be read, is not from `torch.save`, is damaged, or contains
            anything but dense tensors and plain values.
    """
    with user_errors(path, kind=ModelError), open_regular(path) as file:
        try:
            return _read(path, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except _NotReadable as error:
            raise ModelError(f"{path}: {error}") from error
        except _BROKEN as error:
            raise ModelError(not_a(path, EXPECTED)) from error


def _read(path: Path, content: mmap.mmap) -> Any:
    if content[: len(_LEGACY_START)] == _LEGACY_START:
        return _read_legacy(content)
    if content[:2] == b"PK" and content_kind(path)[0] == EXPECTED:
        return _read_zip(path, content)
    raise ModelError(not_a(path, EXPECTED))


def _read_zip(path: Path, content: mmap.mmap) -> Any:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise _NotReadable(
                f"its entries are compressed, so it is not {EXPECTED} as torch.save writes it: "
                "load it with PyTorch and save it again"
            )
        if sum(entry.file_size for entry in entries.values()) > len(content):
            raise _NotReadable(f"not {EXPECTED}: it promises more bytes than it has")
        (name,) = (name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl"))
        folder = name.removesuffix("data.pkl")
        if entries[name].file_size > MAX_PICKLE_BYTES:
            raise _NotReadable(f"not {EXPECTED}: its list of tensors is too long")
        pickle = archive.read(name)
        if (order := f"{folder}byteorder") in entries and archive.read(order) != b"little":
            raise _NotReadable("from a big-endian machine, which dptn does not read")
    storages = _ZipStorages(path, content, folder + "data/", entries)
    return _Unpickler(storages).load(BytesIO(pickle))


class _ZipStorages:
    def __init__(
        self, path: Path, content: mmap.mmap, folder: str, entries: Mapping[str, zipfile.ZipInfo]
    ) -> None:
        self._path, self._content, self._folder, self._entries = path, content, folder, entries
        self._checked: set[str] = set()

    def check(self, key: str, nbytes: int) -> None:
        entry = self._entries.get(self._folder + key)
        if entry is None or entry.file_size != nbytes or entry.compress_size != nbytes:
            raise _NotReadable(WRONG_SIZE)

    def read(self, key: str) -> memoryview:
        entry = self._entries[self._folder + key]
        header = self._content[entry.header_offset : entry.header_offset + 30]
        lengths = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
        start = entry.header_offset + 30 + sum(lengths)
        data = memoryview(self._content)[start : start + entry.file_size]
        if key not in self._checked and zlib.crc32(data) != entry.CRC:
            raise ModelError(f"{self._path}: damaged: its checksums are wrong: {AGAIN}")
        self._checked.add(key)
        return data


def _read_legacy(content: mmap.mmap) -> Any:
    storages = _LegacyStorages(content)
    unpickler = _Unpickler(storages)
    _, _, system, value, keys = (unpickler.load(content) for _ in range(5))
    if system.get("little_endian") is not True:
        raise _NotReadable("from a big-endian machine, which dptn does not read")
    storages.find(keys)
    return value


class _LegacyStorages:
    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._promised: dict[str, int] = {}
        self._starts: dict[str, int] = {}

    def check(self, key: str, nbytes: int) -> None:
        if self._promised.setdefault(key, nbytes) != nbytes or nbytes > len(self._content):
            raise _NotReadable(WRONG_SIZE)

    def find(self, keys: list[str]) -> None:
        """Find the storages, which follow the pickles in the order of some keys."""
        position = self._content.tell()
        for key in keys:
            self._starts[key] = position + 8
            count = int.from_bytes(self._content[position : position + 8], "little")
            if self._promised[key] not in (count, 2 * count, 4 * count, 8 * count):
                raise _NotReadable(
                    f"not {EXPECTED}, or a damaged one: a tensor's size does not fit"
                )
            position = self._starts[key] + self._promised[key]
        if position > len(self._content) or self._promised.keys() - self._starts.keys():
            raise _NotReadable(f"not {EXPECTED}, or a truncated one")

    def read(self, key: str) -> memoryview:
        start = self._starts[key]
        return memoryview(self._content)[start : start + self._promised[key]]


def _span(shape: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """Return the number of elements from a tensor's first to its last; it has one at least."""
    return 1 + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))


def _rebuild_tensor(storage: object, offset: int, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    sizes = (offset, *shape, *stride)
    if not isinstance(storage, _Storage) or any(type(n) is not int or n < 0 for n in sizes):
        raise _NotReadable(f"not {EXPECTED}, or a damaged one: a tensor without a shape")
    if len(shape) > MAX_DIMENSIONS or (
        math.prod(shape) and offset + _span(tuple(shape), tuple(stride)) > storage.count
    ):
        raise _NotReadable(f"not {EXPECTED}, or a damaged one: a tensor larger than its values")
    return StoredTensor(tuple(shape), tuple(stride), offset, storage)


# What a pickle may call, by its name there; none of it does more than collect values.
_FUNCTIONS: dict[str, Any] = {
    "torch._utils _rebuild_tensor": _rebuild_tensor,
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils _rebuild_parameter": lambda tensor, *_: tensor,
    "torch Size": tuple,
    "collections OrderedDict": lambda items=(): _to_dict(items),
    "collections Counter": lambda items=(): _to_dict(items),
    "builtins set": list,
    "__builtin__ set": list,
}


def _to_dict(items: Any) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key, value in items.items() if isinstance(items, dict) else items:
        _set_item(result, key, value)
    return result


def _set_item(target: Any, key: Any, value: Any) -> None:
    # Hashing nested tuples can take for ever, and no checkpoint needs them as keys.
    if type(target) is not dict or type(key) not in (str, int):
        raise _NotReadable("has keys that are neither names nor numbers")
    target[key] = value


class _Unpickler:
    """A machine for the part of the pickle language that `torch.save` writes."""

    def __init__(self, storages: _Storages) -> None:
        self._storages = storages

    def load(self, file: Any) -> Any:
        """Read one pickle from the position of a file, which may be an `mmap`."""
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._copied = 0
        for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if count + self._copied > MAX_OPERATIONS:
                raise _NotReadable(f"not {EXPECTED}: its list of tensors is too long")
            if opcode.name in _CONSTANTS:
                self._stack.append(_CONSTANTS[opcode.name])
            elif opcode.name in _VALUES:
                self._stack.append(argument)
            elif opcode.name not in ("PROTO", "FRAME", "STOP"):
                getattr(self, f"_{opcode.name.lower()}", self._unknown)(argument)
        (value,) = self._stack
        return value

    def _unknown(self, _: object) -> None:
        raise _NotReadable(DAMAGED)

    def _empty_dict(self, _: object) -> None:
        self._stack.append({})

    def _empty_list(self, _: object) -> None:
        self._stack.append([])

    _empty_set = _empty_list

    def _mark(self, _: object) -> None:
        self._outer.append(self._stack)
        self._stack = []

    def _marked(self) -> list[Any]:
        values, self._stack = self._stack, self._outer.pop()
        return values

    def _tuple(self, _: object) -> None:
        values = self._marked()
        self._stack.append(tuple(values))

    def _tuple_of(self, count: int) -> None:
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _tuple1(self, _: object) -> None:
        self._tuple_of(1)

    def _tuple2(self, _: object) -> None:
        self._tuple_of(2)

    def _tuple3(self, _: object) -> None:
        self._tuple_of(3)

    def _append(self, _: object) -> None:
        value = self._stack.pop()
        self._extend([value])

    def _appends(self, _: object) -> None:
        self._extend(self._marked())

    _additems = _appends

    def _extend(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise _NotReadable(DAMAGED)
        self._stack[-1].extend(values)

    def _setitem(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        _set_item(self._stack[-1], key, value)

    def _setitems(self, _: object) -> None:
        values = self._marked()
        for key, value in zip(values[::2], values[1::2], strict=True):
            _set_item(self._stack[-1], key, value)

    def _binput(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    _long_binput = _binput

    def _memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _binget(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _long_binget = _binget

    def _global(self, name: str) -> None:
        module, _, attribute = name.partition(" ")
        dtype = _DTYPES.get(attribute.removesuffix("Storage"))
        if module == "torch" and attribute.endswith("Storage") and dtype:
            self._stack.append(dtype)
        elif name in _FUNCTIONS:
            self._stack.append(_FUNCTIONS[name])
        elif other := _OTHER_TENSORS.get(attribute):
            raise _NotReadable(f"contains {other}; dptn reads plain ones: save it as float32")
        else:
            raise _NotReadable(
                f"not {EXPECTED} of tensors and plain values: it contains "
                f"{short(module + '.' + attribute)}: load it with its own program and save the "
                "state_dict() alone"
            )

    def _stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._global(f"{module} {name}")

    def _reduce(self, _: object) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not any(function is allowed for allowed in _FUNCTIONS.values()):
            raise _NotReadable(DAMAGED)
        self._copied += sum(len(items) for items in arguments if isinstance(items, list | dict))
        self._stack.append(function(*arguments))

    def _build(self, _: object) -> None:
        self._stack.pop()  # attributes of a state_dict, such as versions, which nothing here needs

    def _binpersid(self, _: object) -> None:
        kind, dtype, key, _, count, *view = self._stack.pop()
        if kind != "storage" or not isinstance(dtype, torch.dtype) or view not in ([], [None]):
            raise _NotReadable(f"contains {RARE}; dptn reads plain ones: save it as float32")
        if type(count) is not int or count < 0 or type(key) is not str:
            raise _NotReadable(DAMAGED)
        self._storages.check(key, count * dtype.itemsize)
        self._stack.append(_Storage(key, dtype, count, self._storages))
