"""int8: which nodes are quantised, the loss on the shipped model, and what is refused."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from support import TINY_SPEC, Folder, dptn, draw_pose, make_folder, write_annotations, write_pairs

from dptn_cli.enums import Precision, Provider
from dptn_cli.errors import InputError
from dptn_cli.export import calibration as calibration_module
from dptn_cli.export import onnx as export_module
from dptn_cli.export.calibration import read_calibration
from dptn_cli.export.int8 import Calibration, quantize
from dptn_cli.export.onnx import export
from dptn_cli.inference.model_file import read_model
from dptn_cli.inference.session import Session
from dptn_cli.inference.throughput import example_batch
from dptn_cli.network.checkpoint import load_generator
from dptn_cli.transfer.plan import TransferRequest

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "models" / "figures.onnx"
FIGURES = ROOT / "examples" / "figures"


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    request = TransferRequest(Path("unused"), FIGURES / "pairs.csv", FIGURES / "images")
    return read_calibration(request, read_model(SHIPPED).spec)


@pytest.fixture(scope="module")
def shipped_int8(tmp_path_factory: pytest.TempPathFactory, calibration: Calibration) -> Path:
    path = tmp_path_factory.mktemp("int8") / "figures.onnx"
    onnx.save(quantize(onnx.load(SHIPPED), calibration.ranges), path)
    return path


class TestTheShippedModel:
    def test_it_stays_near_float32_on_images_it_was_not_calibrated_on(
        self, shipped_int8: Path, calibration: Calibration
    ) -> None:
        plain, quantised = (Session(read_model(p), Provider.CPU) for p in (SHIPPED, shipped_int8))
        difference = [
            plain.run(b).astype(float) - quantised.run(b) for b in calibration.verification
        ]
        psnr_db = 10 * np.log10(255**2 / np.square(difference).mean())
        assert 40 < psnr_db < 60, "8 bits show, a little"
        assert shipped_int8.stat().st_size < 0.6 * SHIPPED.stat().st_size
        assert read_model(shipped_int8).metadata == read_model(SHIPPED).metadata

    def test_all_convolutions_except_the_output_are_quantised(self, shipped_int8: Path) -> None:
        graph = onnx.load(shipped_int8).graph
        producer = {name: node.op_type for node in graph.node for name in node.output}
        weights = {w.name: w for w in graph.initializer}
        convolutions = [node for node in graph.node if node.op_type == "Conv"]
        in_float = [node for node in convolutions if node.input[1] in weights]
        rgb_in_four_phases = [3 * 4] * 4
        assert [weights[node.input[1]].dims[0] for node in in_float] == rgb_in_four_phases
        for node in convolutions:
            if node not in in_float:
                assert [producer[name] for name in node.input[:2]] == ["DequantizeLinear"] * 2
        products = [node for node in graph.node if node.op_type == "MatMul"]
        assert all(producer.get(node.input[1]) != "DequantizeLinear" for node in products)

    def test_weights_have_seven_bits_and_a_scale_for_each_channel(self, shipped_int8: Path) -> None:
        """With 8 bits, the sum of two products overflows on processors that add them in 16."""
        weights = {
            w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(shipped_int8).graph.initializer
        }
        quantised = [w for w in weights.values() if w.dtype == np.int8 and w.ndim == 4]
        assert len(quantised) > 10
        assert max(np.abs(w.astype(int)).max() for w in quantised) <= 64
        scales = [w.shape for name, w in weights.items() if name.endswith("weight_scale")]
        assert scales
        assert all(len(shape) == 1 and shape[0] > 1 for shape in scales)


class TestCalibration:
    def test_no_source_is_in_both_parts(self, calibration: Calibration) -> None:
        ranges, verification = (
            {batch.sources.tobytes() for batch in part}
            for part in (calibration.ranges, calibration.verification)
        )
        assert (len(ranges), len(verification)) == (18, 6)
        assert not ranges & verification
        assert len(calibration.ranges) + len(calibration.verification) == 72

    def test_pairs_are_spread_evenly_over_a_long_list(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(calibration_module, "MAX_PAIRS", 6)
        monkeypatch.setattr(calibration_module, "MIN_PAIRS_EACH", 1)
        calibration = read_calibration(TransferRequest(folder.out, folder.pairs), TINY_SPEC)
        # Every second pair of 0 -> 1, 0 -> 2, 0 -> 3, 1 -> 0 ... has source 0, 0, 1, 2, 2 or 3.
        assert (len(calibration.ranges), len(calibration.verification)) == (5, 1)

    def test_too_few_pairs(self, folder: Folder) -> None:
        with pytest.raises(
            InputError, match="9 pairs for calibration and 3, of other sources, for verification"
        ):
            read_calibration(TransferRequest(folder.out, folder.pairs), TINY_SPEC)

    def test_pairs_without_keypoints_do_not_count(self, folder: Folder) -> None:
        write_annotations(folder.path / "keypoints.csv", {"0.png": draw_pose(0)})
        write_pairs(folder.pairs, [("0.png", "0.png"), ("1.png", "0.png")])
        with pytest.raises(InputError, match="1 pairs for calibration and 0"):
            read_calibration(TransferRequest(folder.out, folder.pairs), TINY_SPEC)

    def test_a_broken_image_is_named(self, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(calibration_module, "MIN_PAIRS_EACH", 1)
        (folder.path / "2.png").write_bytes(b"no image")
        with pytest.raises(InputError, match=r"2\.png -> 0\.png: "):
            read_calibration(TransferRequest(folder.out, folder.pairs), TINY_SPEC)


class TestCommand:
    @pytest.fixture
    def photos(self, tmp_path: Path, tiny_model: Path) -> Folder:
        return make_folder(tmp_path / "photos", tiny_model, count=6)

    @pytest.mark.slow
    def test_weights_that_lose_too_much_are_refused(
        self, tiny_checkpoint: Path, photos: Folder
    ) -> None:
        """Random weights lose too much with 8 bits."""
        out = photos.path.parent / "m.onnx"
        result = dptn(
            "export", tiny_checkpoint, "-o", out, "--precision", "int8", "--calibrate", photos.pairs
        )
        assert result.exit_code == 2
        assert "PSNR of the int8 images against PyTorch's in float32 is" in result.stderr
        assert "but must be at least 35 dB. Nothing was written" in result.stderr
        assert not out.exists()

    @pytest.mark.slow
    def test_a_verified_model_is_written(
        self, tiny_checkpoint: Path, photos: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(export_module.MIN_PSNR_DB, "int8", 5.0)
        out = photos.path.parent / "m.onnx"
        result = dptn(
            "export", tiny_checkpoint, "-o", out, "--precision", "int8", "--calibrate", photos.pairs
        )
        assert result.exit_code == 0, result.stderr
        stages = re.findall(r" ([A-Za-z ]+): \d+ (?:s|min)\n", result.stderr)
        assert stages == [
            "reading the checkpoint",
            "reading the images",
            "exporting",
            "quantising",
            "checking against PyTorch",
            "writing",
        ]
        model = read_model(out)
        assert model.precision == "int8"
        assert model.spec == TINY_SPEC
        generated = Session(model, Provider.CPU).run(example_batch(TINY_SPEC, 2, 5))
        assert generated.shape == (5, *TINY_SPEC.network_size, 3)
        assert generated.std() > 1

    @pytest.mark.parametrize("options", [("--precision", "int8"), ("--calibrate", "pairs.csv")])
    def test_one_without_the_other(
        self, tiny_checkpoint: Path, tmp_path: Path, options: tuple[str, str]
    ) -> None:
        result = dptn("export", tiny_checkpoint, "-o", tmp_path / "m.onnx", *options)
        assert result.exit_code == 2
        assert "go together" in result.stderr


def test_int8_without_calibration_is_a_defect(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="images to calibrate on"):
        export(load_generator(tiny_checkpoint), TINY_SPEC, tmp_path / "m.onnx", Precision.INT8)
