"""Texts and profiles in a PNG, however large, leave its pixels readable."""

import io
import tracemalloc
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icc_profiles import DISPLAY_P3, rgb_profile
from PIL import Image
from raw_images import png, png_chunk

from dptn_cli.io.images import decode_image, decode_size, read_image_size

COLORS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
MIB = 1 << 20


@cache
def text(kind: str, content: bytes) -> bytes:
    """Return a chunk with a text of a kind."""
    chunks = {
        "tEXt": b"key\0" + content,
        "zTXt": b"key\0\0" + zlib.compress(content),
        "iTXt": b"key\0\1\0\0\0" + zlib.compress(content),
        "plain iTXt": b"key\0\0\0\0\0" + content,
        "iCCP": b"key\0\0" + zlib.compress(content),
        "unknown zTXt": b"key\0\7" + content,
        "unknown iCCP": b"key\0\7" + content,
        "broken zTXt": b"key\0\0" + content,
    }
    return png_chunk(kind.split()[-1].encode(), chunks[kind])


def assert_read(before: bytes = b"", after: bytes = b"", turned: bool = False) -> None:
    data = png([row.tobytes() for row in COLORS], 8, 8, 2, before=before, after=after)
    expected = COLORS[::-1].swapaxes(0, 1) if turned else COLORS
    assert np.array_equal(np.asarray(decode_image(data)), expected)
    assert decode_size(data) == expected.shape[:2]


@pytest.mark.parametrize(
    ("kind", "mib"),
    [(kind, mib) for kind in ("zTXt", "iTXt", "iCCP") for mib in (2, 9)]
    + [("tEXt", 2), ("plain iTXt", 2), ("tEXt", 65)],
)
def test_large_texts(kind: str, mib: int) -> None:
    chunk = text(kind, b"a" * mib * MIB)
    assert_read(before=chunk)
    assert_read(after=chunk)


@pytest.mark.parametrize("kind", ["unknown zTXt", "unknown iCCP", "broken zTXt"])
def test_texts_that_cannot_be_unpacked(kind: str) -> None:
    assert_read(before=text(kind, b"nonsense"))


def test_many_texts() -> None:
    chunk = text("zTXt", b"a" * (7 * MIB))
    assert_read(before=chunk * 12)


@given(st.lists(st.sampled_from(["tEXt", "zTXt", "iTXt", "iCCP"]), max_size=3), st.booleans())
@settings(max_examples=10)
def test_a_large_text_takes_nothing_else_along(kinds: list[str], at_end: bool) -> None:
    """The orientation in XMP counts, though another text is left out."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    kept = png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    large = b"".join(text(kind, b"a" * 9 * MIB) for kind in kinds)
    before, after = (large, kept) if at_end else (kept + large, b"")
    assert_read(before, after, turned=True)


def test_a_profile_counts_beside_a_large_text() -> None:
    image, buffer = Image.fromarray(COLORS), io.BytesIO()
    image.save(buffer, "PNG", icc_profile=rgb_profile(DISPLAY_P3))
    chunk = png_chunk(b"iCCP", b"P3\0\0" + zlib.compress(rgb_profile(DISPLAY_P3)))
    rows = [row.tobytes() for row in COLORS]
    data = png(rows, 8, 8, 2, before=chunk + text("zTXt", b"a" * 20 * MIB))
    first, second = (np.asarray(decode_image(d)) for d in (data, buffer.getvalue()))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "iCCP"])
def test_a_bomb_stays_small(kind: str, tmp_path: Path) -> None:
    bomb = text(kind, bytes(100 * MIB)) * 20
    path = tmp_path / "bomb.png"
    path.write_bytes(png([row.tobytes() for row in COLORS], 8, 8, 2, before=bomb))
    tracemalloc.start()
    try:
        assert read_image_size(path) == (6, 8)
        decode_image(path.read_bytes())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * MIB
