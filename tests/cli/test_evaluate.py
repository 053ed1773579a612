"""`dptn evaluate` as users see it: exit codes, messages, files and tables."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from evaluation_folders import FASHION, MARKET, Scene, evaluate, make_scene
from evaluation_folders import without_weights as without_weights
from support import Folder

from dptn_cli.metrics.published import published_table

pytestmark = pytest.mark.usefixtures("without_weights")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene(tmp_path)


def test_a_run_gives_the_tables_and_the_files(scene: Scene) -> None:
    result = scene.evaluate()
    assert result.exit_code == 0, result.stderr
    for row in published_table():
        assert row.model in result.stdout
    assert "14.5207" in result.stdout
    assert "DeepFashion" not in result.stdout
    assert "19.1492" not in result.stdout
    assert {path.name for path in scene.report.iterdir()} == {
        "report.json",
        "pairs.csv",
        "report.html",
    }
    rows = (scene.report / "pairs.csv").read_text().splitlines()
    assert rows[0].startswith("generated,truth,paper.ssim,")
    assert len(rows) == 5


@pytest.mark.parametrize(
    ("trained_on", "options", "title"),
    [
        ("fashion", (), "Published on DeepFashion,"),
        ("market", (), "Published on Market-1501,"),
        (None, ("--dataset", "fashion"), "Published on DeepFashion,"),
        (None, (), None),
        ("figures", (), None),
        ("figures", ("--dataset", "fashion"), None),
        ("fashion", ("--dataset", "market"), None),
    ],
)
def test_the_published_table_is_that_of_the_results(
    tmp_path: Path, trained_on: str | None, options: tuple[str, ...], title: str | None
) -> None:
    size = FASHION if "fashion" in (trained_on, *options) else MARKET
    scene = make_scene(tmp_path, pairs=2, size=size, dataset=trained_on)
    result = scene.evaluate(*options)
    assert result.exit_code == 0, result.stderr
    titles = [
        line.rstrip() for line in result.stdout.splitlines() if line.startswith("Published on ")
    ]
    assert titles == ([f"{title} paper protocol"] if title else [])
    page = (scene.report / "report.html").read_text()
    assert page.count('<table id="published">') == len(titles)
    assert ("XingGAN" in page) == ("XingGAN" in result.stdout) == bool(title)
    assert bool(scene.document()["published"]) == bool(title)
    if trained_on and options:
        why = f"the model was trained on {trained_on}, not {options[1]}"
        assert why in " ".join(result.stdout.split())


def test_the_name_of_a_run_does_not_control_the_terminal(scene: Scene) -> None:
    results = scene.results.rename(scene.results.with_name("\x1b[31mred\n\u202etxt"))
    for options in ((), ("--format", "latex"), ("--format", "markdown")):
        result = evaluate(results, "--truth", scene.truth, "-o", scene.report, *options)
        assert result.exit_code == 0, result.stderr
        assert "\ufffd[31mred\ufffd\ufffdtxt" in result.stdout
        assert not {"\x1b", "\u202e"} & set(result.stdout)


def test_differences_are_judged_in_the_direction_of_the_metric(scene: Scene) -> None:
    stdout = scene.evaluate("--protocol", "paper").stdout
    assert "worse" in stdout or "better" in stdout
    psnr = scene.document()["protocols"]["paper"]["psnr"]  # type: ignore[index]
    word = "better" if psnr > 14.5207 else "worse"
    assert f"{psnr - 14.5207:+.4f} {word}" in stdout


def test_json_is_the_report_and_nothing_else_is_on_stdout(scene: Scene) -> None:
    result = scene.evaluate("--json")
    document = json.loads(result.stdout)
    assert document == scene.document()
    assert document["counts"] == {"pairs": 4, "unpaired": 0, "failed": 0, "real": 0}
    assert set(document["protocols"]) == {"paper", "standard"}
    assert set(document["protocols"]["paper"]) == {"ssim", "ssim_win51", "psnr", "l1", "mae"}
    assert set(document["protocols"]["standard"]) == {"ssim", "psnr"}
    missing = {entry["metric"] for entry in document["not_computed"]}
    assert missing == {
        *(f"paper.{name}" for name in ("lpips", "fid")),
        *(f"standard.{name}" for name in ("lpips_alex", "lpips_vgg", "fid", "kid")),
    }
    assert "scikit-image" in document["versions"]


def test_missing_weights_are_named_with_their_folder_and_the_rest_is_computed(
    scene: Scene, without_weights: Path
) -> None:
    result = scene.evaluate("--real", scene.reference)
    assert result.exit_code == 0
    for name in ("alexnet-owt", "vgg16", "inception_v3_google", "weights-inception"):
        assert name in result.stderr
    assert str(without_weights) in result.stderr


def test_a_required_metric_without_weights_stops_before_any_work(scene: Scene) -> None:
    result = scene.evaluate("--require", "paper.lpips")
    assert result.exit_code == 2
    assert "alexnet-owt-7be5be79.pth" in result.stderr
    assert not scene.report.exists()


def test_broken_weights_are_reported_before_any_work(scene: Scene, without_weights: Path) -> None:
    without_weights.mkdir(parents=True)
    (without_weights / "alexnet-owt-7be5be79.pth").write_bytes(b"<html>not found</html>")
    result = scene.evaluate()
    assert result.exit_code == 0
    (line,) = (line for line in result.stderr.splitlines() if "not the weights" in line)
    assert "Not computed: paper.lpips, standard.lpips_alex: " in line
    reasons = {n["metric"]: n["reason"] for n in scene.document()["not_computed"]}  # type: ignore[attr-defined]
    assert "not the weights" in reasons["paper.lpips"]
    (scene.report / "report.json").unlink()
    required = scene.evaluate("--require", "paper.lpips")
    assert required.exit_code == 2
    assert "paper.lpips is required" in required.stderr
    assert len(required.stderr.strip().splitlines()) == 1
    assert not (scene.report / "report.json").exists()


def test_a_report_that_cannot_be_written_is_reported_before_any_work(scene: Scene) -> None:
    scene.report.write_text("a file")
    result = scene.evaluate()
    assert result.exit_code == 2
    assert "is a file" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_item_that_failed_counts_as_failed(scene: Scene) -> None:
    line = {"output": "a9_2_b9_vis.png", "status": "failed", "reason": "torn"}
    with (scene.results / "manifest.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    result = scene.evaluate()
    assert result.exit_code == 1
    assert "a9_2_b9_vis.png: not made: torn" in result.stderr
    assert scene.document()["counts"] == {"pairs": 4, "unpaired": 0, "failed": 1, "real": 0}


def test_a_corrupt_image_gives_exit_code_one_and_the_rest_is_scored(scene: Scene) -> None:
    (scene.truth / "b2.png").write_bytes(b"torn")
    result = scene.evaluate()
    assert result.exit_code == 1
    assert "a2_2_b2_vis.png" in result.stderr
    assert scene.document()["counts"] == {"pairs": 3, "unpaired": 0, "failed": 1, "real": 0}


def test_unpaired_images_are_listed(scene: Scene) -> None:
    (scene.truth / "b2.png").unlink()
    result = scene.evaluate()
    assert result.exit_code == 0
    assert "1 unpaired" in result.stderr
    assert "no true image b2.png" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "no such folder"),
        (("{results}", "--truth", "nowhere"), "no such folder of true images"),
        (("{results}",), "Add --truth"),
        (("{results}", "--truth", "{truth}", "--require", "beauty"), "no metric is called"),
        (("{results}", "--truth", "{truth}", "--json", "--format", "latex"), "not both"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: tuple[str, ...], message: str, scene: Scene, tmp_path: Path
) -> None:
    filled = [word.format(results=scene.results, truth=scene.truth) for word in arguments]
    result = evaluate(*filled, "-o", tmp_path / "report")
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "report").exists()


def test_quiet_prints_nothing_on_stderr(scene: Scene) -> None:
    result = scene.evaluate("-q")
    assert result.stderr == ""
    assert "ssim" in result.stdout


def test_a_markdown_and_a_latex_row(scene: Scene) -> None:
    lines = scene.evaluate("--format", "markdown").stdout.splitlines()
    psnr = scene.document()["protocols"]["paper"]["psnr"]  # type: ignore[index]
    assert lines[0].startswith("| run | paper ssim ↑ |")
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| results |")
    assert f"{psnr:.4f}" in lines[2]
    comment, row = scene.evaluate("--format", "latex").stdout.splitlines()
    assert comment.startswith("% run & paper.ssim &")
    assert row.startswith("results & ")
    assert row.endswith(r" \\")
    assert comment.count("&") == row.count("&")


def test_several_runs_are_shown_side_by_side(scene: Scene, tmp_path: Path) -> None:
    other = make_scene(tmp_path / "second", pairs=3)
    (other.results.rename(tmp_path / "second" / "better"))
    result = evaluate(
        scene.results, tmp_path / "second" / "better", "--truth", scene.truth, "-o", scene.report
    )
    assert result.exit_code == 0, result.stderr
    assert "better minus results, paired, 3 common pairs of 3 and 4" in " ".join(
        result.stdout.split()
    )
    document = scene.document()
    assert [run["run"] for run in document["runs"]] == ["results", "better"]  # type: ignore[attr-defined]
    assert (scene.report / "pairs.csv").read_text().splitlines()[0].startswith("run,generated,")


def test_results_of_a_transfer_need_only_their_folder(folder: Folder, tmp_path: Path) -> None:
    """The manifest gives the pairs, and run.json the folder of the true images."""
    assert folder.transfer().exit_code == 0
    result = evaluate(folder.out, "-o", tmp_path / "report")
    assert result.exit_code == 0, result.stderr
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    assert document["counts"]["pairs"] == 12
    assert set(document["protocols"]["standard"]) == {"ssim", "psnr"}
    assert "--dataset" in result.stderr  # The model was trained on neither published data set.


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom dptn_cli.cli import app\n"
        "assert CliRunner().invoke(app, ['evaluate', '--help']).exit_code == 0\n"
        "print([m for m in ('torch', 'skimage', 'scipy', 'lpips', 'onnxruntime') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_pair_list_in_the_folder_for_the_report_stays(scene: Scene) -> None:
    scene.report.mkdir()
    (scene.report / "pairs.csv").write_text("from,to\na.png,b.png\n")
    result = scene.evaluate()
    assert result.exit_code == 2
    assert "pairs.csv exists, but dptn evaluate did not write it" in result.stderr
    assert [path.name for path in scene.report.iterdir()] == ["pairs.csv"]


def test_tables_of_many_runs_with_long_names_fit_the_terminal(scene: Scene) -> None:
    runs = [scene.results]
    for number in range(4):
        runs.append(scene.results.with_name(f"run_{number}_with_a_name_of_{'many' * 10}_letters"))
        shutil.copytree(scene.results, runs[-1])
    result = evaluate(*runs, "--truth", scene.truth, "-o", scene.report)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    psnr = f"{scene.document()['runs'][0]['protocols']['paper']['psnr']:.4f}"  # type: ignore[index]
    tables, published = result.stdout.split("Published on Market-1501")
    assert sum(line.split().count(psnr) for line in lines if "paper psnr" in line) == 5
    assert published.count(psnr) == 5
    for number in range(4):
        assert f"run_{number}_with" in tables
        assert f"run_{number}_with" in published
