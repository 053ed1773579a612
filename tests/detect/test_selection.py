"""What a value of `--detector` stands for."""

import shutil
import sys
from pathlib import Path

import pytest
from detectors import MODELS

from dptn_cli.detect import select_detector
from dptn_cli.detect.openpifpaf_checkpoint import DEFAULT_CHECKPOINT, PUBLISHED
from dptn_cli.errors import InputError, MissingDependency

SHIPPED = MODELS / "figures-pose.pkl"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of published checkpoints."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = PUBLISHED[DEFAULT_CHECKPOINT].path.parent
    folder.mkdir(parents=True)
    return folder


def test_auto_is_movenet_without_a_checkpoint(hub: Path) -> None:
    selected = select_detector("auto")
    assert (selected.name, selected.title, selected.path) == ("movenet", "MoveNet (built in)", None)
    selected.require()


def test_auto_is_openpifpaf_with_a_checkpoint(hub: Path) -> None:
    shutil.copy(SHIPPED, PUBLISHED["resnet50"].path)
    assert select_detector("auto").name == "resnet50"
    assert select_detector("openpifpaf").name == "resnet50"
    shutil.copy(SHIPPED, PUBLISHED[DEFAULT_CHECKPOINT].path)
    selected = select_detector("auto")
    assert selected.name == DEFAULT_CHECKPOINT
    assert selected.path == hub / PUBLISHED[DEFAULT_CHECKPOINT].name
    assert select_detector("movenet").path is None


def test_auto_is_openpifpaf_if_the_checkpoint_may_be_downloaded(hub: Path) -> None:
    assert select_detector("auto", download_weights=True).name == DEFAULT_CHECKPOINT


def test_without_openpifpaf(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpifpaf", None)
    shutil.copy(SHIPPED, PUBLISHED[DEFAULT_CHECKPOINT].path)
    assert select_detector("auto", download_weights=True).name == "movenet"
    for named in ("openpifpaf", str(SHIPPED)):
        with pytest.raises(MissingDependency, match="needs openpifpaf, which is not installed"):
            select_detector(named).require()


def test_a_missing_checkpoint(hub: Path) -> None:
    with pytest.raises(InputError, match=f"{DEFAULT_CHECKPOINT}: .* are missing: put the file"):
        select_detector("openpifpaf").require()
    with pytest.raises(InputError, match="--detector movnet: no such file"):
        select_detector("movnet")


def test_detectors_are_told_apart(hub: Path) -> None:
    ids = {select_detector(name).read_id() for name in ("movenet", str(SHIPPED))}
    assert len({sha256 for _, sha256 in ids}) == 2
    assert {name for name, _ in ids} == {"movenet", str(SHIPPED)}


def test_case_does_not_matter(hub: Path) -> None:
    assert select_detector("MoveNet").name == select_detector("AUTO").name == "movenet"
