"""Several runs side by side: paired differences, over the pairs that both have."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from dptn_cli.enums import Protocol
from dptn_cli.evaluate.bootstrap import bootstrap
from dptn_cli.evaluate.types import Comparison, Difference, ImagePair, Report
from dptn_cli.metrics.protocols import BY_ID


def compare(reports: Sequence[Report]) -> Comparison:
    """Put several runs side by side, each beside the first.

    Folders of one name are told apart by the paths they were given by.
    """
    if len({report.run for report in reports}) < len(reports):
        reports = [replace(report, run=str(report.results)) for report in reports]
    first, *others = reports
    return Comparison(tuple(reports), tuple(_difference(other, first) for other in others))


def _difference(other: Report, first: Report) -> Difference:
    places = {_key(pair): index for index, pair in enumerate(first.table.pairs)}
    rows = [(i, places[_key(p)]) for i, p in enumerate(other.table.pairs) if _key(p) in places]
    if not rows:
        return Difference(other.run, 0, {})
    mine, theirs = (np.array(column) for column in zip(*rows, strict=True))
    with np.errstate(invalid="ignore"):  # Infinite minus infinite: left out like both.
        gaps = {
            name: values[mine] - first.table.values[name][theirs]
            for name, values in other.table.values.items()
            if name in first.table.values and _comparable(name, other, first)
        }
    return Difference(other.run, len(rows), bootstrap(gaps))


def _comparable(metric_id: str, other: Report, first: Report) -> bool:
    """Whether both were measured by the same rules: fashion has a canvas, market has none."""
    return BY_ID[metric_id].protocol != Protocol.PAPER or other.dataset == first.dataset


def _key(pair: ImagePair) -> str:
    """The same pair in another run, whatever format it was saved in."""
    return PurePosixPath(pair.name).with_suffix("").as_posix()
