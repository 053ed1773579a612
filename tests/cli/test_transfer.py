"""`dptn transfer` as a user meets it: images, files, exit codes, what it says."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import (
    TINY_SPEC,
    Folder,
    Golden,
    dptn,
    draw_image,
    draw_pose,
    images,
    make_folder,
    write_annotations,
    write_pairs,
)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "dptn_cli", *map(str, arguments)]


@pytest.mark.slow
class TestPublishedCheckpoint:
    """Checkpoint -> ONNX -> image files, as the official test script makes them."""

    @pytest.fixture
    def data(self, tmp_path: Path, golden: Golden) -> Path:
        names = ("a.png", "b.png")
        sides = (("source", names), ("target", ("ta.png", "tb.png")))
        poses = {
            name: golden[f"{side}_keypoints"][i]
            for side, of_side in sides
            for i, name in enumerate(of_side)
        }
        for i, name in enumerate(names):
            Image.fromarray(np.asarray(golden["source"][i], np.uint8)).save(tmp_path / name)
        write_annotations(tmp_path / "fasion-resize-annotation-test.csv", poses)
        write_pairs(
            tmp_path / "fasion-resize-pairs-test.csv",
            [("0", "a.png", "ta.png"), ("1", "b.png", "tb.png")],
            header=",from,to",
        )
        return tmp_path

    def run(self, data: Path, model: Path, *more: object) -> Path:
        out = data / "results"
        result = dptn(
            "transfer", "--pairs", data / "fasion-resize-pairs-test.csv",
            "--keypoints", data / "fasion-resize-annotation-test.csv",
            "--model", model, "-o", out, *more,
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        return out

    def test_png(self, data: Path, fashion_model: Path, golden: Golden) -> None:
        out = self.run(data, fashion_model)
        for i, name in enumerate(("a_2_ta_vis.png", "b_2_tb_vis.png")):
            found = np.asarray(Image.open(out / name)).astype(int)
            difference = np.abs(found - golden["result"][i])
            assert difference.max() <= 2
            assert (difference == 0).mean() >= 0.99

    def test_jpeg_is_what_the_official_code_saves(
        self, data: Path, fashion_model: Path, golden: Golden, tmp_path: Path
    ) -> None:
        out = self.run(data, fashion_model, "--format", "jpg", "--quality", "75")
        official = tmp_path / "official.jpg"
        Image.fromarray(np.asarray(golden["result"][0], np.uint8)).save(official)
        ours = Image.open(out / "a_2_ta_vis.jpg")
        assert ours.quantization == Image.open(official).quantization  # type: ignore[attr-defined]
        difference = np.asarray(ours).astype(int) - np.asarray(Image.open(official))
        assert np.abs(difference).mean() < 0.5

    def test_market(self, data: Path, market_model: Path) -> None:
        out = self.run(data, market_model)
        assert Image.open(out / "a_2_ta_vis.png").size == (64, 128)


def test_pair_list(folder: Folder) -> None:
    result = folder.transfer()
    assert result.exit_code == 0
    assert len(folder.results()) == 12
    assert Image.open(folder.out / "0_2_3_vis.png").size == TINY_SPEC.image_size[::-1]
    assert re.search(r"done\s+12", result.stdout)
    assert "Running on the CPU" in result.stderr
    lines = folder.manifest()
    assert {line["status"] for line in lines} == {"done"}
    assert {line["output"] for line in lines} == set(folder.results())


def test_run_file(folder: Folder) -> None:
    folder.transfer("--batch-size", 3)
    run = json.loads((folder.out / "run.json").read_text())
    assert run["state"] == "finished"
    assert run["provider"] == "cpu"
    assert run["batch_size"] == 3
    assert run["counts"] == {"planned": 12, "done": 12, "skipped": 0, "failed": 0}
    assert (run["model"]["dataset"], run["model"]["target"]) == ("tiny", "any")
    assert set(run["stage_seconds"]) == {"read", "infer", "write"}
    assert run["pictures_per_second"] > 0
    assert {"dptn", "python", "numpy", "pillow", "onnxruntime"} <= set(run["versions"])


def test_json_is_one_document_on_stdout(folder: Folder) -> None:
    result = folder.transfer("--json")
    assert json.loads(result.stdout)["counts"]["done"] == 12
    assert result.stderr == ""


def test_verbose_tells_every_item(folder: Folder) -> None:
    result = folder.transfer("-v")
    assert result.stderr.count("done  ") == 12


def test_quiet(folder: Folder) -> None:
    result = folder.transfer("-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_every_source_in_every_pose(folder: Folder, tmp_path: Path) -> None:
    poses = write_annotations(tmp_path / "poses.csv", {f"p{i}": draw_pose(i) for i in range(3)})
    result = dptn(
        "transfer", folder.path, "--poses", poses, "--model", folder.model, "-o", folder.out
    )
    assert result.exit_code == 0, result.stderr
    assert len(folder.results()) == 12
    assert "3_2_p2_vis.png" in folder.results()


def test_subfolders_are_kept(folder: Folder) -> None:
    (folder.path / "sub").mkdir()
    draw_image(8).save(folder.path / "sub" / "0.png")
    with (folder.path / "keypoints.csv").open("a") as file:
        file.write(f"sub/0.png: {[9] * 18}: {[9] * 18}\n")
    pairs = write_pairs(folder.path / "p.csv", [("0.png", "1.png"), ("sub/0.png", "1.png")])
    assert folder.transfer("--pairs", pairs).exit_code == 0
    assert set(folder.results()) == {"0_2_1_vis.png", "sub/0_2_1_vis.png"}


class TestResume:
    def test_what_is_done_is_skipped(self, folder: Folder) -> None:
        folder.transfer("--limit", 5)
        first = folder.results()
        result = folder.transfer("--json")
        counts = json.loads(result.stdout)["counts"]
        assert counts == {"planned": 12, "done": 7, "skipped": 5, "failed": 0}
        assert {name: folder.results()[name] for name in first} == first
        assert json.loads(folder.transfer("--json").stdout)["counts"]["skipped"] == 12

    def test_overwrite(self, folder: Folder) -> None:
        folder.transfer()
        result = folder.transfer("--overwrite", "--json")
        assert json.loads(result.stdout)["counts"]["done"] == 12

    def test_a_deleted_result_is_made_again(self, folder: Folder) -> None:
        folder.transfer()
        (folder.out / "0_2_1_vis.png").unlink()
        counts = json.loads(folder.transfer("--json").stdout)["counts"]
        assert (counts["done"], counts["skipped"]) == (1, 11)

    def test_another_model_makes_everything_anew(
        self, folder: Folder, other_tiny_model: Path
    ) -> None:
        folder.transfer()
        first = folder.results()
        counts = json.loads(folder.transfer("--model", other_tiny_model, "--json").stdout)["counts"]
        assert counts["done"] == 12
        assert all(folder.results()[name] != first[name] for name in first)

    def test_another_source_or_pose_makes_its_results_anew(self, folder: Folder) -> None:
        folder.transfer()
        draw_image(50).save(folder.path / "0.png")
        assert json.loads(folder.transfer("--json").stdout)["counts"]["done"] == 3
        poses = {f"{i}.png": draw_pose(i + (i == 2)) for i in range(4)}
        write_annotations(folder.path / "keypoints.csv", poses)
        assert json.loads(folder.transfer("--json").stdout)["counts"]["done"] == 6

    def test_what_failed_is_tried_again(self, folder: Folder) -> None:
        content = (folder.path / "0.png").read_bytes()
        (folder.path / "0.png").write_bytes(b"")
        assert folder.transfer().exit_code == 1
        (folder.path / "0.png").write_bytes(content)
        result = folder.transfer("--json")
        assert result.exit_code == 0
        assert json.loads(result.stdout)["counts"]["done"] == 3


class TestDryRun:
    def test_says_what_would_be_done(self, folder: Folder) -> None:
        result = folder.transfer("--dry-run")
        assert result.exit_code == 0
        assert re.search(r"to do\s+12", result.stdout)
        assert not folder.out.exists()

    def test_after_a_part(self, folder: Folder) -> None:
        folder.transfer("--limit", 5)
        before = sorted(folder.out.rglob("*"))
        counts = json.loads(folder.transfer("--dry-run", "--json").stdout)["counts"]
        assert counts == {"planned": 12, "to_do": 7, "skipped": 5, "failed": 0}
        assert sorted(folder.out.rglob("*")) == before

    def test_finds_what_would_fail(self, folder: Folder) -> None:
        (folder.path / "0.png").write_bytes(b"")
        assert folder.transfer("--dry-run").exit_code == 1


def test_independent_of_batches_and_workers(folder: Folder, tmp_path: Path) -> None:
    runs = []
    for batch_size, workers in ((1, 1), (3, 2), (12, 4)):
        out = tmp_path / f"{batch_size}"
        folder.transfer("--batch-size", batch_size, "--workers", workers, "-o", out)
        runs.append([np.asarray(Image.open(p)).astype(int) for p in images(out)])
    for other in runs[1:]:
        for one, two in zip(runs[0], other, strict=True):
            assert np.abs(one - two).max() <= 1


class TestBadInput:
    """One clear line; nothing started (2), or that item alone failed (1)."""

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "column from and to is missing"),
            ("source,target\n0.png,1.png\n", "column from and to is missing"),
            ("from,to\n", "the list is empty"),
            ("from,to\n../0.png,1.png\n", "leaves its folder"),
            ("from,to\n/etc/passwd,1.png\n", "/etc/passwd is not in the folder of images"),
            ("from,to\n0.png,1.png\n0.png,1.png\n", "line 3: duplicate of line 2, 0.png -> 1.png"),
            ("from,to\n0.png,none.png\n", "no keypoints for none.png"),
        ],
    )
    def test_lists(self, folder: Folder, content: str, message: str) -> None:
        folder.pairs.write_text(content)
        result = folder.transfer()
        assert result.exit_code == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
        assert not folder.out.exists()

    def test_an_untidy_list_is_simply_read(self, folder: Folder) -> None:
        folder.pairs.write_bytes("\ufeff from , to \r\n 0.png , 1.png \r\n\r\n".encode())
        assert folder.transfer().exit_code == 0

    @pytest.mark.parametrize(
        "content",
        [b"", b"no image", b"\xff\xd8\xff\xe0 broken"],
        ids=["empty", "text", "broken"],
    )
    def test_a_broken_image_fails_alone(self, folder: Folder, content: bytes) -> None:
        (folder.path / "2.png").write_bytes(content)
        result = folder.transfer()
        assert result.exit_code == 1
        assert len(folder.results()) == 9
        (line,) = (line for line in result.stderr.splitlines() if "2.png: " in line)
        assert line.endswith("(3 items)"), "told once, not a line a pose"
        failed = [line for line in folder.manifest() if line["status"] == "failed"]
        assert {line["source"] for line in failed} == {"2.png"}
        assert all(line["reason"] for line in failed)

    def test_a_truncated_jpeg_fails_alone(self, folder: Folder) -> None:
        draw_image(2, (400, 300)).save(folder.path / "big.jpg")
        content = (folder.path / "big.jpg").read_bytes()
        (folder.path / "2.png").write_bytes(content[: len(content) // 2])
        assert folder.transfer().exit_code == 1
        assert len(folder.results()) == 9

    def test_a_missing_image_is_told_before_the_start(self, folder: Folder) -> None:
        (folder.path / "1.png").unlink()
        result = folder.transfer()
        assert result.exit_code == 1
        assert "1 source images are missing" in result.stderr.splitlines()[0]
        assert len(folder.results()) == 9

    def test_a_decompression_bomb_fails_alone(self, folder: Folder) -> None:
        Image.new("1", (30_000, 30_000)).save(folder.path / "1.png")
        result = folder.transfer()
        assert result.exit_code == 1
        assert "more than 100,000,000 pixels" in result.stderr

    @pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "I;16"])
    def test_images_of_any_mode_are_handled(self, folder: Folder, mode: str) -> None:
        image = draw_image(1)
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256)
        else:
            image = image.convert(mode)
        image.save(folder.path / "1.png", "TIFF" if mode == "CMYK" else "PNG")
        assert folder.transfer().exit_code == 0

    @pytest.mark.parametrize(
        ("ys", "code", "message"),
        [
            ("nonsense", 2, "line 2 (0.png): the keypoints are not JSON lists"),
            ("[1, 2]", 2, "expected 18 numbers"),
            (str([-1] * 18), 1, "the source pose is empty: all 18 joints are missing"),
            (str([90_000] * 18), 1, "no joint of the source pose is inside"),
        ],
    )
    def test_keypoints(self, folder: Folder, ys: str, code: int, message: str) -> None:
        lines = (folder.path / "keypoints.csv").read_text().splitlines()
        lines[1] = f"0.png: {ys}: {[5] * 18}"
        (folder.path / "keypoints.csv").write_text("\n".join(lines))
        pairs = write_pairs(folder.path / "p.csv", [("0.png", "1.png"), ("1.png", "2.png")])
        result = folder.transfer("--pairs", pairs)
        assert (result.exit_code, message in result.stderr) == (code, True), result.stderr
        assert len(folder.results()) == (0 if code == 2 else 1)

    def test_conflicting_annotations(self, folder: Folder) -> None:
        with (folder.path / "keypoints.csv").open("a") as file:
            file.write(f"0.png: {[1] * 18}: {[1] * 18}\n")
        result = folder.transfer()
        assert result.exit_code == 2
        assert "other keypoints for 0.png" in result.stderr

    def test_models(self, folder: Folder, tmp_path: Path) -> None:
        (tmp_path / "text.onnx").write_bytes(b"no model")
        for name, message in (("text.onnx", "not an ONNX file"), ("none.onnx", "No such file")):
            result = folder.transfer("--model", tmp_path / name)
            assert result.exit_code == 2
            assert message in result.stderr
            assert not folder.out.exists()

    def test_an_output_folder_that_is_a_file(self, folder: Folder) -> None:
        folder.out.touch()
        result = folder.transfer()
        assert result.exit_code == 2
        assert "is a file" in result.stderr

    def test_a_provider_that_cannot_be_had(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("dptn_cli.inference.providers.cuda_device_count", lambda: 0)
        result = folder.transfer("--provider", "cuda")
        assert result.exit_code == 2
        assert "--provider cuda is not available" in result.stderr
        assert not folder.out.exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "nothing to do: pass --pairs PAIRS.csv, or SOURCES with --poses"),
            (["photos"], "nothing to do: pass --pairs PAIRS.csv, or SOURCES with --poses"),
            (["photos", "--pairs", "p.csv"], "not both"),
            (
                ["photos", "--poses", "k.csv", "--images", "x"],
                "--images can only be used with --pairs",
            ),
            (["--pairs", ""], "a path is empty"),
            (["--pairs", "p.csv", "-o", ""], "a path is empty"),
        ],
    )
    def test_unclear_wishes(self, arguments: list[str], message: str) -> None:
        result = dptn("transfer", *arguments)
        assert result.exit_code == 2
        assert message in result.stderr


class TestDefaultModel:
    def test_from_the_environment(self, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DPTN_MODEL", str(folder.model))
        result = dptn("transfer", "--pairs", folder.pairs, "-o", folder.out)
        assert result.exit_code == 0

    def test_the_only_one_in_models(
        self, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("DPTN_MODEL", raising=False)
        monkeypatch.chdir(tmp_path)
        arguments = ("transfer", "--pairs", folder.pairs, "-o", folder.out)
        assert "which model? no .onnx file" in dptn(*arguments).stderr
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "a.onnx").symlink_to(folder.model)
        assert dptn(*arguments).exit_code == 0
        (tmp_path / "models" / "b.onnx").symlink_to(folder.model)
        assert "which model? 2 .onnx files" in dptn(*arguments).stderr


def many(tmp_path: Path, model: Path, count: int) -> Folder:
    """`count` pairs over a few images."""
    folder = make_folder(tmp_path / "many", model, count=6)
    rows = ((f"{i % 6}.png", f"{(i + 1) % 6}.png", f"{i:05}.png") for i in range(count))
    write_pairs(folder.pairs, rows, header="from,to,out")
    return folder


def wait_for_lines(folder: Folder, lines: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    manifest = folder.out / "manifest.jsonl"
    while not (manifest.exists() and manifest.read_bytes().count(b"\n") >= lines):
        assert process.poll() is None, "ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def start(folder: Folder) -> subprocess.Popen[bytes]:
    arguments = command(
        "transfer", "--pairs", folder.pairs, "--model", folder.model, "-o", folder.out
    )
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_killed_at_any_instant(tmp_path: Path, tiny_model: Path) -> None:
    folder = many(tmp_path, tiny_model, 400)
    for lines in (1, 60, 130):
        process = start(folder)
        wait_for_lines(folder, lines, process)
        process.kill()
        process.communicate()
        for path in images(folder.out):
            Image.open(path).load()
    told = {line["output"] for line in folder.manifest() if line["status"] == "done"}
    assert told <= set(folder.results())
    kept = {name: (folder.out / name).stat().st_mtime_ns for name in told}
    result = folder.transfer("--json")
    counts = json.loads(result.stdout)["counts"]
    assert result.exit_code == 0
    assert counts["skipped"] == len(told)
    assert counts["done"] == 400 - len(told)
    assert len(folder.results()) == 400
    assert not [p for p in folder.out.rglob("*") if p.name.startswith(".")]
    assert all((folder.out / name).stat().st_mtime_ns == at for name, at in kept.items())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path: Path, tiny_model: Path, number: signal.Signals) -> None:
    folder = many(tmp_path, tiny_model, 400)
    process = start(folder)
    wait_for_lines(folder, 20, process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Interrupted; what is done is kept" in stderr
    assert b"Traceback" not in stderr
    run = json.loads((folder.out / "run.json").read_text())
    done = run["counts"]["done"]
    assert run["state"] == "interrupted"
    assert {line["output"] for line in folder.manifest()} == set(folder.results())
    assert len(folder.results()) == done < 400
    assert json.loads(folder.transfer("--json").stdout)["counts"]["skipped"] == done


def test_a_terminal_that_is_closed(tmp_path: Path, tiny_model: Path) -> None:
    folder = many(tmp_path, tiny_model, 400)
    master, terminal = os.openpty()
    code = "import fcntl, runpy, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    code += "runpy.run_module('dptn_cli', run_name='__main__')"
    arguments = ["transfer", "--pairs", folder.pairs, "--model", folder.model, "-o", folder.out]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    wait_for_lines(folder, 20, process)
    os.close(master)  # the system sends SIGHUP, and nothing can be printed any more
    assert process.wait(timeout=60) == 130
    run = json.loads((folder.out / "run.json").read_text())
    assert run["state"] == "interrupted"
    assert {line["output"] for line in folder.manifest()} == set(folder.results())


def test_two_at_once_on_one_folder(tmp_path: Path, tiny_model: Path) -> None:
    folder = many(tmp_path, tiny_model, 400)
    process = start(folder)
    wait_for_lines(folder, 1, process)
    result = folder.transfer()
    process.kill()
    process.communicate()
    assert result.exit_code == 2
    assert "another `dptn transfer` is writing there" in result.stderr


def peak_memory_kb(folder: Folder) -> int:
    code = (
        "import resource, sys\n"
        "from dptn_cli.cli import app\n"
        "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "transfer", "-q", "--pairs", str(folder.pairs),
         "--model", str(folder.model), "-o", str(folder.out)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_job(tmp_path: Path, tiny_model: Path) -> None:
    small = peak_memory_kb(many(tmp_path / "small", tiny_model, 100))
    large = peak_memory_kb(many(tmp_path / "large", tiny_model, 3000))
    assert large < small * 1.1


def test_a_file_size_limit_fails_items_and_leaves_no_halves(tmp_path: Path, folder: Folder) -> None:
    """The system's own refusal in the middle of writing, like a full disk's."""
    largest = sorted(len(content) for content in self_made(folder, tmp_path).values())[6]

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    arguments = command(
        "transfer", "--pairs", folder.pairs, "--model", folder.model, "-o", folder.out
    )
    done = subprocess.run(arguments, capture_output=True, text=True, preexec_fn=limit)  # noqa: PLW1509
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert 0 < len(folder.results()) < 12
    assert not [p for p in folder.out.rglob("*") if p.name.startswith(".")]
    counts = json.loads(folder.transfer("--json").stdout)["counts"]
    assert counts["done"] + counts["skipped"] == 12


def self_made(folder: Folder, tmp_path: Path) -> dict[str, bytes]:
    other = Folder(folder.path, folder.model)
    other.transfer("-o", tmp_path / "other")
    return {p.name: p.read_bytes() for p in images(tmp_path / "other")}


def test_the_module_and_the_command_are_one(folder: Folder) -> None:
    done = subprocess.run(command("--version"), capture_output=True, text=True, check=True)
    assert done.stdout.startswith("dptn ")
    assert os.linesep in done.stdout
