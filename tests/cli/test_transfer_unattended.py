"""Jobs that nobody watches: bad rows, known failures, runs that stop, results of older lists."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from support import LINE_TIME, Folder, build_library, dptn, write_pairs

from dptn_cli import PoseTransfer
from dptn_cli.errors import RunStopped

CALLS = "open,write,close,rename,unlink,mkdir,chmod,truncate"


def run_json(folder: Folder) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder.out / "run.json").read_text())
    return document


def failures(folder: Folder) -> dict[str, tuple[str, int | None]]:
    """Return the reason and the line of each failed item, by its output."""
    return {
        line["output"]: (line["reason"], line["line"])
        for line in folder.manifest()
        if line["status"] == "failed"
    }


class TestBadRows:
    ROWS = (
        ("0.png", "1.png", "a.png"),
        ("0.png", "2.png", "a.png"),  # line 3 writes the same result
        ("../0.png", "1.png", "b.png"),  # line 4
        ("0.png", "", "c.png"),  # line 5
        ("2.png", "1.png", "d.png"),
        ("0.png", "1.png", "grids/page-1.png"),  # line 7
        ("0.png", "1.png", "n" * 300 + ".png"),  # line 8
        ("0.png", "broken.png", "e.png"),  # line 9 has a pose that cannot be used
        ("0.png", "gone.png", "f.png"),  # line 10
    )

    @pytest.fixture(autouse=True)
    def rows(self, folder: Folder) -> None:
        write_pairs(folder.pairs, self.ROWS, header="from,to,out")
        with (folder.path / "keypoints.csv").open("a") as file:
            file.write("broken.png: nonsense: []\n")

    def test_nothing_is_started_and_every_line_is_told(self, folder: Folder) -> None:
        result = folder.transfer()
        assert result.exit_code == 2
        assert not folder.out.exists()
        assert "7 problems, nothing was started" in result.stderr
        for line in (3, 4, 5, 7, 8, 9):
            assert f"pairs.csv, line {line}: " in result.stderr
        assert "no keypoints for gone.png (line 10), and no image" in result.stderr

    def test_the_rest_is_generated(self, folder: Folder) -> None:
        result = folder.transfer("--skip-bad-rows")
        assert result.exit_code == 1
        assert sorted(folder.results()) == ["a.png", "d.png"]
        assert run_json(folder)["counts"] == {
            "planned": 9, "done": 2, "skipped": 0, "failed": 7,
        }  # fmt: skip
        reasons = failures(folder)
        assert sorted(line for _, line in reasons.values() if line) == [3, 4, 5, 7, 8, 9, 10]
        assert "leaves its folder" in reasons["pairs.csv, line 4"][0]
        assert "would both write a.png" in reasons["pairs.csv, line 3"][0]
        assert "broken.png" in reasons["e.png"][0]
        assert "5 rows cannot be used and will fail: line 4, " in result.stderr

    def test_a_dry_run_says_the_same(self, folder: Folder) -> None:
        result = folder.transfer("--skip-bad-rows", "--dry-run", "--json")
        assert result.exit_code == 1
        assert json.loads(result.stdout)["counts"] == {
            "planned": 9, "skipped": 0, "failed": 7, "to_do": 2,
        }  # fmt: skip

    def test_a_list_of_bad_rows_alone(self, folder: Folder) -> None:
        write_pairs(folder.pairs, [("../0.png", "1.png"), ("", "1.png")])
        result = folder.transfer("--skip-bad-rows")
        assert result.exit_code == 2
        assert (
            "no row can be used; for example, line 2, '../0.png,1.png': '../0.png' leaves"
            in result.stderr
        )


@pytest.mark.parametrize("with_keypoints", [True, False])
def test_a_deleted_image_fails_its_items_alone(folder: Folder, with_keypoints: bool) -> None:
    (folder.path / "2.png").unlink()
    if not with_keypoints:
        path = folder.path / "keypoints.csv"
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith("2.png")))
    result = folder.transfer()
    assert result.exit_code == 1
    as_source = {
        output: reason for output, (reason, _) in failures(folder).items() if output[0] == "2"
    }
    assert as_source == dict.fromkeys(
        ("2_2_0_vis.png", "2_2_1_vis.png", "2_2_3_vis.png"), "the source image is missing"
    )
    assert len(folder.results()) == (9 if with_keypoints else 6)
    assert "2.png (line 3)" in result.stderr


class TestKnownFailures:
    @pytest.fixture(autouse=True)
    def broken(self, folder: Folder) -> None:
        (folder.path / "2.png").write_bytes(b"\xff\xd8\xff\xe0 broken")
        assert folder.transfer().exit_code == 1

    def test_they_are_not_tried_again(self, folder: Folder) -> None:
        before = (folder.out / "manifest.jsonl").read_bytes()
        result = folder.transfer()
        assert result.exit_code == 1
        assert "Failed (3 as before):" in result.stderr
        (line,) = (line for line in result.stderr.splitlines() if "2.png: " in line)
        assert (
            LINE_TIME.sub("", line) == "  2.png: cannot be decoded: Truncated File Read (3 items)"
        )
        assert run_json(folder)["known_failures"] == 3
        assert (folder.out / "manifest.jsonl").read_bytes() == before

    def test_they_can_be_accepted(self, folder: Folder) -> None:
        assert folder.transfer("--accept-known").exit_code == 0
        assert folder.transfer("--accept-known", "--dry-run").exit_code == 0
        (folder.path / "1.png").write_bytes(b"new")
        assert folder.transfer("--accept-known").exit_code == 1
        assert run_json(folder)["known_failures"] == 3
        assert folder.transfer("--accept-known").exit_code == 0
        assert run_json(folder)["known_failures"] == 6

    def test_another_broken_image_is_new(self, folder: Folder) -> None:
        """Though its reason is the same; the time after that, it is known."""
        (folder.path / "2.png").write_bytes(b"\xff\xd8\xff\xe0 broken too")
        assert folder.transfer("--accept-known").exit_code == 1
        assert run_json(folder)["known_failures"] == 0
        assert folder.transfer("--accept-known").exit_code == 0

    def test_a_missing_image_and_a_bad_row_are_known(self, folder: Folder) -> None:
        """A dry run says the same; another bad row in the same line is new."""
        options = ("--skip-bad-rows", "--accept-known")
        (folder.path / "2.png").unlink()
        folder.pairs.write_text("from,to\n0.png,1.png\n2.png,0.png\n3.png,\n")
        assert folder.transfer(*options).exit_code == 1
        for more in ((), ("--dry-run",)):
            assert folder.transfer(*options, *more).exit_code == 0
        folder.pairs.write_text("from,to\n0.png,1.png\n2.png,0.png\n1.png,\n")
        for more in (("--dry-run",), ()):
            assert folder.transfer(*options, *more).exit_code == 1

    def test_a_changed_image_is_tried(self, folder: Folder) -> None:
        shutil.copy(folder.path / "1.png", folder.path / "2.png")
        assert folder.transfer().exit_code == 0
        assert run_json(folder)["counts"]["done"] == 3
        assert run_json(folder)["known_failures"] == 0

    def test_a_lack_of_this_machine_is_tried(
        self, folder: Folder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same image may be readable once a package is installed."""
        heic = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00heicmif1" + bytes(64)
        (folder.path / "2.png").write_bytes(heic)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "pillow_heif", None)
            for _ in range(2):
                assert folder.transfer("--accept-known").exit_code == 1
                assert run_json(folder)["known_failures"] == 0
        folder.transfer()
        assert {failures(folder)["2_2_0_vis.png"][0]} != {"a HEIC image"}

    def test_they_can_be_retried(self, folder: Folder) -> None:
        """A known failure is decoded again, which only the timing of a run could tell; so the
        image's entry in the manifest is made one of an image that is whole."""
        shutil.copy(folder.path / "1.png", folder.path / "2.png")
        (folder.out / "manifest.jsonl").unlink()
        assert folder.transfer().exit_code == 0
        manifest = folder.out / "manifest.jsonl"
        lines = [json.loads(line) for line in manifest.open()]
        for line in lines:
            line |= {"status": "failed", "reason": "why", "permanent": True}
        manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert folder.transfer("--accept-known").exit_code == 0
        assert run_json(folder)["counts"]["failed"] == 12
        assert folder.transfer("--retry-failed").exit_code == 0
        assert run_json(folder)["counts"]["done"] == 12


@pytest.mark.parametrize(("limit", "code", "ended"), [("2", 1, 3), ("16%", 1, 2), ("3", 1, 12)])
def test_too_many_failures_stop_the_run(folder: Folder, limit: str, code: int, ended: int) -> None:
    for name in ("0.png", "1.png", "2.png") if ended < 12 else ("2.png",):
        (folder.path / name).write_bytes(b"broken")
    result = folder.transfer("--max-failures", limit, "--batch-size", 1)
    assert result.exit_code == code
    document = run_json(folder)
    assert sum(document["counts"][key] for key in ("done", "failed")) >= ended
    if ended == 12:
        assert document["state"] == "finished"
    else:
        assert document["state"] == "stopped"
        assert document["counts"]["failed"] < 9
        assert f"(--max-failures {limit})" in document["stop_reason"]
        assert "Stopped: more than" in result.stderr
        assert "Run the same command to resume" in result.stderr


def test_bad_rows_count_first(folder: Folder) -> None:
    """They are known before anything starts, so that a run that cannot be right ends at once."""
    with folder.pairs.open("a") as file:
        file.write("0.png,\n,1.png\n")
    result = folder.transfer("--skip-bad-rows", "--max-failures", 1, "--batch-size", 1)
    assert result.exit_code == 1
    assert run_json(folder)["state"] == "stopped"
    assert run_json(folder)["counts"]["failed"] == 2
    assert len(folder.results()) < 12


@pytest.mark.parametrize("limit", ["-1", "many", "101%", "5 pairs", ""])
def test_max_failures_that_are_no_number(folder: Folder, limit: str) -> None:
    result = folder.transfer(f"--max-failures={limit}")
    assert result.exit_code == 2
    assert "write a number of items, or 0% to 100%" in result.stderr


class TestUnlisted:
    """Results that only an earlier list had."""

    @pytest.fixture(autouse=True)
    def shrink(self, folder: Folder) -> None:
        write_pairs(
            folder.pairs, [("0.png", "1.png", "0.png"), ("1.png", "0.png", "sub/deep/1.png"),
                           ("2.png", "0.png", "2.png")], header="from,to,out",
        )  # fmt: skip
        assert folder.transfer().exit_code == 0
        (folder.out / "sub" / "mine.png").write_bytes(b"mine")
        write_pairs(folder.pairs, [("0.png", "1.png", "0.png")], header="from,to,out")

    def test_they_are_counted_and_named(self, folder: Folder) -> None:
        result = folder.transfer()
        assert result.exit_code == 0
        assert (
            "The folder still has 2 results of earlier lists, named in unlisted.jsonl"
            in result.stderr
        )
        lines = [json.loads(line) for line in (folder.out / "unlisted.jsonl").open()]
        assert [line["output"] for line in lines] == ["sub/deep/1.png", "2.png"]
        assert run_json(folder)["unlisted"] == 2
        assert len(folder.results()) == 4

    def test_a_dry_run_names_what_would_be_removed(self, folder: Folder) -> None:
        result = folder.transfer("--prune", "--dry-run")
        assert "--prune would remove 2 results of earlier lists:\n  sub/deep/1.png\n  2.png\n" in (
            LINE_TIME.sub("", result.stderr)
        )
        assert len(folder.results()) == 4

    def test_they_are_removed_and_nothing_else(self, folder: Folder) -> None:
        result = folder.transfer("--prune")
        assert "Removed 2 results of earlier lists." in result.stderr
        assert sorted(folder.results()) == ["0.png", "sub/mine.png"]
        assert not (folder.out / "sub" / "deep").exists(), "a folder that is empty goes too"
        assert run_json(folder)["pruned"] == 2
        assert "earlier lists" not in folder.transfer("--prune").stderr
        scores = dptn("evaluate", folder.out, "-o", folder.path / "report", "--json")
        document = json.loads(scores.stdout)
        assert [problem["name"] for problem in document["unpaired"]] == ["sub/mine.png"]
        assert (scores.exit_code, document["failed"]) == (0, [])

    def test_one_that_cannot_be_removed_does_not_keep_the_others(self, folder: Folder) -> None:
        (folder.out / "sub" / "deep" / "1.png").unlink()
        (folder.out / "sub" / "deep").rmdir()
        (folder.out / "sub" / "deep").symlink_to(folder.path)  # its 1.png is an image of the user
        result = folder.transfer("--prune")
        assert result.exit_code == 1
        assert "leads out of" in result.stderr
        assert sorted(folder.results()) == ["0.png", "sub/mine.png"]
        assert (folder.path / "1.png").exists()
        assert (run_json(folder)["pruned"], run_json(folder)["unlisted"]) == (1, 1)

    def test_what_a_part_of_the_list_leaves_open(self, folder: Folder) -> None:
        """A list of yesterday is the list again: the record of today does not hold any more."""
        folder.transfer()
        assert (folder.out / "unlisted.jsonl").exists()
        write_pairs(folder.pairs, [("2.png", "0.png", "2.png"), ("0.png", "1.png", "0.png")],
                    header="from,to,out")  # fmt: skip
        folder.transfer("--limit", 1)
        assert not (folder.out / "unlisted.jsonl").exists()

    def test_failures_of_an_earlier_list_are_forgotten(self, folder: Folder) -> None:
        folder.pairs.write_text("from,to,out\n0.png,1.png,0.png\n0.png,,bad.png\n")
        assert folder.transfer("--skip-bad-rows").exit_code == 1
        folder.pairs.write_text("from,to,out\n0.png,1.png,0.png\n")
        assert folder.transfer().exit_code == 0
        scores = dptn("evaluate", folder.out, "-o", folder.path / "report", "--json")
        assert (scores.exit_code, json.loads(scores.stdout)["failed"]) == (0, [])

    def test_a_part_of_the_list_removes_nothing(self, folder: Folder) -> None:
        folder.transfer("--prune", "--limit", 1)
        assert len(folder.results()) == 4

    def test_a_row_that_cannot_be_read_may_list_any_result(self, folder: Folder) -> None:
        with folder.pairs.open("a") as file:
            file.write("2.png,,2.png\n")  # its target has got lost
        result = folder.transfer("--prune", "--skip-bad-rows")
        assert result.exit_code == 1
        assert "Nothing was pruned" in result.stderr
        assert len(folder.results()) == 4

    def test_an_image_that_the_job_reads_is_kept(self, folder: Folder) -> None:
        """The new list takes a result of the old one as its source."""
        write_pairs(folder.out / "next.csv", [("2.png", "2.png", "new.png")], header="from,to,out")
        (folder.out / "keypoints.csv").write_text((folder.path / "keypoints.csv").read_text())
        result = folder.transfer("--pairs", folder.out / "next.csv", "--prune")
        assert result.exit_code == 0, result.stderr
        assert sorted(folder.results()) == ["2.png", "new.png", "sub/mine.png"]

    def test_a_manifest_that_somebody_edited_removes_nothing_elsewhere(
        self, folder: Folder, tmp_path: Path
    ) -> None:
        victim = folder.out.parent / "victim.png"
        victim.write_bytes(b"mine")
        (folder.out / "link").symlink_to(folder.out.parent)
        line = json.loads((folder.out / "manifest.jsonl").read_text().splitlines()[0])
        with (folder.out / "manifest.jsonl").open("a") as file:
            for name in ("../victim.png", str(victim), "link/victim.png", "sub/../../victim.png"):
                file.write(json.dumps(line | {"output": name}) + "\n")
        folder.transfer("--prune")
        assert victim.read_bytes() == b"mine"


@pytest.fixture(scope="module")
def folding_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_library("folded_names", tmp_path_factory.mktemp("libraries"))


def run(
    folder: Folder, library: Path, *more: object, **variables: object
) -> subprocess.CompletedProcess[str]:
    """Run `dptn transfer` in a process of its own, with a library that is loaded first."""
    command = [
        sys.executable, "-m", "dptn_cli", "transfer", "--pairs", folder.pairs,
        "--model", folder.model, "-o", folder.out, "--batch-size", 1, "--workers", 1, *more,
    ]  # fmt: skip
    variables |= {"LD_PRELOAD": library}
    return subprocess.run(
        list(map(str, command)),
        env=os.environ | {name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        timeout=120,
    )


def fault(
    error: int, calls: str, first: int, path: Path, count: int = 1 << 30
) -> dict[str, object]:
    return {
        "FAULT_PATH": path, "FAULT_CALLS": calls, "FAULT_FIRST": first, "FAULT_COUNT": count,
        "FAULT_ERRNO": error,
    }  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="the libraries are for Linux")
class TestFaults:
    """Errors of the disk, made by a library between Python and the system."""

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (28, "No space left on device"),
            (122, "Disk quota exceeded"),
            (30, "Read-only file system"),
        ],
        ids=["full", "quota", "read-only"],
    )
    def test_a_disk_that_takes_no_more_images(
        self, folder: Folder, fault_library: Path, error: int, told: str
    ) -> None:
        """Of the run's renames, the first is that of `run.json`; the manifest has its reserve."""
        result = run(folder, fault_library, **fault(error, "rename", 5, folder.out / "", 3))
        assert result.returncode == 1
        document = run_json(folder)
        assert document["state"] == "stopped"
        assert told in document["stop_reason"]
        assert document["counts"]["failed"] == 0, "no item is to blame"
        done = {line["output"] for line in folder.manifest()}
        assert done == set(folder.results())
        assert 3 <= len(done) < 12
        assert f"Stopped: {folder.out.resolve()}: {told}." in result.stderr
        assert folder.transfer().exit_code == 0
        assert run_json(folder)["counts"]["skipped"] == len(done)
        assert not [name for name in os.listdir(folder.out) if name.startswith(".")]

    @pytest.mark.parametrize("error", [5, 28], ids=["EIO", "ENOSPC"])
    def test_a_manifest_that_cannot_be_closed(
        self, folder: Folder, fault_library: Path, error: int
    ) -> None:
        """Files are closed four times: by the reader of old lines, and at the end."""
        path = folder.out / "manifest.jsonl"
        result = run(folder, fault_library, **fault(error, "close", 1, path))
        assert result.returncode == 1 or result.returncode == 2
        assert "Traceback" not in result.stderr
        assert "manifest.jsonl: " in result.stderr
        assert folder.transfer().exit_code == 0

    def test_any_call_may_fail_once(self, folder: Folder, fault_library: Path) -> None:
        """The calls are spread over the whole run, from the folder's creation to the last file."""
        for number, error in ((1, 5), (4, 28), (13, 5), (20, 28), (31, 5), (60, 28)):
            shutil.rmtree(folder.out, ignore_errors=True)
            result = run(folder, fault_library, **fault(error, CALLS, number, folder.out, count=1))
            assert result.returncode in (0, 1, 2), result.stderr
            assert "Traceback" not in result.stderr
            assert folder.transfer().exit_code == 0
            assert len(folder.results()) == 12


class TestAFolderThatGoes:
    """Somebody removes or changes the results in the middle of a run."""

    @pytest.fixture
    def outcomes(self, folder: Folder) -> Any:
        transfer = PoseTransfer(folder.model, provider="cpu")
        return transfer.transfer(folder.pairs, out=folder.out, batch_size=1, workers=1)

    def test_removed(self, folder: Folder, outcomes: Any) -> None:
        next(outcomes)
        # First away, because a result that is just being written would keep the folder from going.
        shutil.rmtree(folder.out.rename(folder.path / "removed"))
        with pytest.raises(RunStopped, match="the results folder"):
            list(outcomes)
        assert not folder.out.exists(), "the run makes no folder anew"

    def test_replaced(self, folder: Folder, outcomes: Any) -> None:
        next(outcomes)
        folder.out.rename(folder.path / "moved")
        folder.out.mkdir()
        with pytest.raises(RunStopped, match="removed or replaced"):
            list(outcomes)
        assert not list(folder.out.iterdir())

    def test_replaced_while_a_result_is_written(
        self, folder: Folder, outcomes: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        next(outcomes)
        make_file = tempfile.mkstemp

        def replace_first(*args: Any) -> tuple[int, str]:
            if not (folder.path / "moved").exists():
                folder.out.rename(folder.path / "moved")
                folder.out.mkdir()
            return make_file(*args)

        monkeypatch.setattr(tempfile, "mkstemp", replace_first)
        with pytest.raises(RunStopped, match="removed or replaced"):
            list(outcomes)
        assert not list(folder.out.iterdir())

    def test_removed_when_all_is_skipped(self, folder: Folder) -> None:
        folder.transfer()
        outcomes = PoseTransfer(folder.model, provider="cpu").transfer(folder.pairs, out=folder.out)
        for _ in range(12):
            next(outcomes)
        shutil.rmtree(folder.out)
        with pytest.raises(RunStopped, match="removed or replaced"):
            next(outcomes)
        assert not folder.out.exists()

    @pytest.mark.parametrize("change", ["gone", "shorter", "other columns"])
    def test_a_list_that_changes(self, folder: Folder, outcomes: Any, change: str) -> None:
        """It is read a second time while images are generated."""
        if change == "gone":
            folder.pairs.unlink()
        else:
            folder.pairs.write_text("from,to\n0.png,1.png\n" if change == "shorter" else "a,b\n")
        with pytest.raises(RunStopped, match="the list"):
            list(outcomes)
        assert run_json(folder)["state"] == "stopped"

    def test_emptied_manifest(self, folder: Folder, outcomes: Any) -> None:
        next(outcomes)
        os.truncate(folder.out / "manifest.jsonl", 0)
        with pytest.raises(RunStopped, match=r"manifest.jsonl: another program changed this file"):
            list(outcomes)
        assert run_json(folder)["state"] == "stopped"
        assert folder.transfer().exit_code == 0
        assert len(folder.results()) == 12


@pytest.mark.skipif(sys.platform != "linux", reason="the library is for Linux")
def test_a_disk_that_ignores_case(folder: Folder, folding_library: Path) -> None:
    out = folder.path / "folded" / "out"
    out.parent.mkdir()
    on_disk = Folder(folder.path, folder.model)
    write_pairs(
        folder.pairs, [("0.png", "1.png", "Anna.png"), ("1.png", "0.png", "anna.png")],
        header="from,to,out",
    )  # fmt: skip
    result = run(on_disk, folding_library, "-o", out, FOLDED=out.parent)
    assert result.returncode == 2
    assert "would both write anna.png, which the disk takes for Anna.png (lines 2 and 3)" in (
        result.stderr
    )
    result = run(on_disk, folding_library, "-o", out, "--skip-bad-rows", FOLDED=out.parent)
    assert result.returncode == 1
    assert [p.name for p in out.iterdir() if p.suffix == ".png"] == ["anna.png"]


@pytest.mark.parametrize(
    "content",
    [b"\0" * (3 << 20), b'{"output": "' + b"a" * (3 << 20), b"[" * (3 << 20) + b"\n"],
    ids=["NULs", "one line", "brackets"],
)
def test_a_broken_manifest_after_a_good_one(folder: Folder, content: bytes) -> None:
    folder.transfer()
    with (folder.out / "manifest.jsonl").open("ab") as file:
        file.write(content)
    assert folder.transfer().exit_code == 0
    assert run_json(folder)["counts"]["skipped"] == 12


def test_a_folder_in_place_of_the_manifest(folder: Folder) -> None:
    (folder.out / "manifest.jsonl").mkdir(parents=True)
    result = folder.transfer()
    assert result.exit_code == 2
    assert "manifest.jsonl: Is a directory" in result.stderr
