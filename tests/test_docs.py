"""The pages: their links lead somewhere, and the commands they show run as they stand."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import test_architecture
from make_cli_page import cli_page
from PIL import Image
from support import ROOT, dptn, draw_image, draw_pose, write_annotations, write_pairs

from dptn_cli.detect import install_commands
from dptn_cli.detect.openpifpaf_checkpoint import DEFAULT_CHECKPOINT, PUBLISHED
from dptn_cli.network.config import IMAGE_SPECS

README = ROOT / "README.md"
STARTED = ROOT / "docs" / "getting-started.md"
PAGES = [
    README,
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
    ROOT / "models" / "README.md",
]

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def blocks(page: Path, language: str) -> list[str]:
    return [text for name, text in FENCED.findall(page.read_text()) if name == language]


def commands(page: Path) -> list[str]:
    """The lines of a page's command blocks, continued ones joined, without comments."""
    lines = "".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    return [shlex.join(words) for line in lines if (words := shlex.split(line, comments=True))]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def links(page: Path) -> Iterator[str]:
    text = FENCED.sub("", page.read_text())
    yield from (link for link in LINK.findall(text) if "://" not in link)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in links(page) if is_broken(page, link)] == []


def is_broken(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    return not target.exists() or bool(anchor and anchor not in anchors(target))


def test_the_page_of_the_commands_is_what_the_commands_say() -> None:
    """If this fails: `.venv-test/bin/python docs/make_cli_page.py`."""
    assert (ROOT / "docs" / "cli.md").read_text() == cli_page()


def test_every_page_is_in_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(README)}
    assert set((ROOT / "docs").glob("*.md")) - linked == set()


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 130


def test_the_architecture_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    rooms = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert rooms == [room for room in test_architecture.ROOMS if room != "__main__"]


def test_the_architecture_names_modules_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "dptn_cli"
    modules = {path.name for path in package.rglob("*.py")} | {"test_architecture.py"}
    named = re.findall(r"[\w/]+\.py\b", text)
    assert [n for n in named if "/" in n and not _exists(n)] == []
    assert {Path(name).name for name in named} - modules == set()


def _exists(name: str) -> bool:
    return (ROOT / name).exists() or (ROOT / "dptn_cli" / name).exists()


def is_install(command: str) -> bool:
    return command.startswith(("pip install ", "make "))


@pytest.mark.parametrize("page", [README, STARTED], ids=lambda page: page.name)
def test_install_lines_are_what_ci_installs(page: Path) -> None:
    """`.ci/run` runs both make targets; these install the package with every extra."""
    ci, makefile = (ROOT / ".ci" / "run").read_text(), (ROOT / "Makefile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    (everything,) = (one for one in extras["test"] if one.startswith("dptn-cli["))
    by_ci = set(everything.partition("[")[2].rstrip("]").split(","))
    pose, openpifpaf = (
        shlex.join(shlex.split(one.replace("dptn-cli[", ".["))) for one in install_commands()
    )
    for line in filter(is_install, commands(page)):
        if line.startswith("make "):
            assert f"\n{line}\n" in ci + "\n"
        elif line not in ("pip install .", pose, openpifpaf):
            (extra,) = re.findall(r"^pip install '\.\[(\w+)\]'$", line)
            assert extra in by_ci
    assert "--editable .\n" in makefile
    assert "--editable '.[test]'\n" in makefile


@pytest.fixture
def clone(tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like a clone, with stand-ins for what the pages say is the reader's own.

    The published checkpoint is a small generator of ours, the detector's is the shipped one, the
    photos are drawn figures, and DATA/ is a small set in the published layout.
    """
    for name in ("models", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(tiny_checkpoint, tmp_path / "latest_net_G.pth")
    hub = tmp_path / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    detector = ROOT / "models" / "figures-pose.pkl"
    shutil.copy(detector, hub / PUBLISHED[DEFAULT_CHECKPOINT].path.name)

    figures = ROOT / "examples" / "figures"
    (tmp_path / "poses").mkdir()
    shutil.copy(figures / "images" / "p0003_1.png", tmp_path / "poses")
    _draw_data(tmp_path / "DATA")

    photos = tmp_path / "photos"
    photos.mkdir()
    (listed,) = blocks(STARTED, "csv")
    (photos / "pairs.csv").write_text(listed)
    names = sorted({name for line in listed.split()[1:] for name in line.split(",")})
    for number, name in enumerate(names):
        shutil.copy(figures / "images" / f"p000{number}_0.png", photos / name)

    for name, figure in (("photo.jpg", "p0004_0.png"), ("wave.jpg", "p0005_1.png")):
        Image.open(figures / "images" / figure).convert("RGB").save(tmp_path / name)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("DPTN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DPTN_MODEL", raising=False)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", [README, ROOT / "docs" / "python.md"], ids=lambda page: page.name)
def test_the_python_is_typed(page: Path, tmp_path: Path) -> None:
    path = tmp_path / "example.py"
    path.write_text("".join(blocks(page, "python")))
    mypy = [sys.executable, "-m", "mypy", str(path)]
    done = subprocess.run(mypy, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def _draw_data(data: Path) -> None:
    """A test set of three pairs in the published layout, and a training set to compare with."""
    size = IMAGE_SPECS["fashion"].image_size
    names = [f"{number}.png" for number in range(4)]
    for phase in ("train", "test"):
        (data / phase).mkdir(parents=True)
        for seed, name in enumerate(names):
            draw_image(seed, size).save(data / phase / name)
    poses = {name: draw_pose(seed, size) for seed, name in enumerate(names)}
    write_annotations(data / "fasion-resize-annotation-test.csv", poses)
    write_pairs(data / "fasion-resize-pairs-test.csv", [(names[0], name) for name in names[1:]])


@pytest.mark.slow
def test_the_commands_run_as_they_stand(clone: Path) -> None:
    lines = dict.fromkeys(commands(README) + commands(STARTED))
    for line in lines:
        if is_install(line):
            continue
        program, *words = shlex.split(line)
        assert program == "dptn", line
        result = dptn(*words)
        assert result.exit_code == 0, f"{line}\n{result.stdout}{result.stderr}"
    for folder in ("demo", "detected", "fashion", "every-pose", "pairs", "."):
        assert list((clone / "results" / folder).glob("*_vis.png")), folder
    assert (clone / "report" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", [README, ROOT / "docs" / "python.md"], ids=lambda page: page.name)
def test_the_python_runs_as_it_stands(clone: Path, page: Path) -> None:
    """A page's blocks run one after the other, as in one session."""
    exec(compile("".join(blocks(page, "python")), str(page), "exec"), {})
    assert (clone / "another_pose.png").is_file()
    assert len(list((clone / "results").glob("*_vis.png"))) == 72
