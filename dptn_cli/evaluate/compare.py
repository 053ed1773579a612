"""Several runs side by side: paired differences over the pairs that two runs share."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np

from dptn_cli.enums import Protocol
from dptn_cli.evaluate.bootstrap import bootstrap
from dptn_cli.evaluate.types import Comparison, Difference, ImagePair, Report
from dptn_cli.metrics.protocols import BY_ID


def compare(reports: Sequence[Report]) -> Comparison:
    """Compare each run with the first one.

    If two results folders have the same name, the runs are named by their paths.
    """
    if len({report.run for report in reports}) < len(reports):
        reports = [replace(report, run=str(report.results)) for report in reports]
    baseline, *others = reports
    return Comparison(tuple(reports), tuple(_difference(other, baseline) for other in others))


def _difference(other: Report, baseline: Report) -> Difference:
    baseline_rows = {pair_key(pair): row for row, pair in enumerate(baseline.table.pairs)}
    common = [
        (row, baseline_rows[pair_key(pair)])
        for row, pair in enumerate(other.table.pairs)
        if pair_key(pair) in baseline_rows
    ]
    if not common:
        return Difference(other.run, 0, {})
    in_other, in_baseline = (np.array(rows) for rows in zip(*common, strict=True))
    with np.errstate(invalid="ignore"):  # inf - inf is NaN; both kinds are left out of the mean.
        gaps = {
            metric_id: values[in_other] - baseline.table.values[metric_id][in_baseline]
            for metric_id, values in other.table.values.items()
            if metric_id in baseline.table.values and _is_comparable(metric_id, other, baseline)
        }
    return Difference(other.run, len(common), bootstrap(gaps), tuple(common), gaps)


def _is_comparable(metric_id: str, other: Report, baseline: Report) -> bool:
    """Return whether both runs follow the same rules: fashion has a canvas, market has none."""
    return BY_ID[metric_id].protocol != Protocol.PAPER or other.dataset == baseline.dataset


def pair_key(pair: ImagePair) -> str:
    """Return the pair's name without suffix, because runs may be saved in different formats."""
    return PurePosixPath(pair.name).with_suffix("").as_posix()
