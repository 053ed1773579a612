"""The metadata of an exported ONNX file, read without the onnx package or a session."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from dptn_cli.errors import InputError, ModelError, user_errors
from dptn_cli.types import JOINTS, ImageSpec, Model

FORMAT = "1"
METADATA_PREFIX = "dptn."
INPUTS = {
    "source": "tensor(uint8)",
    "source_pose": "tensor(float)",
    "target_pose": "tensor(float)",
    "source_index": "tensor(int64)",
}
OUTPUTS = {"generated": "tensor(uint8)"}

_GRAPH = 7  # field numbers of ModelProto in onnx.proto3
_METADATA_PROPS = 14


def read_model(path: Path) -> Model:
    """Read the metadata of an exported model.

    Raises:
        ModelError: the file is missing, is not ONNX, or is not an export in this format.
    """
    with user_errors(path, kind=ModelError):
        content = path.read_bytes()
    try:
        properties = dict(metadata_props(content))
    except ValueError as error:
        raise ModelError(f"{path}: not an ONNX file, or a truncated one") from error
    metadata = {
        key.removeprefix(METADATA_PREFIX): value
        for key, value in properties.items()
        if key.startswith(METADATA_PREFIX)
    }
    if "format" not in metadata:
        raise ModelError(f"{path}: not an export of `dptn export`: it lacks dptn's metadata")
    if metadata["format"] != FORMAT:
        raise ModelError(f"{path}: format {metadata['format']}, but this dptn reads {FORMAT}")
    try:
        spec = _image_spec(metadata)
        precision = metadata["precision"]
    except (KeyError, ValueError, InputError) as error:
        raise ModelError(f"{path}: its dptn metadata is incomplete: {error}") from error
    runtime = metadata.get("target", "any")  # older exports lack the key
    sha256 = hashlib.sha256(content).hexdigest()
    return Model(path, sha256, spec, precision, metadata, runtime)


def _image_spec(metadata: Mapping[str, str]) -> ImageSpec:
    if int(metadata["joints"]) != JOINTS:
        raise ValueError(f"{metadata['joints']} joints")
    sizes = []
    for key in ("image_size", "network_size"):
        height, width = metadata[key].split("x")
        sizes.append((int(height), int(width)))
    return ImageSpec(metadata["dataset"], sizes[0], sizes[1], float(metadata["sigma"]))


def check_contract(path: Path, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Check that a graph has the inputs and outputs of format 1.

    Args:
        path: the ONNX file, for the message.
        inputs: onnxruntime's type of each input, by name.
        outputs: onnxruntime's type of each output, by name.

    Raises:
        ModelError: the graph has other inputs or outputs.
    """
    if inputs != INPUTS or outputs != OUTPUTS:
        raise ModelError(f"{path}: its inputs and outputs are not those of format {FORMAT}")


def metadata_props(model: bytes) -> Iterator[tuple[str, str]]:
    """Read the metadata_props of a serialised ModelProto by the protobuf wire format.

    https://protobuf.dev/programming-guides/encoding: tag = field << 3 | type.

    Yields:
        Key and value of each entry.

    Raises:
        ValueError: these are not the bytes of a ModelProto.
    """
    fields = list(_fields(memoryview(model)))
    if _GRAPH not in (number for number, _ in fields):
        raise ValueError("no graph")
    for number, value in fields:
        if number == _METADATA_PROPS and value is not None:
            entry = {field: text for field, text in _fields(value) if text is not None}
            yield bytes(entry.get(1, b"")).decode(), bytes(entry.get(2, b"")).decode()


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Yield each field's number, and its bytes if it is of the length-delimited wire type."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        number, wire_type = tag >> 3, tag & 7
        value = None
        if wire_type == 0:
            _, position = _varint(message, position)
        elif wire_type == 2:
            length, position = _varint(message, position)
            value = message[position : position + length]
            position += length
        elif wire_type in (1, 5):
            position += 8 if wire_type == 1 else 4
        else:
            raise ValueError(f"wire type {wire_type}")
        if position > len(message):
            raise ValueError("truncated")
        yield number, value


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
