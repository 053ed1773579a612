"""How far a command has come: a bar on a terminal, and lines elsewhere and in the log file."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from dptn_cli.cli.console import echo, is_terminal, prints_errors_only, stderr_console
from dptn_cli.cli.durations import format_duration, format_rate

INTERVAL_S = 30.0
"""Seconds between two lines, whether or not anything has been done between them."""
RATE_INTERVALS = 10  # the rate is that of the last five minutes: skipped items take no time


class _Activity(Protocol):
    """What a command is doing."""

    def describe(self) -> str:
        """Return one line for the user."""
        ...


class _Command:
    """The activity of a command that shows no progress."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()

    def describe(self) -> str:
        return f"Still working, {format_duration(time.monotonic() - self._started_s)} so far"


_activities: list[_Activity] = []
"""The innermost is the last."""


@contextmanager
def heartbeat() -> Iterator[None]:
    """Say every `INTERVAL_S` what is going on, while the context is entered.

    A thread of its own says it, because a batch, a network or a library may not return for long.
    """
    ended = threading.Event()

    def say() -> None:
        while not ended.wait(INTERVAL_S):
            echo(_activities[-1].describe(), quiet=prints_errors_only() or is_terminal())

    thread = threading.Thread(target=say, name="dptn-heartbeat", daemon=True)
    with _entered(_Command()):
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def _entered(activity: _Activity) -> Iterator[None]:
    _activities.append(activity)
    try:
        yield
    finally:
        _activities.remove(activity)


class _DetailedProgress(Progress):
    """A progress bar with a line of text under it."""

    detail = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.detail:
            yield Text(self.detail, style="dim", overflow="ellipsis", no_wrap=True)


class ProgressLine:
    """Items done out of a total: a bar on a terminal, elsewhere a line now and then.

    Args:
        total: number of items.
        label: what is being done.
        quiet: whether to show nothing.
        done: number of items that an earlier run has done.
    """

    def __init__(self, total: int, label: str, *, quiet: bool = False, done: int = 0) -> None:
        self.total, self.label, self.done = total, label, done
        self._note = self._detail = ""
        self._done_before = done
        self._started_s = self._advanced_s = time.monotonic()
        self._samples = deque([(self._started_s, done)], RATE_INTERVALS)
        self._bar = _DetailedProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=stderr_console,
            transient=True,
            disable=quiet or not is_terminal(),
        )
        self._task = self._bar.add_task(label, total=total, completed=done, note="")

    @contextmanager
    def shown(self) -> Iterator["ProgressLine"]:
        """Show the bar while the context is entered."""
        with self._bar, _entered(self):
            yield self

    def advance(self, note: str = "", items: int = 1, detail: str = "") -> None:
        """Count more items.

        Args:
            note: a short text in the line, such as the number of failures.
            items: number of items done since the last call.
            detail: a longer text under the bar.
        """
        self.done += items
        self._note, self._detail = note, detail
        self._advanced_s = time.monotonic()
        rate = (self.done - self._done_before) / max(self._advanced_s - self._started_s, 1e-6)
        self._bar.detail = detail
        self._bar.update(self._task, advance=items, note=f"{rate:.1f}/s {note}".rstrip())

    def describe(self) -> str:
        """Return one line: how far the work has come since the last calls, and how much is left."""
        now_s, done = time.monotonic(), self.done
        before_s, before = self._samples[0]
        self._samples.append((now_s, done))
        rate = (done - before) / max(now_s - before_s, 1e-6)
        idle_s = now_s - self._advanced_s
        parts = [
            f"{self.label}: {done:,} of {self.total:,}",
            format_rate(rate) if rate else "",
            self._note,
            self._detail,
            f"nothing new for {format_duration(idle_s)}" if idle_s >= INTERVAL_S else "",
            f"{format_duration((self.total - done) / rate)} left" if rate else "",
        ]
        return ", ".join(part for part in parts if part)
