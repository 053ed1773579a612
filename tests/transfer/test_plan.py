"""Everything is checked, and everything found is said, before anything starts."""

import json
import os
import sys
import tracemalloc
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from support import (
    TINY_SPEC,
    draw_image,
    draw_pose,
    write_annotations,
    write_pairs,
)

from dptn_cli.enums import PoseFormat, Retarget
from dptn_cli.errors import InputError
from dptn_cli.keypoints import write_poses
from dptn_cli.transfer.plan import TransferRequest, make_job, with_poses
from dptn_cli.types import Failure, FoundPose, Job, Model

MODEL = Model(Path("m.onnx"), "0" * 64, TINY_SPEC, "fp32", {})


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    names = ["a.png", "b.png", "sub/c.png"]
    for i, name in enumerate(names):
        draw_image(i).save(folder / name)
    write_annotations(folder / "keypoints.csv", {n: draw_pose(i) for i, n in enumerate(names)})
    return folder


def job_for(photos: Path, *pairs: tuple[str, ...], header: str = "from,to", **more: object) -> Job:
    listed = write_pairs(photos / "pairs.csv", pairs, header)
    request = TransferRequest(out=photos.parent / "out", pairs=listed)
    return make_job(replace(request, **more), MODEL)  # type: ignore[arg-type]


def outputs(job: Job) -> list[str]:
    return [item.output for item in job.items()]


def test_a_pair_list(photos: Path) -> None:
    job = job_for(photos, ("a.png", "b.png"), ("sub/c.png", "a.png"))
    assert job.planned == 2
    first, second = job.items()
    assert first.output == "a_2_b_vis.png"
    assert second.output == "sub/c_2_a_vis.png"
    assert np.array_equal(first.target_pose, draw_pose(1))
    assert first.target_path == photos.resolve() / "b.png"
    assert outputs(job) == outputs(job), "items can be read again"


def test_results_may_be_named(photos: Path) -> None:
    rows = (("a.png", "b.png", "x/1"), ("a.png", "sub/c.png", "2.jpg"), ("b.png", "a.png", ""))
    job = job_for(photos, *rows, header="from,to,out", result_format="jpg")
    assert outputs(job) == ["x/1.jpg", "2.jpg", "b_2_a_vis.jpg"]


def test_limit(photos: Path) -> None:
    job = job_for(photos, ("a.png", "b.png"), ("b.png", "a.png"), limit=1)
    assert (job.planned, outputs(job)) == (1, ["a_2_b_vis.png"])


def test_shards_hold_so_many_items_of_the_list(photos: Path) -> None:
    pairs = [("a.png", "b.png"), ("b.png", "a.png"), ("sub/c.png", "a.png")]
    everything = outputs(job_for(photos, *pairs, shard=2))
    assert everything == ["00000/a_2_b_vis.png", "00000/b_2_a_vis.png", "00001/sub/c_2_a_vis.png"]
    assert outputs(job_for(photos, *pairs, shard=2, limit=2)) == everything[:2]


def test_shards_do_not_hide_that_two_results_have_one_name(photos: Path) -> None:
    pairs = (("a.png", "b.png", "x.png"), ("b.png", "a.png", "x.png"))
    with pytest.raises(InputError, match=r"would both write x.png \(lines 2 and 3\)"):
        job_for(photos, *pairs, header="from,to,out", shard=1)


def test_images_elsewhere_and_keypoints_by_name(photos: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "lists"
    elsewhere.mkdir()
    listed = write_pairs(elsewhere / "p.csv", [("a.png", "b.png")])
    os.rename(photos / "keypoints.csv", tmp_path / "k.csv")
    request = TransferRequest(out=tmp_path / "out", pairs=listed, images=photos)
    missing_pose = make_job(request, MODEL).missing_pose
    folder = photos.resolve()
    assert missing_pose == {folder / "a.png": "a.png", folder / "b.png": "b.png"}
    job = make_job(replace(request, keypoints=(tmp_path / "k.csv",)), MODEL)
    assert outputs(job) == ["a_2_b_vis.png"]
    os.rename(tmp_path / "k.csv", elsewhere / "keypoints.csv")
    assert outputs(make_job(request, MODEL)) == ["a_2_b_vis.png"]


def test_named_keypoints_win(photos: Path, tmp_path: Path) -> None:
    other = write_annotations(tmp_path / "k.csv", {"a.png": draw_pose(7)})
    (item,) = job_for(photos, ("a.png", "b.png"), keypoints=(other,)).items()
    assert np.array_equal(item.source_pose, draw_pose(7))
    assert np.array_equal(item.target_pose, draw_pose(1))


def test_every_source_in_every_pose(photos: Path, tmp_path: Path) -> None:
    request = TransferRequest(
        out=photos / "out", sources=(photos,), poses=(photos / "keypoints.csv",)
    )
    job = make_job(request, MODEL)
    assert job.planned == 9
    assert outputs(job)[:4] == [
        "a_2_a_vis.png", "a_2_b_vis.png", "a_2_c_vis.png", "b_2_a_vis.png",
    ]  # fmt: skip
    assert outputs(job)[-1] == "sub/c_2_c_vis.png"


def test_sources_and_poses_as_files_and_folders(photos: Path, tmp_path: Path) -> None:
    poses = tmp_path / "poses"
    poses.mkdir()
    draw_image(5).save(poses / "p.png")
    write_annotations(poses / "keypoints.csv", {"p.png": draw_pose(5)})
    request = TransferRequest(out=tmp_path / "out", sources=(photos / "b.png",), poses=(poses,))
    assert outputs(make_job(request, MODEL)) == ["b_2_p_vis.png"]


def test_results_are_not_taken_for_sources(photos: Path) -> None:
    out = photos / "results"
    out.mkdir()
    draw_image(0).save(out / "old_2_b_vis.png")
    request = TransferRequest(out=out, sources=(photos,), poses=(photos / "keypoints.csv",))
    assert make_job(request, MODEL).planned == 9


def test_what_was_detected_is_taken_and_what_was_not_fails_its_items(photos: Path) -> None:
    (photos / "keypoints.csv").unlink()
    folder = photos.resolve()
    found = FoundPose("any", draw_pose(3).astype(float), np.ones(18))
    detected: dict[Path, FoundPose | Failure] = {
        folder / "a.png": found,
        folder / "b.png": Failure("no person was found"),
    }
    job = with_poses(job_for(photos, ("a.png", "a.png"), ("a.png", "b.png")), detected)
    good, bad = job.items()
    assert np.array_equal(good.source_pose, draw_pose(3))
    assert not good.pose_pending
    assert (good.failure_reason, bad.failure_reason) == ("", "b.png: no person was found")
    assert job.missing_pose == {}


def test_the_list_is_read_once_where_poses_are_detected(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "keypoints.csv").unlink()
    job = job_for(photos, ("a.png", "b.png"))
    crowd = FoundPose("any", draw_pose(3).astype(float), np.ones(18), people=3)
    monkeypatch.setattr("dptn_cli.transfer.plan.PairChecks", None)
    found = dict.fromkeys(job.missing_pose, crowd)
    planned = with_poses(job, found)
    assert (planned.multi_person_count, planned.multi_person_names) == (
        2,
        ("a.png (3)", "b.png (3)"),
    )
    (item,) = planned.items()
    assert np.array_equal(item.target_pose, draw_pose(3))


def test_poses_that_are_not_detected_stay_pending(photos: Path) -> None:
    (photos / "keypoints.csv").unlink()
    job = job_for(photos, ("a.png", "b.png"))
    found = FoundPose("any", draw_pose(3).astype(float), np.ones(18))
    planned = with_poses(job, {photos.resolve() / "a.png": found})
    (item,) = planned.items()
    assert (item.source_pose_pending, item.target_pose_pending) == (False, True)
    assert planned.missing_pose == {photos.resolve() / "b.png": "b.png"}


def test_a_source_does_not_get_the_pose_of_a_target_of_its_name(
    photos: Path, tmp_path: Path
) -> None:
    poses = write_annotations(tmp_path / "k.csv", {"a.png": draw_pose(7), "z": draw_pose(8)})
    request = TransferRequest(out=tmp_path / "out", sources=(photos / "a.png",), poses=(poses,))
    first, second = make_job(request, MODEL).items()
    assert np.array_equal(first.source_pose, draw_pose(0))
    assert np.array_equal(first.target_pose, draw_pose(7))
    assert second.target == "z"


def test_a_folder_of_pose_files(photos: Path, tmp_path: Path) -> None:
    poses = tmp_path / "poses"
    found = [
        FoundPose(n, draw_pose(i).astype(np.float64), np.ones(18))
        for i, n in enumerate(("p.png", "q"))
    ]
    write_poses(poses, found, PoseFormat.OPENPOSE)
    request = TransferRequest(out=tmp_path / "out", sources=(photos / "b.png",), poses=(poses,))
    assert outputs(make_job(request, MODEL)) == ["b_2_p_vis.png", "b_2_q_vis.png"]
    draw_image(5).save(poses / "p.png")
    items = list(make_job(request, MODEL).items())
    assert [item.target for item in items] == ["p.png", "q"]
    assert items[0].target_path == poses.resolve() / "p.png"
    assert np.array_equal(items[0].target_pose, draw_pose(0))


def test_targets_are_brought_to_sources_for_folders_alone(photos: Path, tmp_path: Path) -> None:
    request = TransferRequest(out=tmp_path / "out", sources=(photos,), poses=(photos,))
    assert make_job(request, MODEL).retarget is Retarget.SCALE
    assert make_job(replace(request, retarget=Retarget.NONE), MODEL).retarget is Retarget.NONE
    assert job_for(photos, ("a.png", "b.png")).retarget is Retarget.NONE


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (
            [("a.png", "nobody.png")],
            "no item can be generated: no keypoints for nobody.png \\(line 2\\), and no image",
        ),
        (
            [("a.png", "b.png"), ("b.png", "a.png"), ("./a.png", "b.png")],
            "pairs.csv, line 4: duplicate of line 2, a.png -> b.png; remove one of the two",
        ),
        (
            [("x.png", "a.png"), ("y.png", "b.png")],
            "none of the 2 source images exists, for example /.*/x.png; --images",
        ),
    ],
)
def test_problems(photos: Path, pairs: list[tuple[str, str]], message: str) -> None:
    with (photos / "keypoints.csv").open("a") as file:
        file.write("".join(f"{n}.png: {[1] * 18}: {[1] * 18}\n" for n in "xy"))
    with pytest.raises(InputError, match=message):
        job_for(photos, *pairs)


@pytest.mark.parametrize("name", ["grids/page-00001.png", "Grids/Page-7.PNG"])
def test_a_result_is_no_contact_sheet(photos: Path, name: str) -> None:
    """`--grid` would overwrite it, now or in a later run."""
    with pytest.raises(InputError, match=rf"{name} is the name of a contact sheet"):
        job_for(photos, ("a.png", "b.png", name), header="from,to,out")
    job = job_for(photos, ("a.png", "b.png", "grids/page-a.png"), header="from,to,out")
    assert outputs(job) == ["grids/page-a.png"]


def test_names_too_long_for_a_file(photos: Path, tmp_path: Path) -> None:
    long = "a" * 300 + ".png"
    with pytest.raises(
        InputError, match=r"pairs.csv, line 2: 'a{40}'\.\.\. is too long for a file"
    ):
        job_for(photos, ("a.png", long))
    people = [{"file_name": long, "keypoints": list(range(51))}]
    (tmp_path / "poses.json").write_text(json.dumps(people))
    request = TransferRequest(
        out=tmp_path / "out", sources=(photos,), poses=(tmp_path / "poses.json",)
    )
    with pytest.raises(InputError, match="is too long for a file"):
        make_job(request, MODEL)


def test_a_listed_name_that_is_too_long_is_refused_with_a_way_out(photos: Path) -> None:
    for length in (252, 300):  # with and without the suffix that is added
        with pytest.raises(InputError, match="is too long for a file.*column `out`"):
            job_for(photos, ("a.png", "b.png", "x" * length), header="from,to,out")


def test_a_published_name_that_is_too_long_is_shortened(photos: Path) -> None:
    names = ["sub/" + "x" * 200 + ".jpg", "y" * 200 + "1.jpg", "y" * 200 + "2.jpg"]
    write_annotations(photos / "keypoints.csv", {n: draw_pose(0) for n in (*names, "a.png")})
    (photos / names[0]).touch()
    job = job_for(photos, (names[0], names[1]), (names[0], names[2]), (names[0], "a.png"))
    first, second, third = outputs(job)
    assert first == "sub/" + "x" * 115 + "_2_" + "y" * 116 + "_89fd68639ee1_vis.png"
    assert second[:238] == first[:238] and second != first
    assert third == "sub/" + "x" * 200 + "_2_a_vis.png"
    assert job.notes == (
        "2 of 3 results have shortened names, because the published ones are too long for a "
        "file; manifest.jsonl has their sources and targets",
    )
    assert job_for(photos, (names[0], "a.png")).notes == ()


def test_pairs_of_different_folders_may_clash(photos: Path) -> None:
    write_annotations(photos / "keypoints.csv", {n: draw_pose(0) for n in ("a.png", "1/b", "2/b")})
    with pytest.raises(InputError, match="a.png -> 1/b and a.png -> 2/b would both write"):
        job_for(photos, ("a.png", "1/b"), ("a.png", "2/b"))


def test_all_problems_at_once(photos: Path) -> None:
    with (photos / "keypoints.csv").open("a") as file:
        file.write("broken.png: nonsense: []\n")
    pairs = [("a.png", "1.png"), ("a.png", "2.png"), ("b.png", "a.png"), ("b.png", "a.png"),
             ("b.png", "broken.png"), ("../x.png", "a.png"), ("a.png", "")]  # fmt: skip
    with pytest.raises(InputError, match="5 problems, nothing was started") as raised:
        job_for(photos, *pairs)
    text = "\n".join(raised.value.problems)
    for part in (
        "no keypoints for 1.png (line 2), 2.png (line 3), and no image to detect them on",
        "line 5: duplicate of line 4", "line 6:", "(broken.png)", "line 7: '../x.png' leaves",
        "line 8: no name",
    ):  # fmt: skip
        assert part in text


def test_absolute_names_below_the_folder_of_images(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(photos)
    rows = [
        (str(photos / "a.png"), "b.png"),
        (f"{tmp_path}//link/sub/c.png", f"file://{photos}/a.png"),
    ]
    expected = [("a.png", "b.png"), ("sub/c.png", "a.png")]
    for images in (photos, tmp_path / "link"):
        items = list(job_for(photos, *rows, images=images).items())
        assert [(item.source, item.target) for item in items] == expected
        assert [item.output for item in items] == ["a_2_b_vis.png", "sub/c_2_a_vis.png"]
    for name in ("/data/a.png", f"{tmp_path}/a.png", "file:///data/a.png"):
        with pytest.raises(InputError, match="line 2: .* is not in the folder of images .*photos;"):
            job_for(photos, (name, "b.png"))


@pytest.mark.parametrize("listed", ["NFC", "NFD"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("annotated", ["NFC", "NFD"])
def test_names_in_another_normal_form(
    photos: Path,
    listed: Literal["NFC", "NFD"],
    on_disk: Literal["NFC", "NFD"],
    annotated: Literal["NFC", "NFD"],
) -> None:
    """As macOS and archives made on it have them."""
    name = "sub/José é.png"
    draw_image(5).save(photos / unicodedata.normalize(on_disk, name))
    poses = {unicodedata.normalize(annotated, name): draw_pose(5), "a.png": draw_pose(0)}
    write_annotations(photos / "keypoints.csv", poses)
    job = job_for(photos, (unicodedata.normalize(listed, name), "a.png"))
    (item,) = job.items()
    assert item.source_path.is_file()
    assert np.array_equal(item.source_pose, draw_pose(5))
    assert not job.missing_sources


def test_two_images_that_differ_in_the_normal_form_keep_their_own_poses(photos: Path) -> None:
    names = [unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")]
    for name in names:
        draw_image(5).save(photos / name)
    write_annotations(photos / "keypoints.csv", {names[0]: draw_pose(5), "a.png": draw_pose(0)})
    job = job_for(photos, (names[0], "a.png"), (names[1], "a.png"))
    assert [item.source for item in job.items()] == names
    assert list(job.missing_pose.values()) == names[1:]


def test_images_with_several_people_are_told(photos: Path) -> None:
    def person(size: int) -> dict[str, list[int]]:
        return {"keypoints": [size * (i % 5) for i in range(51)]}

    (photos / "a.json").write_text(json.dumps([person(2), person(9), person(3)]))
    (photos / "b.json").write_text(json.dumps([person(4)]))
    pairs = write_pairs(photos / "pairs.csv", [("a.png", "b.png"), ("b.png", "a.png")])
    (photos / "keypoints.csv").unlink()
    files = (photos / "a.json", photos / "b.json")
    job = make_job(TransferRequest(out=photos / "out", pairs=pairs, keypoints=files), MODEL)
    assert (job.multi_person_count, job.multi_person_names) == (1, ("a.png (3)",))


def test_some_missing_images_are_told_and_left_to_their_items(photos: Path) -> None:
    (photos / "a.png").unlink()
    job = job_for(photos, ("a.png", "b.png"), ("b.png", "a.png"))
    assert job.missing_sources == ("a.png (line 2)",)
    assert job.planned == 2
    assert list(job.items())[1].target_path is None, "a target needs its pose alone"


def test_links_that_the_user_made_are_followed(photos: Path, tmp_path: Path) -> None:
    """Caches of data sets are folders of links; a list's names still stay in their folder."""
    (tmp_path / "store").mkdir()
    (photos / "a.png").rename(tmp_path / "store" / "blob0")
    (photos / "a.png").symlink_to(tmp_path / "store" / "blob0")
    (photos / "sub").rename(tmp_path / "elsewhere")
    (photos / "sub").symlink_to(tmp_path / "elsewhere")
    job = job_for(photos, ("a.png", "b.png"), ("sub/c.png", "a.png"))
    assert job.missing_sources == ()
    assert [item.source_path.read_bytes()[:4] for item in job.items()] == [b"\x89PNG"] * 2
    folders = TransferRequest(out=tmp_path / "out", sources=(photos,), poses=(photos,))
    assert make_job(folders, MODEL).planned == 9
    with pytest.raises(InputError, match="leaves its folder"):
        job_for(photos, ("../store/blob0", "b.png"))


def test_what_is_left_out_is_noted_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    for name in ("x.HEIC", "y.heif", "a.psd", "clip.mov"):
        (photos / name).write_bytes(b"?" * 40)
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    request = TransferRequest(out=photos.parent / "out", sources=(photos,), poses=(photos,))
    assert make_job(request, MODEL).notes == (
        "2 HEIC images left out: pip install 'dptn-cli[heic]'",
        "2 files left out, of kinds that are not read: a.psd, clip.mov",
        "1 left out, not readable: gone.png (broken link)",
    )
    assert job_for(photos, ("a.png", "b.png")).notes == ()


def test_hidden_files_are_no_pose_files(photos: Path, tmp_path: Path) -> None:
    poses = tmp_path / "poses"
    (poses / "__MACOSX").mkdir(parents=True)
    people = {"people": [{"pose_keypoints_2d": [float(5 + i % 20) for i in range(54)]}]}
    (poses / "walk_keypoints.json").write_text(json.dumps(people))
    for name in ("._walk_keypoints.json", "__MACOSX/._walk_keypoints.json", ".keypoints.csv"):
        (poses / name).write_bytes(b"\0\5\x16\7")
    request = TransferRequest(out=tmp_path / "out", sources=(photos / "a.png",), poses=(poses,))
    assert outputs(make_job(request, MODEL)) == ["a_2_walk_vis.png"]


class TestResultsBesideImages:
    def test_results_in_the_folder_of_images(self, photos: Path) -> None:
        request = TransferRequest(out=photos, sources=(photos,), poses=(photos / "a.png",))
        with pytest.raises(InputError, match="no images in .*: 3 images left out: this run writes"):
            make_job(request, MODEL)

    def test_results_above_the_images(self, photos: Path) -> None:
        request = TransferRequest(out=photos, sources=(photos / "sub",), poses=(photos / "sub",))
        assert outputs(make_job(request, MODEL)) == ["c_2_c_vis.png"]

    def test_results_that_would_be_sources_next_time(self, photos: Path) -> None:
        (photos / "sub" / "sub").mkdir()
        (photos / "sub" / "c.png").rename(photos / "sub" / "sub" / "c.png")
        write_annotations(photos / "sub" / "keypoints.csv", {"sub/c.png": draw_pose(2)})
        request = TransferRequest(out=photos, sources=(photos / "sub",), poses=(photos / "sub",))
        with pytest.raises(InputError, match=r"results of sub/c.png would be written into .*sub,"):
            make_job(request, MODEL)


def test_a_results_folder_that_is_a_file(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="file is a file"):
            job_for(photos, ("a.png", "b.png"), out=out)


def test_a_results_folder_that_cannot_be_written(photos: Path) -> None:
    with pytest.raises(InputError, match="cannot be written to"):
        job_for(photos, ("a.png", "b.png"), out=Path("/proc/dptn"))


def test_planning_makes_nothing(photos: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    job_for(photos, ("a.png", "b.png"), out=tmp_path / "new" / "out")
    assert [p for p in sorted(tmp_path.rglob("*")) if p not in before] == [photos / "pairs.csv"]


@pytest.mark.slow
def test_memory_stays_small_for_many_pairs(photos: Path) -> None:
    """Eight bytes a pair are remembered, not the pair."""
    count = 20_000
    write_pairs(
        photos / "many.csv",
        (("a.png", "b.png", f"{i}.png") for i in range(count)),
        header="from,to,out",
    )
    request = TransferRequest(out=photos.parent / "out", pairs=photos / "many.csv")
    peaks = []
    for _ in range(3):  # The interpreter's own tables (interned names) double now and then.
        tracemalloc.start()
        job = make_job(request, MODEL)
        assert sum(1 for _ in job.items()) == count == job.planned
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        if peaks[-1] / count < 60:
            break
    assert min(peaks) / count < 60


def test_a_list_longer_than_memory_is_meant_for_is_checked_whole(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first and the last row clash, and an image in between has no pose."""
    monkeypatch.setattr("dptn_cli.io.hash_sets._IN_MEMORY", 300)
    monkeypatch.setattr("dptn_cli.transfer.checks.CHUNK", 100)
    rows = [("a.png", "b.png", f"{i}.png") for i in range(2000)]
    rows[1500] = ("a.png", "nobody.png", "1500.png")
    rows[-1] = ("b.png", "a.png", "0.png")
    with pytest.raises(InputError, match="2 problems") as raised:
        job_for(photos, *rows, header="from,to,out")
    lacking, clash = raised.value.problems
    assert lacking.startswith("no keypoints for nobody.png (line 1502), and no image")
    assert "line 2001: a.png -> b.png and b.png -> a.png would both write 0.png" in clash
    assert job_for(photos, *rows[:1500], header="from,to,out").planned == 1500


@pytest.mark.parametrize("name", ["sources", "poses"])
def test_nothing_to_do(photos: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    request = TransferRequest(
        out=tmp_path / "out", sources=(photos,), poses=(photos / "keypoints.csv",)
    )
    for path, message in (
        (tmp_path / "empty", "no (images|poses) in"),
        (tmp_path / "x", "no such"),
    ):
        with pytest.raises(InputError, match=message):
            make_job(replace(request, **{name: (path,)}), MODEL)  # type: ignore[arg-type]
