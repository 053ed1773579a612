"""Images with ICC profiles are read as viewers show them."""

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icc_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    Matrix,
    cmyk_profile,
    from_linear,
    gray_profile,
    rgb_in_srgb,
    rgb_profile,
)
from PIL import Image, ImageCms

from dptn_cli.io.images import decode_image
from dptn_cli.types import ImageU8

P3 = rgb_profile(DISPLAY_P3)
WIDE = [(DISPLAY_P3, None), (ADOBE_RGB, 2.2), (SRGB, 1.0), (SRGB, 1.8)]


def noise(channels: int, seed: int = 0) -> ImageU8:
    shape = (16, 24, channels) if channels > 1 else (16, 24)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image: Image.Image, profile: bytes | None, file_format: str = "PNG", **o: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, icc_profile=profile, **o)
    return buffer.getvalue()


def decoded(image: Image.Image, profile: bytes | None, *o: Any, **k: Any) -> ImageU8:
    return np.asarray(decode_image(encoded(image, profile, *o, **k)))


def assert_close(image: ImageU8, expected: Any, mean: float = 0.6, maximum: float = 4) -> None:
    error = np.abs(image - np.asarray(expected, float))
    assert error.mean() < mean
    assert error.max() <= maximum


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("matrix", "gamma"), WIDE)
def test_rgb_is_converted_to_srgb(matrix: Matrix, gamma: float | None, file_format: str) -> None:
    pixels, options = noise(3), {"lossless": True} if file_format == "WEBP" else {}
    profile = rgb_profile(matrix, gamma)
    image = decoded(Image.fromarray(pixels), profile, file_format, **options)
    expected = rgb_in_srgb(pixels, matrix, gamma)
    assert_close(image, expected)
    assert np.abs(pixels - expected).mean() > 2, "the profile matters"


def test_a_jpeg_is_converted_too() -> None:
    red = Image.new("RGB", (16, 16), (200, 40, 40))
    expected = rgb_in_srgb(np.asarray(red), DISPLAY_P3, None)
    assert_close(decoded(red, P3, "JPEG", quality=95), expected, 2, 3)


@given(st.integers(0, 99), st.sampled_from(["RGB", "RGBA", "P", "L", "LA", "1"]))
@settings(max_examples=25)
def test_srgb_leaves_the_bytes_alone(seed: int, mode: str) -> None:
    image = Image.fromarray(noise(3, seed)).convert(mode)
    gray = mode in ("1", "L", "LA")
    plain = decoded(image, None)
    for profile in (
        gray_profile(None) if gray else rgb_profile(SRGB),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ):
        assert np.array_equal(decoded(image, profile), plain)


def test_a_palette_and_transparency_are_converted() -> None:
    pixels = noise(4)
    image = Image.fromarray(pixels)
    alpha = pixels[:, :, 3:] / 255
    colours = rgb_in_srgb(pixels[:, :, :3], DISPLAY_P3, None)
    assert_close(decoded(image, P3), colours * alpha + 255 * (1 - alpha))
    palette = image.convert("RGB").quantize(16)
    expected = rgb_in_srgb(np.asarray(palette.convert("RGB")), DISPLAY_P3, None)
    assert_close(decoded(palette, P3), expected)


def test_gray_is_converted() -> None:
    levels, profile = noise(1), gray_profile(1.0)
    expected = np.repeat(255 * from_linear(levels / 255)[:, :, None], 3, 2)
    assert_close(decoded(Image.fromarray(levels), profile), expected)
    alpha = Image.fromarray(noise(1, 1))
    image = Image.merge("LA", [Image.fromarray(levels), alpha])
    share = np.asarray(alpha)[:, :, None] / 255
    assert_close(decoded(image, profile), expected * share + 255 * (1 - share))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bits_keep_the_shadows_of_a_linear_profile(file_format: str) -> None:
    levels = np.linspace(0, 65535, 16 * 24).astype(np.uint16).reshape(16, 24)
    expected = np.repeat(255 * from_linear(levels / 65535)[:, :, None], 3, 2)
    assert_close(decoded(Image.fromarray(levels), gray_profile(1.0), file_format), expected)


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk_goes_by_its_own_profile(file_format: str) -> None:
    inks = {(0, 0, 0, 0): 255, (255, 0, 0, 0): 119, (0, 0, 0, 255): 0}  # L* 50 is level 119
    for ink, level in inks.items():
        image = Image.new("CMYK", (16, 16), ink)
        assert_close(decoded(image, cmyk_profile(), file_format), np.full((16, 16, 3), level), 3, 3)
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    assert_close(decoded(cyan, None, file_format), np.asarray(cyan.convert("RGB")), 3, 3)


@pytest.mark.parametrize(
    ("mode", "profile"),
    [
        ("RGB", b"nonsense"),
        ("RGB", P3[:200]),
        ("RGB", P3[:128] + b"\xff" * 400),
        ("RGB", rgb_profile([[0.0] * 3] * 3)),  # all black
        ("RGB", gray_profile(1.0)),
        ("RGB", cmyk_profile()),
        ("L", P3),
        ("RGB", P3.replace(b"mntr", b"link")),
        ("RGB", P3.replace(b"mntrRGB XYZ ", b"mntr6CLRXYZ ")),
        ("RGB", P3 + b"\0" * (5 << 20)),
    ],
)
def test_a_profile_that_cannot_be_used_is_left_aside(mode: str, profile: bytes) -> None:
    image = Image.fromarray(noise(3)).convert(mode)
    assert np.array_equal(decoded(image, profile, "TIFF"), decoded(image, None, "TIFF"))


@given(st.binary(max_size=40), st.integers(0, len(P3) - 1))
@settings(max_examples=60)
def test_no_bytes_in_a_profile_fail_the_image(junk: bytes, position: int) -> None:
    profile = P3[:position] + junk + P3[position + len(junk) :]
    assert decoded(Image.fromarray(noise(3)), profile).shape == (16, 24, 3)


def test_threads_share_transforms() -> None:
    profiles = [rgb_profile(matrix, gamma) for matrix, gamma in WIDE] * 8
    data = [encoded(Image.fromarray(noise(3)), profile) for profile in profiles]
    alone = [np.asarray(decode_image(content)) for content in data]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda content: np.asarray(decode_image(content)), data))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
