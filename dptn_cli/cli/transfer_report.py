"""What `dptn transfer` prints: before it starts, while it runs, and at the end."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dptn_cli.cli.console import (
    MAX_LISTED,
    describe_crowds,
    echo,
    first_of,
    print_json,
    print_table,
)
from dptn_cli.cli.progress import ProgressLine
from dptn_cli.enums import Status
from dptn_cli.errors import ExitCode, counted
from dptn_cli.io.results_folder import UNLISTED_NAME
from dptn_cli.types import Job, Outcome

MAX_FAILURES_SHOWN = 20
MAX_WARNED_SHOWN = 2
FAILED_KEYS = ("output", "source", "target", "reason", "known")  # of an item in `--json`


def job_warnings(job: Job) -> Iterator[str]:
    """Yield what the user should know before a job starts, one line each."""
    yield from job.notes
    if job.multi_person_count:
        yield describe_crowds(job.multi_person_count, job.multi_person_names)
    if job.missing_source_count:
        more = ", ..." if job.missing_source_count > len(job.missing_sources) else ""
        yield (
            f"{job.missing_source_count:,} source images are missing, and their items will "
            f"fail: {', '.join(job.missing_sources)}{more}"
        )


@dataclass
class TransferReporter:
    """Prints messages and progress, and counts the outcomes.

    Attributes:
        quiet: print errors only.
        as_json: print one document on stdout, and nothing else.
        verbose: print a line for every item.
        accept_known: exit with 0 if no failure is new.
        counts: number of outcomes, by status.
        known_failures: number of failures that an earlier run has met.
        failures: number of items by what to print about their failure, for the first few.
        failed: the first failures as `--json` lists them, up to `MAX_LISTED`.
        unlisted_examples: names of the first few results that a dry run would remove.
        warnings: number of new images that may look wrong, by the reason.
        warned: names of the first few such images, by the reason.
    """

    quiet: bool
    as_json: bool
    verbose: bool
    accept_known: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    known_failures: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    failed: list[dict[str, Any]] = field(default_factory=list)
    unlisted_examples: list[str] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    warned: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

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
        self.known_failures += outcome.known
        for warning in outcome.warnings if outcome.status is Status.DONE else ():
            self.warnings[warning] += 1
            if len(self.warned[warning]) < MAX_WARNED_SHOWN:
                self.warned[warning].append(outcome.output)
        if outcome.status is Status.FAILED:
            failure = _describe_failure(outcome)
            if failure in self.failures or len(self.failures) < MAX_FAILURES_SHOWN:
                self.failures[failure] += 1
            if self.as_json and len(self.failed) < MAX_LISTED:
                self.failed.append({key: getattr(outcome, key) for key in FAILED_KEYS})
        if self.verbose:
            self.notify(f"{outcome.status}  {outcome.output}  {outcome.reason}")

    def print_warnings(self, job: Job) -> None:
        """Print what the user should know before anything starts."""
        for warning in job_warnings(job):
            self.notify(warning)

    def print_summary(self, document: dict[str, Any], job: Job) -> ExitCode:
        """Print how the run went, and return its exit code.

        Args:
            document: content of `run.json`, or of a dry run the same without its measurements.
            job: the job.
        """
        counts = document["counts"]
        if self.as_json:
            print_json(document | first_of("failed", self.failed, self.counts[Status.FAILED]))
        print_table(_rows(document, job), quiet=self.is_silent)
        self._print_image_warnings()
        self._print_failures(counts["failed"])
        self._print_unlisted(document)
        if document["state"] == "stopped":
            echo(
                f"Stopped: {document['stop_reason']}. What is done is kept. Run the same command "
                "to resume."
            )
            return ExitCode.SOME_FAILED
        if document["state"] == "interrupted":
            self.notify("Interrupted; what is done is kept. Run the same command to resume.")
            return ExitCode.INTERRUPTED
        accepted = self.known_failures if self.accept_known else 0
        return ExitCode.SOME_FAILED if counts["failed"] > accepted else ExitCode.DONE

    def _print_image_warnings(self) -> None:
        for warning, count in self.warnings.most_common():
            names = self.warned[warning]
            more = ", ..." if count > len(names) else ""
            self.notify(
                f"{counted(count, 'image')} may look wrong: {warning}: {', '.join(names)}{more}"
            )

    def _print_failures(self, count: int) -> None:
        if not self.failures:
            return
        known = f" ({self.known_failures:,} as before)" if self.known_failures else ""
        lines = [f"Failed{known}:"]
        for failure, items in self.failures.items():
            lines.append(f"  {failure}" + (f" ({counted(items, 'item')})" if items > 1 else ""))
        if rest := count - self.failures.total():
            lines.append(f"  and {rest:,} more, in manifest.jsonl")
        echo("\n".join(lines))

    def _print_unlisted(self, document: dict[str, Any]) -> None:
        if pruned := document.get("pruned", 0):
            self.notify(f"Removed {counted(pruned, 'result')} of earlier lists.")
        unlisted = document.get("unlisted", 0)
        results = counted(unlisted, "result")
        if unlisted and document.get("prune"):
            self.notify(f"--prune would remove {results} of earlier lists:")
            for output in self.unlisted_examples:
                self.notify(f"  {output}")
        elif unlisted:
            where = "" if document["state"] == "dry run" else f", named in {UNLISTED_NAME}"
            self.notify(
                f"The folder still has {results} of earlier lists{where}; --prune removes "
                f"{'it' if unlisted == 1 else 'them'}."
            )


def _describe_failure(outcome: Outcome) -> str:
    """Say what failed and why: alike for all items of a broken image, whatever their poses."""
    is_named = any(name in outcome.reason for name in (outcome.source, outcome.target))
    if is_named or outcome.reason.startswith("line "):
        return outcome.reason
    name = outcome.source if outcome.permanent else outcome.output
    return f"{name}: {outcome.reason}"


def _rows(document: dict[str, Any], job: Job) -> dict[str, str]:
    rows = {name.replace("_", " "): f"{count:,}" for name, count in document["counts"].items()}
    if document["state"] != "dry run":
        rows["images per second"] = f"{document['pictures_per_second']:.2f}"
        rows["run on"] = f"{document['provider']}, {document['arithmetic']}"
    return rows | {"model": str(job.model.path), "results": str(job.out)}
