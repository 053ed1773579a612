"""Texts and profiles in PNGs that are too large for Pillow."""

import struct
import zlib

from PIL import PngImagePlugin

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Limits the memory that a decompression bomb takes. Workflows and edit histories take 1 to 5 MB.
MAX_CHUNK_BYTES = 8 << 20
MAX_BYTES = PngImagePlugin.MAX_TEXT_MEMORY  # of all texts of an image: 64 MiB
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")

PngImagePlugin.MAX_TEXT_CHUNK = MAX_CHUNK_BYTES


def without_large_texts(data: bytes) -> bytes | None:
    """Return a PNG without the texts and profiles that Pillow would refuse.

    Args:
        data: content of a file.

    Returns:
        The content of a PNG with the same pixels; None if there is nothing to leave out, or if
        the file is not a PNG.
    """
    if not data.startswith(SIGNATURE):
        return None
    kept, position, total, view = [memoryview(SIGNATURE)], len(SIGNATURE), 0, memoryview(data)
    is_lighter = False
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        chunk = view[position : position + 12 + length]
        position += 12 + length
        if name in _TEXTS:
            # Once the limit is reached, not even the sizes of further texts are looked at.
            size = None if total > MAX_BYTES else _text_bytes(name, bytes(chunk[8:-4]))
            total += size or 0
            if size is None or total > MAX_BYTES:
                is_lighter = True
                continue
        kept.append(chunk)
    return b"".join(kept) if is_lighter else None


def _text_bytes(name: bytes, content: bytes) -> int | None:
    """Return the size of a text, bytes; None if it is too large or packed in an unknown way."""
    if name == b"tEXt":
        return len(content)
    _, _, packed = content.partition(b"\0")  # after the keyword
    if name == b"iTXt":
        is_packed, method, packed = packed[:1], packed[1:2], packed[2:].split(b"\0", 2)[-1]
        if is_packed in (b"", b"\0"):
            return len(content)
    else:
        method, packed = packed[:1], packed[1:]
    if method not in (b"", b"\0"):
        return None
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, MAX_CHUNK_BYTES)
    except zlib.error:
        return 0  # Pillow leaves it aside
    return None if unpacker.unconsumed_tail else len(text)
