"""JPEGs of more than 100 megapixels are decoded at a part of their size."""

import io
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from dptn_cli.errors import InputError
from dptn_cli.io.images import decode_crop, decode_image, decode_reduced, decode_size
from dptn_cli.types import Crop, ImageU8

SIZE = (9003, 12005)  # not a multiple of 8, so that a reduced image ends with a part of a pixel
RESULT = (64, 40)
CELL = 125  # pixels


@cache
def pattern(size: tuple[int, int] = SIZE) -> Image.Image:
    """Gray cells of random levels, which a reduced image keeps."""
    rows, columns = (-(-side // CELL) for side in size)
    levels = np.random.default_rng(0).integers(0, 256, (rows, columns), dtype=np.uint8)
    cells = Image.fromarray(levels).resize((columns * CELL, rows * CELL), Image.Resampling.NEAREST)
    return cells.crop((0, 0, size[1], size[0]))


@cache
def photo(orientation: int = 1, size: tuple[int, int] = SIZE, progressive: bool = False) -> bytes:
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    pattern(size).save(buffer, "JPEG", quality=90, exif=exif, progressive=progressive)
    return buffer.getvalue()


def expected_crop(crop: Crop, size: tuple[int, int] = RESULT) -> npt.NDArray[Any]:
    box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
    image = pattern().resize(size[::-1], Image.Resampling.BILINEAR, box=box)
    return np.asarray(image).astype(float)[:, :, None]


def psnr(image: ImageU8, expected: npt.NDArray[Any]) -> float:
    return float(10 * np.log10(255**2 / ((image - expected) ** 2).mean()))


@pytest.mark.parametrize(
    "crop",
    [
        None,
        Crop(1000.5, 2000.25, 6400, 4000),  # an eighth would do
        Crop(4100, 7000, 800, 500),  # a half
        Crop(4100, 7000, 100, 62.5),  # more than there is
        Crop(SIZE[0] - 1600, SIZE[1] - 1000, 1600, 1000),
    ],
)
def test_crops_land_where_the_full_image_says(crop: Crop | None) -> None:
    image = decode_crop(photo(), crop, RESULT)
    whole = Crop(0, 0, *SIZE)
    assert psnr(image, expected_crop(crop or whole)) > 32
    assert decode_size(photo()) == SIZE


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turned_photos(orientation: int) -> None:
    """The crop is in pixels of the upright image, of which a small one is made as well."""
    height, width = SIZE if orientation < 5 else SIZE[::-1]
    assert decode_size(photo(orientation)) == (height, width)
    crop = Crop(2400, 1500, 1600, 1000)
    stored = pattern()
    stored.getexif()[0x0112] = orientation
    part = ImageOps.exif_transpose(stored).crop((1500, 2400, 2500, 4000))
    upright = part.resize(RESULT[::-1], Image.Resampling.BILINEAR)
    expected = np.asarray(upright).astype(float)[:, :, None]
    assert psnr(decode_crop(photo(orientation), crop, RESULT), expected) > 32


def test_beyond_the_image_is_the_colour_of_its_border() -> None:
    image = decode_crop(photo(), Crop(-1600, 0, 3200, 2000), RESULT)
    assert (image[:31] == image[0, 0]).all()
    assert psnr(image[32:], expected_crop(Crop(0, 0, 1600, 2000), (32, 40))) > 30


def test_a_reduced_image_comes_with_its_full_size() -> None:
    image, size = decode_reduced(photo(6), 1025)
    assert size == (SIZE[1], SIZE[0])
    assert 2 * 1025 <= max(image.size) < max(SIZE) / 2
    small = Image.new("RGB", (30, 20), (200, 30, 10))
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    image, size = decode_reduced(buffer.getvalue(), 1025)
    assert np.array_equal(np.asarray(image), np.asarray(small)) and size == (20, 30)


def test_more_than_200_megapixels() -> None:
    """From here on, Pillow itself refuses."""
    data = photo(1, (14_000, 15_000))
    assert decode_size(data) == (14_000, 15_000)
    image = decode_crop(data, Crop(0, 0, 1600, 1000), RESULT)
    upright = pattern((14_000, 15_000)).crop((0, 0, 1000, 1600))
    expected = np.asarray(upright.resize(RESULT[::-1], Image.Resampling.BILINEAR))
    assert psnr(image, expected.astype(float)[:, :, None]) > 32


def test_progressive_photos() -> None:
    crop = Crop(1000, 2000, 3200, 2000)
    assert psnr(decode_crop(photo(progressive=True), crop, RESULT), expected_crop(crop)) > 32


def resized_header(data: bytes, height: int, width: int) -> bytes:
    """Return a JPEG whose header says another size."""
    frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
    return data[: frame + 5] + height.to_bytes(2) + width.to_bytes(2) + data[frame + 9 :]


@pytest.mark.parametrize(
    ("options", "height", "limit"),
    [
        ({}, 50_000, "500,000,000 pixels, the limit for a JPEG: it has 10,001x50,000"),
        ({"progressive": True}, 25_000, "250,000,000 .* progressive JPEG: it has 10,001x25,000"),
    ],
)
def test_limits(options: dict[str, Any], height: int, limit: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG", **options)
    bomb = resized_header(buffer.getvalue(), height, 10_001)
    with pytest.raises(InputError, match=limit):
        decode_crop(bomb, None, RESULT)
    with pytest.raises(InputError, match="more than 100,000,000 pixels"):
        decode_image(bomb)


def test_other_formats_keep_their_limit() -> None:
    buffer = io.BytesIO()
    Image.new("1", (10_001, 10_000)).save(buffer, "PNG")
    for decode in (decode_crop, lambda data, *_: decode_reduced(data, 1025)):
        with pytest.raises(InputError, match="more than 100,000,000 pixels: it has 10,001x10,000"):
            decode(buffer.getvalue(), None, RESULT)


def test_up_to_100_megapixels_nothing_is_reduced() -> None:
    buffer = io.BytesIO()
    image = pattern((700, 900)).convert("RGB")
    image.save(buffer, "JPEG")
    with Image.open(buffer) as opened:
        plain = np.asarray(opened.resize(RESULT[::-1], Image.Resampling.BILINEAR))
    assert np.array_equal(decode_crop(buffer.getvalue(), None, RESULT), plain)
