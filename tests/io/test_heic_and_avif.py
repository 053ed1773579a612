"""The formats in the container of MP4: AVIF, which Pillow reads, and HEIC, with pillow-heif."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from icc_profiles import DISPLAY_P3, rgb_in_srgb, rgb_profile
from PIL import Image

from dptn_cli.errors import InputError
from dptn_cli.io.images import decode_image, decode_size, read_image, read_image_size

INSTALL = "a HEIC image; to read it: pip install 'dptn-cli[heic]'"


def container(major: bytes, *compatible: bytes) -> bytes:
    """Return the start of a file in the container of MP4."""
    brands = major + b"\0\0\0\0" + b"".join(compatible)
    return (8 + len(brands)).to_bytes(4) + b"ftyp" + brands + b"\0\0\0\x08mdat"


def photo() -> Image.Image:
    """Four plain parts, wider than high."""
    parts = Image.new("RGB", (2, 2), (250, 250, 250))
    for xy, color in {(0, 0): (200, 30, 10), (1, 0): (20, 200, 60), (0, 1): (0, 0, 90)}.items():
        parts.putpixel(xy, color)
    return parts.resize((96, 64), Image.Resampling.NEAREST)


def encoded(file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    photo().save(buffer, file_format, **options)
    return buffer.getvalue()


def assert_close(data: bytes, expected: Any) -> None:
    image = np.asarray(decode_image(data)).astype(int)
    assert image.shape == (*decode_size(data), 3) == expected.shape
    assert np.abs(image - expected).mean() < 3


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_avif(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    quarter_turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]
    expected = np.rot90(np.asarray(photo()).astype(int), quarter_turns)
    assert_close(encoded("AVIF", quality=95, subsampling="4:4:4", exif=exif), expected)


def test_a_broken_avif_is_named() -> None:
    data = encoded("AVIF")
    for content in (data[:60], container(b"mif1", b"avif")):
        with pytest.raises(InputError, match="a broken AVIF image"):
            decode_image(content)
    with pytest.raises(InputError):
        decode_image(data[: len(data) * 3 // 4])


@pytest.mark.parametrize(
    "start",
    [
        *(container(brand) for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc")),
        container(b"mif1", b"mif1", b"heic"),
        container(b"msf1", b"msf1", b"hevc"),
        container(b"mif1"),
        container(b"isom", b"heic"),
    ],
)
def test_heic_without_the_package(
    start: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "photo.jpg"
    path.write_bytes(start)
    for read in (read_image, read_image_size):
        with pytest.raises(InputError) as raised:
            read(path)
        assert str(raised.value) == f"{path}: {INSTALL}"
    with pytest.raises(InputError) as raised:
        decode_image(start)
    assert str(raised.value) == INSTALL


@pytest.mark.parametrize(
    "start", [container(b"isom", b"mp41"), container(b"qt  "), b"\0\0\0\x08ftyp"]
)
def test_videos_are_no_images(start: bytes) -> None:
    with pytest.raises(InputError, match="not an image"):
        decode_image(start)


class TestHeic:
    @pytest.fixture(autouse=True)
    def package(self) -> None:
        pytest.importorskip("pillow_heif").register_heif_opener()

    @pytest.mark.parametrize("orientation", [1, 3, 6, 8])
    def test_it_is_upright(self, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation  # written as a rotation of the container
        quarter_turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]
        expected = np.rot90(np.asarray(photo()).astype(int), quarter_turns)
        data = encoded("HEIF", quality=95, chroma=444, exif=exif.tobytes())
        assert_close(data, expected)

    def test_a_broken_one_is_named(self) -> None:
        data = encoded("HEIF")
        for content in (data[: len(data) // 2], data[:200], container(b"heic")):
            with pytest.raises(InputError, match="a broken HEIC image|cannot be decoded"):
                decode_image(content)

    def test_its_profile_counts(self) -> None:
        data = encoded("HEIF", quality=95, chroma=444, icc_profile=rgb_profile(DISPLAY_P3))
        assert_close(data, rgb_in_srgb(np.asarray(photo()), DISPLAY_P3, None))
