"""TIFFs and PNGs of kinds that Pillow cannot save, written by their specifications."""

import struct
import zlib
from collections.abc import Sequence

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def tiff(
    samples: bytes,
    size: tuple[int, int],
    bits: int,
    photometric: int | None = 1,
    *,
    sample_format: int = 1,
    channels: int = 1,
    extra: Sequence[int] = (),
    planes: int = 1,
    compression: int = 1,
    byte_order: str = "<",
) -> bytes:
    """Return a TIFF of one strip.

    Args:
        samples: the strip, compressed if `compression` says so.
        size: (height, width) in pixels.
        bits: bits of each sample.
        photometric: what the samples mean, as in the tag PhotometricInterpretation.
        sample_format: 1 unsigned, 2 signed, 3 float.
        channels: samples of each pixel.
        extra: what the additional channels mean, as in the tag ExtraSamples.
        planes: 1 if channels are interleaved, 2 if they come one after the other.
        compression: 1 none, 8 zlib.
        byte_order: "<" or ">".
    """
    shorts = {258: [bits] * channels, 259: [compression], 277: [channels], 284: [planes]}
    shorts[339] = [sample_format] * channels
    if photometric is not None:
        shorts[262] = [photometric]
    if extra:
        shorts[338] = list(extra)
    longs = {256: [size[1]], 257: [size[0]], 273: [8], 278: [size[0]], 279: [len(samples)]}
    if planes == 2:
        length = len(samples) // channels
        longs[273] = [8 + length * i for i in range(channels)]
        longs[279] = [length] * channels
    entries = sorted(
        [(t, 3, "H", v) for t, v in shorts.items()] + [(t, 4, "I", v) for t, v in longs.items()]
    )
    samples += b"\0" * (len(samples) % 2)
    directory = 8 + len(samples)
    position = directory + 2 + 12 * len(entries) + 4
    table, values = struct.pack(f"{byte_order}H", len(entries)), b""
    for tag, kind, code, numbers in entries:
        data = struct.pack(f"{byte_order}{len(numbers)}{code}", *numbers)
        table += struct.pack(f"{byte_order}HHI", tag, kind, len(numbers))
        if len(data) <= 4:
            table += data.ljust(4, b"\0")
        else:
            table += struct.pack(f"{byte_order}I", position + len(values))
            values += data + b"\0" * (len(data) % 2)
    start = b"II*\0" if byte_order == "<" else b"MM\0*"
    return start + struct.pack(f"{byte_order}I", directory) + samples + table + b"\0" * 4 + values


def png_chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    rows: Sequence[bytes],
    width: int,
    bits: int,
    color_type: int,
    *,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """Return a PNG.

    Args:
        rows: the samples of each row.
        width: pixels of a row.
        bits: bits of each sample.
        color_type: 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGB with alpha.
        before: chunks between the header and the pixels.
        after: chunks behind the pixels.
    """
    header = struct.pack(">IIBBBBB", width, len(rows), bits, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = png_chunk(b"IHDR", header) + before + png_chunk(b"IDAT", pixels) + after
    return PNG_SIGNATURE + chunks + png_chunk(b"IEND", b"")
