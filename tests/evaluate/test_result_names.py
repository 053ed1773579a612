"""Results of other systems, paired by a list or by their names."""

import json
import re
from pathlib import Path

import pytest
from evaluation_folders import image
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dptn_cli.errors import InputError
from dptn_cli.evaluate.pairing import Naming, pair_up
from dptn_cli.evaluate.result_names import PRESETS, NameTemplate, parse_template

NAMES = ("p_0.png", "p_1.png", "sub/p_to_2.jpg")


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    folder = tmp_path / "truth"
    for index, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image(index, (32, 24))).save(folder / name)
    return folder


def save(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image(7, (32, 24))).save(folder / name)
    return folder


def pairs(
    results: Path, truth: Path, naming: Naming | None = None
) -> dict[str, tuple[str | None, str]]:
    found = pair_up(results, [truth], naming or Naming()).pairs
    return {
        pair.name: (
            pair.source.relative_to(truth).as_posix() if pair.source else None,
            pair.truth.relative_to(truth).as_posix(),
        )
        for pair in found
    }


@pytest.mark.parametrize(
    "name",
    ["p_0_to_p_1.png", "p_0.png___p_1.png_vis.png", "p_0_2_p_1_vis.jpg", "p_0___p_1_vis.png"],
)
def test_names_of_known_systems_are_read_without_being_told(
    name: str, truth: Path, tmp_path: Path
) -> None:
    results = save(tmp_path / "r", name)
    assert pairs(results, truth) == {name: ("p_0.png", "p_1.png")}
    notes = pair_up(results, [truth]).notes
    assert len(notes) == (0 if "_2_" in name else 1), "said, unless it is the published naming"


def test_the_text_between_two_names_may_be_in_them(truth: Path, tmp_path: Path) -> None:
    results = save(tmp_path / "r", "sub/p_0_to_p_to_2.png")
    naming = Naming(template=parse_template("cfld"))
    assert pairs(results, truth, naming) == {"sub/p_0_to_p_to_2.png": ("p_0.png", "sub/p_to_2.jpg")}


def test_results_named_as_the_target(truth: Path, tmp_path: Path) -> None:
    results = save(tmp_path / "r", "p_0.png", "p_1.jpg")
    naming = Naming(template=parse_template("{target}.png"))
    assert pairs(results, truth, naming) == {
        "p_0.png": (None, "p_0.png"), "p_1.jpg": (None, "p_1.png"),
    }  # fmt: skip


def test_a_pair_list_names_each_result(truth: Path, tmp_path: Path) -> None:
    """By its column `out`, in whatever format it is there, or else by the naming."""
    results = save(tmp_path / "r", "one.jpg", "p_1_2_p_0_vis.png", "other.png")
    (tmp_path / "pairs.csv").write_text(
        "from,to,out\np_0.png,p_1.png,one.png\np_1.png,p_0.png,\np_0.png,p_0.png,gone.png\n"
    )
    naming = Naming(pairs=tmp_path / "pairs.csv")
    assert pairs(results, truth, naming) == {
        "one.jpg": ("p_0.png", "p_1.png"), "p_1_2_p_0_vis.png": ("p_1.png", "p_0.png"),
    }  # fmt: skip
    pairing = pair_up(results, [truth], naming)
    assert [(problem.name, problem.reason) for problem in pairing.unpaired] == [
        ("gone.png", "its image has gone")
    ]
    assert pairing.images == ("one.jpg", "p_1_2_p_0_vis.png"), "of the list alone"
    assert "1 images are not scored, because the pair list does not name them" in pairing.notes


def test_a_pair_list_with_the_naming_of_another_system(truth: Path, tmp_path: Path) -> None:
    results = save(tmp_path / "r", "p_0_to_p_1.png")
    (tmp_path / "pairs.csv").write_text("from,to\np_0.png,p_1.png\n")
    naming = Naming(tmp_path / "pairs.csv", parse_template("pidm"))
    assert pairs(results, truth, naming) == {"p_0_to_p_1.png": ("p_0.png", "p_1.png")}


def test_a_list_wins_over_a_manifest(truth: Path, tmp_path: Path) -> None:
    results = save(tmp_path / "r", "a.png")
    line = {"output": "a.png", "source": "p_0.png", "target": "p_0.png", "status": "done"}
    (results / "manifest.jsonl").write_text(json.dumps(line | {"fingerprint": "f"}) + "\n")
    (tmp_path / "pairs.csv").write_text("from,to,out\np_0.png,p_1.png,a.png\n")
    assert pairs(results, truth) == {"a.png": ("p_0.png", "p_0.png")}
    naming = Naming(pairs=tmp_path / "pairs.csv")
    assert pairs(results, truth, naming) == {"a.png": ("p_0.png", "p_1.png")}


def test_hidden_and_machine_made_files_are_no_results(truth: Path, tmp_path: Path) -> None:
    results = save(tmp_path / "r", "p_0_2_p_1_vis.png")
    save(results, ".ipynb_checkpoints/p_0_2_p_1_vis-checkpoint.png", "__MACOSX/p_0_2_p_1_vis.png")
    (results / "._p_0_2_p_1_vis.png").write_bytes(b"\0\5\26\7")
    assert list(pairs(results, truth)) == ["p_0_2_p_1_vis.png"]


@pytest.mark.parametrize(
    "text", ["", "{source}", "{target}{source}", "{target}_{target}", "a/{target}", "{x}{target}"]
)
def test_templates_that_cannot_be_used(text: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"--names {text}: write {{target}} once")):
        parse_template(text)


parts = st.text(st.sampled_from("ab_-to.2 "), min_size=1, max_size=8)


@given(parts, parts, st.sampled_from([*PRESETS.values(), "x{target} of {source}y", "{target}"]))
def test_a_rendered_name_is_read_again(source: str, target: str, text: str) -> None:
    template = NameTemplate(text)
    name = text.replace("{source}", source).replace("{target}", target)
    expected = (source if "{source}" in text else "", target)
    assert expected in list(template.split(name))
