"""The JSON of other tools: each gives the pose that it was written from."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dptn_cli.errors import InputError
from dptn_cli.keypoints import COCO_NAMES, JOINT_NAMES, PoseFiles, from_coco
from dptn_cli.keypoints.joints import joint_of_name, named_order
from dptn_cli.types import Pose, Size

WIDTH, HEIGHT = 200, 300
JOINTS = np.random.default_rng(5).uniform(20, 190, (17, 2)).round(2)
JOINTS_XYV = np.column_stack([JOINTS, np.ones(17)])
JOINTS_XYV[9] = 0  # the left wrist is missing
POSE = from_coco(JOINTS_XYV)[0]
FLAT = JOINTS_XYV.ravel().tolist()
SCORES = JOINTS_XYV[:, 2].tolist()
POINTS = JOINTS_XYV[:, :2].tolist()
OPENPOSE = np.column_stack([POSE[:, ::-1], (POSE != -1).all(axis=1)])
OPENPOSE[OPENPOSE[:, 2] == 0] = 0
OPENPOSE_FLAT = OPENPOSE.ravel().tolist()
SIZE_XY = np.array([WIDTH, HEIGHT])


def fractions(joints_xyv: npt.NDArray[np.float64]) -> list[float]:
    return (joints_xyv / (WIDTH, HEIGHT, 1)).ravel().tolist()


def blazepose() -> list[dict[str, float]]:
    names = {0: "nose", 2: "left eye", 5: "right eye", 7: "left ear", 8: "right ear",
             11: "left shoulder", 12: "right shoulder", 13: "left elbow", 14: "right elbow",
             15: "left wrist", 16: "right wrist", 23: "left hip", 24: "right hip",
             25: "left knee", 26: "right knee", 27: "left ankle", 28: "right ankle"}  # fmt: skip
    landmarks = []
    for i in range(33):
        x, y, v = JOINTS_XYV[COCO_NAMES.index(names[i])] if i in names else (1.0, 1.0, 1.0)
        landmarks.append({"x": x / WIDTH, "y": y / HEIGHT, "z": 0.1, "visibility": v})
    return landmarks


def read(path: Path, document: object, name: str = "a") -> Pose:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    found = PoseFiles(path).find(name)
    assert found is not None
    return found.pose


CANVAS = {"canvas_width": WIDTH, "canvas_height": HEIGHT}
DOCUMENTS: dict[str, Callable[[], object]] = {
    "mmpose's inferencer": lambda: [
        {"keypoints": POINTS, "keypoint_scores": SCORES, "bbox": [[1, 2, 3, 4]]}
    ],
    "mmpose's result": lambda: {
        "predictions": [[{"keypoints": POINTS, "keypoint_scores": SCORES}]], "visualization": []
    },
    "mmpose with meta_info": lambda: {
        "meta_info": {"keypoint_id2name": {str(i): n for i, n in enumerate(COCO_NAMES)}},
        "instance_info": [
            {"frame_id": 1, "instances": [{"keypoints": POINTS, "keypoint_scores": SCORES}]}
        ],
    },
    "Ultralytics": lambda: [
        {"name": "handbag", "class": 26, "box": {"x1": 1, "y1": 1, "x2": 2, "y2": 2}},
        {"name": "person", "class": 0, "box": {},
         "keypoints": {"x": JOINTS_XYV[:, 0].tolist(), "y": JOINTS_XYV[:, 1].tolist(),
                       "visible": SCORES}},
    ],
    "AlphaPose": lambda: [{"image_id": "a.jpg", "category_id": 1, "keypoints": FLAT, "score": 2.9}],
    "AlphaPose, 26 joints": lambda: [
        {"image_id": "a.jpg",
         "keypoints": [*FLAT, 1, 1, 1, *OPENPOSE_FLAT[3:6], *([1, 1, 1] * 7)]}
    ],
    "AlphaPose, cmu": lambda: {"version": "AlphaPose v0.3", "bodies": [{"joints": OPENPOSE_FLAT}]},
    "OpenPose 1.0": lambda: {
        "version": 1.0, "people": [{"pose_keypoints": OPENPOSE_FLAT, "face_keypoints": []}]
    },
    "ComfyUI": lambda: [{"people": [{"pose_keypoints_2d": OPENPOSE_FLAT,
                                     "face_keypoints_2d": None}], **CANVAS}],
    "fractions of a canvas": lambda: {
        "people": [{"pose_keypoints_2d": fractions(OPENPOSE)}], **CANVAS
    },
    "hands beside a body": lambda: {
        "people": [{"pose_keypoints_2d": [], "hand_left_keypoints_2d": [1, 2, 1]},
                   {"pose_keypoints_2d": OPENPOSE_FLAT}]
    },
    "MediaPipe": lambda: {"pose_landmarks": blazepose(), "imageWidth": WIDTH,
                          "imageHeight": HEIGHT, "instances": [{"keypoints": blazepose()}]},
    "named joints": lambda: [
        {"keypoints": {n.replace(" ", "_"): row for n, row in zip(COCO_NAMES, JOINTS_XYV.tolist(),
                                                                  strict=True)}}
    ],
    "joints with names": lambda: [
        {"keypoints": [{"name": n, "x": x, "y": y, "v": v}
                       for n, (x, y, v) in reversed(list(zip(COCO_NAMES, JOINTS_XYV.tolist(),
                                                             strict=True)))]}
    ],
    "joints with names under another key": lambda: {
        "predictions": [{"x": 44, "y": 64, "width": 50, "height": 100, "class": "person",
                         "keypoints": [{"x": x, "y": y, "confidence": v, "class_name": n}
                                       for n, (x, y, v) in reversed(
                                           list(zip(COCO_NAMES, JOINTS_XYV.tolist(),
                                                    strict=True)))]}],
        "image": {"width": WIDTH, "height": HEIGHT},
    },
    "a box beside the keypoints": lambda: {
        "x": 44, "y": 64, "width": 44, "height": 64, "class": "person", "keypoints": FLAT
    },
    "Ultralytics, with low confidences": lambda: [
        {"name": "person", "class": 0, "confidence": 0.9,
         "keypoints": {"x": JOINTS_XYV[:, 0].tolist(), "y": JOINTS_XYV[:, 1].tolist(),
                       "visible": np.maximum(JOINTS_XYV[:, 2], 0.31).tolist()}}
    ],
    "MediaPipe's message": lambda: {
        "pose_landmarks": {"landmark": blazepose()}, "width": WIDTH, "height": HEIGHT
    },
    "MediaPipe in JavaScript": lambda: {
        "poseLandmarks": blazepose(), "width": WIDTH, "height": HEIGHT
    },
    "MediaPipe, with its image": lambda: [
        {"file_name": "a.jpg", "landmarks": blazepose(), "width": WIDTH, "height": HEIGHT}
    ],
    "MediaPipe, a list": lambda: [
        {"landmarks": blazepose(), "width": WIDTH, "height": HEIGHT}
    ],
    "images by other keys": lambda: [
        {"image": "photos/b.jpg", "keypoints": [1, 1, 1] * 17},
        {"image": "photos/a.jpg", "keypoints": FLAT},
    ],
    "a batch of one": lambda: {"keypoints": [POINTS], "keypoint_scores": [SCORES]},
    "two people with their scores": lambda: {
        "keypoints": [POINTS, [[1, 1]] * 17], "keypoint_scores": [SCORES, [0] * 17]
    },
    "other words for the confidence": lambda: [
        {"keypoints": [{"x": x if v else 5, "y": y if v else 5, "Likelihood": v}
                       for x, y, v in JOINTS_XYV.tolist()]}
    ],
    "named joints, one without a name": lambda: [
        {"keypoints": [{"type": n, "x": x, "y": y, "score": v} if n != "left wrist" else
                       {"x": 5, "y": 5, "score": 0.5}
                       for n, (x, y, v) in reversed(list(zip(COCO_NAMES, JOINTS_XYV.tolist(),
                                                             strict=True)))]}
    ],
    "names beside the joints": lambda: [
        {"image_id": "a", "keypoints": FLAT[3:] + FLAT[:3],
         "keypoint_names": [*COCO_NAMES[1:], COCO_NAMES[0]]}
    ],
    "MediaPipe of one image": lambda: {
        "landmarks": blazepose(), "image_width": WIDTH, "image_height": HEIGHT
    },
    "MediaPipe of a batch, a toe far outside": lambda: {
        "pose_landmarks": [[*blazepose()[:32], {"x": 0.5, "y": 2.1, "visibility": 0.01}]],
        "width": WIDTH, "height": HEIGHT
    },
    "mmpose with meta_info and sorted keys": lambda: {
        "meta_info": {"keypoint_id2name": dict(sorted(
            (str(i), n) for i, n in enumerate(COCO_NAMES)))},
        "instance_info": [{"keypoints": POINTS, "keypoint_scores": SCORES}],
    },
    "AlphaPose, cmu, all images in one": lambda: {
        "a.jpg": {"version": "AlphaPose v0.3", "bodies": [{"joints": OPENPOSE_FLAT}]},
        "b.jpg": {"version": "AlphaPose v0.3", "bodies": []},
    },
    "null coordinates": lambda: [
        {"keypoints": [[None, None] if not v else [x, y] for x, y, v in JOINTS_XYV.tolist()]}
    ],
    "results as JSON lines": lambda: "\n".join(
        json.dumps({"image_id": name, "keypoints": FLAT}) for name in ("b.jpg", "a.jpg")
    ),
}  # fmt: skip


@pytest.mark.parametrize("tool", DOCUMENTS)
def test_each_tool_gives_the_pose(tmp_path: Path, tool: str) -> None:
    pose = read(tmp_path / "a.json", DOCUMENTS[tool]())
    assert np.array_equal(pose == -1, POSE == -1)
    np.testing.assert_allclose(pose, POSE, atol=0.02)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_in_any_encoding_that_marks_itself(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"keypoints": FLAT}]), encoding=encoding)
    for named in (path, tmp_path):
        found = PoseFiles(named).find("a")
        assert found is not None
        assert np.array_equal(found.pose, POSE)


def test_nan_coordinates_of_an_invisible_joint_are_missing(tmp_path: Path) -> None:
    values = [float("nan") if v == 0 else v for v in FLAT]
    values[9 * 3 + 2] = 0
    assert np.array_equal(read(tmp_path / "a.json", [{"keypoints": values}]) == -1, POSE == -1)


@pytest.mark.parametrize(
    ("form", "key"), [("openpifpaf", "predictions"), ("ComfyUI", "people"), ("mmpose", "instances")]
)
def test_each_frame_of_a_video_is_a_pose(tmp_path: Path, form: str, key: str) -> None:
    joints = {"people": {"pose_keypoints_2d": OPENPOSE_FLAT}}.get(key, {"keypoints": FLAT})
    frames = [{"frame": i, key: [joints] if i != 1 else []} for i in (0, 1, 7)]
    text = json.dumps(frames)
    if form == "openpifpaf":
        text = "\n".join(map(json.dumps, frames))
    path = tmp_path / "walk.mp4.openpifpaf.json"
    path.write_text(text)
    files = PoseFiles(path)
    assert list(files.names()) == ["walk_000000", "walk_000001", "walk_000007"]
    assert files.notes == [f"{path}: its 3 frames are called walk_000000 to walk_000007"]
    for name, is_empty in zip(files.names(), (False, True, False), strict=True):
        found = files.find(f"{name}.png")
        assert found is not None
        assert (found.pose == -1).all() == is_empty


@pytest.mark.parametrize(
    "sides",
    [{"width": WIDTH, "height": HEIGHT}, {"width": 200.0, "height": "300"},
     {"canvas_width": "200.0", "canvas_height": 300}, {"imageWidth": 200, "imageHeight": 300},
     {"img_w": 200, "img_h": 300}, {"canvas": {"width": 200, "height": 300}}],
)  # fmt: skip
def test_a_canvas_under_any_name(tmp_path: Path, sides: dict[str, Any]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": OPENPOSE_FLAT}], **sides}))
    found = PoseFiles(path).find("a")
    assert found is not None
    assert found.image_size == (HEIGHT, WIDTH)


def annotations(names: Sequence[str], joints_xyv: npt.NDArray[np.float64]) -> dict[str, Any]:
    person = {"image_id": 1, "category_id": 4, "keypoints": joints_xyv.ravel().tolist()}
    return {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [person],
        "categories": [{"id": 4, "name": "person", "keypoints": list(names)}],
    }


SPELL: list[Callable[[str], str]] = [
    str,
    str.title,
    str.upper,
    lambda name: name.replace(" ", "_"),
    lambda name: name.replace(" ", "-"),
    lambda name: "_".join(reversed(name.split())),
    lambda name: "".join(word.title() for word in name.split()),
    lambda name: name.replace("left ", "L").replace("right ", "R"),
    lambda name: name.replace("left ", "l_").replace("right ", "r_"),
]


@given(order=st.permutations(range(17)), spell=st.sampled_from(SPELL), extra=st.integers(0, 3))
def test_joints_are_taken_by_name_in_any_order_and_spelling(
    tmp_path_factory: pytest.TempPathFactory,
    order: list[int],
    spell: Callable[[str], str],
    extra: int,
) -> None:
    names = [spell(COCO_NAMES[i]) for i in order] + [f"toe {i}" for i in range(extra)]
    joints = np.concatenate([JOINTS_XYV[order], np.full((extra, 3), 7.0)])
    path = tmp_path_factory.mktemp("coco") / "k.json"
    assert np.array_equal(read(path, annotations(names, joints), "a.jpg"), POSE)


@given(spell=st.sampled_from(SPELL), joint=st.sampled_from(JOINT_NAMES))
def test_left_and_right_are_told_by_name(spell: Callable[[str], str], joint: str) -> None:
    assert joint_of_name(spell(joint)) == joint


def test_a_neck_of_its_own_is_used(tmp_path: Path) -> None:
    names = [*COCO_NAMES, "neck"]
    joints = np.concatenate([JOINTS_XYV, [[33.0, 44.0, 2.0]]])
    pose = read(tmp_path / "k.json", annotations(names, joints), "a.jpg")
    assert pose[1].tolist() == [44, 33]


def test_numbered_joints_are_in_cocos_order_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    names = [str(i) for i in range(17)]
    assert np.array_equal(read(path, annotations(names, JOINTS_XYV), "a.jpg"), POSE)
    (note,) = PoseFiles(path).notes
    assert "COCO's order is assumed" in note


@pytest.mark.parametrize(
    "names",
    [
        [f"{side} {part}" for side in ("left", "right") for part in ("sleeve", "cuff", "hem")],
        ["L_Eye", "R_Eye", "Nose", "Neck", "Root of tail", "L_Shoulder", "L_Elbow", "L_F_Paw",
         "R_Shoulder", "R_Elbow", "R_F_Paw", "L_Hip", "L_Knee", "L_B_Paw", "R_Hip", "R_Knee",
         "R_B_Paw"],
    ],
)  # fmt: skip
def test_another_skeleton_is_refused_by_its_names(tmp_path: Path, names: list[str]) -> None:
    assert named_order(names) is None
    path = tmp_path / "k.json"
    path.write_text(json.dumps(annotations(names, np.full((len(names), 3), 20.0))))
    with pytest.raises(InputError, match="has the joints .*: too few of them are a person's"):
        PoseFiles(path)


def test_what_is_no_pose_is_passed_over_and_counted(tmp_path: Path) -> None:
    document = annotations(COCO_NAMES, JOINTS_XYV)
    document["images"][0]["id"] = 1.0
    document["annotations"] += [
        {"image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4]},
        {"image_id": 1, "category_id": 4, "keypoints": []},
        {"image_id": 1, "category_id": 4, "keypoints": None},
        {"image_id": 1, "category_id": 9, "keypoints": [1, 2, 2] * 5},
        {"image_id": 77, "category_id": 4, "keypoints": FLAT},
        None,
    ]
    document["images"].append({"id": 5})
    document["categories"].append({"id": 9, "name": "handbag"})
    (tmp_path / "k.json").write_text(json.dumps(document))
    (tmp_path / "other.json").write_text('{"name": "package"}')
    files = PoseFiles(tmp_path)
    found = files.find("a.jpg")
    assert found is not None
    assert found.people == 1
    assert np.array_equal(found.pose, POSE)
    notes = "\n".join(files.notes)
    assert "entries without keypoints (3)" in notes
    assert "annotations of other things than people (1)" in notes
    assert "annotations of no image (1)" in notes
    assert "images without a file_name (1)" in notes
    assert "entries that are no objects (1)" in notes
    assert "JSON files without poses (1: other.json)" in notes


@pytest.mark.parametrize("category_id", [0, None, 8])
@pytest.mark.parametrize("shape", ["list", "object", "text"])
def test_the_only_named_order_holds_for_annotations_of_unknown_categories(
    tmp_path: Path, category_id: int | None, shape: str
) -> None:
    order = np.random.default_rng(1).permutation(17)
    names = [COCO_NAMES[i] for i in order]
    document = annotations(names, JOINTS_XYV[order])
    document["annotations"][0]["category_id"] = category_id
    document["categories"][0]["keypoints"] = {
        "list": names, "object": {str(i): n for i, n in enumerate(names)}, "text": ", ".join(names)
    }[shape]  # fmt: skip
    document["categories"].append({"id": 8, "name": "person"})
    assert np.array_equal(read(tmp_path / "k.json", document, "a.jpg"), POSE)


def test_joints_of_other_things_are_no_problem_beside_people(tmp_path: Path) -> None:
    document = annotations(COCO_NAMES, JOINTS_XYV)
    document["categories"][0]["name"] = "player"
    document["categories"].append({"id": 9, "name": "horse", "keypoints": ["l paw", "tail"]})
    horse = {"image_id": 1, "category_id": 9, "keypoints": [9, 9, 2, 8, 8, 2]}
    document["annotations"].append(horse)
    assert np.array_equal(read(tmp_path / "k.json", document, "a.jpg"), POSE)


def test_joints_whose_names_are_not_understood_are_said(tmp_path: Path) -> None:
    names = ["left_hand" if name == "left wrist" else name for name in COCO_NAMES]
    path = tmp_path / "k.json"
    path.write_text(json.dumps(annotations(names, JOINTS_XYV)))
    (note,) = PoseFiles(path).notes
    assert "no left wrist among its joints; not understood: left_hand" in note


def test_an_id_of_two_images_is_refused(tmp_path: Path) -> None:
    document = annotations(COCO_NAMES, JOINTS_XYV)
    document["images"].append({"id": 1, "file_name": "b.jpg"})
    path = tmp_path / "k.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="the image id 1 is that of a.jpg and b.jpg"):
        PoseFiles(path)


def test_people_of_one_frame_in_several_entries_are_all_counted(tmp_path: Path) -> None:
    small = (JOINTS_XYV * (0.5, 0.5, 1)).ravel().tolist()
    lines = [{"file_name": "a.jpg", "predictions": [{"keypoints": k}]} for k in (FLAT, small)]
    path = tmp_path / "k.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    found = PoseFiles(tmp_path).find("a.jpg")
    assert found is not None
    assert found.people == 2
    assert np.array_equal(found.pose, POSE)


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        ([[50.0, 60.0, -0.3]] * 33, "below 0, so it is no confidence"),
        ([[-0.5, 0.5, 1.0], [0.5, -0.5, 1.0]] * 8 + [[-0.5, -0.5, 1.0]], "from -1 to 1"),
    ],
)
def test_numbers_that_mean_something_else_are_refused(
    tmp_path: Path, joints: list[list[float]], message: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"instances": [{"keypoints": joints}], "width": 90, "height": 90}))
    with pytest.raises(InputError, match=message):
        PoseFiles(path).find("a")


@pytest.mark.parametrize(
    "document",
    [
        [{"keypoints": [1, 2, 3]}, {"keypoints": FLAT}],
        {"people": [{"pose_keypoints_2d": [1, 2, 3]}, {"pose_keypoints_2d": OPENPOSE_FLAT}]},
    ],
)
def test_somebody_with_broken_keypoints_is_passed_over_beside_others(
    tmp_path: Path, document: object
) -> None:
    path = tmp_path / "a.json"
    np.testing.assert_allclose(read(path, document), POSE, atol=0.02)
    (note,) = PoseFiles(path).notes
    assert "broken keypoints beside usable ones (1)" in note


NO_POSES: list[Any] = [
    None,
    7,
    [],
    {"image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4]},
    {"image_id": 1, "category_id": 4, "keypoints": []},
    {"image_id": 1, "category_id": 4, "keypoints": None},
    {"image_id": 1, "category_id": 4, "keypoints": [1, 2, 2] * 5},
    {"image_id": 1, "category_id": 4, "keypoints": [float("nan"), 1, 2] * 17},
    {"image_id": 1, "category_id": 4, "keypoints": ["1"] * 51},
    {"image_id": 1, "category_id": 9, "keypoints": [1, 2, 2] * 17},
    {"image_id": 1, "category_id": 4, "iscrowd": 1, "keypoints": [1, 2, 2] * 17},
    {"image_id": 77, "category_id": 4, "keypoints": [1, 2, 2] * 17},
    {"image_id": None, "keypoints": [1, 2, 2] * 17},
]


@given(before=st.lists(st.sampled_from(NO_POSES)), after=st.lists(st.sampled_from(NO_POSES)))
def test_a_pose_is_read_among_any_entries_that_are_none(
    tmp_path_factory: pytest.TempPathFactory, before: list[Any], after: list[Any]
) -> None:
    document = annotations(COCO_NAMES, JOINTS_XYV)
    document["categories"].append({"id": 9, "name": "handbag"})
    document["annotations"] = [*before, *document["annotations"], *after]
    path = tmp_path_factory.mktemp("coco") / "k.json"
    path.write_text(json.dumps(document))
    files = PoseFiles(path)
    found = files.find("a.jpg")
    assert found is not None
    assert np.array_equal(found.pose, POSE)
    # All-missing joints are nobody, whom an image with somebody else does not need.
    assert bool(files.notes) == any(entry is not NO_POSES[7] for entry in (*before, *after))


def test_a_file_of_boxes_alone_is_refused_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    document = annotations(COCO_NAMES, JOINTS_XYV)
    document["annotations"] = [{"image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4]}]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"no keypoints in it, only entries without keypoints \(1"):
        PoseFiles(path)


def test_people_who_say_their_frame_are_those_of_frames(tmp_path: Path) -> None:
    path = tmp_path / "walk.json"
    path.write_text(json.dumps([
        {"frame": 0, "track_id": 1, "keypoints": FLAT},
        {"frame": 0, "track_id": 2, "keypoints": FLAT},
        {"frame": 7, "track_id": 1, "keypoints": FLAT},
    ]))  # fmt: skip
    files = PoseFiles(path)
    assert sorted(files.names()) == ["walk_000000", "walk_000007"]
    first = files.find("walk_000000")
    assert first is not None
    assert first.people == 2


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ({"image_id": 1700000000123}, "1700000000123.png"),
        ({"image_id": 12, "file_name": None}, "000000000012.jpg"),
        ({"image_id": 12, "file_name": ""}, "12.jpg"),
    ],
)
def test_the_image_of_a_result(tmp_path: Path, entry: dict[str, object], name: str) -> None:
    found = read(tmp_path / "results.json", [{**entry, "keypoints": FLAT, "score": 0.9}], name)
    np.testing.assert_allclose(found, POSE, atol=0.01)


@pytest.mark.parametrize(
    ("more", "size"),
    [
        ({"width": WIDTH, "height": HEIGHT}, (HEIGHT, WIDTH)),
        ({"imageWidth": WIDTH, "imageHeight": HEIGHT, "bbox": [1, 2, 3, 4]}, (HEIGHT, WIDTH)),
        ({"width": 60, "height": 100, "center": [100, 150]}, None),
        ({"w": 400, "h": 500, "bbox": [90, 40, 60, 150]}, None),
        ({"size": {"width": 60, "height": 100}}, None),
    ],
)
@pytest.mark.parametrize("named", [{}, {"file_name": "a.jpg"}])
def test_a_size_beside_a_person_is_the_image_s_or_a_box_s(
    tmp_path: Path, more: dict[str, object], size: Size | None, named: dict[str, object]
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"keypoints": FLAT, **more, **named}]))
    found = PoseFiles(path).find("a.jpg")
    assert found is not None
    assert found.image_size == size


@pytest.mark.parametrize(
    "document",
    [
        {"image_path": "/tmp/upload/1.jpg", "keypoints": FLAT},
        [{"image": "walk.gif", "keypoints": FLAT}, {"image": "walk.gif", "keypoints": FLAT}],
        [{"img": "crop0.jpg", "keypoints": FLAT}, {"img": "crop1.jpg", "keypoints": FLAT}],
        {"image_path": "b.jpg", "keypoints": [POINTS, POINTS], "keypoint_scores": [SCORES, SCORES]},
    ],
)
def test_a_file_about_one_image_is_about_the_image_of_its_name(
    tmp_path: Path, document: object
) -> None:
    np.testing.assert_allclose(read(tmp_path / "a.json", document), POSE, atol=0.01)


def test_frames_go_by_their_file_names(tmp_path: Path) -> None:
    people = [{"keypoints": FLAT}]
    path = tmp_path / "walk.json"
    path.write_text(json.dumps([
        {"image_id": 1, "file_name": "a.jpg", "predictions": people},
        {"image_id": "x", "image_name": "b.jpg", "predictions": people},
        {"image_id": "c.jpg", "predictions": people},
    ]))  # fmt: skip
    assert sorted(PoseFiles(path).names()) == ["a.jpg", "b.jpg", "c.jpg"]


def test_the_joints_names_win_over_other_text_with_as_many(tmp_path: Path) -> None:
    def flipped(name: str) -> str:
        swapped = name.replace("left", "?").replace("right", "left")
        return swapped.replace("?", "right")

    points = [
        {"flip": flipped(name), "name": name, "x": x, "y": y, "v": v}
        for name, (x, y, v) in zip(COCO_NAMES, JOINTS_XYV.tolist(), strict=True)
    ]
    np.testing.assert_allclose(read(tmp_path / "a.json", [{"keypoints": points}]), POSE, atol=0.01)


def test_a_joint_that_is_null_is_missing(tmp_path: Path) -> None:
    points = [
        {"name": name, "x": x if v else None, "y": y if v else None, "confidence": v or None}
        for name, (x, y, v) in zip(COCO_NAMES, JOINTS_XYV.tolist(), strict=True)
    ]
    np.testing.assert_allclose(read(tmp_path / "a.json", [{"keypoints": points}]), POSE, atol=0.01)
    columns = {"x": JOINTS_XYV[:, 0].tolist(), "y": JOINTS_XYV[:, 1].tolist(), "visible": None}
    columns["x"][9] = columns["y"][9] = 5
    document = [{"keypoints": {**columns, "confidence": SCORES}}]
    np.testing.assert_allclose(read(tmp_path / "b.json", document, "b"), POSE, atol=0.01)


def test_a_joint_at_the_origin_has_no_third_number_to_refuse(tmp_path: Path) -> None:
    flat = [v for x, y, c in JOINTS_XYV.tolist() for v in ((x, y, c) if c else (0, 0, -1))]
    np.testing.assert_allclose(read(tmp_path / "a.json", {"keypoints": flat}), POSE, atol=0.01)
    with pytest.raises(InputError, match="counts the joints"):
        rows = [[i, x, y, 0.9] for i, (x, y) in enumerate(POINTS)]
        read(tmp_path / "b.json", {"keypoints": rows}, "b")


@pytest.mark.parametrize(
    ("keypoints", "reason"),
    [
        ([value for x, y, _ in JOINTS_XYV.tolist() for value in (x, y, -0.2)], "below 0"),
        ([[i, x, y] for i, (x, y) in enumerate(POINTS)], "counts the joints"),
    ],
)
def test_rows_of_three_numbers_without_a_confidence(
    tmp_path: Path, keypoints: list[object], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        read(tmp_path / "a.json", {"keypoints": keypoints})


def test_an_error_names_its_line_of_json_lines(tmp_path: Path) -> None:
    line = json.dumps({"image_id": "a.jpg", "keypoints": FLAT})
    with pytest.raises(InputError, match="line 3: Expecting value"):
        read(tmp_path / "a.jsonl", f'{line}\n{line}\n{{"image_id": oops}}\n')
    with pytest.raises(InputError, match="Extra data: line 7"):
        indented = json.dumps({"image_id": "a.jpg", "x": [1]}, indent=1)
        read(tmp_path / "b.json", f"{indented.replace('}', chr(10) + '}')} {indented}")
