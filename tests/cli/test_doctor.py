"""`dptn doctor`: facts, and what mends them."""

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support import dptn

from dptn_cli.detect import install_commands
from dptn_cli.doctor import _stores
from dptn_cli.enums import Provider
from dptn_cli.inference.providers import try_provider


def facts() -> dict[str, dict[str, Any]]:
    result = dptn("doctor", "--json")
    assert result.exit_code == 0, result.stderr
    return {fact["name"]: fact for fact in json.loads(result.stdout)["facts"]}


def test_it_tells_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    told = facts()
    assert told["--provider cpu"]["works"]
    assert told["openpifpaf"] == {
        "name": "openpifpaf", "works": True, "found": "0.13.11", "mend": "",
    }  # fmt: skip
    checkpoint = told["checkpoint shufflenetv2k30"]
    assert not checkpoint["works"]
    assert "--download-weights to dptn detect-poses" in checkpoint["mend"]
    Path(checkpoint["found"].removesuffix(" is missing")).parent.mkdir(parents=True)
    Path(checkpoint["found"].removesuffix(" is missing")).touch()
    assert facts()["checkpoint shufflenetv2k30"]["works"]


def test_what_is_missing_comes_with_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpifpaf", None)
    told = facts()["openpifpaf"]
    assert not told["works"]
    assert all(command in told["mend"] for command in install_commands())


def test_what_urls_need(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"fsspec": "2026.1", "s3fs": "2026.2"}

    def version(package: str) -> str:
        if package not in installed:
            raise importlib.metadata.PackageNotFoundError(package)
        return installed[package]

    monkeypatch.setattr(importlib.metadata, "version", version)
    told = {fact.name: fact for fact in _stores()}
    assert (told["fsspec"].works, told["fsspec"].found, told["fsspec"].mend) == (True, "2026.1", "")
    assert told["s3fs"].found == "2026.2"
    assert told["universal-pathlib"].mend == "pip install 'dptn-cli[remote]'"
    assert not told["gcsfs"].works
    assert told["gcsfs"].found == "not installed; gs:// URLs need it"
    assert told["adlfs"].mend == "pip install adlfs"
    assert "s3fs" in facts()


def test_a_provider_that_cannot_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert try_provider(Provider.CPU) == ""
    monkeypatch.setattr("dptn_cli.inference.providers.cuda_device_count", lambda: 0)
    assert try_provider(Provider.CUDA) != ""


def test_the_table_is_readable() -> None:
    result = dptn("doctor")
    assert result.exit_code == 0
    assert "--provider cpu" in result.stdout
