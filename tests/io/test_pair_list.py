from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dptn_cli.errors import InputError
from dptn_cli.io.pair_list import read_pairs
from dptn_cli.types import Pair


def pair_list(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        "from,to\na.jpg,b.jpg\n",
        "\ufefffrom,to\r\na.jpg,b.jpg\r\n",
        ",from,to\n0,a.jpg,b.jpg\n",
        " to , from \n b.jpg , a.jpg \n\n",
        'from,to\n"a.jpg","b.jpg"',
    ],
    ids=["plain", "BOM and CRLF", "index column", "spaces, order, blank line", "quoted"],
)
def test_published_and_untidy_lists(tmp_path: Path, content: str) -> None:
    assert list(read_pairs(pair_list(tmp_path, content))) == [Pair("a.jpg", "b.jpg")]


def test_names_of_results(tmp_path: Path) -> None:
    path = pair_list(tmp_path, "from,to,out\na,b,x/1.png\na,c,\n")
    assert [pair.output for pair in read_pairs(path)] == ["x/1.png", None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the column from and to is missing .found: nothing"),
        ("from,target\na,b\n", "the column to is missing .found: from, target"),
        ("from,to\n", "the list is empty"),
        ("from,to\n\n , \n", "the list is empty"),
        ("from,to\na,b\na\n", "line 3: no name in the column to"),
        ("from,to\n../a.jpg,b\n", "line 2: '../a.jpg' leaves its folder"),
        ("from,to\na,/etc/passwd\n", "line 2: '/etc/passwd' leaves its folder"),
        ("from,to\na,C:\\x.jpg\n", "leaves its folder"),
        ("from,to\na,x\\..\\..\\b\n", "leaves its folder"),
        ("from,to,out\na,b,../c.png\n", "leaves its folder"),
        ("from,to\na,b\x00\n", "not a"),
        (b"from,to\n\xff\xfe,b\n", "not a CSV in UTF-8"),
        ("from,to\na,b\n".encode("utf-16"), "save it in that encoding"),
        ("from;to\na;b\n", "with commas, not semicolons"),
        ("from,to\n" + "a" * 200_000 + ",b\n", "not a CSV: field larger"),
    ],
)
def test_unusable_lists(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = pair_list(tmp_path, content)
    with pytest.raises(InputError, match=message) as raised:
        list(read_pairs(path))
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_all_broken_lines_are_told_at_once(tmp_path: Path) -> None:
    path = pair_list(tmp_path, "from,to\na,b\na\n\n../a,b\nb,a\n,b\n")
    pairs = read_pairs(path)
    assert [next(pairs) for _ in range(2)] == [Pair("a", "b"), Pair("b", "a")]
    with pytest.raises(InputError, match="3 lines cannot be read") as raised:
        next(pairs)
    starts = [problem.partition(": ")[0] for problem in raised.value.problems]
    assert starts == [f"{path}, line {number}" for number in (3, 5, 7)]


def test_a_list_that_is_none_is_given_up(tmp_path: Path) -> None:
    path = pair_list(tmp_path, "from,to\n" + "a\n" * 5000 + "a,b\n")
    with pytest.raises(InputError, match="1,000 lines cannot be read"):
        list(read_pairs(path))


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = pair_list(tmp_path_factory.mktemp("pairs"), b"from,to\n" + data)
    try:
        for pair in read_pairs(path):
            assert not pair.source.startswith("/")
            assert ".." not in pair.source.split("/")
    except InputError as error:
        assert str(path) in str(error)
