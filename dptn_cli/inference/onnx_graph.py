"""What an ONNX file's graph says about itself, read from its bytes before a session opens it.

onnxruntime allocates what a graph promises, and a stranger's graph may promise anything. So its
inputs, outputs, operators and weights are read here by the protobuf wire format, which takes
milliseconds and no onnx package. Fields have the numbers of onnx.proto3:
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

Field: TypeAlias = tuple[int, memoryview | int]
MAX_FIELDS = 400_000  # of a file; an export has about 20,000

# Bytes of an element, by ONNX's number of the type.
_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
_BYTES |= dict.fromkeys((17, 18, 19, 20), 1)
_FLOAT32, _FLOAT16, _FLOAT64, _BFLOAT16 = 1, 10, 11, 16
_NAMES = {1: "float32", 2: "uint8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}
_FOUR_BITS = (21, 22)
_FLOAT8 = (17, 18, 19, 20)
# Operators of onnxruntime and ONNX that compute in integers, by their names' parts.
_QUANTISED = ("quantize", "qlinear", "integer", "qattention", "qgemm", "qmoe")
_QUANTISED_TO_4_BITS = ("matmulnbits", "matmulbnb4", "gatherblockquantized")


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a graph.

    Attributes:
        element_type: ONNX's number of the type.
        shape: sizes; None where the graph leaves a size open.
    """

    element_type: int
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        kind = _NAMES.get(self.element_type, f"type {self.element_type}")
        return f"{kind} ({', '.join('any' if n is None else str(n) for n in self.shape)})"

    def fits(self, other: "TensorInfo") -> bool:
        """Return whether type and shape match another's; an open size here matches any."""
        return (
            self.element_type == other.element_type
            and len(self.shape) == len(other.shape)
            and all(
                mine is None or mine == theirs
                for mine, theirs in zip(self.shape, other.shape, strict=True)
            )
        )


@dataclass
class Graph:
    """What a graph promises.

    Attributes:
        inputs: its inputs without the initialisers, by name.
        outputs: its outputs, by name.
        operators: how often it has each operator.
        elements: number of the elements of its weights, by ONNX's number of the type.
        metadata: the metadata of the model.
    """

    inputs: dict[str, TensorInfo] = field(default_factory=dict)
    outputs: dict[str, TensorInfo] = field(default_factory=dict)
    operators: Counter[str] = field(default_factory=Counter)
    elements: Counter[int] = field(default_factory=Counter)
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def precision(self) -> str:
        """The arithmetic that it really has, whatever its metadata says."""
        operators = "\n".join(self.operators).lower()
        if any(name in operators for name in _QUANTISED_TO_4_BITS) or self._has(_FOUR_BITS):
            return "int4"
        if self._has(_FLOAT8):
            return "float8"
        if any(name in operators for name in _QUANTISED):
            return "int8"
        floats = {kind: self.elements[kind] for kind in (_FLOAT32, _FLOAT16, _FLOAT64, _BFLOAT16)}
        largest = max(floats, key=lambda kind: floats[kind])
        names = {_FLOAT32: "fp32", _FLOAT16: "fp16", _FLOAT64: "fp64", _BFLOAT16: "bf16"}
        return names[largest]

    def _has(self, kinds: tuple[int, ...]) -> bool:
        return any(self.elements[kind] for kind in kinds)


class UnusableGraph(Exception):
    """A graph that dptn does not open; the message completes "PATH: "."""


def read_graph(content: memoryview) -> Graph:
    """Read what a model's graph promises, and check its weights against the bytes that hold them.

    Raises:
        ValueError: these are not the bytes of an ONNX file.
        UnusableGraph: weights are in other files, larger than the bytes that hold them, or the
            graph has loops or functions, which no export has.
    """
    return _Reader().read(content)


class _Reader:
    def __init__(self) -> None:
        self._fields = MAX_FIELDS
        self.graph = Graph()

    def read(self, content: memoryview) -> Graph:
        graphs: list[memoryview] = []
        for number, value in self._each(content):
            if number == 7:
                graphs.append(_bytes(value))
            elif number == 14:
                key, text = self._entry(_bytes(value))
                self.graph.metadata[key] = text
            elif number == 25:
                raise UnusableGraph("its graph has functions of its own, which no export has")
        if len(graphs) != 1:
            raise ValueError("no graph")
        self._read_graph(graphs[0])
        return self.graph

    def _read_graph(self, content: memoryview) -> None:
        weights: set[str] = set()
        inputs: dict[str, TensorInfo] = {}
        for number, value in self._each(content):
            if number == 1:
                self._read_node(_bytes(value))
            elif number == 5:
                weights.add(self._read_weights(_bytes(value)))
            elif number == 15:
                raise UnusableGraph("its weights are sparse")
            elif number in (11, 12):
                name, tensor = self._tensor_info(_bytes(value))
                (inputs if number == 11 else self.graph.outputs)[name] = tensor
        # Before ONNX's version 4, initialisers were inputs too.
        self.graph.inputs = {name: tensor for name, tensor in inputs.items() if name not in weights}

    def _read_node(self, content: memoryview) -> None:
        for number, value in self._each(content):
            if number == 4:
                self.graph.operators[_text(_bytes(value))] += 1
            elif number == 5:
                self._read_attribute(_bytes(value))

    def _read_attribute(self, content: memoryview) -> None:
        for number, value in self._each(content):
            if number in (5, 10):
                self._read_weights(_bytes(value))
            elif number in (6, 11):
                raise UnusableGraph("its graph has loops or branches, which no export has")
            elif number in (22, 23):
                raise UnusableGraph("its weights are sparse")

    def _read_weights(self, content: memoryview) -> str:
        """Check a tensor's size; return its name."""
        name, kind, sizes, held, is_raw = "", 0, list[int](), 0, False
        for number, value in self._each(content):
            if number == 1:
                sizes += self._integers(value)
            elif number == 2 and isinstance(value, int):
                kind = value
            elif number == 8:
                name = _text(_bytes(value))
            elif number == 13 or (number == 14 and value):
                raise UnusableGraph(
                    "its weights are in other files, but a model is one file: save it with its "
                    "weights inside"
                )
            elif number in (4, 5, 6, 7, 9, 10, 11):
                is_raw |= number == 9
                held += value.nbytes if isinstance(value, memoryview) else 1
        count = math.prod(sizes)
        # A number that is not raw takes one byte at least.
        needed = count * _BYTES.get(kind, 0) if is_raw else count
        if any(size < 0 for size in sizes) or needed > held:
            raise UnusableGraph("a weight is larger than the bytes that hold it")
        self.graph.elements[kind] += count
        return name

    def _integers(self, value: memoryview | int) -> Iterator[int]:
        if isinstance(value, int):
            yield value
            return
        position = 0
        while position < len(value):
            number, position = _varint(value, position)
            yield number - (1 << 64 if number >> 63 else 0)

    def _tensor_info(self, content: memoryview) -> tuple[str, TensorInfo]:
        name, tensor = "", TensorInfo(0, ())
        for number, value in self._each(content):
            if number == 1:
                name = _text(_bytes(value))
            elif number == 2:
                tensor = self._type(_bytes(value))
        return name, tensor

    def _type(self, content: memoryview) -> TensorInfo:
        kind, shape = 0, list[int | None]()
        tensors = [_bytes(value) for number, value in self._each(content) if number == 1]
        for number, value in self._each(tensors[-1]) if tensors else ():
            if number == 1 and isinstance(value, int):
                kind = value
            elif number == 2:
                sizes = self._each(_bytes(value))
                shape = [self._size(_bytes(size)) for field, size in sizes if field == 1]
        return TensorInfo(kind, tuple(shape))

    def _size(self, content: memoryview) -> int | None:
        sizes = [value for number, value in self._each(content) if number == 1]
        return sizes[-1] if sizes and isinstance(sizes[-1], int) else None

    def _entry(self, content: memoryview) -> tuple[str, str]:
        entry = dict(self._each(content))
        return _text(_bytes(entry.get(1, b""))), _text(_bytes(entry.get(2, b"")))

    def _each(self, message: memoryview) -> Iterator[Field]:
        """Yield each field's number and value: bytes, or an integer.

        https://protobuf.dev/programming-guides/encoding: tag = field << 3 | type.
        """
        position = 0
        while position < len(message):
            self._fields -= 1
            if self._fields < 0:
                raise UnusableGraph("its graph has too many parts for an export")
            tag, position = _varint(message, position)
            number, wire_type = tag >> 3, tag & 7
            value: memoryview | int
            if wire_type == 0:
                value, position = _varint(message, position)
            elif wire_type == 2:
                length, position = _varint(message, position)
                value = message[position : position + length]
                position += length
            elif wire_type in (1, 5):
                start, position = position, position + (8 if wire_type == 1 else 4)
                value = message[start:position]
            else:
                raise ValueError(f"wire type {wire_type}")
            if position > len(message) or not number:
                raise ValueError("truncated")
            yield number, value


def _bytes(value: memoryview | bytes | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number in place of a message")
    return memoryview(value)


def _text(value: memoryview) -> str:
    return bytes(value).decode()


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """Decode one varint; return its value and the position after it."""
    value = 0
    for shift in range(0, 64, 7):
        if position >= len(message):
            raise ValueError("truncated")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("varint too long")
