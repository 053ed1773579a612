import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dptn_cli.errors import InputError
from dptn_cli.io.pair_list import read_numbered_pairs, read_pairs
from dptn_cli.io.paths import checked_name
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
        "from;to\na.jpg;b.jpg\n",
        "From,TO\na.jpg,b.jpg\n",
        'from,to\n"a.jpg", "b.jpg"\n',
        "from,to\na.jpg,b.jpg,,\n",
        "to\tfrom\nb.jpg\ta.jpg\n",
        "from,to\ra.jpg,b.jpg\r",
        "from,to\n./a.jpg,.//b.jpg\n",
        "from,to\r\na.jpg,b.jpg\r\n".encode("utf-16"),
        b"\xfe\xff" + "from\tto\na.jpg\tb.jpg".encode("utf-16-be"),
        'from,to,note\na.jpg,b.jpg,5" wide\n',
    ],
    ids=[
        "plain",
        "BOM and CRLF",
        "index column",
        "spaces, order, blank line",
        "quoted",
        "semicolons",
        "capitals",
        "a space before a quote",
        "empty cells at the end",
        "tabs",
        "CR",
        "redundant parts",
        "UTF-16, little-endian",
        "UTF-16, big-endian, tabs",
        "a quote in another column",
    ],
)
def test_published_and_untidy_lists(tmp_path: Path, content: str | bytes) -> None:
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
        ("from,to\na,/etc/passwd\n", "line 2: '/etc/passwd' is absolute"),
        ("from,to\na,C:\\x.jpg\n", "is absolute"),
        ("from,to\na,x\\..\\..\\b\n", "leaves its folder"),
        ("from,to,out\na,b,../c.png\n", "leaves its folder"),
        ("from,to\na,b\x00\n", "not a"),
        (b"from,to\n\xff\xfe,b\n", "line 2: not in UTF-8 .byte 0xff in character 1"),
        ("from,to\na,b\nJosé.jpg,b".encode("latin-1"), "line 3: not in UTF-8 .byte 0xe9 in char"),
        ("from,to\na,b\n".encode("utf-16-le"), "not text in UTF-8"),
        ("from,to\na,b\n".encode("utf-16")[:-1], "not text in UTF-16"),
        ("from,to,out\na,b," + "c" * 300, "line 2: .* is too long for a file.*column `out`"),
        ('"from,to\na,b\n', "a quote opens in cell 1 and does not close"),
        ("from,to\n" + "a" * 200_000 + ",b\n", "line 2: longer than any line"),
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
    with pytest.raises(InputError, match="1,000 or more lines cannot be read"):
        list(read_pairs(path))


@pytest.mark.parametrize("line", ['"a.jpg,b.jpg', 'a.jpg,"b.jpg', 'a.jpg,b.jpg,"x'])
def test_a_stray_quote_is_a_problem_of_its_own_line(tmp_path: Path, line: str) -> None:
    path = pair_list(tmp_path, f"from,to,out\na,b,\n{line}\n" + "a,c,\n" * 3 + '"d","e",""\n')
    pairs = read_pairs(path)
    expected = [Pair("a", "b"), *[Pair("a", "c")] * 3, Pair("d", "e")]
    assert [next(pairs) for _ in range(5)] == expected
    with pytest.raises(InputError, match=r"line 3: a quote opens in cell \d and does not close"):
        next(pairs)


def test_problems_before_the_limit_are_told_and_those_after_it_are_not(tmp_path: Path) -> None:
    path = pair_list(tmp_path, "from,to\na,b\na\nb,a\n../c,a\n")
    assert [pair for _, pair in read_numbered_pairs(path, limit=1)] == [Pair("a", "b")]
    with pytest.raises(InputError, match="line 3: no name in the column to"):
        list(read_numbered_pairs(path, limit=2))


def test_lines_are_numbered_as_in_an_editor(tmp_path: Path) -> None:
    path = pair_list(tmp_path, "from,to\r\n\r\na,b\r\n \r\nb,a\r\n")
    assert [line for line, _ in read_numbered_pairs(path)] == [3, 5]


cells = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)


@given(st.lists(st.tuples(cells, cells), max_size=5), st.sampled_from(",;\t"))
def test_a_written_list_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    """However its cells are quoted: as far as the names may be used at all."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([("from", "to"), *rows])
    expected = [
        (checked(source), checked(target))
        for source, target in rows
        if source.strip() or target.strip()
    ]
    try:
        assert list(read_pairs(path)) == [Pair(source, target) for source, target in expected]
    except InputError:
        assert not expected or not all(source and target for source, target in expected)


def checked(name: str) -> str:
    try:
        return checked_name(name)
    except InputError:
        return ""


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = pair_list(tmp_path_factory.mktemp("pairs"), b"from,to\n" + data)
    try:
        for pair in read_pairs(path):
            assert not pair.source.startswith("/")
            assert ".." not in pair.source.split("/")
    except InputError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("lines_in_cell", [2, 5, 60])
def test_a_caption_with_line_breaks_belongs_to_its_row(tmp_path: Path, lines_in_cell: int) -> None:
    caption = "\n".join(f'say ""{i}"", loud' for i in range(lines_in_cell))
    path = tmp_path / "pairs.csv"
    path.write_text(f'from,caption,to\na.jpg,"{caption}",b.jpg\nc.jpg,short,d.jpg\n')
    assert list(read_pairs(path)) == [Pair("a.jpg", "b.jpg"), Pair("c.jpg", "d.jpg")]


def test_stray_quotes_swallow_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text('from,to\n"a.jpg,b.jpg\nc.jpg,d.jpg\n"e.jpg,f.jpg\ng.jpg,h.jpg\n')
    pairs = read_pairs(path)
    assert [next(pairs), next(pairs)] == [Pair("c.jpg", "d.jpg"), Pair("g.jpg", "h.jpg")]
    with pytest.raises(InputError) as raised:
        next(pairs)
    assert [f", line {line}: a quote opens" in problem for line, problem in
            zip((2, 4), raised.value.problems, strict=True)] == [True, True]  # fmt: skip


def test_a_name_after_a_space_and_a_quote(tmp_path: Path) -> None:
    path = pair_list(tmp_path, 'from, to\n"anna maria.png", "walk, fast.png"\n')
    assert list(read_pairs(path)) == [Pair("anna maria.png", "walk, fast.png", None)]


def test_more_cells_than_columns_are_told(tmp_path: Path) -> None:
    path = pair_list(tmp_path, "from,to\nanna, maria.png,b.png\n")
    with pytest.raises(InputError, match="line 2: 3 cells, but the header has 2; quote a name"):
        list(read_pairs(path))


def test_a_quote_in_free_text_after_a_space(tmp_path: Path) -> None:
    path = pair_list(tmp_path, 'from,to,note\na.jpg,b.jpg, "tall 5\n')
    assert list(read_pairs(path)) == [Pair("a.jpg", "b.jpg", None)]


def test_capitals_name_a_column_only_if_nothing_else_does(tmp_path: Path) -> None:
    path = pair_list(tmp_path, "From,from,to,OUT\nx.jpg,a.jpg,b.jpg,c\n")
    assert list(read_pairs(path)) == [Pair("a.jpg", "b.jpg", "c")]
    with pytest.raises(InputError, match=r"the column to is missing \(found: from, b\)"):
        list(read_pairs(pair_list(tmp_path, "From,b\nx.jpg,a.jpg\n")))
