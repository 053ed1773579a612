"""What a search for images left out, to tell the user."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from dptn_cli.errors import counted

MAX_NAMES = 5


@dataclass
class LeftOut:
    """What a search for images left out.

    Attributes:
        results: number of images by the results folder of an earlier run.
        written: number of images by the folder that this run writes to.
        heic: number of HEIC images, which cannot be read without an extra.
        unread: names of files of kinds that are not read.
        unreadable: links that lead nowhere and folders that cannot be read, each with the reason.
    """

    results: Counter[Path] = field(default_factory=Counter)
    written: Counter[Path] = field(default_factory=Counter)
    heic: int = 0
    unread: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def notes(self) -> tuple[str, ...]:
        """Return one line for each reason."""
        notes = [
            f"{counted(count, 'image')} left out: results of dptn transfer in {folder}"
            for folder, count in self.results.items()
        ]
        notes += [
            f"{counted(count, 'image')} left out: this run writes to {folder}; to use the images "
            "there, name another folder for the results"
            for folder, count in self.written.items()
        ]
        if self.heic:
            notes.append(
                f"{counted(self.heic, 'HEIC image')} left out: pip install 'dptn-cli[heic]'"
            )
        if self.unread:
            kinds = "a kind that is" if len(self.unread) == 1 else "kinds that are"
            files = counted(len(self.unread), "file")
            notes.append(f"{files} left out, of {kinds} not read: {_names(self.unread)}")
        if self.unreadable:
            notes.append(
                f"{len(self.unreadable):,} left out, not readable: {_names(self.unreadable)}"
            )
        return tuple(notes)

    def add_unreadable(self, name: str, error: OSError) -> None:
        """Add a link that leads nowhere, or a folder that cannot be read."""
        reason = "broken link" if isinstance(error, FileNotFoundError) else error.strerror
        self.unreadable.append(f"{name} ({reason})")


def _names(names: list[str]) -> str:
    more = ", ..." if len(names) > MAX_NAMES else ""
    return ", ".join(sorted(names)[:MAX_NAMES]) + more
