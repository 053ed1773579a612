"""Names of results: published where a file system holds them, else shortened by rule."""

import os
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import dptn, draw_image, draw_pose, write_annotations

from dptn_cli.enums import ImageFormat
from dptn_cli.evaluate.pairing import pair_up
from dptn_cli.transfer.result_names import is_shortened, result_name

parts = st.text(
    st.sampled_from(string.ascii_letters + " _-.äß漢😀"), min_size=1, max_size=250
).filter(lambda part: len(os.fsencode(part)) <= 250 and part.strip(" .") == part)
names = st.lists(parts, min_size=1, max_size=3).map(lambda some: "/".join(some) + ".jpg")


@given(names, names, st.sampled_from(ImageFormat))
def test_a_name_fits_in_a_file_system_and_keeps_folder_and_ending(
    source: str, target: str, fmt: ImageFormat
) -> None:
    name = result_name(source, target, None, fmt)
    folder, _, last = name.rpartition("/")
    assert folder == source.rpartition("/")[0]
    assert last.endswith(f"_vis.{fmt}")
    assert len(os.fsencode(last)) <= 255
    stems = [Path(image).stem for image in (source, target)]
    published = f"{stems[0]}_2_{stems[1]}_vis.{fmt}"
    assert (last == published) == (len(os.fsencode(published)) <= 255)
    assert is_shortened(source, target, name) == (last != published)


@given(st.text(st.sampled_from("ä漢"), min_size=60, max_size=80))
def test_long_names_that_end_differently_stay_apart(start: str) -> None:
    ends = [
        result_name(f"{start}{a}.jpg", f"{start}{b}.jpg", None, ImageFormat.PNG)
        for a in "ab"
        for b in "ab"
    ]
    assert len(set(ends)) == 4


@pytest.fixture
def long_names(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    names = [f"{letter * 150}.png" for letter in "ab"]
    for i, name in enumerate(names):
        draw_image(i).save(folder / name)
    write_annotations(folder / "keypoints.csv", {n: draw_pose(i) for i, n in enumerate(names)})
    return folder


def test_shortened_results_are_told_skipped_and_paired(
    long_names: Path, tmp_path: Path, tiny_model: Path
) -> None:
    out = tmp_path / "out"
    arguments = ("transfer", long_names, "--poses", long_names, "--model", tiny_model, "-o", out)
    result = dptn(*arguments)
    assert result.exit_code == 0
    assert "4 of 4 results have shortened names" in result.stderr
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert len(before) == 4
    result = dptn(*arguments, "--json")
    assert '"skipped": 4' in result.stdout
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")} == before
    pairing = pair_up(out, [long_names])
    assert len(pairing.pairs) == 4 and not pairing.unpaired
    for pair in pairing.pairs:
        assert pair.truth.name[0] == pair.name.partition("_2_")[2][0]
