"""What `dptn transfer` prints: before it starts, while it runs, and at the end."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dptn_cli.cli.console import MAX_LISTED, echo, first_of, print_json, print_table
from dptn_cli.cli.progress import ProgressLine
from dptn_cli.enums import Status
from dptn_cli.errors import ExitCode
from dptn_cli.types import Job, Outcome

MAX_FAILURES_SHOWN = 20
MAX_NAMES_SHOWN = 5


@dataclass
class TransferReporter:
    """Prints messages and progress, and counts the outcomes.

    Attributes:
        quiet: print errors only.
        as_json: print one document on stdout, and nothing else.
        verbose: print a line for every item.
        counts: number of outcomes, by status.
        failures: the first failures, up to `MAX_LISTED`.
    """

    quiet: bool
    as_json: bool
    verbose: bool
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Outcome] = field(default_factory=list)

    @property
    def is_silent(self) -> bool:
        """Whether stderr is kept free of messages."""
        return self.quiet or self.as_json

    def notify(self, message: str) -> None:
        """Print a message, unless the user wants none."""
        echo(message, quiet=self.is_silent)

    @contextmanager
    def progress_line(self, label: str, total: int) -> Iterator[ProgressLine]:
        """Show a progress line while the context is entered."""
        line = ProgressLine(total, label, quiet=self.is_silent)
        with line.shown():
            yield line

    @contextmanager
    def stage(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """See `dptn_cli.types.Progress.stage`."""
        with self.progress_line(label, total) as line:
            yield lambda units: line.advance(items=units)

    def count(self, outcome: Outcome) -> None:
        """Count an outcome, and print its line if the user wants one for every item."""
        self.counts[outcome.status] += 1
        if outcome.status is Status.FAILED and len(self.failures) < MAX_LISTED:
            self.failures.append(outcome)
        if self.verbose:
            self.notify(f"{outcome.status}  {outcome.output}  {outcome.reason}")

    def print_warnings(self, job: Job) -> None:
        """Print what the user should know before anything starts."""
        for note in job.notes:
            self.notify(note)
        if job.multi_person_count:
            more = ", ..." if job.multi_person_count > len(job.multi_person_names) else ""
            self.notify(
                f"{job.multi_person_count:,} images show several people, and the largest is taken: "
                f"{', '.join(job.multi_person_names)}{more}"
            )
        if job.missing_sources:
            more = ", ..." if len(job.missing_sources) > MAX_NAMES_SHOWN else ""
            self.notify(
                f"{len(job.missing_sources):,} source images are missing, and their items will "
                f"fail: {', '.join(job.missing_sources[:MAX_NAMES_SHOWN])}{more}"
            )

    def print_summary(self, document: dict[str, Any], job: Job) -> ExitCode:
        """Print how the run went, and return its exit code.

        Args:
            document: content of `run.json`, or of a dry run the same without its measurements.
            job: the job.
        """
        counts = document["counts"]
        if self.as_json:
            print_json(document | self._failed())
        print_table(_rows(document, job), quiet=self.is_silent)
        if self.failures:
            shown = self.failures[:MAX_FAILURES_SHOWN]
            echo("\n".join(["Failed:", *(f"  {o.output}: {o.reason}" for o in shown)]))
            if counts["failed"] > len(shown):
                echo(f"  and {counts['failed'] - len(shown):,} more, in manifest.jsonl")
        if document["state"] == "interrupted":
            self.notify("Interrupted; what is done is kept. Run the same command to resume.")
            return ExitCode.INTERRUPTED
        return ExitCode.SOME_FAILED if counts["failed"] else ExitCode.DONE

    def _failed(self) -> dict[str, Any]:
        keys = ("output", "source", "target", "reason")
        failed = [{key: getattr(outcome, key) for key in keys} for outcome in self.failures]
        return first_of("failed", failed, self.counts[Status.FAILED])


def _rows(document: dict[str, Any], job: Job) -> dict[str, str]:
    rows = {name.replace("_", " "): f"{count:,}" for name, count in document["counts"].items()}
    if document["state"] != "dry run":
        rows["images per second"] = f"{document['pictures_per_second']:.2f}"
        rows["run on"] = document["provider"]
    return rows | {"model": str(job.model.path), "results": str(job.out)}
