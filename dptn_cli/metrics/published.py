"""The published table: ten systems on two data sets, as the DPTN poster prints it."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

DATASETS = ("fashion", "market")
DATASET_TITLES = {"fashion": "DeepFashion", "market": "Market-1501"}
COLUMNS = ("ssim", "psnr", "fid", "lpips")
"""The paper protocol's metrics that the table has."""


@dataclass(frozen=True)
class PublishedRow:
    """One system of the table.

    Attributes:
        model: its name.
        venue: where it was published.
        parameters_millions: its size.
        scores: by (dataset, metric); what the table leaves open is absent.
    """

    model: str
    venue: str
    parameters_millions: float
    scores: Mapping[tuple[str, str], float]


@cache
def published_table() -> tuple[PublishedRow, ...]:
    """The rows in the table's order; DPTN is the last."""
    text = files("dptn_cli.metrics").joinpath("published_table.csv").read_text("utf-8")
    return tuple(_row(row) for row in csv.DictReader(text.splitlines()))


def published_score(metric_id: str, dataset: str | None) -> float | None:
    """What the table says of DPTN for a metric; None where it says nothing."""
    protocol, _, name = metric_id.partition(".")
    if protocol != "paper" or dataset is None:
        return None
    return published_table()[-1].scores.get((dataset, name))


def _row(row: Mapping[str, str]) -> PublishedRow:
    scores = {
        (dataset, column): float(cell)
        for dataset in DATASETS
        for column in COLUMNS
        if (cell := row[f"{dataset}_{column}"])
    }
    return PublishedRow(row["model"], row["venue"], float(row["parameters_millions"]), scores)
