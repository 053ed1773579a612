"""Where nobody looks: every line has the time, and a line comes though nothing ends."""

import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support import LINE_TIME, Folder

from dptn_cli.cli import progress
from dptn_cli.cli.durations import format_duration, format_rate
from dptn_cli.cli.progress import ProgressLine, heartbeat


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL_S", 0.02)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1 s"),
        (35.4, "35 s"),
        (59.6, "1 min"),
        (89, "1 min"),
        (24 * 60, "24 min"),
        (59.7 * 60, "1 h"),
        (100 * 60, "1 h 40 min"),
        (23.999 * 3600, "1 d"),
        (76 * 3600, "3 d 4 h"),
    ],
)
def test_durations_have_the_units_that_people_read(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_slow_rates_are_by_the_minute() -> None:
    assert [format_rate(rate) for rate in (12.34, 0.5, 1 / 30)] == ["12.3/s", "0.5/s", "2.0/min"]


def lines_until(capsys: pytest.CaptureFixture[str], is_enough: Callable[[str], bool]) -> list[str]:
    """What stderr has received when it is enough; waits for it."""
    text = ""
    while not is_enough(text):
        text += capsys.readouterr().err
    return text.splitlines()


@pytest.mark.usefixtures("hasty")
def test_lines_come_though_nothing_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with heartbeat(), ProgressLine(20_000, "transfer").shown() as line:
        idle = lines_until(capsys, lambda text: text.count("\n") >= 3)
        line.advance("1 failed", items=5000)
        later = lines_until(capsys, lambda text: " left\n" in text)
        stalled = lines_until(capsys, lambda text: "20,000, 1 failed, nothing new for" in text)
    assert all(LINE_TIME.match(text) for text in idle + later + stalled)
    nothing = r"nothing new for \d+ s"
    assert re.fullmatch(rf"{LINE_TIME.pattern}transfer: 0 of 20,000(, {nothing})?", idle[0])
    assert re.search(r"transfer: 5,000 of 20,000, [\d.]+/s, 1 failed, .* left$", later[-1])
    assert (
        stalled[-1].endswith(" s") and "5,000 of 20,000, 1 failed, nothing new for" in stalled[-1]
    )
    assert "dptn-heartbeat" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.usefixtures("hasty")
def test_quiet_is_for_stderr_and_not_for_the_log(folder: Folder, tmp_path: Path) -> None:
    """A pose file that does not arrive: the log says that the command still works."""
    log, poses = tmp_path / "dptn.log", tmp_path / "slow.csv"
    os.mkfifo(poses)

    def write_late() -> None:
        while not (log.exists() and log.read_text().count("Still working, ") >= 2):
            pass
        while True:  # it may be read several times
            with suppress(BrokenPipeError):
                poses.write_text("no poses")

    threading.Thread(target=write_late, daemon=True).start()
    result = folder.transfer("--keypoints", poses, "--log-file", log, "--quiet")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert re.match(LINE_TIME.pattern + "Error: ", line)
    assert all(LINE_TIME.match(line) for line in log.read_text().splitlines())
