import io
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dptn_cli.enums import ImageFormat
from dptn_cli.errors import InputError
from dptn_cli.io import images
from dptn_cli.io.images import decode_image, encode_image
from dptn_cli.io.resize import crop_and_resize, resize_to_disk, resize_to_network
from dptn_cli.types import Crop

RED, WHITE = (200, 30, 10), (255, 255, 255)


def encoded(image: Image.Image, fmt: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def solid(mode: str, colour: object, size: tuple[int, int] = (6, 4)) -> Image.Image:
    return Image.new(mode, size, colour)  # type: ignore[arg-type]


def palette_with_transparency() -> bytes:
    image = solid("RGB", RED).quantize(4)
    return encoded(image, "PNG", transparency=image.getpixel((0, 0)))


def grey16(level: int) -> bytes:
    return encoded(Image.fromarray(np.full((4, 6), level, np.uint16)))


@pytest.mark.parametrize(
    ("data", "colour", "tolerance"),
    [
        (encoded(solid("RGB", RED)), RED, 0),
        (encoded(solid("RGB", RED), "JPEG"), RED, 3),
        (encoded(solid("RGB", RED), "WEBP"), RED, 8),
        (encoded(solid("RGB", RED), "BMP"), RED, 0),
        (encoded(solid("RGB", RED), "TIFF"), RED, 0),
        (encoded(solid("CMYK", (0, 255, 255, 0)), "JPEG"), (255, 0, 0), 4),
        (encoded(solid("L", 90)), (90, 90, 90), 0),
        (encoded(solid("1", 1)), WHITE, 0),
        (encoded(solid("RGB", RED).quantize(4)), RED, 1),
        (palette_with_transparency(), WHITE, 0),
        (encoded(solid("LA", (90, 0))), WHITE, 0),
        (encoded(solid("RGBA", (*RED, 0))), WHITE, 0),
        (encoded(solid("RGBA", (*RED, 255))), RED, 0),
        (grey16(0x8000), (128, 128, 128), 0),
        (grey16(0xFFFF), WHITE, 0),
        (encoded(Image.fromarray(np.full((4, 6), 0x40FF, np.int32)), "TIFF"), (64, 64, 64), 0),
        (encoded(Image.fromarray(np.full((4, 6), 90.7, np.float32)), "TIFF"), (90, 90, 90), 0),
    ],
)  # fmt: skip
def test_every_mode_becomes_rgb(data: bytes, colour: tuple[int, int, int], tolerance: int) -> None:
    image = np.asarray(decode_image(data)).astype(int)
    assert image.shape == (4, 6, 3)
    assert np.abs(image - colour).max() <= tolerance


TURNS: dict[int, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}  # what the EXIF standard says of the first row and column


def assert_upright(data: bytes, stored: Image.Image, orientation: int, tolerance: int = 0) -> None:
    """The header's size is the decoded one, and the pixels are turned once."""
    expected = TURNS[orientation](np.asarray(stored.convert("RGB")).astype(int))
    image = np.asarray(decode_image(data)).astype(int)
    assert image.shape == expected.shape == (*images.decode_size(data), 3)
    assert np.abs(image - expected).max() <= tolerance


def quadrants(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """An image of four plain parts, so that every turn is seen, even in a JPEG."""
    parts = Image.new("RGB", (2, 2))
    for xy, colour in {(0, 0): RED, (1, 0): (20, 200, 60), (0, 1): (0, 0, 90)}.items():
        parts.putpixel(xy, colour)
    large = parts.resize(size, Image.Resampling.NEAREST)
    return large.quantize(4) if mode == "P" else large.convert(mode)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("file_format", "options", "tolerance"),
    [
        ("JPEG", {"quality": 100, "subsampling": 0}, 4),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
    ],
)
def test_images_are_turned_once(
    file_format: str, options: dict[str, Any], tolerance: int, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = quadrants((48, 32))
    data = encoded(stored, file_format, exif=exif, **options)
    assert_upright(data, stored, orientation, tolerance)


@given(
    st.sampled_from(["PNG", "TIFF"]),
    st.sampled_from(["1", "L", "P", "RGB", "RGBA", "I;16"]),
    st.integers(1, 8),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_the_size_in_the_header_is_the_decoded_one(
    file_format: str, mode: str, orientation: int, size: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    if mode == "I;16":
        levels = np.arange(size[0] * size[1], dtype=np.uint16).reshape(size[::-1]) << 8
        stored = Image.fromarray((levels >> 8).astype(np.uint8))
        data = encoded(Image.fromarray(levels), file_format, exif=exif)
    else:
        stored = quadrants(size, mode)
        data = encoded(stored, file_format, exif=exif)
    assert_upright(data, stored, orientation)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_an_orientation_in_xmp_counts(file_format: str) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    stored, options = quadrants((48, 32)), dict[str, Any]()
    if file_format == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    elif file_format == "TIFF":
        options["tiffinfo"] = {700: xmp}
    else:
        options |= {"xmp": xmp, "quality": 100, "lossless": True, "subsampling": 0}
    assert_upright(encoded(stored, file_format, **options), stored, 6, tolerance=4)


@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12"])
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_leaves_the_pixels(file_format: str, exif: bytes) -> None:
    stored = solid("RGB", (90, 90, 90), (48, 32))
    assert_upright(encoded(stored, file_format, exif=exif), stored, 1, tolerance=2)


def test_size_in_the_header_of_a_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a.jpg", "a.tif"):
        solid("RGB", RED).save(tmp_path / name, exif=exif)
        assert images.read_image_size(tmp_path / name) == (6, 4)
        assert images.read_image(tmp_path / name).shape == (6, 4, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"not an image", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (encoded(solid("RGB", RED, (400, 400)), "JPEG")[:700], "cannot be decoded"),
        (encoded(solid("RGB", RED, (400, 400)))[:300], "cannot be decoded|not an image"),
    ],
)
def test_broken_files(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode_image(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10_001, 30_000])
def test_a_decompression_bomb(side: int) -> None:
    header = encoded(solid("1", 0, (side, side)))
    size = "10,001x10,001" if side == 10_001 else "900,000,000"
    with pytest.raises(InputError, match=f"more than 100,000,000 pixels: it has {size}"):
        decode_image(header)


def test_the_filters_of_warnings_are_left_to_other_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads that change and restore them leave those of the one for good."""
    (tmp_path / "a.png").write_bytes(encoded(solid("RGB", RED)))
    before, opened, seen = list(warnings.filters), Image.open, []

    def look(*arguments: Any, **options: Any) -> Image.Image:
        seen.append(list(warnings.filters))
        return opened(*arguments, **options)

    monkeypatch.setattr(Image, "open", look)
    images.read_image_size(tmp_path / "a.png")
    images.read_image(tmp_path / "a.png")
    assert seen == [before, before]


def test_what_pillow_warns_of_does_not_reach_the_user(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description that is cut"
    torn = exif.tobytes()[:-20]
    (tmp_path / "torn_exif.jpg").write_bytes(encoded(solid("RGB", RED), "JPEG", exif=torn))
    (tmp_path / "bomb.png").write_bytes(encoded(solid("1", 0, (10_001, 10_000))))
    code = (
        "import sys, pathlib\n"
        "from dptn_cli.io.images import read_image_size, decode_image\n"
        "for path in map(pathlib.Path, sys.argv[1:]):\n"
        "    print(read_image_size(path))\n"
        "    try:\n"
        "        print(decode_image(path.read_bytes()).size)\n"
        "    except Exception as error:\n"
        "        print(error)\n"
    )
    files = [str(tmp_path / name) for name in ("torn_exif.jpg", "bomb.png")]
    result = subprocess.run(
        [sys.executable, "-c", code, *files], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == [
        "(4, 6)", "(6, 4)", "(10000, 10001)", "more than 100,000,000 pixels: it has 10,001x10,000",
    ]  # fmt: skip
    assert result.stderr == ""
    with pytest.warns(UserWarning, match="Truncated"), Image.open(files[0]) as image:
        image.getexif()


@given(st.binary(max_size=200), st.integers(0, 400))
@settings(max_examples=60)
def test_no_bytes_break_the_decoder(noise: bytes, position: int) -> None:
    data = bytearray(encoded(solid("RGB", RED, (40, 40)), "JPEG"))
    data[position : position + len(noise)] = noise
    try:
        assert decode_image(bytes(data)).mode == "RGB"
    except InputError as error:
        assert str(error)


def test_fitting_to_the_network_antialiases() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    fitted = resize_to_network(Image.fromarray(stripes), (16, 16))
    assert fitted.shape == (16, 16, 3)
    assert 100 < fitted[:, 2:-2].mean() < 155
    assert fitted.std() < 30


def test_fitting_to_disk_is_opencvs_formula() -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (5, 256, 3), dtype=np.uint8)
    fitted = resize_to_disk(image, (5, 176))
    for column in (0, 1, 87, 174, 175):
        x = (column + 0.5) * 256 / 176 - 0.5
        x0 = int(np.floor(x))
        w1 = round((x - x0) * 2048)
        pixels = image.astype(int)
        expected = (pixels[:, x0] * (2048 - w1) + pixels[:, x0 + 1] * w1 + 1024) >> 11
        assert np.array_equal(fitted[:, column], expected)


def test_fitting_to_the_same_size_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    assert np.array_equal(resize_to_disk(image, (8, 9)), image)


@given(st.integers(8, 80), st.integers(8, 80))
def test_a_plain_image_stays_plain_at_any_size(height: int, width: int) -> None:
    image = np.full((32, 24, 3), 77, np.uint8)
    assert np.array_equal(resize_to_disk(image, (height, width)), np.full((height, width, 3), 77))


def test_png_is_exact_and_jpeg_has_the_published_quality() -> None:
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(decode_image(encode_image(image, ImageFormat.PNG, 75))), image)
    assert encode_image(image, ImageFormat.JPG, 75) == encoded(Image.fromarray(image), "JPEG")


class TestCrop:
    def test_inside_the_image_is_a_plain_crop(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        crop = Crop(10, 20, 32, 24)
        found = crop_and_resize(Image.fromarray(image), crop, (32, 24))
        assert np.array_equal(found, image[10:42, 20:44])

    def test_none_is_the_published_resize(self) -> None:
        image = solid("RGB", RED, (60, 40))
        assert np.array_equal(
            crop_and_resize(image, None, (8, 8)), resize_to_network(image, (8, 8))
        )

    def test_beyond_the_image_is_the_colour_of_that_border(self) -> None:
        image = np.zeros((40, 40, 3), np.uint8)
        image[0], image[-1] = (10, 20, 30), (200, 0, 0)
        found = crop_and_resize(Image.fromarray(image), Crop(-40, 0, 80, 40), (80, 40))
        assert (found[:40] == (10, 20, 30)).all()
        assert np.array_equal(found[40:], image)

    @pytest.mark.parametrize("size", [(1, 1), (20_000, 1), (1, 20_000)])
    def test_odd_images_whole(self, size: tuple[int, int]) -> None:
        height, width = max(size[1], size[0] * 2), max(size[0], (size[1] + 1) // 2)
        crop = Crop((size[1] - height) / 2, (size[0] - width) / 2, height, width)
        found = crop_and_resize(solid("RGB", RED, size), crop, (32, 16))
        assert (found == RED).all()

    @given(
        st.tuples(st.integers(1, 50), st.integers(1, 50)),
        st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
        st.tuples(st.floats(1, 900), st.floats(1, 900)),
    )
    def test_any_crop_of_a_plain_image_is_plain(
        self, size: tuple[int, int], start: tuple[float, float], sides: tuple[float, float]
    ) -> None:
        crop = Crop(*start, *sides)
        touches = all(s < side and s + n > 0 for s, side, n in zip(start, size, sides, strict=True))
        found = crop_and_resize(solid("RGB", RED, size[::-1]), crop, (16, 8))
        assert found.shape == (16, 8, 3)
        assert not touches or (found == RED).all()
