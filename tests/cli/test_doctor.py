"""`dptn doctor`: the checks, and the fixes for what is missing."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from support import dptn

from dptn_cli.detect import install_commands
from dptn_cli.doctor import _check_remote_storage
from dptn_cli.enums import Provider
from dptn_cli.inference.openvino_model import has_bf16
from dptn_cli.inference.providers import try_provider
from dptn_cli.processor import available_cores


def run_doctor() -> dict[str, dict[str, Any]]:
    result = dptn("doctor", "--json")
    assert result.exit_code == 0, result.stderr
    return {fact["name"]: fact for fact in json.loads(result.stdout)["facts"]}


def test_it_finds_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    facts = run_doctor()
    assert facts["--provider cpu"]["works"]
    assert facts["openpifpaf"] == {
        "name": "openpifpaf", "works": True, "found": "0.13.11", "fix": "",
        "section": "Pose detection", "needed_for": "dptn detect-poses, transfer --detector",
    }  # fmt: skip
    checkpoint = facts["checkpoint shufflenetv2k30"]
    assert not checkpoint["works"]
    assert "--download-weights to dptn detect-poses" in checkpoint["fix"]
    Path(checkpoint["found"].removesuffix(" is missing")).parent.mkdir(parents=True)
    Path(checkpoint["found"].removesuffix(" is missing")).touch()
    assert run_doctor()["checkpoint shufflenetv2k30"]["works"]


def test_a_missing_package_has_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpifpaf", None)
    fact = run_doctor()["openpifpaf"]
    assert not fact["works"]
    assert all(command in fact["fix"] for command in install_commands())


def test_every_package_of_an_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    facts = run_doctor()
    needed = [Requirement(text) for text in importlib.metadata.requires("dptn-cli") or ()]
    for extra in ("export", "train", "heic"):
        names = {r.name for r in needed if r.marker and r.marker.evaluate({"extra": extra})}
        names -= {r.name for r in needed if not r.marker or r.marker.evaluate({"extra": ""})}
        assert names
        for name in names:
            assert (facts[name]["works"], facts[name]["found"]) == (False, "not installed")
            assert facts[name]["fix"].startswith("pip install 'dptn-cli[")


def test_packages_that_urls_need(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"fsspec": "2026.1", "s3fs": "2026.2"}

    def version(package: str) -> str:
        if package not in installed:
            raise importlib.metadata.PackageNotFoundError(package)
        return installed[package]

    monkeypatch.setattr(importlib.metadata, "version", version)
    facts = {fact.name: fact for fact in _check_remote_storage()}
    fsspec = facts["fsspec"]
    assert (fsspec.works, fsspec.found, fsspec.fix) == (True, "2026.1", "")
    assert facts["s3fs"].found == "2026.2"
    assert facts["universal-pathlib"].fix == "pip install 'dptn-cli[remote]'"
    assert not facts["gcsfs"].works
    assert facts["gcsfs"].found == "not installed"
    assert facts["gcsfs"].needed_for == "gs:// URLs in dptn transfer"
    assert facts["adlfs"].fix == "pip install adlfs"
    assert "s3fs" in run_doctor()


def test_a_provider_that_is_unavailable_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert try_provider(Provider.CPU) == ""
    monkeypatch.setattr("dptn_cli.inference.providers.cuda_device_count", lambda: 0)
    assert try_provider(Provider.CUDA) != ""


def test_facts_are_grouped_by_section() -> None:
    result = dptn("doctor")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == [
        "Core", "GPU", "Export and training", "Pose detection", "Evaluation", "Cluster",
        "Remote storage",
    ]  # fmt: skip
    facts = [line for line in lines if line.startswith(("  yes  ", "  no   "))]
    assert any("--provider cpu" in line for line in facts)
    assert all("  for " in line and len(line) <= 80 for line in facts)


def test_every_fact_says_what_needs_it() -> None:
    assert all(fact["needed_for"] and fact["section"] for fact in run_doctor().values())


@pytest.mark.parametrize("arguments", [["doctor"], ["detect-poses", "--help"]])
def test_it_runs_without_the_optional_packages(arguments: list[str]) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'torchvision', 'openpifpaf']));"
        "from dptn_cli.cli import app; app(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_the_processor_and_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = run_doctor()
    assert str(available_cores()) in facts["processor"]["found"]
    openvino = facts["--provider openvino"]
    assert openvino["works"]
    assert ("no bf16" in openvino["found"]) == (not has_bf16())
    monkeypatch.setitem(sys.modules, "openvino", None)
    missing = run_doctor()["--provider openvino"]
    assert not missing["works"]
    assert missing["found"] == "the package openvino is not installed"
    assert missing["fix"] == "pip install 'dptn-cli[openvino]'"
