"""Files that are not the model that their name promises are called what they are."""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from dptn_cli.io.content_kinds import content_kind, not_a


def zip_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_dot_", ".").replace("_in_", "/"), content)
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("net_G.pth"))
    return buffer.getvalue()


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2)).save(buffer, "png")
    return buffer.getvalue()


def onnx_model() -> bytes:
    graph = onnx.helper.make_graph([], "g", [], [])
    return bytes(onnx.helper.make_model(graph, producer_name="pytorch").SerializeToString())


def array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def checkpoint(*, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(2)}, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


HEADER = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
CASES = [
    (b"", "an empty file"),
    (b"<!DOCTYPE html><html><title>Google Drive - Virus scan warning</title>", "a web page (HTML)"),
    (b"\n  <HTML lang='en'>", "a web page (HTML)"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a git-lfs pointer"),
    (b'{"error": "not found"}', "JSON text"),
    (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
    (b"404: Not Found", "a text file"),
    (zip_of(net_G_dot_pth=b"x"), "a zip archive"),
    (zip_of(m_in_data_dot_pkl=b"", m_in_constants_dot_pkl=b""), "a TorchScript file"),
    (zip_of(model_dot_weights_dot_h5=b""), "a Keras file"),
    (gzip.compress(b"x"), "a gzip archive"),
    (tar(), "a tar archive"),
    (b"Rar!\x1a\x07\x01\x00", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7z archive"),
    (struct.pack("<Q", len(HEADER)) + HEADER + bytes(4), "a safetensors file"),
    (png(), "an image"),
    (b"%PDF-1.7\n", "a PDF document"),
    (b"\x89HDF\r\n\x1a\n", "a Keras (HDF5) file"),
    (array(), "a NumPy array"),
    (onnx_model(), "an ONNX file"),
    (checkpoint(), "a PyTorch checkpoint"),
    (checkpoint(legacy=True), "a PyTorch checkpoint"),
    (pickle.dumps({}), "a pickle file"),
    (b"\x00" * 100, ""),
]


@pytest.mark.parametrize(("content", "kind"), CASES, ids=[kind or "unknown" for _, kind in CASES])
def test_kinds(tmp_path: Path, content: bytes, kind: str) -> None:
    path = tmp_path / "m.pth"
    path.write_bytes(content)
    assert content_kind(path)[0] == kind


def test_messages(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"<html>")
    message = "a web page (HTML), not an ONNX file: download the file itself again"
    assert not_a(path, "an ONNX file") == f"{path}: {message}"
    path.write_bytes(b"\x01\x02\x00")
    assert not_a(path, "an ONNX file") == f"{path}: not an ONNX file, or a truncated one"
