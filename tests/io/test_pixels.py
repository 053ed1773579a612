"""What the samples of an image mean: black, white and transparent at every depth."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from icc_profiles import from_linear, gray_profile
from PIL import Image
from raw_images import png, png_chunk, tiff

from dptn_cli.errors import InputError
from dptn_cli.io.images import decode_image
from dptn_cli.types import ImageU8

LEVELS = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLORS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def decode(data: bytes) -> ImageU8:
    return np.asarray(decode_image(data))


def gray_tiff(samples: npt.NDArray[Any], photometric: int | None = 1, **options: Any) -> bytes:
    order = options.get("byte_order", "<")
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    if options.get("compression") == 8:
        data = zlib.compress(data)
    formats = {"u": 1, "i": 2, "f": 3}
    return tiff(
        data,
        (samples.shape[0], samples.shape[1]),
        samples.dtype.itemsize * 8,
        photometric,
        sample_format=formats[samples.dtype.kind],
        **options,
    )


def assert_gray(data: bytes, expected: npt.NDArray[Any], maximum: int = 0) -> None:
    error = np.abs(decode(data).astype(int) - np.asarray(expected, int)[:, :, None])
    assert error.max() <= maximum


LAYOUTS = pytest.mark.parametrize(
    "layout",
    [
        {"byte_order": byte_order, "compression": compression}
        for byte_order in "<>"
        for compression in (1, 8)
    ],
    ids=str,
)


@LAYOUTS
class TestGrayTiff:
    def test_unsigned(self, layout: dict[str, Any]) -> None:
        assert_gray(gray_tiff(LEVELS, **layout), LEVELS)
        assert_gray(gray_tiff(LEVELS.astype(np.uint16) * 257, **layout), LEVELS)

    def test_signed(self, layout: dict[str, Any]) -> None:
        assert_gray(gray_tiff((LEVELS >> 1).astype(np.int8), **layout), LEVELS, 1)
        assert_gray(
            gray_tiff((LEVELS.astype(np.uint16) * 257 >> 1).astype(np.int16), **layout), LEVELS
        )
        assert_gray(gray_tiff(LEVELS.astype(np.int32) * 257, **layout), LEVELS)

    def test_floats(self, layout: dict[str, Any]) -> None:
        assert_gray(gray_tiff(LEVELS / np.float32(255), **layout), LEVELS)
        assert_gray(gray_tiff(LEVELS.astype(np.float32), **layout), LEVELS)

    def test_white_is_zero(self, layout: dict[str, Any]) -> None:
        assert_gray(gray_tiff(LEVELS, 0, **layout), 255 - LEVELS)
        assert_gray(gray_tiff(LEVELS / np.float32(255), 0, **layout), 255 - LEVELS)
        assert_gray(gray_tiff(LEVELS.astype(np.float32), 0, **layout), 255 - LEVELS)
        deep = gray_tiff(LEVELS.astype(np.uint16) * 257, 0, **layout)
        if layout["byte_order"] == "<":
            assert_gray(deep, 255 - LEVELS)
        else:
            with pytest.raises(InputError, match="1 x 16-bit unsigned, gray"):
                decode(deep)

    @pytest.mark.parametrize(
        ("samples", "message"),
        [
            (LEVELS.astype(np.int16) - 9, "mode I with signed samples"),
            (LEVELS.view(np.int8), "mode L with signed samples"),
            (LEVELS.astype(np.int32) << 10, "mode I with integers of more than 16 bits"),
            (LEVELS.astype(np.int32) - 1, "mode I with integers of more than 16 bits or below 0"),
            (LEVELS / np.float32(128) - 1, r"mode F \(floats\) with samples from -1 to 0.83"),
            (LEVELS.astype(np.float32) * 257, r"mode F \(floats\) with samples from 0 to 60395"),
            (np.full((2, 2), np.nan, np.float32), "not finite"),
            (np.full((2, 2), np.inf, np.float32), "not finite"),
            (LEVELS / np.float64(255), "1 x 64-bit float, gray"),
            ((LEVELS / 255).astype(np.float16), "1 x 16-bit float, gray"),
        ],
    )
    def test_what_cannot_be_shown_is_named(
        self, layout: dict[str, Any], samples: npt.NDArray[Any], message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            decode(gray_tiff(samples, **layout))


def test_32_bits_without_a_sign() -> None:
    assert_gray(gray_tiff(LEVELS.astype(np.uint32) * 257), LEVELS)
    with pytest.raises(InputError, match="more than 16 bits"):
        decode(gray_tiff(LEVELS.astype(np.uint32) << 24))


def test_12_bits() -> None:
    data = tiff(bytes([0x12, 0x3F, 0xFF, 0x80, 0x00, 0x00]), (1, 4), 12)
    assert_gray(data, np.array([[0x12, 0xFF, 0x80, 0x00]]))


@given(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4), st.sampled_from([1, 255]))
def test_floats_are_black_to_white(shares: list[float], white: int) -> None:
    samples = np.array(shares, np.float32).reshape(2, 2) * white
    assume(white == 1 or samples.max() >= 2)
    assert_gray(gray_tiff(samples.astype(np.float32)), samples / white * 255, 1)


def test_floats_a_little_out_of_range_are_clipped() -> None:
    samples = np.array([[-0.02, 0.5, 1.04]], np.float32)
    assert_gray(gray_tiff(samples), np.array([[0, 128, 255]]))


@pytest.mark.parametrize("extra", [1, 2], ids=["premultiplied", "straight"])
@pytest.mark.parametrize(("channels", "bits"), [(2, 8), (4, 8), (4, 16)])
def test_the_alpha_of_a_tiff(channels: int, bits: int, extra: int) -> None:
    alpha = np.array([[0, 51, 128, 255]], np.uint8)[..., None]
    colors = COLORS[:1, :4, : channels - 1]
    stored = np.round(colors * (alpha / 255)).astype(np.uint8) if extra == 1 else colors
    samples = np.concatenate([stored, alpha], 2).astype(f"<u{bits // 8}")
    samples = samples * 257 if bits == 16 else samples
    photometric = 1 if channels == 2 else 2
    data = tiff(samples.tobytes(), (1, 4), bits, photometric, channels=channels, extra=[extra])
    expected = np.broadcast_to(colors * (alpha / 255) + 255 - alpha, (1, 4, 3))
    assert np.abs(decode(data) - expected).max() <= 2


def test_16_bit_rgb_in_separate_planes() -> None:
    planes = (COLORS.astype("<u2") * 257).transpose(2, 0, 1).tobytes()
    with pytest.raises(InputError, match="mode RGB with separate planes of 16 bits"):
        decode(tiff(planes, (6, 8), 16, 2, channels=3, planes=2))
    planes = COLORS.transpose(2, 0, 1).tobytes()
    assert np.array_equal(decode(tiff(planes, (6, 8), 8, 2, channels=3, planes=2)), COLORS)


def test_float_rgb_is_named() -> None:
    samples = (COLORS / np.float32(255)).astype("<f4").tobytes()
    with pytest.raises(InputError, match="3 x 32-bit float, RGB"):
        decode(tiff(samples, (6, 8), 32, 2, channels=3, sample_format=3))


def test_ycbcr_and_lab() -> None:
    ycbcr = Image.fromarray(COLORS).convert("YCbCr")
    expected = np.asarray(ycbcr.convert("RGB"))
    assert np.array_equal(decode(encoded(ycbcr, "TIFF")), expected)
    with pytest.raises(InputError, match="YCbCr"):
        decode(tiff(bytes(4 * 4 * 3 // 2), (4, 4), 8, 6, channels=3))
    lab = np.array([[[0, 0, 0], [255, 0, 0], [138, 81, 70]]], np.uint8)  # red is L* 54, 81, 70
    image = decode(tiff(lab.tobytes(), (1, 3), 8, 8, channels=3)).astype(int)
    assert np.abs(image - [[[0, 0, 0], [255, 255, 255], [255, 0, 0]]]).max() <= 5


@pytest.mark.parametrize(
    ("rows", "bits", "color_type", "transparent"),
    [
        ([struct.pack(">HH", 1000, 40000)], 16, 0, [1000]),
        ([bytes([10, 20])], 8, 0, [10]),
        ([bytes([0b0001_1111])], 4, 0, [1]),
        ([bytes([0b0111_0000])], 2, 0, [1]),
        ([bytes([0b0100_0000])], 1, 0, [0]),
        ([bytes([1, 2, 3, 4, 5, 6])], 8, 2, [1, 2, 3]),
        ([struct.pack(">6H", 1000, 2000, 3000, 4000, 5000, 6000)], 16, 2, [1000, 2000, 3000]),
    ],
)
def test_the_transparent_color_of_a_png(
    rows: list[bytes], bits: int, color_type: int, transparent: list[int]
) -> None:
    chunk = png_chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))
    plain = decode(png(rows, 2, bits, color_type))
    image = decode(png(rows, 2, bits, color_type, before=chunk))
    assert (image[0, 0] == 255).all()
    assert np.array_equal(image[0, 1], plain[0, 1])


@given(st.integers(0, 255), st.sampled_from(["LA", "RGBA", "PA"]))
def test_any_alpha_is_blended_with_white(alpha: int, mode: str) -> None:
    image = Image.new("RGBA", (3, 2), (40, 40, 40, alpha))
    gray = image.convert("LA") if mode != "RGBA" else image
    data = encoded(gray.convert(mode), "TIFF" if mode == "PA" else "PNG")
    assume(mode != "PA" or alpha == 255)  # Pillow drops the alpha when it makes a palette
    assert_gray(data, np.full((2, 3), 255 - alpha + 40 * alpha / 255), 1)


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_the_first_frame_counts(file_format: str) -> None:
    frames = [Image.new("RGB", (8, 6), color) for color in ((250, 0, 0), (0, 250, 0), (0, 0, 250))]
    options = {"lossless": True} if file_format == "WEBP" else {}
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:], **options)
    assert np.array_equal(decode(data), np.asarray(frames[0]))


@pytest.mark.parametrize("bits", [8, 16])
def test_deep_png_with_alpha(bits: int) -> None:
    gray_alpha = np.array([[100, 255], [100, 0]]) * 257 ** (bits // 8 - 1)
    samples = gray_alpha.astype(f">u{bits // 8}").tobytes()
    assert_gray(png([samples], 2, bits, 4), np.array([[100, 255]]))
    chunk = png_chunk(b"iCCP", b"linear\0\0" + zlib.compress(gray_profile(1.0)))
    level = round(255 * float(from_linear(np.array(100 / 255))))
    assert_gray(png([samples], 2, bits, 4, before=chunk), np.array([[level, 255]]), 1)
