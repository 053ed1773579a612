"""The metadata of a serialised ONNX model, without the onnx package and without a session."""

from collections.abc import Iterator

_GRAPH = 7  # fields of ModelProto, onnx.proto3
_METADATA_PROPS = 14


def metadata_props(model: bytes) -> Iterator[tuple[str, str]]:
    """The metadata_props of a serialised ModelProto, by the protobuf wire format.

    https://protobuf.dev/programming-guides/encoding: tag = field << 3 | type.

    Raises:
        ValueError: not the bytes of a ModelProto.
    """
    fields = list(_fields(memoryview(model)))
    if _GRAPH not in (number for number, _ in fields):
        raise ValueError("no graph")
    for number, value in fields:
        if number == _METADATA_PROPS and value is not None:
            entry = {field: text for field, text in _fields(value) if text is not None}
            yield bytes(entry.get(1, b"")).decode(), bytes(entry.get(2, b"")).decode()


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Each field's number, and its bytes where it is of the length-delimited type."""
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
