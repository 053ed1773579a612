"""The published annotation CSV: what is read, what is refused."""

import csv
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dptn_cli.errors import InputError
from dptn_cli.keypoints import Annotations, format_pose, parse_pose
from dptn_cli.keypoints.annotation_csv import can_hold, format_csv
from dptn_cli.types import Pose

HEADER = "name:keypoints_y:keypoints_x"
EIGHTEEN = list(range(18))

poses = arrays(np.float64, (18, 2), elements=st.floats(0, 5000).map(lambda value: round(value, 3)))


def annotation_file(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


@given(pose=poses, missing=st.sets(st.integers(0, 17)))
def test_a_written_pose_is_read_back(pose: Pose, missing: set[int]) -> None:
    pose[list(missing)] = -1
    name, *lists = format_pose("a.jpg", pose).split(":")
    assert name == "a.jpg"
    assert np.array_equal(parse_pose(*lists), pose)


@pytest.mark.parametrize("prefix", ["", "\ufeff"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_the_published_csv_is_read(tmp_path: Path, prefix: str, end: str) -> None:
    path = tmp_path / "annotation.csv"
    lines = [
        HEADER,
        f" a.jpg : {EIGHTEEN}: {EIGHTEEN[::-1]} ",
        "",
        f"b/c.jpg:{EIGHTEEN}:{EIGHTEEN}",
    ]
    path.write_bytes((prefix + end.join(lines) + end).encode())
    annotations = Annotations(path)
    assert list(annotations) == ["a.jpg", "b/c.jpg"]
    assert annotations["a.jpg"][0].tolist() == [0, 17]


def test_a_joint_with_one_missing_coordinate_is_missing() -> None:
    pose = parse_pose(json.dumps([-1, 5] + [3] * 16), json.dumps([7, -1] + [3] * 16))
    assert pose[:3].tolist() == [[-1, -1], [-1, -1], [3, 3]]


@pytest.mark.parametrize(
    ("ys", "message"),
    [
        ("[1, 2", "not JSON"),
        ("nothing", "not JSON"),
        ("[" * 50_000, "not JSON"),
        ("[1, 2]", "expected 18 numbers for each of y and x, found 2"),
        ("{}", "found no list"),
        (json.dumps(["1"] * 18), "not all numbers"),
        (json.dumps([[1]] * 18), "not all numbers"),
        (json.dumps([True] * 18), "not all numbers"),
        (json.dumps([float("inf")] * 18), "not finite"),
        (json.dumps([1e7] * 18), "too large"),
        ("[" + ", ".join(["1" + "0" * 400] * 18) + "]", "too large"),
        ("[" + ", ".join(["1" * 5000] * 18) + "]", "not JSON"),
    ],
)
def test_broken_keypoints_affect_only_their_own_image(
    tmp_path: Path, ys: str, message: str
) -> None:
    good = f"good.jpg: {EIGHTEEN}: {EIGHTEEN}"
    path = annotation_file(tmp_path / "a.csv", f"bad.jpg: {ys}: {EIGHTEEN}", good)
    annotations = Annotations(path)
    assert annotations["good.jpg"].shape == (18, 2)
    with pytest.raises(InputError, match=message) as raised:
        annotations["bad.jpg"]
    assert str(raised.value).startswith(f"{path}, line 2 (bad.jpg)")


names = st.text(max_size=30) | st.text(st.sampled_from('a.:;,"[]1 \t{}'), max_size=30)


@given(name=names, pose=poses)
def test_every_name_that_a_csv_can_hold_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, name: str, pose: Pose
) -> None:
    assume(can_hold(name))
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(format_csv([(name, pose), ("other.jpg", pose)]))
    annotations = Annotations(path)
    assert list(annotations) == list(dict.fromkeys([name, "other.jpg"]))
    assert np.array_equal(annotations[name], pose)


@pytest.mark.parametrize(
    "name", ["a:b.jpg", "00:01:02.png", "C:\\x\\a.jpg", "a:[1]:[2].jpg", "a,b;c.jpg"]
)
def test_names_with_delimiters(tmp_path: Path, name: str) -> None:
    assert can_hold(name)
    path = annotation_file(tmp_path / "a.csv", f"{name}: {EIGHTEEN}: {EIGHTEEN[::-1]}")
    annotations = Annotations(path)
    assert annotations[name][0].tolist() == [0, 17]
    broken = Annotations(annotation_file(tmp_path / "b.csv", f"{name}:[1, 2"))
    with pytest.raises(InputError, match="line 2"):
        broken[name]


@pytest.mark.parametrize("name", ["", " a.jpg", "a.jpg ", "a\nb.jpg", '"a".jpg', "\udcff.jpg"])
def test_names_that_no_csv_can_hold(name: str) -> None:
    assert not can_hold(name)


YS, XS = str(EIGHTEEN), str(EIGHTEEN[::-1])


@pytest.mark.parametrize(
    ("header", "line"),
    [
        (HEADER, f"a,1.jpg:{YS}:{XS}:"),
        (HEADER + ",,,", f'"a,1.jpg:{YS}:{XS}",,,'),
        (f'"{HEADER}"', f'"a,1.jpg:{YS}:{XS}"'),
        (HEADER + ";;", f"a,1.jpg:{YS}:{XS};;"),
        (HEADER, f"a,1.jpg:{YS}:{XS}".replace(", ", "; ")),
        ("name,keypoints_y,keypoints_x", f'"a,1.jpg","{YS}","{XS}"'),
        ("name;keypoints_y;keypoints_x", f"a,1.jpg;{YS};{XS}"),
        ("name\tkeypoints_y\tkeypoints_x", f"a,1.jpg\t{YS}\t{XS}"),
        (f"first.jpg: {YS}: {YS}", f"a,1.jpg:{YS}:{XS}"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_spreadsheets_make_of_a_csv(
    tmp_path: Path, header: str, line: str, encoding: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\r\n{line}\r\n", encoding=encoding, newline="")
    annotations = Annotations(path)
    assert list(annotations)[-1] == "a,1.jpg"
    assert annotations["a,1.jpg"][:, 1].tolist() == EIGHTEEN[::-1]
    assert len(annotations) == (2 if header.startswith("first") else 1)


def test_joints_that_are_null_or_not_a_number_are_missing() -> None:
    pose = parse_pose("[null, NaN, -1, " + "3, " * 14 + "3]", "[null, NaN, 4, " + "5, " * 14 + "5]")
    assert (pose[:3] == -1).all()
    assert pose[3].tolist() == [3, 5]
    half = parse_pose("[null" + ", 3" * 17 + "]", "[1" + ", 3" * 17 + "]")
    assert half[0].tolist() == [-1, -1]


def test_all_lines_without_a_name_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [HEADER, "x", f"a.jpg:{YS}:{XS}", ":", f"a.jpg:{XS}:{XS}", f"J\xe9.jpg:{YS}:{XS}"]
    path.write_bytes("\n".join(lines).encode("latin-1"))
    with pytest.raises(InputError, match="4 lines cannot be used") as raised:
        Annotations(path)
    causes = [problem.removeprefix(f"{path}, line ") for problem in raised.value.problems]
    assert [cause[:24] for cause in causes] == [
        "2: expected name:[18 y]:",
        "4: expected name:[18 y]:",
        "5: other keypoints for a",
        "6: not in UTF-8 (byte 0x",
    ]


@pytest.mark.parametrize(
    "line", [":" * 50_000, '"' * 50_001, "[:" * 40_000, ": " * 40_000 + "[", "a:[1]" * 15_000]
)
def test_hostile_lines_are_read_in_no_time(tmp_path: Path, line: str) -> None:
    with suppress(InputError):
        Annotations(annotation_file(tmp_path / "a.csv", *[line] * 3))


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_text_breaks_the_parser(ys: str, xs: str) -> None:
    try:
        assert np.isfinite(parse_pose(ys, xs)).all()
    except InputError as error:
        assert "\n" not in str(error)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(HEADER.encode() + b"\n" + data)
    try:
        Annotations(path)
    except InputError as error:
        assert str(path) in str(error)


def test_two_lines_for_one_image_must_agree(tmp_path: Path) -> None:
    line, other = f"a.jpg: {EIGHTEEN}: {EIGHTEEN}", f"a.jpg: {EIGHTEEN}: {EIGHTEEN[::-1]}"
    assert len(Annotations(annotation_file(tmp_path / "same.csv", line, line))) == 1
    with pytest.raises(InputError, match=r"line 3: other keypoints for a.jpg than in .*line 2"):
        Annotations(annotation_file(tmp_path / "other.csv", line, other))


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("", "", "the first line must be"),
        ("name,y,x", "a.jpg,1,2", "the first line must be name:keypoints_y:keypoints_x"),
        (HEADER, "a.jpg", r"expected name:\[18 y\]"),
        (HEADER, ": [] : []", r"expected name"),
        (HEADER, "a" * 200_000, "line 2: longer than any line"),
    ],
)
def test_a_file_that_is_not_an_annotation_csv_is_refused(
    tmp_path: Path, header: str, line: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Annotations(annotation_file(tmp_path / "a.csv", line, header=header))


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        Annotations(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not text"):
        Annotations(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("first", "delimiter"), [("", ","), ("", ":"), ("", ";"), ("Unnamed: 0", ","), ("index", "\t")]
)
def test_row_numbers_of_pandas_are_no_part_of_the_name(
    tmp_path: Path, first: str, delimiter: str
) -> None:
    cells = ["0", "anna, maria.jpg", str(EIGHTEEN), str(EIGHTEEN)]
    path = tmp_path / "k.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([[first, *HEADER.split(":")], cells])
    poses = Annotations(path)
    assert list(poses) == ["anna, maria.jpg"]
    assert poses["anna, maria.jpg"].tolist() == [[float(i)] * 2 for i in EIGHTEEN]


def test_missing_numbers_as_python_writes_them(tmp_path: Path) -> None:
    ys, xs = [None, *range(1, 18)], [0, float("nan"), *range(2, 18)]
    pose = Annotations(annotation_file(tmp_path / "k.csv", f"a.jpg:{ys}:{xs}"))["a.jpg"]
    assert (pose[:2] == -1).all()
    assert (pose[2:] > 0).all()


def test_fractions_are_no_pixels(tmp_path: Path) -> None:
    values = [(i + 1) / 20 for i in range(18)]
    poses = Annotations(annotation_file(tmp_path / "k.csv", f"a.jpg:{values}:{values}"))
    with pytest.raises(InputError, match=r"line 2 \(a.jpg\): the keypoints are fractions"):
        _ = poses["a.jpg"]


def test_the_same_keypoints_in_other_digits(tmp_path: Path) -> None:
    line = f"a.jpg:{EIGHTEEN}:{EIGHTEEN}"
    floats = list(map(float, EIGHTEEN))
    path = annotation_file(tmp_path / "k.csv", line, f"a.jpg:{floats}:{EIGHTEEN}")
    assert len(Annotations(path)) == 1


def test_a_line_without_cells_in_a_numbered_csv(tmp_path: Path) -> None:
    path = tmp_path / "k.csv"
    path.write_text(f",{HEADER.replace(':', ',')}\nb.jpg\n")
    with pytest.raises(InputError, match="line 2: expected name"):
        Annotations(path)
