"""Files of others where a command would write: one line, and every byte stays."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest
from PIL import Image
from support import LINE_TIME, Folder, dptn, draw_image

from dptn_cli import InputError, PoseTransfer

CVAT = b'{"version":"1.1"}\n{"type":"images"}\n{"name":"anna","extension":".png"}'
NOTES = b'{"what": "notes of another tool"}'


def content_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(params=["manifest.jsonl", "run.json"])
def foreign(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    return request.param, CVAT if request.param == "manifest.jsonl" else NOTES


@pytest.mark.parametrize(
    "more", [(), ("--overwrite",), ("--dry-run",), ("--grid",), ("--devices", "0,1")]
)
def test_a_results_folder_of_another_tool(
    folder: Folder, foreign: tuple[str, bytes], more: tuple[str, ...]
) -> None:
    name, content = foreign
    folder.out.mkdir()
    (folder.out / name).write_bytes(content)
    result = folder.transfer(*more)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert f"{name} exists, but dptn transfer did not write it: name another results folder" in line
    assert content_of(folder.out) == {name: content}


def test_from_python(folder: Folder, foreign: tuple[str, bytes]) -> None:
    name, content = foreign
    folder.out.mkdir()
    (folder.out / name).write_bytes(content)
    with pytest.raises(InputError, match="but dptn transfer did not write it"):
        PoseTransfer(folder.model, "cpu").transfer(folder.pairs, out=folder.out, overwrite=True)
    assert content_of(folder.out) == {name: content}


@pytest.fixture(params=["memory", "file"])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
    if request.param == "file":
        yield f"file://{tmp_path}/bucket"
        return
    url = f"memory://{uuid4().hex}"
    yield url
    fsspec.filesystem("memory").rm(url, recursive=True)


@pytest.mark.parametrize("more", [(), ("--overwrite",), ("--dry-run",)])
def test_behind_urls(
    folder: Folder, foreign: tuple[str, bytes], url: str, more: tuple[str, ...]
) -> None:
    name, content = foreign
    store = fsspec.filesystem(url.partition(":")[0])
    store.makedirs(url, exist_ok=True)
    store.pipe_file(f"{url}/{name}", content)
    result = folder.transfer("-o", url, *more)
    assert result.exit_code == 2
    assert f"{name} exists, but dptn transfer did not write it" in result.stderr
    assert [file.rpartition("/")[2] for file in store.find(url)] == [name]
    assert store.cat_file(f"{url}/{name}") == content


def test_an_empty_manifest_is_that_of_a_run_killed_at_its_start(folder: Folder) -> None:
    folder.out.mkdir()
    (folder.out / "manifest.jsonl").touch()
    assert folder.transfer().exit_code == 0
    assert len(folder.manifest()) == 12
    assert folder.transfer("--overwrite").exit_code == 0


class TestContactSheets:
    @pytest.mark.parametrize("own_results", [False, True])
    @pytest.mark.parametrize("name", ["page-00001.png", "page-00009.png", "page-1.png"])
    def test_a_page_of_others_stays(self, folder: Folder, name: str, own_results: bool) -> None:
        if own_results:
            assert folder.transfer().exit_code == 0
        page = folder.out / "grids" / name
        page.parent.mkdir(parents=True)
        draw_image(1).save(page)
        before = content_of(folder.out)
        result = folder.transfer("--grid")
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert f"grids/{name} exists, but dptn transfer --grid did not write it" in line
        assert content_of(folder.out) == before
        assert folder.transfer().exit_code == 0
        assert page.read_bytes() == before[f"grids/{name}"]

    def test_pages_are_not_written_through_a_link(self, folder: Folder, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        folder.out.mkdir()
        (folder.out / "grids").symlink_to(tmp_path / "elsewhere")
        result = folder.transfer("--grid")
        assert result.exit_code == 2
        assert "'grids' leads out of" in result.stderr
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_pages_of_older_versions_are_drawn_again(self, folder: Folder) -> None:
        assert folder.transfer("--grid").exit_code == 0
        page = folder.out / "grids" / "page-00001.png"
        marked = page.read_bytes()
        for limit in (1, 2, 3, 4, 12):
            assert folder.transfer("--grid", "--limit", limit).exit_code == 0
            with Image.open(page) as image:
                image.copy().save(page, compress_level=4)  # without the mark
            assert b"Software" not in page.read_bytes()
            assert folder.transfer("--grid", "--limit", limit).exit_code == 0
        assert page.read_bytes() == marked


def test_results_overwrite_no_file_of_a_folder_that_is_not_ours(folder: Folder) -> None:
    folder.out.mkdir()
    photo = folder.out / "0_2_1_vis.png"
    draw_image(9).save(photo)
    before = content_of(folder.out)
    rows = folder.pairs.read_text().splitlines()
    rows.append(rows.pop(1))  # the last one would overwrite it
    folder.pairs.write_text("\n".join(rows))
    for more in ((), ("--dry-run",), ("--overwrite",), ("--limit", 1), ("--skip-bad-rows",)):
        result = folder.transfer(*more)
        assert result.exit_code == 2
        assert f"0_2_1_vis.png would overwrite {photo}, which `dptn transfer`" in result.stderr
        assert content_of(folder.out) == before
    photo.rename(folder.out / "holiday.png")
    for _ in range(2):
        assert folder.transfer().exit_code == 0
    assert (folder.out / "holiday.png").is_file()
    (folder.out / "manifest.jsonl").unlink()
    assert folder.transfer().exit_code == 0, "run.json says that the folder is ours"


def test_results_overwrite_no_image_of_the_job(folder: Folder) -> None:
    folder.pairs.write_text("from,to,out\n0.png,1.png,2.png\n0.png,2.png,new.png\n1.png,2.png,0\n")
    before = content_of(folder.path)
    for out in (folder.path, folder.path / "." / "x" / ".."):
        result = folder.transfer("-o", out)
        assert result.exit_code == 2
        assert "2.png would overwrite the image" in result.stderr
        assert "0.png would overwrite the image" in result.stderr
        assert "new.png" not in result.stderr
    assert content_of(folder.path) == before
    folder.pairs.write_text(f"from,to,out\n0.png,1.png,{folder.path.name}/1.png\n")
    result = folder.transfer("-o", folder.path.parent)
    assert result.exit_code == 2
    assert "photos/1.png would overwrite the image" in result.stderr
    folder.pairs.write_text("from,to,out\n0.png,1.png,0.png\n")
    assert folder.transfer("-o", folder.path, "--shard", 1).exit_code == 0
    assert {name: data for name, data in content_of(folder.path).items() if name in before} == (
        before | {"pairs.csv": folder.pairs.read_bytes()}
    )


class TestDetectPoses:
    """No test here reaches the network: the run stops before."""

    @pytest.mark.parametrize("more", [(), ("--overwrite",), ("--dry-run",)])
    @pytest.mark.parametrize("name", ["k.csv", "k.json"])
    def test_a_record_of_others(self, folder: Folder, name: str, more: tuple[str, ...]) -> None:
        out = folder.path.parent / "poses" / name
        out.parent.mkdir()
        record = out.with_name(f"{name}.record.jsonl")
        record.write_bytes(CVAT)
        result = dptn("detect-poses", folder.path, "-o", out, *more)
        assert result.exit_code == 2
        assert f"{record} exists, but dptn detect-poses did not write it" in result.stderr
        assert content_of(out.parent) == {record.name: CVAT}

    def test_a_pose_file_that_was_replaced(self, folder: Folder) -> None:
        out = folder.path.parent / "k.csv"
        line = {"picture": "0.png", "status": "failed", "people": 0, "fingerprint": "x"}
        out.with_name("k.csv.record.jsonl").write_text(json.dumps(line) + "\n")
        out.write_text("id;x;y\n")
        result = dptn("detect-poses", folder.path, "-o", out)
        assert result.exit_code == 2
        assert "k.csv exists, but `dptn detect-poses` did not write it: choose" in result.stderr
        assert out.read_text() == "id;x;y\n"


def test_what_is_left_out_of_a_folder_is_said(folder: Folder) -> None:
    earlier = folder.path / "earlier"
    assert folder.transfer("-o", earlier).exit_code == 0
    (folder.path / "poster.psd").touch()
    arguments = ("transfer", folder.path, "--poses", folder.path, "--model", folder.model,
                 "-o", folder.out, "--dry-run")  # fmt: skip
    result = dptn(*arguments)
    assert result.exit_code == 0, result.stderr
    assert LINE_TIME.sub("", result.stderr).splitlines() == [
        f"12 images left out: results of dptn transfer in {earlier}",
        "1 file left out, of a kind that is not read: poster.psd",
    ]
    assert dptn(*arguments, "--quiet").stderr == ""
    assert json.loads(dptn(*arguments, "--json").stdout)["counts"]["planned"] == 16


def test_results_below_the_folder_of_images_and_poses_are_resumed(folder: Folder) -> None:
    for out in (folder.path / "results", folder.path / "deep" / "results"):
        arguments = ("transfer", folder.path, "--poses", folder.path, "--model", folder.model,
                     "-o", out, "--json")  # fmt: skip
        counts = [json.loads(dptn(*arguments).stdout)["counts"] for _ in range(2)]
        assert [(count["done"], count["skipped"]) for count in counts] == [(16, 0), (0, 16)]
