"""What a report says of how its results were made, and what it does not average."""

import json
from pathlib import Path
from typing import Any

import pytest
from evaluation_folders import Scene, make_scene
from evaluation_folders import without_weights as without_weights
from PIL import Image
from support import Folder, dptn, write_pairs


@pytest.fixture
def scene(tmp_path: Path, without_weights: Path) -> Scene:
    return make_scene(tmp_path, pairs=4)


def rewrite(scene: Scene, **changes: Any) -> None:
    """Change the lines of the first two results in the manifest."""
    path = scene.results / "manifest.jsonl"
    lines = [json.loads(line) for line in path.open()]
    for line in lines[:2]:
        line |= changes
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def evaluate(scene: Scene, tmp_path: Path, *more: object) -> Any:
    return dptn("evaluate", scene.results, "--truth", scene.truth, "-o", tmp_path / "report", *more)


def test_two_models_are_not_averaged(scene: Scene, tmp_path: Path) -> None:
    path = scene.results / "manifest.jsonl"
    lines = [json.loads(line) | {"model": "a" * 64} for line in path.open()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rewrite(scene, model="b" * 64)
    result = evaluate(scene, tmp_path)
    assert result.exit_code == 2
    assert "images of more than one model: bbbbbbbb (2), aaaaaaaa (2)" in result.stderr
    assert "--split-by model" in result.stderr
    result = evaluate(scene, tmp_path, "--split-by", "model", "--json")
    assert result.exit_code == 0, result.stderr
    runs = json.loads(result.stdout)["runs"]
    assert [run["provenance"]["part"] for run in runs] == ["a" * 64, "b" * 64]
    assert [run["counts"]["pairs"] for run in runs] == [2, 2]


def test_a_list_hides_neither_models_nor_failures(scene: Scene, tmp_path: Path) -> None:
    path = scene.results / "manifest.jsonl"
    lines = [json.loads(line) | {"model": "a" * 64} for line in path.open()]
    lines[0]["model"] = "b" * 64
    lines[1] |= {"status": "failed", "reason": "torn"}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = [(line["source"], line["target"], line["output"]) for line in lines]
    listed = ("--pairs", write_pairs(tmp_path / "pairs.csv", rows, header="from,to,out"))
    result = evaluate(scene, tmp_path, *listed)
    assert result.exit_code == 2
    assert "images of more than one model: " in result.stderr
    result = evaluate(scene, tmp_path, *listed, "--split-by", "model", "--json")
    runs = json.loads(result.stdout)["runs"]
    assert [run["counts"]["pairs"] for run in runs] == [2, 1]
    assert [len(run["failed"]) for run in runs] == [1, 0]


def test_parts_are_of_what_is_scored(folder: Folder, tmp_path: Path) -> None:
    """A model whose results only an earlier list has is no part."""
    folder.transfer()
    path = folder.out / "manifest.jsonl"
    lines = [json.loads(line) for line in path.open()]
    for line in lines[2:]:
        line["model"] = "b" * 64
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    keep = [(line["source"], line["target"]) for line in lines[:2]]
    write_pairs(folder.pairs, keep)
    folder.transfer()
    result = dptn(
        "evaluate", folder.out, "-o", tmp_path / "report", "--json", "--split-by", "model"
    )
    assert json.loads(result.stdout)["counts"]["pairs"] == 2


def test_two_formats_are_not_averaged(scene: Scene, tmp_path: Path) -> None:
    first = min(scene.results.glob("*.png"))
    Image.open(first).save(first.with_suffix(".jpg"))
    first.unlink()
    (scene.results / "manifest.jsonl").unlink()
    result = evaluate(scene, tmp_path)
    assert result.exit_code == 2
    assert "images of more than one format: " in result.stderr
    result = evaluate(scene, tmp_path, "--split-by", "format", "--json")
    runs = json.loads(result.stdout)["runs"]
    assert [run["formats"] for run in runs] == [{"jpg": 1}, {"png": 3}]


def test_a_transfer_is_told_as_it_was_made(folder: Folder, tmp_path: Path) -> None:
    folder.transfer("--format", "jpg")
    result = dptn("evaluate", folder.out, "-o", tmp_path / "report", "--json")
    document = json.loads(result.stdout)
    run = json.loads((folder.out / "run.json").read_text())
    made = document["provenance"]
    assert made["model"]["sha256"] == run["model"]["sha256"]
    assert made["model"]["precision"] == "fp32"
    assert (made["run"]["provider"], made["run"]["fit"]) == ("cpu", "auto")
    assert made["made_of"]["pairs_sha256"] == run["request"]["pairs_sha256"]
    assert made["versions"]["onnxruntime"] == run["versions"]["onnxruntime"]
    assert document["n"]["standard.psnr"] == 12
    page = (tmp_path / "report" / "report.html").read_text()
    assert "How the results were made" in page
    assert run["model"]["sha256"] in page


def test_results_of_an_earlier_list_are_not_scored(folder: Folder, tmp_path: Path) -> None:
    folder.transfer()
    write_pairs(folder.pairs, [("0.png", "1.png"), ("1.png", "0.png")])
    folder.transfer()
    result = dptn("evaluate", folder.out, "-o", tmp_path / "report", "--json")
    document = json.loads(result.stdout)
    assert document["counts"]["pairs"] == 2
    assert "10 results of earlier lists are not scored: --all-lists adds them" in document["notes"]
    result = dptn("evaluate", folder.out, "-o", tmp_path / "report", "--json", "--all-lists")
    assert json.loads(result.stdout)["counts"]["pairs"] == 12


def test_a_strangers_run_json_harms_nothing(scene: Scene, tmp_path: Path) -> None:
    hostile = {
        "state": ["x"] * 1000, "fit": "\ud800", "model": {"sha256": {"a": 1}, "path": "<script>"},
        "request": "no object", "versions": {"<b>": 1e999, "x": "y" * 10_000},
    }  # fmt: skip
    (scene.results / "run.json").write_text(json.dumps(hostile))
    result = evaluate(scene, tmp_path)
    assert result.exit_code == 0, result.stderr
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<script>" not in page.split("<h1>")[1].split("<script>\n")[0]
    assert len(page) < 2_000_000


def test_if_nothing_can_be_scored_the_exit_code_says_so(scene: Scene, tmp_path: Path) -> None:
    for path in scene.truth.iterdir():
        path.write_bytes(b"no image")
    result = evaluate(scene, tmp_path)
    assert result.exit_code == 2
    assert "nothing could be scored" in result.stderr
