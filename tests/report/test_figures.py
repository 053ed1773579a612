"""The images and histograms of the report: which pairs are shown, and on which axes."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dptn_cli.enums import Dataset
from dptn_cli.evaluate.bootstrap import mean_of
from dptn_cli.evaluate.compare import compare
from dptn_cli.evaluate.types import Comparison, ImagePair, PairTable, Problem, Report
from dptn_cli.report.formats import write_report
from dptn_cli.report.html import page

NAN, INF = math.nan, math.inf


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    Image.new("RGB", (8, 16), (200, 100, 50)).save(path)
    return path


def run(
    name: str,
    image: Path,
    names: Sequence[str] = (),
    dataset: Dataset | None = Dataset.MARKET,
    **columns: list[float],
) -> Report:
    """A run whose pairs all have the same image.

    Args:
        name: name of the run.
        image: the image.
        names: names of the pairs; by default, numbers.
        dataset: the data set.
        columns: values by metric id, with `__` for the dot.
    """
    values = {key.replace("__", "."): np.array(column) for key, column in columns.items()}
    rows = max(map(len, values.values()))
    names = names or [f"{i}.png" for i in range(rows)]
    return Report(
        run=name,
        results=Path(name),
        dataset=dataset,
        formats={"png": rows},
        scores={key: mean for key, column in values.items() if (mean := mean_of(column))},
        intervals={},
        table=PairTable(tuple(ImagePair(n, image, image, image) for n in names), values),
        unpaired=(),
        failed=(),
        reference=0,
        not_computed=(),
    )


def sections(text: str) -> dict[str, list[str]]:
    """Return the captions of the figures of each section that shows images, by its title."""
    found = {}
    for title, body in re.findall(r"<h2>(.*?)</h2>(.*?)(?=<h2>)", text, re.DOTALL):
        captions = re.findall(r"</div><figcaption>(.*?)</figcaption>", body)
        if captions:
            found[plain(title)] = [plain(caption) for caption in captions]
            assert body.count("<img ") >= 2 * len(captions)
    return found


def plain(html: str) -> str:
    return re.sub(r"<.*?>", "", html)


def test_the_first_metric_with_a_value_ranks_the_pairs(image: Path) -> None:
    report = run("a", image, paper__ssim=[NAN] * 3, paper__lpips=[NAN] * 3, paper__l1=[2, 1, 3])
    text = page(Comparison((report,), ()))
    assert sections(text) == {
        "Worst pairs by paper.l1": ["3.0000 2.png", "2.0000 0.png"],
        "Best pairs by paper.l1": ["1.0000 1.png"],
    }
    assert "No pair has a value of paper.lpips, paper.ssim." in text


def test_pairs_without_a_value_are_shown_apart(image: Path) -> None:
    report = run("a", image, paper__ssim=[0.5, NAN, 0.25, NAN])
    assert sections(page(Comparison((report,), ()))) == {
        "Worst pairs by paper.ssim": ["0.2500 2.png"],
        "Best pairs by paper.ssim": ["0.5000 0.png"],
        "Pairs without paper.ssim": ["no value 1.png", "no value 3.png"],
    }


def test_an_infinite_value_is_an_extreme(image: Path) -> None:
    some = run("a", image, standard__psnr=[20, INF, 30])
    only = run("a", image, standard__psnr=[INF, NAN])
    assert sections(page(Comparison((some,), ()))) == {
        "Worst pairs by standard.psnr": ["20.0000 0.png", "30.0000 2.png"],
        "Best pairs by standard.psnr": ["∞ 1.png"],
    }
    assert sections(page(Comparison((only,), ()))) == {
        "Worst pairs by standard.psnr": ["∞ 0.png"],
        "Pairs without standard.psnr": ["no value 1.png"],
    }


def test_pairs_without_any_value_have_images_too(image: Path) -> None:
    report = run("a", image, paper__ssim=[NAN] * 9, standard__psnr=[NAN] * 9)
    text = page(Comparison((report,), ()))
    assert sections(text) == {"Pairs, none with a score": [f"{i}.png" for i in range(6)]}
    assert "6 of 9 are shown" in text


def test_an_image_that_cannot_be_read_leaves_a_gap(image: Path) -> None:
    report = run("a", image, paper__ssim=[0.5])
    (pair,) = report.table.pairs
    pair = replace(pair, source=image.with_name("gone.png"))
    text = page(Comparison((replace(report, table=PairTable((pair,), report.table.values)),), ()))
    assert text.count("<img ") == 2
    assert "cannot be read" in text


def test_runs_are_shown_side_by_side_in_order_of_the_difference(image: Path) -> None:
    names = [f"{name}.png" for name in "abcdef"]
    first = run("first", image, names, paper__ssim=[0.5, 0.5, 0.5, 0.5, NAN, 0.5])
    others = [f"{name}.jpg" for name in "abcdeg"]
    second = run("second", image, others, paper__ssim=[0.4, 0.7, 0.1, 0.5, 0.5, 0.9])
    text = page(compare([first, second]))
    shown = sections(text)
    assert shown["second worse than first, by paper.ssim"] == ["-0.4000 c.jpg", "-0.1000 a.jpg"]
    assert shown["second better than first, by paper.ssim"] == ["+0.2000 b.jpg"]
    assert "5 common pairs of 6 and 6; 2 of 2 are shown" in text
    start = text.index(" worse than <bdi>first</bdi>, by")
    figure = text[start : text.index("</figure>", start)]
    labels = re.findall(r"(<b>[^<]*</b><br>)?<bdi>(\w+)</bdi></div>", figure)
    assert labels == [
        ("", "source"),
        ("", "true"),
        ("<b>0.5000</b><br>", "first"),
        ("<b>0.1000</b><br>", "second"),
    ]
    assert shown["Best pairs by paper.ssim, second"][0] == "0.9000 g.jpg"
    assert "no such pair" in text


@pytest.mark.parametrize(
    ("values", "title"),
    [
        ([0.5, 0.25], "b equal to a, by paper.ssim"),
        ([NAN, NAN], "b beside a"),
    ],
)
def test_runs_that_do_not_differ_are_shown_side_by_side(
    image: Path, values: list[float], title: str
) -> None:
    runs = [run(name, image, paper__ssim=values) for name in "ab"]
    assert len(sections(page(compare(runs)))[title]) == 2


def test_a_pair_that_only_one_run_reproduces_exactly_differs_most(image: Path) -> None:
    first = run("a", image, standard__psnr=[20, 20, INF, INF])
    second = run("b", image, standard__psnr=[25, INF, 20, INF])
    shown = sections(page(compare([first, second])))
    assert shown["b better than a, by standard.psnr"] == ["+∞ 1.png", "+5.0000 0.png"]
    assert shown["b worse than a, by standard.psnr"] == ["-∞ 2.png"]


def charts(text: str, metric: str) -> list[tuple[list[float], list[str]]]:
    """Return the heights of the bars and the labels of the axes of each plot of a metric."""
    chart = re.search(rf'<figure class="chart" data-metric="{metric}">.*?</figure>', text)
    assert chart is not None
    return [
        (
            [float(height) for height in re.findall(r'height="([\d.]+)"><title>', plot)],
            re.findall(r"<text.*?>(.*?)</text>", plot) + re.findall(r"([\d.]+ to [\d.]+):", plot),
        )
        for plot in re.findall(r"<svg.*?</svg>", chart[0])
    ]


def test_histograms_of_several_runs_share_their_axes(image: Path) -> None:
    many = run("many", image, paper__ssim=[i / 40 for i in range(40)])
    constant = run("constant", image, paper__ssim=[0.25] * 3)
    few = run("few", image, paper__ssim=[1.2, NAN, INF])
    none = run("none", image, paper__ssim=[NAN])
    text = page(compare([many, constant, few, none]))
    (wide, axes), (equal, *others), (single, *more) = charts(text, "paper.ssim")
    assert axes[:3] == ["100% of pairs", "0", "1.2"]
    assert axes[3:5] == ["0 to 0.06", "0.06 to 0.12"]
    assert [axes] == others == more
    assert len(wide) == len(equal) == len(single) == 20
    assert sorted(equal) == sorted(single) == [0.0] * 19 + [100.0]
    assert equal.index(100) == 4
    assert single.index(100) == 19
    assert sum(wide) == pytest.approx(100, abs=1)
    assert "mean 1.2000, n = 1, 1 infinite, 1 without a value" in text
    assert "n = 0, 1 without a value" in text


def test_the_page_is_bounded_however_many_pairs_and_runs(image: Path) -> None:
    random = np.random.default_rng(0)
    pairs = 30_000
    names = [f"{i}.png" for i in range(pairs)]
    runs = [
        run(f"run{i}", image, names, paper__ssim=random.random(pairs).tolist()) for i in range(2)
    ]
    problems = tuple(Problem("n" * 5_000, "r" * 5_000) for _ in range(2_000))
    text = page(Comparison((replace(runs[0], failed=problems), runs[1]), ()))
    assert len(text) < 5_000_000
    assert "The table has the 40,000 worst of 60,000 pairs. All are in pairs.csv." in text
    assert "and 1,000 more, in report.json" in text
    data = re.search(r'id="pair-data">(.*?)</script>', text)
    assert data is not None
    rows = json.loads(data[1])["rows"]
    kept = [row[2] for row in rows if row[0] == "run0"]
    assert sorted(kept) == pytest.approx(
        np.sort(runs[0].table.values["paper.ssim"])[:20_000], abs=1e-6
    )
    many = [run(f"run{i}", image, paper__ssim=[i / 12, 0.5, 1 - i / 12]) for i in range(12)]
    text = page(compare(many))
    assert "Images are shown of the first 8 runs, not of the other 4." in text
    assert text.count("<img ") < 500


def test_lone_surrogates_of_a_manifest_reach_the_page_as_replacements(
    tmp_path: Path, image: Path
) -> None:
    report = run("a", image, ["\udcff<b>.png"], paper__ssim=[0.5])
    report = replace(report, failed=(Problem("\ud800.png", "because \udfff"),))
    write_report(tmp_path / "report", Comparison((report,), ()))
    content = (tmp_path / "report" / "report.html").read_bytes()
    assert "\ufffd.png</bdi>: because \ufffd".encode() in content
    assert b"\xff&lt;b&gt;.png" in content
