"""The section of the page that says what the results were made with and of."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from dptn_cli.evaluate.types import Report

TITLES = {
    "model": "Model",
    "run": "Run",
    "made_of": "Made of",
    "versions": "Versions",
    "scored_list": "Scored by the list",
    "part": "Part",
}


def provenance_section(report: Report, heading: str) -> str:
    """Return the section of one run; empty if nothing is known of how its results were made.

    Args:
        report: the run.
        heading: HTML that stands above the section.
    """
    if not report.provenance:
        return ""
    items = "".join(
        f"<dt>{escape(TITLES.get(name, name))}</dt><dd>{escape(_describe(values))}</dd>"
        for name, values in report.provenance.items()
    )
    return f'{heading}<dl class="provenance">{items}</dl>'


def _describe(values: object) -> str:
    if not isinstance(values, Mapping):
        return str(values)
    return "; ".join(_facts(values))


def _facts(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, list):
            value = ", ".join(map(str, value))
        if value not in (None, ""):
            yield f"{name.replace('_', ' ')} {value}"
