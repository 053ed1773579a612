"""What `dptn transfer` tells the user: before it starts, while it runs, and at the end."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dptn_cli.cli.console import echo, print_json, show_table
from dptn_cli.errors import ExitCode

if TYPE_CHECKING:
    from dptn_cli.types import Job, Outcome

MAX_FAILURES_SHOWN = 20


@dataclass
class Reporter:
    """What to tell the user, and the tally that is told.

    Attributes:
        quiet: no progress, no messages.
        as_json: one document on stdout, and nothing else.
        verbose: a line for every item.
        counts: of outcomes, by status.
        failures: what to say of the first few that failed.
    """

    quiet: bool
    as_json: bool
    verbose: bool
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def silent(self) -> bool:
        """Whether stderr is kept free of messages."""
        return self.quiet or self.as_json

    def count(self, outcome: "Outcome") -> None:
        """Add an outcome to the tally."""
        self.counts[outcome.status] += 1
        if outcome.status == "failed" and len(self.failures) < MAX_FAILURES_SHOWN:
            self.failures.append(f"{outcome.output}: {outcome.reason}")


def warn(job: "Job", show: Reporter) -> None:
    """Say what the user should know before anything starts."""
    if job.multi_person_count:
        some = ", ".join(job.multi_person_names)
        more = ", ..." if job.multi_person_count > len(job.multi_person_names) else ""
        echo(
            f"{job.multi_person_count:,} images have several people, of whom the largest counts: "
            f"{some}{more}",
            quiet=show.silent,
        )
    if job.missing_sources:
        some = ", ".join(job.missing_sources[:5])
        more = ", ..." if len(job.missing_sources) > 5 else ""
        echo(
            f"{len(job.missing_sources):,} source images are missing, their items will fail: "
            f"{some}{more}",
            quiet=show.silent,
        )


def tell(document: dict[str, Any], show: Reporter, job: "Job") -> ExitCode:
    """Show how it went; the exit code for it."""
    counts = document["counts"]
    if show.as_json:
        print_json(document)
    if not show.silent:
        show_table(_rows(document, job))
    if show.failures:
        echo("\n".join(["Failed:", *(f"  {failure}" for failure in show.failures)]))
        if counts["failed"] > len(show.failures):
            echo(f"  and {counts['failed'] - len(show.failures):,} more, in manifest.jsonl")
    if document["state"] == "interrupted":
        echo("Interrupted; what was done is kept. The same command goes on.", quiet=show.silent)
        return ExitCode.INTERRUPTED
    return ExitCode.SOME_FAILED if counts["failed"] else ExitCode.DONE


def _rows(document: dict[str, Any], job: "Job") -> dict[str, str]:
    counts = document["counts"]
    rows = {name.replace("_", " "): f"{count:,}" for name, count in counts.items()}
    if document["state"] != "dry run":
        rows["images a second"] = f"{document['pictures_per_second']:.2f}"
        rows["run on"] = document["provider"]
    return rows | {"model": str(job.model.path), "results": str(job.out)}
