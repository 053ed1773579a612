"""The published results of ten systems on two data sets, as printed on the DPTN poster."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from dptn_cli.enums import Dataset, Protocol
from dptn_cli.metrics.protocols import Metric

DATASET_TITLES = {Dataset.FASHION: "DeepFashion", Dataset.MARKET: "Market-1501"}
COLUMNS = ("ssim", "psnr", "fid", "lpips")
"""The metrics of the paper's protocol that the table has."""


@dataclass(frozen=True)
class PublishedRow:
    """A system of the table.

    Attributes:
        model: the system's name.
        venue: where the system was published.
        parameters_millions: number of parameters, in millions.
        scores: scores by (dataset, metric name), without the empty cells of the table.
    """

    model: str
    venue: str
    parameters_millions: float
    scores: Mapping[tuple[Dataset, str], float]


@cache
def published_table() -> tuple[PublishedRow, ...]:
    """Return the rows in the table's order; DPTN is the last."""
    text = files("dptn_cli.metrics").joinpath("published_table.csv").read_text("utf-8")
    return tuple(_parse_row(row) for row in csv.DictReader(text.splitlines()))


def published_score(metric: Metric, dataset: Dataset | None) -> float | None:
    """Return DPTN's score in the table, or None if the table has none."""
    if metric.protocol != Protocol.PAPER or dataset is None:
        return None
    return published_table()[-1].scores.get((dataset, metric.name))


def _parse_row(row: Mapping[str, str]) -> PublishedRow:
    scores = {
        (dataset, column): float(cell)
        for dataset in Dataset
        for column in COLUMNS
        if (cell := row[f"{dataset}_{column}"])
    }
    return PublishedRow(row["model"], row["venue"], float(row["parameters_millions"]), scores)
