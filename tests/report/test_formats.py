"""The report as JSON, CSV, Markdown and LaTeX, and the published scores."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dptn_cli.enums import Dataset
from dptn_cli.errors import InputError
from dptn_cli.evaluate.bootstrap import bootstrap, mean_of
from dptn_cli.evaluate.types import Comparison, ImagePair, NotComputed, PairTable, Problem, Report
from dptn_cli.metrics.protocols import BY_ID
from dptn_cli.metrics.published import published_score, published_table
from dptn_cli.report.formats import (
    check_report_folder,
    document,
    latex,
    markdown,
    write_report,
)
from dptn_cli.report.histograms import histogram
from dptn_cli.report.html import page
from dptn_cli.report.tables import Cell, score_table


def report(
    run: str = "my_run", dataset: Dataset | None = Dataset.FASHION, **scores: float
) -> Report:
    values = np.array([1.0, math.nan, math.inf])
    pairs = tuple(ImagePair(f"{i}.png", Path(f"{i}.png"), Path(f"t{i}.png")) for i in range(3))
    return Report(
        run=run,
        results=Path(run),
        dataset=dataset,
        formats={"png": 3},
        scores={f"paper.{name}": value for name, value in scores.items()},
        intervals=bootstrap({"paper.psnr": values}),
        table=PairTable(pairs, {"paper.psnr": values}),
        unpaired=(Problem("x.png", "no true image"),),
        failed=(),
        reference=0,
        not_computed=(NotComputed("paper.fid", "no real set"),),
    )


def test_better_and_worse_follow_the_direction() -> None:
    table = score_table(report(ssim=0.8, psnr=18.0, fid=11.0, l1=0.1))
    cells = {row.label: row.cells[-2:] for row in table.rows if row.cells}
    assert cells["ssim ↑"] == (Cell("0.7782"), Cell("+0.0218 better", style="better"))
    assert cells["psnr ↑"] == (Cell("19.1492"), Cell("-1.1492 worse", style="worse"))
    assert cells["fid ↓"] == (Cell("11.4664"), Cell("-0.4664 better", style="better"))
    assert cells["l1 ↓"] == (Cell(), Cell())


def test_an_equal_score_is_neither_better_nor_worse() -> None:
    (_, row) = score_table(replace(report(ssim=0.7782), not_computed=())).rows
    assert row.cells[-1] == Cell("+0.0000")


def test_the_published_score_is_that_of_the_data_set() -> None:
    assert published_score(BY_ID["paper.psnr"], Dataset.MARKET) == 14.5207
    assert published_score(BY_ID["paper.psnr"], Dataset.FASHION) == 19.1492
    assert published_score(BY_ID["paper.psnr"], None) is None
    assert published_score(BY_ID["standard.psnr"], Dataset.FASHION) is None
    assert published_score(BY_ID["paper.l1"], Dataset.FASHION) is None


def test_the_published_table_has_ten_systems_and_its_gaps() -> None:
    table = {row.model: row for row in published_table()}
    assert list(table) == [
        *("PG2", "VU-Net", "DSC", "PATN", "DIAF"),
        *("DIST", "XingGAN", "PISE", "SPIG", "DPTN"),
    ]
    assert table["DPTN"].parameters_millions == 9.79
    assert len(table["DPTN"].scores) == 8
    assert len(table["PISE"].scores) == 4


def test_the_json_has_the_promised_keys_and_no_nan(tmp_path: Path) -> None:
    write_report(tmp_path, Comparison((report(psnr=19.0),), ()))
    text = (tmp_path / "report.json").read_text()
    written = json.loads(text)
    assert "NaN" not in text
    assert "Infinity" not in text
    assert written == document(Comparison((report(psnr=19.0),), ()))
    assert written["protocols"] == {"paper": {"psnr": 19.0}}
    assert written["counts"] == {"pairs": 3, "unpaired": 1, "failed": 0, "real": 0}
    assert written["not_computed"] == [{"metric": "paper.fid", "reason": "no real set"}]


def test_the_csv_has_a_row_for_each_pair_with_empty_and_infinite_cells(tmp_path: Path) -> None:
    write_report(tmp_path, Comparison((report("a"), report("b")), ()))
    with (tmp_path / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["paper.psnr"] for row in rows] == ["1.0", "", "inf"] * 2
    assert [row["run"] for row in rows] == ["a"] * 3 + ["b"] * 3


def test_markdown_and_latex_have_a_row_for_each_run() -> None:
    runs = [report("a_b|c%", psnr=19.0), report("d", psnr=20.0, ssim=0.5)]
    assert markdown(runs).splitlines()[2:] == [
        r"| a_b\|c% | n/a | 19.0000 |",
        "| d | 0.5000 | 20.0000 |",
    ]
    assert latex(runs).splitlines() == [
        "% run & paper.ssim & paper.psnr",
        r"a\_b|c\% & -- & 19.0000 \\",
        r"d & 0.5000 & 20.0000 \\",
    ]


def test_a_page_of_unreadable_images_is_still_a_page() -> None:
    text = page(Comparison((report("<b>bold</b>", psnr=19.0),), ()))
    assert "<b>bold" not in text
    assert "no real set" in text
    assert "NaN" not in text


def test_a_histogram_of_equal_values_and_of_no_values() -> None:
    metric = BY_ID["paper.psnr"]
    for value in (0.0, 1e-12, 1e9):
        assert "<rect" in histogram(metric, [("", np.full(5, value))])
    assert histogram(metric, [("", np.full(3, math.nan))]) == ""


def test_means_are_exact_in_any_order() -> None:
    values = np.array([1e16, 1.0, -1e16, 1.0])
    assert mean_of(values) == mean_of(values[::-1]) == 0.5
    assert mean_of(np.array([math.nan, math.inf])) is None


def test_the_bootstrap_interval_matches_the_standard_error_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(5, 2, 400)
    interval = bootstrap({"x": values})["x"]
    half = 1.96 * values.std() / 20
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)
    assert bootstrap({"x": values})["x"] == interval


def test_values_that_are_not_finite_are_left_out_of_the_interval() -> None:
    values = np.array([1.0, 2.0, 3.0, math.nan, math.inf] * 20)
    interval = bootstrap({"x": values, "none": np.full(100, math.nan)})
    assert interval.keys() == {"x"}
    assert interval["x"].mean == 2
    assert 1 < interval["x"].low < 2 < interval["x"].high < 3


@pytest.mark.parametrize("runs", [1, 2])
def test_a_report_replaces_a_report(tmp_path: Path, runs: int) -> None:
    comparison = Comparison(tuple(report(f"run{i}", psnr=18.0) for i in range(runs)), ())
    write_report(tmp_path, comparison)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_report(tmp_path, comparison)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pairs.csv", "from,to\na.png,b.png\n"),
        ("pairs.csv", "generated,other\n"),
        ("report.json", '{"results": []}'),
        ("report.html", "<!doctype html><title>mine</title>"),
    ],
)
def test_files_of_others_stay(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    expected = f"{name} exists, but dptn evaluate did not write it"
    with pytest.raises(InputError, match=expected):
        check_report_folder(tmp_path)
    with pytest.raises(InputError, match=expected):
        write_report(tmp_path, Comparison((report(psnr=18.0),), ()))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, content)]
