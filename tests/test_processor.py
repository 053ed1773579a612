"""What the processor can do, by /proc/cpuinfo of several machines."""

from pathlib import Path

import pytest

import dptn_cli.processor as processor
from dptn_cli.processor import processor_abilities, processor_name

XEON = """processor\t: 0
model name\t: Intel(R) Xeon(R) Platinum 8481C
flags\t\t: fpu avx2 avx512f avx512_vnni avx512_bf16 amx_bf16 amx_tile amx_int8

processor\t: 1
"""
LAPTOP = "model name\t: Some Core i5\nflags\t\t: fpu avx avx2 avx_vnni\n"
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd sve bf16 i8mm\n"


@pytest.mark.parametrize(
    ("cpuinfo", "abilities"),
    [
        (XEON, ("AVX2", "AVX-512", "VNNI", "bf16", "AMX")),
        (LAPTOP, ("AVX2", "VNNI")),
        (GRAVITON, ("bf16",)),
        ("", ()),
    ],
)
def test_abilities(
    cpuinfo: str, abilities: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    assert processor_abilities() == abilities


def test_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(XEON)
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    assert processor_name() == "Intel(R) Xeon(R) Platinum 8481C"
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "missing")
    assert processor_name()
    assert processor_abilities() == ()
