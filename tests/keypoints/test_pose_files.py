"""Every pose format is recognized, and reads back as it was written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dptn_cli.enums import PoseFormat
from dptn_cli.errors import InputError
from dptn_cli.keypoints import (
    COCO_NAMES,
    JOINT_NAMES,
    PoseFiles,
    from_coco,
    mirror_pose,
    write_poses,
)
from dptn_cli.types import FoundPose, Pose

RIGHT_WRIST, LEFT_WRIST = JOINT_NAMES.index("right wrist"), JOINT_NAMES.index("left wrist")
BODY_25_NAMES = (
    *JOINT_NAMES[:8], "mid hip", *JOINT_NAMES[8:], "left big toe", "left small toe",
    "left heel", "right big toe", "right small toe", "right heel",
)  # fmt: skip


def person(seed: int = 0, scale: float = 1.0, joints: int = 17) -> list[float]:
    """x, y, v, x, y, v, ...: every joint in another place, and all visible."""
    places = np.random.default_rng(seed).uniform(10, 90, (joints, 2)) * scale
    return [float(v) for v in np.column_stack([places, np.ones(joints)]).round(2).ravel()]


def pose_of(keypoints: list[float]) -> Pose:
    return from_coco(np.array(keypoints).reshape(17, 3))[0]


def write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def read_pose(path: Path, name: str = "a.jpg") -> Pose:
    loaded = PoseFiles(path).find(name)
    assert loaded is not None
    return loaded.pose


COCO_ANNOTATIONS: dict[str, Any] = {
    "images": [{"id": 7, "file_name": "a.jpg", "height": 100, "width": 60}],
    "annotations": [{"image_id": 7, "keypoints": person()}],
}


class TestReading:
    def test_coco_annotations(self, tmp_path: Path) -> None:
        loaded = PoseFiles(write(tmp_path / "x", COCO_ANNOTATIONS)).find("a.jpg")
        assert loaded is not None
        assert np.array_equal(loaded.pose, pose_of(person()))
        assert loaded.image_size == (100, 60)

    @pytest.mark.parametrize(
        "entry",
        [{"image_id": "a.jpg"}, {"image_id": "a"}, {"image_id": 3, "file_name": "a.jpg"}],
    )
    def test_coco_results(self, tmp_path: Path, entry: dict[str, Any]) -> None:
        path = write(tmp_path / "x.txt", [{**entry, "keypoints": person(), "score": 0.5}])
        assert np.array_equal(read_pose(path), pose_of(person()))

    def test_numbered_results_are_cocos_own_images(self, tmp_path: Path) -> None:
        path = write(tmp_path / "results.json", [{"image_id": 139, "keypoints": person()}])
        assert np.array_equal(read_pose(path, "000000000139.jpg"), pose_of(person()))

    @pytest.mark.parametrize(
        ("file_name", "names"),
        [
            ("a.jpg.predictions.json", ["a.jpg"]),
            ("a.predictions.json", ["a.jpg", "a.png"]),
            ("a.json", ["a.jpg", "a.webp"]),
        ],
    )
    def test_openpifpaf_predictions(self, tmp_path: Path, file_name: str, names: list[str]) -> None:
        entry = {"keypoints": person(), "bbox": [0, 0, 9, 9], "score": 0.9, "category_id": 1}
        files = PoseFiles(write(tmp_path / file_name, [entry]))
        for name in ("a.jpg", "a.png", "a.webp", "b.jpg"):
            loaded = files.find(name)
            if name in names:
                assert loaded is not None and np.array_equal(loaded.pose, pose_of(person()))
        assert files.find("b.jpg") is None
        assert (files.find("a.png") is None) == (file_name == "a.jpg.predictions.json")

    @pytest.mark.parametrize("names", [JOINT_NAMES, BODY_25_NAMES], ids=["18 joints", "25 joints"])
    def test_openpose(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        keypoints = person(joints=len(names))
        document = {"version": 1.3, "people": [{"pose_keypoints_2d": keypoints}]}
        pose = read_pose(write(tmp_path / "a_keypoints.json", document))
        for i, name in enumerate(JOINT_NAMES):
            x, y, _ = keypoints[3 * names.index(name) :][:3]
            assert pose[i].tolist() == [y, x], name

    def test_zeros_in_openpose_are_a_missing_joint(self, tmp_path: Path) -> None:
        keypoints = person(joints=18)
        keypoints[:3] = [0, 0, 0]
        document = {"people": [{"pose_keypoints_2d": keypoints}]}
        loaded = PoseFiles(write(tmp_path / "a_keypoints.json", document)).find("a.jpg")
        assert loaded is not None
        assert (loaded.pose[0].tolist(), loaded.confidence[0]) == ([-1, -1], 0)
        assert (loaded.pose[1:] != -1).all()

    def test_a_folder_of_pose_files(self, tmp_path: Path) -> None:
        write(tmp_path / "a_keypoints.json", {"people": [{"pose_keypoints_2d": person(1, 1, 18)}]})
        write(tmp_path / "sub" / "b.jpg.predictions.json", [{"keypoints": person(2)}])
        write_poses(tmp_path / "more.csv", [FoundPose("c.jpg", pose_of(person(3)), np.ones(18))],
                    PoseFormat.CSV)  # fmt: skip
        write(tmp_path / "pairs.csv", "from,to\na.jpg,c.jpg\n")
        files = PoseFiles(tmp_path)
        assert sorted(files.names()) == ["a", "c.jpg", "sub/b.jpg"]
        assert np.array_equal(read_pose(tmp_path, "sub/b.jpg"), pose_of(person(2)))
        assert files.find("b.jpg", is_other_image={"sub/b.jpg"}.__contains__) is None
        assert np.array_equal(files.find("b.jpg").pose, pose_of(person(2)))  # type: ignore[union-attr]

    def test_the_largest_of_several_people_is_taken(self, tmp_path: Path) -> None:
        people = [{"keypoints": person(i, scale)} for i, scale in enumerate((1, 3, 0.5))]
        files = PoseFiles(write(tmp_path / "a.json", people))
        loaded = files.find("a.jpg")
        assert loaded is not None
        assert np.array_equal(loaded.pose, pose_of(person(1, 3)))
        assert loaded.people == 3

    @pytest.mark.parametrize("document", [[], {"people": []}, [{"keypoints": [0] * 51}]])
    def test_an_image_without_people_has_a_pose_without_joints(
        self, tmp_path: Path, document: object
    ) -> None:
        assert (read_pose(write(tmp_path / "a.json", document)) == -1).all()

    def test_people_without_joints_and_crowds_are_skipped(self, tmp_path: Path) -> None:
        unlabelled = {"image_id": 7, "keypoints": [0] * 51}
        crowd = {"image_id": 7, "iscrowd": 1, "segmentation": {}}
        annotations = [unlabelled, crowd, *COCO_ANNOTATIONS["annotations"]]
        document = {**COCO_ANNOTATIONS, "annotations": annotations}
        loaded = PoseFiles(write(tmp_path / "x.json", document)).find("a.jpg")
        assert loaded is not None
        assert loaded.people == 1
        assert np.array_equal(loaded.pose, pose_of(person()))


def poses_with_gaps() -> st.SearchStrategy[tuple[Pose, np.ndarray[Any, Any]]]:
    pixels = st.integers(1, 4_000_000).map(lambda thousandths: thousandths / 1000)
    confidences = st.sampled_from([0.0, 0.001, 0.25, 1.0])
    return st.tuples(
        arrays(np.float64, (18, 2), elements=pixels),
        arrays(np.float64, 18, elements=confidences),
    )


@pytest.mark.parametrize("pose_format", list(PoseFormat))
@given(drawn=poses_with_gaps())
@settings(max_examples=30)
def test_each_format_round_trips(
    tmp_path_factory: pytest.TempPathFactory,
    pose_format: PoseFormat,
    drawn: tuple[Pose, np.ndarray[Any, Any]],
) -> None:
    pose, confidence = drawn
    pose[:] += 2  # clear of the fractions that are refused
    # An annotation without a labelled joint is no pose.
    assume(pose_format is not PoseFormat.COCO or (np.delete(confidence, 1) > 0).any())
    pose[confidence == 0] = -1
    shoulders = pose[[2, 5]]
    seen = (shoulders != -1).all()
    pose[1] = shoulders.mean(axis=0) if seen else -1  # the neck, where COCO puts it again
    confidence[1] = confidence[[2, 5]].min()
    path = tmp_path_factory.mktemp("poses") / "poses"
    write_poses(path, [FoundPose("sub/a.jpg", pose, confidence, (300, 200))], pose_format)
    loaded = PoseFiles(path).find("sub/a.jpg")
    assert loaded is not None
    np.testing.assert_allclose(loaded.pose, pose, atol=0.002)
    assert np.array_equal(loaded.pose == -1, pose == -1)
    if pose_format not in (PoseFormat.CSV, PoseFormat.COCO):
        np.testing.assert_allclose(loaded.confidence, confidence, atol=0.001)


@pytest.mark.parametrize("pose_format", list(PoseFormat))
def test_left_stays_left(tmp_path: Path, pose_format: PoseFormat) -> None:
    """The wrist that the file itself calls left is the left one."""
    pose = pose_of(person())
    write_poses(tmp_path / "poses", [FoundPose("a.jpg", pose, np.ones(18))], pose_format)
    if pose_format is PoseFormat.COCO:
        document = json.loads((tmp_path / "poses").read_text())
        at = document["categories"][0]["keypoints"].index("left_wrist") * 3
        x, y = document["annotations"][0]["keypoints"][at : at + 2]
    elif pose_format is PoseFormat.OPENPOSE:
        document = json.loads((tmp_path / "poses" / "a_keypoints.json").read_text())
        x, y = document["people"][0]["pose_keypoints_2d"][3 * 7 : 3 * 7 + 2]
    elif pose_format in (PoseFormat.COCO_RESULTS, PoseFormat.OPENPIFPAF):
        file = tmp_path / "poses"
        if pose_format is PoseFormat.OPENPIFPAF:
            file = file / "a.jpg.predictions.json"
        (written,) = json.loads(file.read_text())
        at = COCO_NAMES.index("left wrist") * 3
        x, y = written["keypoints"][at : at + 2]
    else:
        _, ys, xs = (tmp_path / "poses").read_text().splitlines()[1].split(":")
        y, x = json.loads(ys)[7], json.loads(xs)[7]
    wrist = 3 * COCO_NAMES.index("left wrist")
    assert [x, y] == person()[wrist : wrist + 2]


@pytest.mark.parametrize("pose_format", list(PoseFormat))
def test_a_flipped_image_gives_flipped_joints(tmp_path: Path, pose_format: PoseFormat) -> None:
    pose = pose_of(person())
    for name, written in (("plain", pose), ("flipped", mirror_pose(pose, 100))):
        write_poses(tmp_path / name, [FoundPose("a.jpg", written, np.ones(18))], pose_format)
    plain, flipped = read_pose(tmp_path / "plain"), read_pose(tmp_path / "flipped")
    assert flipped[LEFT_WRIST].tolist() == [plain[RIGHT_WRIST][0], 99 - plain[RIGHT_WRIST][1]]
    np.testing.assert_allclose(mirror_pose(flipped, 100), plain, atol=0.002)


class TestRefused:
    """The error is one line that says what was found and what was expected."""

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            ({"a": 1},
             "not a pose file: found an object with the keys a; expected an annotation CSV"),
            ({}, "found an empty object"),
            ([1, 2], r"found a list of 2, first int '1'"),
            ({"annotations": []}, "found an object with the keys annotations; expected"),
            ({"people": 3}, "people: expected a list, found int '3'"),
            ({"images": {}, "annotations": []}, "images: expected a list, found an empty object"),
            ({"images": [3], "annotations": []}, r"only entries that are no objects \(1\)"),
            ({"images": [{"id": 1}], "annotations": []}, r"images without a file_name \(1\)"),
            ({"images": [], "annotations": [{"image_id": 1}]}, r"annotations of no image \(1\)"),
            ([{"keypoints": person(), "image_id": [1]}], r"results that name no image \(1\)"),
            ('{"people": [', "not JSON"),
            ("[" * 100_000, "nested more deeply"),
            ('{"a":' * 100_000, "nested more deeply"),
            ("[" + "9" * 5000 + "]", "not JSON"),
        ],
    )  # fmt: skip
    def test_a_file_in_no_known_format(
        self, tmp_path: Path, document: object, message: str
    ) -> None:
        path = write(tmp_path / "a.json", document)
        for named in (path, tmp_path):
            with pytest.raises(InputError, match=message) as raised:
                PoseFiles(named)
            assert str(named) in str(raised.value)
            assert "\n" not in str(raised.value)
            assert len(str(raised.value)) < 600

    @pytest.mark.parametrize(
        ("keypoints", "message"),
        [
            (person()[:-2], "expected 3 numbers for each of 17, .* joints, found 49 numbers"),
            ("0" * 51, "not a list"),
            (["1"] * 51, "not all numbers"),
            ([True] * 51, "not all numbers"),
            ([[1, 2, 3, 4, 5]] * 17, r"not \[x, y\]"),
            ([20, 30, float("nan")] * 17, "no number for its confidence"),
            ([float("inf")] * 51, "not finite"),
            ([1e9] * 51, "too large"),
            ([10**400] * 51, "too large"),
        ],
    )
    @pytest.mark.parametrize("form", ["annotations", "predictions", "openpose"])
    def test_broken_people_affect_only_their_image(
        self, tmp_path: Path, form: str, keypoints: object, message: str
    ) -> None:
        documents: dict[str, Callable[[object], object]] = {
            "annotations": lambda k: {**COCO_ANNOTATIONS,
                                      "annotations": [{"image_id": 7, "keypoints": k}]},
            "predictions": lambda k: [{"keypoints": k}],
            "openpose": lambda k: {"people": [{"pose_keypoints_2d": k}]},
        }  # fmt: skip
        if form == "openpose" and isinstance(keypoints, list) and len(keypoints) in (17, 51):
            keypoints = [*keypoints, *keypoints[: len(keypoints) // 17]]
        write(tmp_path / "a.json", documents[form](keypoints))
        write(tmp_path / "good.jpg.json", [{"keypoints": person()}])
        files = PoseFiles(tmp_path)
        assert files.find("good.jpg") is not None
        if form == "openpose":
            message = message.replace("17, .* joints", "18 or 25 joints")
        with pytest.raises(InputError, match=message) as raised:
            files.find("a.jpg")
        assert "a.json" in str(raised.value)

    @pytest.mark.parametrize("joint", [[0.5, 0.2, 1.0], [0.5, 1.08, 0.9]])
    def test_fractions_of_an_image_of_unknown_size(
        self, tmp_path: Path, joint: list[float]
    ) -> None:
        """A joint below the image has a fraction above 1, and is no person one pixel tall."""
        path = write(tmp_path / "a.json", [{"keypoints": joint * 17}])
        with pytest.raises(InputError, match="fractions of an image whose size"):
            PoseFiles(path).find("a.jpg")

    def test_too_many_people_in_one_image(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", [{"keypoints": person()}] * 10_000)
        with pytest.raises(InputError, match="more than 1,000 people"):
            PoseFiles(path).find("a.jpg")

    def test_a_file_that_is_too_large(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(tmp_path / "a.json", [[]] * 60)
        monkeypatch.setattr("dptn_cli.keypoints.json_file.MAX_CONTAINERS", 50)
        with pytest.raises(InputError, match="more than 50 lists and objects"):
            PoseFiles(path)
        monkeypatch.setattr("dptn_cli.keypoints.json_file.MAX_BYTES", 100)
        with pytest.raises(InputError, match="larger than 0 MiB"):
            PoseFiles(path)

    def test_two_files_that_differ(self, tmp_path: Path) -> None:
        first = write(tmp_path / "a.jpg.json", [{"keypoints": person()}])
        write(tmp_path / "a.json", [{"keypoints": person(1)}])
        with pytest.raises(InputError, match=r"other keypoints for a.jpg than in .*a.jpg.json"):
            PoseFiles(tmp_path).find("a.jpg")
        write_poses(tmp_path / "k.csv", [FoundPose("a.jpg", pose_of(person(2)), np.ones(18))],
                    PoseFormat.CSV)  # fmt: skip
        with pytest.raises(InputError, match=r"other keypoints for a.jpg than in .*k.csv"):
            PoseFiles(first, tmp_path / "k.csv").find("a.jpg")
        other = write(tmp_path / "other" / "a.jpg.json", [{"keypoints": person(1)}])
        with pytest.raises(InputError, match="other keypoints for a.jpg"):
            PoseFiles(first, other)

    def test_all_problems_in_a_folder_are_reported(self, tmp_path: Path) -> None:
        for name in "abc":
            write(tmp_path / f"{name}.json", {"no": "poses"})
        with pytest.raises(InputError, match="3 pose files") as raised:
            PoseFiles(tmp_path)
        assert len(raised.value.problems) == 3


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    for start in (b"", b"[", b'{"people":['):
        path.write_bytes(start + data)
        try:
            PoseFiles(path)
        except InputError as error:
            assert str(path) in str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["people", "images", "annotations", "keypoints", "id", "image_id",
                         "file_name", "pose_keypoints_2d", "iscrowd"]),
        inner, max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
@settings(max_examples=200)
def test_no_json_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, document: object
) -> None:
    path = write(tmp_path_factory.mktemp("json") / "a.json", [document])
    write(path, document)
    try:
        files = PoseFiles(path)
        for name in files.names():
            files.find(name)
    except InputError as error:
        assert str(path) in str(error)


class TestWriting:
    def test_results_have_cocos_numbers_for_its_own_images(self, tmp_path: Path) -> None:
        names = ["000000000139.jpg", "139.jpg", "sub/000000000139.jpg"]
        poses = [FoundPose(name, pose_of(person(i)), np.ones(18)) for i, name in enumerate(names)]
        write_poses(tmp_path / "r.json", poses, PoseFormat.COCO_RESULTS)
        written = json.loads((tmp_path / "r.json").read_text())
        assert [entry["image_id"] for entry in written] == [139, *names[1:]]
        files = PoseFiles(tmp_path / "r.json")
        for pose in poses:
            loaded = files.find(pose.name)
            assert loaded is not None
            np.testing.assert_allclose(loaded.pose, pose.pose, atol=0.002)

    def test_a_name_that_the_csv_cannot_hold(self, tmp_path: Path) -> None:
        for name in (" a.jpg", "a\nb.jpg"):
            with pytest.raises(InputError, match="cannot hold this name"):
                write_poses(tmp_path / "k.csv", [FoundPose(name, pose_of(person()), np.ones(18))],
                            PoseFormat.CSV)  # fmt: skip
        assert not list(tmp_path.iterdir())

    def test_two_images_that_would_share_a_file(self, tmp_path: Path) -> None:
        two = [FoundPose(f"a.{kind}", pose_of(person()), np.ones(18)) for kind in ("jpg", "png")]
        with pytest.raises(InputError, match=r"a.jpg and a.png would share"):
            write_poses(tmp_path, two, PoseFormat.OPENPOSE)

    def test_a_name_that_leaves_the_folder(self, tmp_path: Path) -> None:
        out = [FoundPose("../a.jpg", pose_of(person()), np.ones(18))]
        with pytest.raises(InputError, match="leaves its folder"):
            write_poses(tmp_path / "out", out, PoseFormat.OPENPOSE)

    def test_a_path_that_cannot_be_written(self) -> None:
        poses = [FoundPose("a.jpg", pose_of(person()), np.ones(18))]
        with pytest.raises(InputError, match="cannot be"):
            write_poses(Path("/proc/k.csv"), poses, PoseFormat.CSV)


def test_a_folder_without_pose_files_is_refused(tmp_path: Path) -> None:
    """Otherwise its keypoints would be missing, or detected again, without a word."""
    (tmp_path / "pairs.csv").write_text("from,to\na.jpg,b.jpg\n")
    with pytest.raises(InputError, match="no poses in .*: no file in this folder is a pose file"):
        PoseFiles(tmp_path)


def test_a_csv_in_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "keypoints.csv"
    lists = f"{list(range(18))}:{list(range(18))}"
    path.write_text(f"name:keypoints_y:keypoints_x\na:b.jpg:{lists}\n", encoding="utf-16")
    found = PoseFiles(path).find("a:b.jpg")
    assert found is not None
    assert found.pose[:, 0].tolist() == list(range(18))
    path.write_text("name:keypoints_y:keypoints_x\n", encoding="utf-16-le")
    with pytest.raises(InputError, match="the first line must be"):
        PoseFiles(path)


@pytest.mark.parametrize("header", [True, False], ids=["header", "no header"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_folder_has_the_csvs_that_are_read_by_name(
    tmp_path: Path, encoding: str, header: bool
) -> None:
    lines = ["name:keypoints_y:keypoints_x"] * header + [f"a.jpg:{[5] * 18}:{[7] * 18}"]
    (tmp_path / "k.csv").write_text("\n".join(lines), encoding=encoding)
    (tmp_path / "pairs.csv").write_text("from,to\na.jpg,b.jpg\n", encoding=encoding)
    assert list(PoseFiles(tmp_path).names()) == ["a.jpg"]


def test_yolo_text_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0 0.5 0.5 0.2 0.9 " + "0.51 0.25 2 " * 17 + "\n")
    with pytest.raises(InputError, match="found YOLO-pose text, whose keypoints are fractions"):
        PoseFiles(path)
    (tmp_path / "notes.txt").write_text("taken in May\n")
    with pytest.raises(InputError, match=r"only files of YOLO-pose text \(1\)"):
        PoseFiles(tmp_path)
    write(tmp_path / "b.json", [{"keypoints": person()}])
    assert PoseFiles(tmp_path).notes == [f"{tmp_path}: passed over files of YOLO-pose text (1)"]


def test_two_spellings_of_a_name_with_other_keypoints(tmp_path: Path) -> None:
    header, line = "name:keypoints_y:keypoints_x", f"{list(range(18))}:{list(range(18))}"
    other = f"{list(range(18))}:{list(range(1, 19))}"
    path = write(tmp_path / "k.csv", f"{header}\na.png:{line}\n./a.png:{line}\n")
    assert PoseFiles(path).find("a.png") is not None
    for first in ("a.png", "x/../a.png"):
        write(path, f"{header}\n{first}:{line}\n./a.png:{other}\n")
        with pytest.raises(InputError, match="other keypoints for ./a.png than for "):
            PoseFiles(path)


def test_a_folder_s_files_that_are_no_poses_are_counted(tmp_path: Path) -> None:
    write(tmp_path / "a_keypoints.json", [{"keypoints": person()}])
    write(tmp_path / "empty.json", "")
    write(tmp_path / "null.json", "null")
    write(tmp_path / "conf.json", "// a comment\n{}")
    write(tmp_path / "notes.csv", "shopping,list\n")
    notes = "\n".join(PoseFiles(tmp_path).notes)
    assert "passed over empty files (1)" in notes
    assert "JSON files without poses (2: conf.json, null.json)" in notes


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("torn.json", '{"x": [1', "torn.json: not JSON"),
        ("k.csv", "id,keypoints_y,keypoints_x\n", "k.csv: not an annotation CSV"),
    ],
)
def test_a_broken_pose_file_in_a_folder_stops(
    tmp_path: Path, name: str, content: str, reason: str
) -> None:
    write(tmp_path / "a_keypoints.json", [{"keypoints": person()}])
    write(tmp_path / name, content)
    with pytest.raises(InputError, match=reason):
        PoseFiles(tmp_path)


def test_an_empty_pose_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a.json: an empty file; expected an annotation CSV"):
        PoseFiles(write(tmp_path / "a.json", ""))


@pytest.mark.parametrize("pose_format", list(PoseFormat))
def test_a_joint_at_the_origin_is_read_back(tmp_path: Path, pose_format: PoseFormat) -> None:
    pose = pose_of(person())
    pose[RIGHT_WRIST] = 0
    out = tmp_path / ("poses" if pose_format.per_image else "poses.json")
    confidence = (pose != -1).all(axis=1).astype(float)
    write_poses(out, [FoundPose("a.jpg", pose, confidence, (100, 100))], pose_format)
    np.testing.assert_allclose(read_pose(out)[RIGHT_WRIST], 0, atol=0.002)


def test_a_csv_of_which_nothing_can_be_used(tmp_path: Path) -> None:
    header, line = "name:keypoints_y:keypoints_x", f"{list(range(18))}:{list(range(18))}"
    full = write(tmp_path / "k.csv", f"{header}\na.png:{line}\n")
    copy = write(tmp_path / "copy.csv", f"{header}\na.png:{line}\n")
    empty = write(tmp_path / "empty.csv", f"{header}\n")
    files = PoseFiles(full, copy, empty)
    assert files.find("a.png") is not None
    assert list(files.unused()) == [(empty, "")]
