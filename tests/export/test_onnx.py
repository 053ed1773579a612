"""The ONNX contract, and the published checkpoints exported to it."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from support import TINY_SPEC, Golden, dptn, tiny_generator

from dptn_cli.enums import Precision, Provider
from dptn_cli.errors import ModelError
from dptn_cli.export import onnx as export_module
from dptn_cli.export.onnx import Verification, export, verify
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.inference.throughput import example_batch
from dptn_cli.io.resize import resize_to_disk, resize_to_network
from dptn_cli.keypoints import to_network
from dptn_cli.network.checkpoint import LoadedGenerator, load_generator, save_generator
from dptn_cli.network.config import IMAGE_SPECS
from dptn_cli.network.tensors import image_to_tensor, keypoint_maps, tensor_to_image
from dptn_cli.network.transformer import Attention
from dptn_cli.types import Batch, ImageSpec


def test_names_types_and_free_sizes(tiny_model: Path) -> None:
    graph = onnx.load(tiny_model).graph
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {
        "source": ["S", 64, 48, 3],
        "source_pose": ["S", 18, 2],
        "target_pose": ["T", 18, 2],
        "source_index": ["T"],
        "generated": ["T", 64, 48, 3],
    }


def test_one_file_without_traces_of_this_machine(tiny_model: Path) -> None:
    assert [p.name for p in tiny_model.parent.iterdir()] == ["tiny.onnx"]
    content = tiny_model.read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b".py" not in content


def golden_batch(golden: Golden, spec: ImageSpec) -> Batch:
    def poses(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        scaled = [
            to_network(np.asarray(pose, float), spec.image_size, spec.network_size)
            for pose in golden[name]
        ]
        return np.stack(scaled)

    fitted = [
        resize_to_network(Image.fromarray(np.asarray(p, np.uint8)), spec.network_size)
        for p in golden["source"]
    ]
    return Batch(
        np.stack(fitted), poses("source_keypoints"), poses("target_keypoints"), np.array([0, 1])
    )


@pytest.mark.slow
def test_onnx_generates_the_official_images(fashion_model: Path, golden: Golden) -> None:
    spec = IMAGE_SPECS["fashion"]
    session = Session(read_model(fashion_model), Provider.CPU)
    generated = session.run(golden_batch(golden, spec))
    result = np.stack([resize_to_disk(image, spec.image_size) for image in generated])
    difference = np.abs(result.astype(int) - golden["result"])
    assert difference.max() <= 2
    assert (difference == 0).mean() >= 0.99


@pytest.mark.slow
def test_market_through_onnx_and_through_pytorch(
    market_model: Path, official_checkpoint: Path, golden: Golden
) -> None:
    spec = IMAGE_SPECS["market"]
    batch = golden_batch(golden, spec)
    generated = Session(read_model(market_model), Provider.CPU).run(batch)
    generator = load_generator(official_checkpoint).generator
    maps = [
        keypoint_maps(torch.from_numpy(pose), spec.network_size)
        for pose in (batch.source_poses, batch.target_poses)
    ]
    with torch.no_grad():
        target, _ = generator(image_to_tensor(torch.from_numpy(batch.sources)), *maps)
    difference = np.abs(generated.astype(int) - tensor_to_image(target).numpy())
    assert generated.shape == (2, 128, 64, 3)
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.99


def test_verification_detects_other_weights(tiny_model: Path) -> None:
    examples = [example_batch(TINY_SPEC, 3, 5), example_batch(TINY_SPEC, 1, 1)]
    same = verify(tiny_generator(), TINY_SPEC, tiny_model.read_bytes(), examples)
    assert same.largest_levels <= 1
    other = tiny_generator()
    with torch.no_grad():
        other.get_parameter("decoder2.model.5.weight").mul_(1.05)
    different = verify(other, TINY_SPEC, tiny_model.read_bytes(), examples)
    assert different.largest_levels > 1
    assert different.share_different > 0.01


@pytest.mark.parametrize("verification", [Verification(2, 0.0001), Verification(1, 0.02)])
def test_a_failed_verification_leaves_the_old_file(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verification: Verification
) -> None:
    monkeypatch.setattr(export_module, "_build_model", lambda *_, **__: onnx.load(tiny_model))
    monkeypatch.setattr(export_module, "verify", lambda *_: verification)
    loaded = LoadedGenerator(tiny_generator(), TINY_SPEC, "0" * 64)
    (tmp_path / "m.onnx").write_bytes(b"the old file")
    with pytest.raises(ModelError, match="Nothing was written"):
        export(loaded, TINY_SPEC, tmp_path / "m.onnx")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"the old file"]


@pytest.mark.slow
def test_metadata_of_a_published_checkpoint(fashion_model: Path, market_model: Path) -> None:
    fashion, market = (read_model(path).metadata for path in (fashion_model, market_model))
    assert (fashion["image_size"], fashion["network_size"]) == ("256x176", "256x256")
    assert (market["image_size"], market["network_size"]) == ("128x64", "128x64")
    assert (fashion["dataset"], market["dataset"]) == ("fashion", "market")
    assert fashion["parameters"] == "9794371"
    assert "CC BY-NC 4.0" in fashion["licence"]


@pytest.fixture(scope="module")
def half_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("half")
    save_generator(folder / "g.pth", tiny_generator(2), TINY_SPEC)
    out = folder / "half.onnx"
    result = dptn("export", folder / "g.pth", "-o", out, "--precision", "fp16", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["precision"] == "fp16"
    assert 45 <= report["psnr_db"] < 80, "rounded weights show"
    return out


@pytest.mark.slow
class TestHalfPrecision:
    """fp16 on the CPU, where onnxruntime computes in float32 with the rounded weights."""

    def test_it_runs_and_names_its_precision(self, half_model: Path) -> None:
        model = read_model(half_model)
        assert model.precision == "fp16"
        generated = Session(model, Provider.CPU).run(example_batch(TINY_SPEC, 2, 5))
        assert generated.shape == (5, *TINY_SPEC.network_size, 3)
        assert generated.std() > 1

    def test_everything_is_float16_except_norms_and_softmax(self, half_model: Path) -> None:
        graph = onnx.shape_inference.infer_shapes(onnx.load(half_model)).graph
        types = {v.name: v.type.tensor_type.elem_type for v in graph.value_info}
        types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
        seen = {(node.op_type, types.get(node.input[0])) for node in graph.node if node.input}
        for halved in ("Conv", "ConvTranspose", "MatMul", "LeakyRelu"):
            assert (halved, onnx.TensorProto.FLOAT16) in seen
            assert (halved, onnx.TensorProto.FLOAT) not in seen
        for in_float32 in ("InstanceNormalization", "Softmax"):
            assert (in_float32, onnx.TensorProto.FLOAT) in seen
            assert (in_float32, onnx.TensorProto.FLOAT16) not in seen

    def test_too_far_from_float32_leaves_no_file(
        self, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(export_module, "_build_model", lambda *_, **__: onnx.load(tiny_model))
        monkeypatch.setattr(export_module, "verify", lambda *_: Verification(9, 0.5, psnr_db=44.9))
        loaded = LoadedGenerator(tiny_generator(), TINY_SPEC, "0" * 64)
        with pytest.raises(
            ModelError, match="fp16 images against PyTorch's .* 44.9 dB, .* Nothing was written"
        ):
            export(loaded, TINY_SPEC, tmp_path / "m.onnx", Precision.FP16)
        assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def fused_model(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """The network of `tiny_model`, for CUDA, exported with the older name of --runtime."""
    out = tmp_path_factory.mktemp("fused") / "cuda.onnx"
    result = dptn("export", tiny_checkpoint, "-o", out, "--target", "cuda", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["target"] == "cuda"
    assert report["largest_levels"] <= 1
    return out


def fused_attentions(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    nodes = [node for node in graph.node if node.domain == "com.microsoft"]
    assert {node.op_type for node in nodes} == {"MultiHeadAttention"}
    return nodes


@pytest.mark.slow
class TestForCuda:
    """--runtime cuda on the CPU, which has a kernel too; CUDA's choice of kernel needs a GPU."""

    def test_every_attention_is_one_operator(self, fused_model: Path) -> None:
        graph = onnx.load(fused_model).graph
        modules = [m for m in tiny_generator().modules() if isinstance(m, Attention)]
        assert len(fused_attentions(graph)) == len(modules) == 6
        assert "Softmax" not in {node.op_type for node in graph.node}

    def test_nothing_is_transposed_for_it(self, tiny_model: Path, fused_model: Path) -> None:
        """Queries, keys and values come from projections, or are gathered by source."""
        graph = onnx.load(fused_model).graph
        producers = {name: node.op_type for node in graph.node for name in node.output}
        consumers = {name: node.op_type for node in graph.node for name in node.input}
        fused = fused_attentions(graph)
        inputs = [[producers[name] for name in node.input] for node in fused]
        assert sorted(inputs) == [["Add"] * 3] * 4 + [["Add", "Gather", "Gather"]] * 2
        assert {consumers[node.output[0]] for node in fused} == {"MatMul"}  # out_proj

        def transposes(model: onnx.GraphProto) -> int:
            return sum(node.op_type == "Transpose" for node in model.node)

        saved = transposes(onnx.load(tiny_model).graph) - transposes(graph)
        # Of q, k, v and the result; of k again where it is gathered between its two transposes.
        assert saved == 4 * 4 + 2 * 5

    def test_for_any_runtime_there_are_standard_operators_only(self, tiny_model: Path) -> None:
        model = onnx.load(tiny_model)
        assert [opset.domain for opset in model.opset_import] == [""]
        assert {node.domain for node in model.graph.node} == {""}

    @pytest.mark.parametrize("shape", [(1, 1), (2, 5), (4, 4)])
    def test_both_graphs_generate_the_same_images(
        self, tiny_model: Path, fused_model: Path, shape: tuple[int, int]
    ) -> None:
        batch = example_batch(TINY_SPEC, *shape)
        plain, fused = (
            Session(read_model(path), Provider.CPU).run(batch).astype(int)
            for path in (tiny_model, fused_model)
        )
        assert np.abs(plain - fused).max() <= 1
        assert (plain == fused).mean() >= 0.99

    def test_verification_detects_another_attention(self, fused_model: Path) -> None:
        model = onnx.load(fused_model)
        for node in fused_attentions(model.graph):
            (heads,) = node.attribute
            assert (heads.name, heads.i) == ("num_heads", 2)
            heads.i = 1
        examples = [example_batch(TINY_SPEC, 3, 5)]
        verification = verify(tiny_generator(), TINY_SPEC, model.SerializeToString(), examples)
        assert verification.largest_levels > 1

    def test_in_half_precision(self, tmp_path: Path, half_model: Path) -> None:
        save_generator(tmp_path / "g.pth", tiny_generator(2), TINY_SPEC)
        out = tmp_path / "both.onnx"
        options = ("--runtime", "cuda", "--precision", "fp16", "--json")
        result = dptn("export", tmp_path / "g.pth", "-o", out, *options)
        assert result.exit_code == 0, result.stderr
        assert 45 <= json.loads(result.stdout)["psnr_db"] < 80
        model = read_model(out)
        assert (model.precision, model.runtime) == ("fp16", "cuda")
        graph = onnx.load(out).graph
        types = {v.name: v.type.tensor_type.elem_type for v in graph.value_info}
        input_types = {types[name] for node in fused_attentions(graph) for name in node.input}
        assert input_types == {onnx.TensorProto.FLOAT16}
        batch = example_batch(TINY_SPEC, 2, 5)
        plain, fused = (
            Session(exported, Provider.CPU).run(batch).astype(float)
            for exported in (read_model(half_model), model)
        )
        # Both have the same rounded weights, so they differ less than either does from float32.
        assert np.square(plain - fused).mean() < 255**2 / 10**5

    def test_int8_is_for_cpus(self, tiny_checkpoint: Path, tmp_path: Path) -> None:
        options = ("--runtime", "cuda", "--precision", "int8", "--calibrate", "pairs.csv")
        result = dptn("export", tiny_checkpoint, "-o", tmp_path / "m.onnx", *options)
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert "--precision int8 is for CPUs: leave out --runtime cuda" in result.stderr
        assert not list(tmp_path.iterdir())

    def test_an_unknown_runtime(self, tiny_checkpoint: Path, tmp_path: Path) -> None:
        result = dptn("export", tiny_checkpoint, "-o", tmp_path / "m.onnx", "--runtime", "rocm")
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert "'rocm' is not one of 'any', 'cuda'" in result.stderr
        assert not list(tmp_path.iterdir())


class TestCommand:
    @pytest.mark.slow
    def test_own_checkpoint(self, tiny_checkpoint: Path, tmp_path: Path) -> None:
        result = dptn("export", tiny_checkpoint, "-o", tmp_path / "new" / "m.onnx")
        assert result.exit_code == 0
        assert "largest difference" in result.stderr
        assert result.stdout == ""
        assert read_model(tmp_path / "new" / "m.onnx").spec == TINY_SPEC

    def test_a_published_checkpoint_needs_its_data_set(
        self, official_checkpoint: Path, tmp_path: Path
    ) -> None:
        result = dptn("export", official_checkpoint, "-o", tmp_path / "m.onnx")
        assert result.exit_code == 2
        assert "--dataset fashion or --dataset market" in result.stderr

    def test_an_unknown_data_set(self, official_checkpoint: Path, tmp_path: Path) -> None:
        result = dptn("export", official_checkpoint, "-o", tmp_path / "m", "--dataset", "cats")
        assert result.exit_code == 2
        assert "must be one of fashion, market" in result.stderr

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("-o", "."), "is a folder; name a file in it"),
            (("-o", "m", "--images", "."), "--images and --keypoints go with --calibrate"),
            (("-o", "m", "--keypoints", "k.csv"), "--images and --keypoints go with --calibrate"),
        ],
    )
    def test_wrong_options_fail_before_the_checkpoint_is_read(
        self, tmp_path: Path, options: tuple[str, ...], message: str
    ) -> None:
        result = dptn("export", tmp_path / "read-later.pth", *options)
        assert result.exit_code == 2
        assert message in result.stderr

    def test_a_missing_checkpoint_writes_nothing(self, tmp_path: Path) -> None:
        result = dptn("export", tmp_path / "none.pth", "-o", tmp_path / "m", "--dataset", "market")
        assert result.exit_code == 2
        assert "none.pth: No such file" in result.stderr
        assert not list(tmp_path.iterdir())

    def test_an_unwritable_path(self, tiny_checkpoint: Path, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        result = dptn("export", tiny_checkpoint, "-o", tmp_path / "file" / "m.onnx")
        assert result.exit_code == 2
        assert "is a file" in result.stderr
