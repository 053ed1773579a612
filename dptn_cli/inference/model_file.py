"""The metadata of an exported ONNX file, read without the onnx package or a session."""

import hashlib
import mmap
from collections.abc import Mapping
from pathlib import Path

from dptn_cli.errors import InputError, ModelError, short, user_errors
from dptn_cli.inference.onnx_graph import Graph, TensorInfo, UnusableGraph, read_graph
from dptn_cli.io.content_kinds import not_a, open_regular
from dptn_cli.types import JOINTS, ImageSpec, Model

FORMAT = "1"
METADATA_PREFIX = "dptn."
EXPECTED = "an ONNX file"
MAX_BYTES = 1 << 31
_FLOAT32, _UINT8, _INT64 = 1, 2, 7  # ONNX's numbers of types


def read_model(path: Path) -> Model:
    """Read the metadata of an exported model.

    Raises:
        ModelError: the file is missing, is not ONNX, or is not an export in this format.
    """
    with user_errors(path, kind=ModelError), open_regular(path) as file:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: larger than 2 GB, which no ONNX file can be")
        try:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            graph = read_graph(memoryview(content))
        except UnusableGraph as error:
            raise ModelError(f"{path}: {error}") from error
        except ValueError as error:
            raise ModelError(not_a(path, EXPECTED)) from error
    metadata = {
        key.removeprefix(METADATA_PREFIX): value
        for key, value in graph.metadata.items()
        if key.startswith(METADATA_PREFIX)
    }
    if "format" not in metadata:
        raise ModelError(f"{path}: not an export of `dptn export`: it lacks dptn's metadata")
    if metadata["format"] != FORMAT:
        raise ModelError(
            f"{path}: format {short(metadata['format'])}, but this dptn reads {FORMAT}"
        )
    try:
        spec = _image_spec(metadata)
    except (KeyError, ValueError, InputError) as error:
        reason = short(str(error), 200)
        raise ModelError(f"{path}: its dptn metadata is incomplete: {reason}") from error
    _check_contract(path, graph, spec)
    runtime = metadata.get("target", "any")  # older exports lack the key
    sha256 = hashlib.sha256(content).hexdigest()
    return Model(path, sha256, spec, graph.precision, metadata, runtime)


def _image_spec(metadata: Mapping[str, str]) -> ImageSpec:
    if int(metadata["joints"]) != JOINTS:
        raise ValueError(f"{metadata['joints']} joints")
    sizes = []
    for key in ("image_size", "network_size"):
        height, width = metadata[key].split("x")
        sizes.append((int(height), int(width)))
    if not metadata["dataset"].isprintable():
        raise ValueError("its data set has no printable name")
    return ImageSpec(metadata["dataset"], sizes[0], sizes[1], float(metadata["sigma"]))


def _check_contract(path: Path, graph: Graph, spec: ImageSpec) -> None:
    """Check that a graph has the inputs and outputs of format 1, in the sizes of its metadata."""
    image = TensorInfo(_UINT8, (None, *spec.network_size, 3))
    pose = TensorInfo(_FLOAT32, (None, JOINTS, 2))
    inputs = {
        "source": image,
        "source_pose": pose,
        "target_pose": pose,
        "source_index": TensorInfo(_INT64, (None,)),
    }
    for tensors, expected in ((graph.inputs, inputs), (graph.outputs, {"generated": image})):
        if tensors.keys() != expected.keys():
            raise ModelError(f"{path}: its inputs and outputs are not those of format {FORMAT}")
        for name, tensor in tensors.items():
            if not tensor.fits(expected[name]):
                raise ModelError(
                    f"{path}: its inputs and outputs are not those of format {FORMAT}: "
                    f"{name} is {tensor}, but its metadata promises {expected[name]}"
                )
    if None in graph.inputs["source"].shape[1:]:
        raise ModelError(f"{path}: its graph leaves the size of its images open")
