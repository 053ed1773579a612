"""From folders to a report: pairing, counts, scores, and the messages about bad input."""

import contextlib
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluation_folders import FASHION, MARKET, Scene, fake_features, image, make_scene, similar
from evaluation_folders import with_weights as with_weights
from evaluation_folders import without_weights as without_weights
from PIL import Image

from dptn_cli.enums import Dataset, Protocol
from dptn_cli.errors import InputError, MissingDependency
from dptn_cli.evaluate.compare import compare
from dptn_cli.evaluate.folders import evaluate_folders
from dptn_cli.evaluate.networks import Networks, load_networks
from dptn_cli.evaluate.plan import EvalRequest, Plan, make_plan, without_broken
from dptn_cli.evaluate.progress import EvalProgress
from dptn_cli.evaluate.run import evaluate
from dptn_cli.evaluate.types import EvalOptions, Report
from dptn_cli.io.images import read_image
from dptn_cli.metrics.pairwise import score_pixels
from dptn_cli.metrics.weights import NETWORKS

OPTIONS = EvalOptions(batch_size=4, workers=1)
NO_NETWORKS = Networks({}, {}, {})


class Recorder(EvalProgress):
    """A progress that records the size of each stage and the numbers done."""

    def __init__(self) -> None:
        self.stages: dict[str, list[int]] = {}

    @contextlib.contextmanager
    def stage(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        done = [total]
        self.stages[label] = done
        yield done.append


def plan_of(scene: Scene, **options: object) -> Plan:
    request = EvalRequest(scene.results, truth=scene.truth)
    return make_plan(replace(request, **options))  # type: ignore[arg-type]


def report_of(scene: Scene, options: EvalOptions = OPTIONS, **request: object) -> Report:
    plan = plan_of(scene, **request)
    return evaluate(plan, load_networks(plan.metrics), options=options)


def reasons(report: Report | Plan) -> dict[str, str]:
    return {missing.metric: missing.reason for missing in report.not_computed}


# Pairing


def test_pairs_come_from_the_manifest(tmp_path: Path, without_weights: Path) -> None:
    scene = make_scene(tmp_path)
    os.rename(scene.results / "a0_2_b0_vis.png", scene.results / "first.png")
    line = {"output": "first.png", "source": "x.png", "target": "b0.png", "status": "skipped"}
    with (scene.results / "manifest.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    pairing = plan_of(scene).pairing
    assert {p.name: p.truth.name for p in pairing.pairs}["first.png"] == "b0.png"
    assert [(u.name, u.reason) for u in pairing.unpaired] == [
        ("a0_2_b0_vis.png", "its image has gone")
    ]


@pytest.mark.parametrize(
    ("result", "truth"),
    [
        ("A_2_B_vis.jpg", "B.jpg"),
        ("A_2_B_vis.png", "B.jpg"),
        ("x_2_y_2_B_vis.jpg", "B.jpg"),
        ("A_2_B_visual_vis.jpg", "B.png"),
        ("fashionMEN_2_W.1_front_vis.jpg", "W.1_front.jpg"),
        ("sub/A_2_B_vis.png", "sub/B.png"),
        ("sub/A_2_B_vis.png", "B.jpg"),
    ],
)
def test_pairs_come_from_the_published_names(result: str, truth: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path / "results", tmp_path / "truth", tmp_path)
    for path in (scene.results / result, scene.truth / truth):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image(1, MARKET)).save(path)
    (pair,) = plan_of(scene, dataset="market").pairing.pairs
    assert (pair.name, pair.truth) == (result, scene.truth / truth)


def test_unpaired_images_and_failed_items_are_reported(
    tmp_path: Path, without_weights: Path
) -> None:
    scene = make_scene(tmp_path)
    (scene.truth / "b1.png").unlink()
    Image.fromarray(image(1, MARKET)).save(scene.results / "stray.png")
    failed = {"output": "z.png", "source": "a", "target": "b", "status": "failed", "reason": "torn"}
    with (scene.results / "manifest.jsonl").open("a") as file:
        file.write(json.dumps(failed) + "\n")
    report = report_of(scene)
    assert {problem.name: problem.reason for problem in report.unpaired} == {
        "a1_2_b1_vis.png": "no true image b1.png",
        "stray.png": "neither in manifest.jsonl nor named like A_2_B_vis",
    }
    assert {problem.name: problem.reason for problem in report.failed} == {
        "z.png": "not made: torn"
    }
    assert len(report.table.pairs) == 3


def test_a_failed_item_is_not_scored_by_the_image_of_an_earlier_run(
    tmp_path: Path, without_weights: Path
) -> None:
    scene = make_scene(tmp_path)
    lines = [
        {"output": "a0_2_b0_vis.png", "status": "failed", "reason": "torn"},
        {"output": "a1_2_b1_vis.png", "status": "failed", "reason": "torn"},
        {"output": "a1_2_b1_vis.png", "source": "a1.png", "target": "b1.png", "status": "skipped"},
    ]
    with (scene.results / "manifest.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    report = report_of(scene)
    assert [pair.name[:2] for pair in report.table.pairs] == ["a1", "a2", "a3"]
    assert {problem.name: problem.reason for problem in report.failed} == {
        "a0_2_b0_vis.png": "not made: torn; the image there is of an earlier run"
    }
    assert plan_of(scene, reference=scene.reference).generated.names == (
        *("a1_2_b1_vis.png", "a2_2_b2_vis.png", "a3_2_b3_vis.png"),
    )


def test_a_run_whose_every_item_failed_says_so(tmp_path: Path) -> None:
    scene = make_scene(tmp_path, pairs=2)
    with (scene.results / "manifest.jsonl").open("a") as file:
        for index in range(2):
            line = {"output": f"a{index}_2_b{index}_vis.png", "status": "failed", "reason": "torn"}
            file.write(json.dumps(line) + "\n")
    with pytest.raises(InputError, match="every item failed: a0_2_b0_vis.png: not made: torn"):
        plan_of(scene)


def test_a_manifest_cannot_name_files_outside_the_truth(tmp_path: Path) -> None:
    scene = make_scene(tmp_path, pairs=2)
    Image.fromarray(image(1, MARKET)).save(tmp_path / "secret.png")
    line = {"output": "a0_2_b0_vis.png", "source": "a", "target": "../secret.png"}
    with (scene.results / "manifest.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    assert [problem.name for problem in plan_of(scene).pairing.unpaired] == ["a0_2_b0_vis.png"]


def test_run_json_names_the_truth_and_the_data_set(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    run = {"model": {"dataset": "fashion"}, "target_folders": [str(scene.truth)]}
    (scene.results / "run.json").write_text(json.dumps(run))
    plan = plan_of(scene, truth=None)
    assert len(plan.pairing.pairs) == 4
    assert plan.dataset == "fashion"
    assert plan_of(scene, dataset="market").dataset == "market"


@pytest.mark.parametrize("run", ["", "[]", "{", '{"model": 3}', '{"model": {"dataset": "own"}}'])
def test_the_paper_protocol_needs_to_know_the_data_set(
    run: str, tmp_path: Path, without_weights: Path
) -> None:
    scene = make_scene(tmp_path)
    (scene.results / "run.json").write_text(run)
    report = report_of(scene)
    assert not any(name.startswith("paper.") for name in report.scores)
    assert "--dataset fashion" in reasons(report)["paper.ssim"]
    assert math.isfinite(report.scores["standard.ssim"])


# Numbers


def test_the_means_are_of_every_pair(tmp_path: Path, without_weights: Path) -> None:
    report = report_of(make_scene(tmp_path, dataset="market"))
    each = [
        score_pixels(
            similar(image(i, MARKET), i), image(i, MARKET), tuple(Protocol), Dataset.MARKET
        )
        for i in range(4)
    ]
    for name, value in report.scores.items():
        assert value == pytest.approx(np.mean([scores.values[name] for scores in each]), abs=1e-12)
    low, high = (report.intervals["paper.ssim"].low, report.intervals["paper.ssim"].high)
    assert low < report.scores["paper.ssim"] < high


def test_every_metric_has_a_score_with_weights(tmp_path: Path, with_weights: Path) -> None:
    """The scores of a full run do not depend on batches, order and number of workers."""
    scene = make_scene(tmp_path, pairs=2, references=2)
    report = report_of(scene, reference=scene.reference)
    assert not report.not_computed
    assert all(math.isfinite(value) for value in report.scores.values())
    assert report.scores["paper.lpips"] == report.scores["standard.lpips_alex"]
    assert report.scores["paper.fid"] != pytest.approx(report.scores["standard.fid"], rel=0.01)
    assert report.reference == 2

    renamed = make_scene(tmp_path / "other", pairs=2, manifest=False)
    for index in range(2):  # The same pairs, sorted the other way round.
        old = renamed.results / f"a{index}_2_b{index}_vis.png"
        old.rename(renamed.results / f"{9 - index}_2_b{index}_vis.png")
    paper = (Protocol.PAPER,)
    again = report_of(renamed, EvalOptions(1, 3), reference=scene.reference, protocols=paper)
    assert len(again.scores) == 7
    for name, value in again.scores.items():
        assert report.scores[name] == pytest.approx(value, rel=1e-5, abs=1e-6), name


def test_pixel_metrics_do_not_depend_on_workers_or_order(
    tmp_path: Path, without_weights: Path
) -> None:
    scene = make_scene(tmp_path, pairs=110, size=(32, 16))
    alone = report_of(scene, EvalOptions(1, 1))
    together = report_of(scene, EvalOptions(7, 2))
    assert alone.scores == together.scores
    for name, values in alone.table.values.items():
        np.testing.assert_array_equal(values, together.table.values[name])


def test_every_stage_reports_every_image(tmp_path: Path, without_weights: Path) -> None:
    progress = Recorder()
    evaluate(plan_of(make_scene(tmp_path)), NO_NETWORKS, options=OPTIONS, progress=progress)
    for total, *done in progress.stages.values():
        assert total == sum(done)


def test_identical_images_give_no_nan_and_say_so(tmp_path: Path, without_weights: Path) -> None:
    scene = make_scene(tmp_path)
    for index in range(4):
        name = f"a{index}_2_b{index}_vis.png"
        shutil.copy(scene.truth / f"b{index}.png", scene.results / name)
    report = report_of(scene)
    assert "paper.psnr" not in report.scores
    assert "identical" in reasons(report)["paper.psnr"]
    assert report.scores["paper.ssim"] == pytest.approx(1)
    shutil.copy(scene.truth / "b0.png", scene.results / "a1_2_b1_vis.png")
    report = report_of(scene)
    assert math.isfinite(report.scores["paper.psnr"])
    assert any("3 of 4 pairs" in note and "paper.psnr" in note for note in report.notes)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_memory_does_not_grow_with_the_images(tmp_path: Path, without_weights: Path) -> None:
    """The process needs no more memory after 4,000 small pairs than after 1,000."""
    scene = make_scene(tmp_path, pairs=4, size=(40, 40), manifest=False)
    for index in range(4, 4000):
        image_path = scene.results / f"a{index % 4}_2_b{index % 4}_vis.png"
        os.link(image_path, scene.results / f"a{index}_2_b{index % 4}_vis.png")
    progress = MemoryRecorder()
    plan = plan_of(scene, protocols=(Protocol.STANDARD,))
    report = evaluate(plan, NO_NETWORKS, options=OPTIONS, progress=progress)
    assert len(report.table.pairs) == len(progress.memory_bytes) == 4000
    images = 3000 * 2 * 40 * 40 * 3
    assert max(progress.memory_bytes) - max(progress.memory_bytes[:1000]) < images / 6


class MemoryRecorder(Recorder):
    """A progress that records the memory of the process at every pair."""

    def __init__(self) -> None:
        super().__init__()
        self.memory_bytes: list[int] = []

    @contextlib.contextmanager
    def stage(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        pages = Path("/proc/self/statm")
        yield lambda _: self.memory_bytes.append(int(pages.read_text().split()[1]) * 4096)


# Bad input


def test_a_corrupt_image_fails_its_pair_and_no_other(tmp_path: Path, without_weights: Path) -> None:
    scene = make_scene(tmp_path)
    data = (scene.results / "a1_2_b1_vis.png").read_bytes()
    (scene.results / "a1_2_b1_vis.png").write_bytes(data[: len(data) // 2])
    (scene.truth / "b2.png").write_bytes(b"")
    Image.fromarray(image(3, (100, 64))).save(scene.truth / "b3.png")
    report = report_of(scene)
    failures = {problem.name: problem.reason for problem in report.failed}
    assert failures.keys() == {"a1_2_b1_vis.png", "a2_2_b2_vis.png", "a3_2_b3_vis.png"}
    assert "cannot be decoded" in failures["a1_2_b1_vis.png"]
    assert "empty" in failures["a2_2_b2_vis.png"]
    assert failures["a3_2_b3_vis.png"] == "the generated image is 128x64, the true one 100x64"
    assert len(report.table.pairs) == 1


def test_without_a_readable_pair_there_is_no_score(tmp_path: Path, without_weights: Path) -> None:
    scene = make_scene(tmp_path, pairs=2)
    for path in scene.truth.iterdir():
        path.write_bytes(b"no image")
    report = report_of(scene)
    assert report.scores == {}
    assert reasons(report)["standard.psnr"] == "no pair could be scored"


def test_statistics_stand_for_the_real_images(tmp_path: Path, with_weights: Path) -> None:
    """The FID is that of the images; what needs the images themselves is said."""
    scene = make_scene(tmp_path, pairs=3, references=5)
    networks = Networks({}, {"inception_tensorflow": fake_features}, {})

    def score(reference: Path) -> Report:
        plan = plan_of(scene, reference=reference, protocols=(Protocol.STANDARD,))
        plan = without_broken(plan, {"alex": "not needed here", "vgg": "not needed here"})
        return evaluate(plan, networks, options=OPTIONS, progress=Recorder())

    images = np.stack([read_image(path) for path in sorted(scene.reference.iterdir())])
    features = fake_features(images).astype(np.float64)
    path = tmp_path / "real.npz"
    np.savez(path, mu=features.mean(axis=0), sigma=np.cov(features, rowvar=False))
    of_images, of_statistics = score(scene.reference), score(path)
    assert of_statistics.scores["standard.fid"] == pytest.approx(
        of_images.scores["standard.fid"], rel=1e-6
    )
    assert "standard.kid" in of_images.scores
    assert reasons(of_statistics)["standard.kid"].startswith("statistics hold the standard FID")
    for content in (b"", b"no archive", path.read_bytes()[:-200]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not the statistics of a real set"):
            score(path)
    np.savez(path, mu=np.zeros(3), sigma=np.full((3, 3), np.nan))
    with pytest.raises(InputError, match="not the statistics of a real set"):
        score(path)


def test_corrupt_images_leave_too_few_for_fid(tmp_path: Path, with_weights: Path) -> None:
    scene = make_scene(tmp_path, pairs=1, references=2)
    Image.fromarray(image(5, MARKET)).save(scene.results / "stray.png")
    (scene.results / "stray.png").write_bytes(b"")
    plan = without_broken(
        plan_of(scene, reference=scene.reference, protocols=(Protocol.STANDARD,)),
        {"alex": "not needed here", "vgg": "not needed here"},
    )
    networks = Networks({}, {"inception_tensorflow": fake_features}, {})
    report = evaluate(plan, networks, options=OPTIONS, progress=Recorder())
    assert reasons(report)["standard.fid"] == "fewer than two images of the results could be read"
    assert [problem.name for problem in report.failed] == ["stray.png"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("no folder", "no such folder"),
        ("empty", "no image in this folder"),
        ("no names", "nothing says which true image belongs to which"),
        ("no truth", "holds none of the true images"),
        ("no truth folder", "no such folder of true images"),
        ("no truth named", "Add --truth"),
        ("empty reference", "no image in this folder"),
    ],
)
def test_unusable_input_is_reported_in_one_line(spoil: str, message: str, tmp_path: Path) -> None:
    scene = make_scene(tmp_path, manifest=spoil != "no names")
    options: dict[str, object] = {}
    if spoil == "no folder":
        shutil.rmtree(scene.results)
    elif spoil == "empty":
        for path in scene.results.glob("*.png"):
            path.unlink()
    elif spoil == "no names":
        for index, path in enumerate(sorted(scene.results.glob("*.png"))):
            path.rename(scene.results / f"{index}.png")
    elif spoil == "no truth":
        for path in scene.truth.iterdir():
            path.unlink()
    elif spoil == "no truth folder":
        options["truth"] = tmp_path / "elsewhere"
    elif spoil == "no truth named":
        options["truth"] = None
    elif spoil == "empty reference":
        shutil.rmtree(scene.reference)
        scene.reference.mkdir()
        options["reference"] = scene.reference
    with pytest.raises(InputError, match=message) as caught:
        plan_of(scene, **options)
    assert "\n" not in str(caught.value)


def test_fewer_than_two_images_have_no_fid(tmp_path: Path, with_weights: Path) -> None:
    scene = make_scene(tmp_path, references=1)
    missing = reasons(plan_of(scene, reference=scene.reference))
    assert missing.keys() == {"paper.fid", "standard.fid", "standard.kid"}
    assert "needs two" in missing["paper.fid"]


def test_without_weights_the_others_are_computed(tmp_path: Path, without_weights: Path) -> None:
    scene = make_scene(tmp_path)
    plan = plan_of(scene, reference=scene.reference)
    missing = reasons(plan)
    assert "alexnet-owt-7be5be79.pth" in missing["paper.lpips"]
    assert "inception_v3_google-0cc3c7bd.pth" in missing["paper.fid"]
    assert "weights-inception-2015-12-05-6726825d.pth" in missing["standard.kid"]
    assert str(without_weights) in missing["paper.lpips"]
    assert "paper.ssim" in {metric.id for metric in plan.metrics}


def test_a_required_metric_that_cannot_be_computed_stops_everything(
    tmp_path: Path, without_weights: Path
) -> None:
    scene = make_scene(tmp_path)
    with pytest.raises(InputError, match=r"paper\.lpips is required: the weights alexnet"):
        plan_of(scene, require=("lpips",))
    with pytest.raises(InputError, match="required metrics") as caught:
        plan_of(scene, require=("fid",))
    assert len(caught.value.problems) == 2
    assert plan_of(scene, require=("ssim", "paper.psnr")).required == {
        "paper.ssim",
        "standard.ssim",
        "paper.psnr",
    }
    with pytest.raises(InputError, match="no metric is called 'ssmi'"):
        plan_of(scene, require=("ssmi",))
    with pytest.raises(InputError, match="not in the protocol"):
        plan_of(scene, require=("kid",), protocols=(Protocol.PAPER,))


def test_drop_last_is_the_published_dropping(tmp_path: Path, with_weights: Path) -> None:
    scene = make_scene(tmp_path, pairs=130, references=70, size=(16, 16))
    plan = plan_of(scene, reference=scene.reference, drop_last=True)
    generated, reference = plan.feature_sets(Protocol.PAPER)
    assert (len(generated.names), len(reference.names)) == (128, 64)
    assert list(generated.names) == sorted(plan.generated.names)[:128]
    assert [len(images.names) for images in plan.feature_sets(Protocol.STANDARD)] == [130, 70]
    few = plan_of(
        make_scene(tmp_path / "few", pairs=7, references=30),
        reference=scene.reference,
        drop_last=True,
    )
    assert [len(images.names) for images in few.feature_sets(Protocol.PAPER)] == [7, 70]


# Several runs


def test_folders_are_evaluated_in_one_call(tmp_path: Path, without_weights: Path) -> None:
    class PlanRecorder(EvalProgress):
        def planned(self, plans: Sequence[Plan]) -> None:
            recorded.extend(plans)

    recorded: list[Plan] = []
    scenes = [make_scene(tmp_path / name) for name in ("a", "b")]
    (scenes[1].truth / "b3.png").write_bytes(b"torn")
    requests = [EvalRequest(scene.results, scene.truth) for scene in scenes]
    comparison = evaluate_folders(requests, OPTIONS, progress=PlanRecorder())
    assert [plan.request for plan in recorded] == requests
    assert [reasons(plan).keys() for plan in recorded] == [
        reasons(report).keys() for report in comparison.reports
    ]
    assert [report.is_complete for report in comparison.reports] == [True, False]
    assert not comparison.is_complete
    (difference,) = comparison.differences
    assert difference.common == 3
    (alone,) = evaluate_folders(requests[:1]).reports  # Default options, no progress.
    assert alone.scores == comparison.reports[0].scores


def test_missing_weights_are_downloaded_first(
    tmp_path: Path, without_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class UrlRecorder(EvalProgress):
        def downloading(self, url: str) -> None:
            announced.append(url)

    announced: list[str] = []
    downloaded: list[str] = []
    monkeypatch.setattr(
        "dptn_cli.evaluate.folders.download", lambda weights: downloaded.append(weights.url)
    )
    scene = make_scene(tmp_path)
    options = replace(OPTIONS, download_weights=True)
    request = EvalRequest(scene.results, scene.truth, protocols=(Protocol.PAPER,))
    evaluate_folders([request], options, progress=UrlRecorder())
    assert announced == downloaded == [NETWORKS["alex"].weights.url]
    evaluate_folders([replace(request, reference=scene.reference)], options)
    assert downloaded[1:] == [
        NETWORKS[network].weights.url for network in ("alex", "inception_published")
    ]


def test_a_required_metric_without_a_score_makes_a_report_incomplete(
    tmp_path: Path, without_weights: Path
) -> None:
    scene = make_scene(tmp_path)
    for index in range(4):
        shutil.copy(scene.truth / f"b{index}.png", scene.results / f"a{index}_2_b{index}_vis.png")
    assert report_of(scene).is_complete
    report = report_of(scene, require=("paper.psnr",))
    assert not report.failed
    assert not report.is_complete


def test_without_scikit_image_one_line_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "dptn_cli.evaluate.run")
    for name in ("dptn_cli.evaluate.pixels", "dptn_cli.metrics.pairwise", "dptn_cli.metrics.ssim"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(MissingDependency, match=r"needs skimage.*pip install 'dptn-cli\[metrics"):
        evaluate_folders([EvalRequest(tmp_path)])


def test_runs_are_compared_over_the_pairs_they_share(tmp_path: Path, without_weights: Path) -> None:
    first, second = make_scene(tmp_path / "a", pairs=6), make_scene(tmp_path / "b", pairs=8)
    for index in range(8):  # Closer to the truth than those of the first run.
        true = image(index, MARKET)
        better = (0.8 * true + 0.2 * similar(true, index)).astype(np.uint8)
        Image.fromarray(better).save(second.results / f"a{index}_2_b{index}_vis.png")
    comparison = compare([report_of(first), report_of(second)])
    (difference,) = comparison.differences
    assert difference.common == 6
    a, b = (report.table.values["paper.psnr"] for report in comparison.reports)
    gap = difference.by_metric["paper.psnr"]
    assert gap.mean == pytest.approx(np.mean(b[:6] - a), abs=1e-12)
    assert 0 < gap.low < gap.mean < gap.high
    assert len({report.run for report in comparison.reports}) == 2


def test_runs_on_different_data_sets_are_compared_by_the_standard_protocol_only(
    tmp_path: Path, without_weights: Path
) -> None:
    """Fashion is scored on its canvas and market is not, so the gap would be the canvas."""
    scene = make_scene(tmp_path, size=FASHION)
    fashion, market = (report_of(scene, dataset=dataset) for dataset in Dataset)
    assert fashion.scores["paper.psnr"] > market.scores["paper.psnr"] + 1.6
    (difference,) = compare([fashion, market]).differences
    assert difference.by_metric.keys() == {"standard.ssim", "standard.psnr"}


def test_a_run_does_not_differ_from_itself(tmp_path: Path, without_weights: Path) -> None:
    report = report_of(make_scene(tmp_path))
    (difference,) = compare([report, report]).differences
    assert {(i.mean, i.low, i.high) for i in difference.by_metric.values()} == {(0, 0, 0)}


def test_heic_images_that_cannot_be_read_are_no_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A score of the rest of them would be a score of another set."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    scene = make_scene(tmp_path, pairs=1, references=2)
    (scene.reference / "a.HEIC").write_bytes(b"?" * 40)
    with pytest.raises(InputError, match=r"HEIC images cannot be read \(1\): pip install"):
        plan_of(scene, reference=scene.reference)
