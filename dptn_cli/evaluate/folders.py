"""The evaluation of results folders, from the request to the comparison."""

from collections.abc import Sequence

from dptn_cli.errors import MissingDependency
from dptn_cli.evaluate.compare import compare
from dptn_cli.evaluate.networks import load_networks
from dptn_cli.evaluate.plan import (
    EvalRequest,
    make_plan,
    missing_weights,
    split_request,
    without_broken,
)
from dptn_cli.evaluate.progress import SILENT, EvalProgress
from dptn_cli.evaluate.types import DEFAULT_OPTIONS, Comparison, EvalOptions
from dptn_cli.io.weights import download
from dptn_cli.metrics.weights import INSTALL

PACKAGES = {"skimage": "scikit-image", "PIL": "pillow"}
"""Packages that are not called like their modules."""


def evaluate_folders(
    requests: Sequence[EvalRequest],
    options: EvalOptions = DEFAULT_OPTIONS,
    *,
    progress: EvalProgress = SILENT,
) -> Comparison:
    """Evaluate results folders and compare each with the first one.

    Everything is checked, and all networks are loaded, before the long work starts.

    Args:
        requests: what to evaluate, one request for each results folder; at least one.
        options: batch size, processes, and whether to download missing weights.
        progress: receives the plans, and the progress of the long work.

    Raises:
        InputError: a folder cannot be used, no metric can be computed, or a required metric
            cannot.
        MissingDependency: scikit-image is not installed. If a package or a file that only some
            metrics need is missing, those metrics are in the reports as not computed.
    """
    try:
        from dptn_cli.evaluate.run import evaluate
    except ImportError as error:
        package = PACKAGES.get(error.name or "", error.name or "scikit-image")
        raise MissingDependency("dptn evaluate", package, INSTALL) from error

    if options.download_weights:
        for weights in missing_weights(requests):
            progress.downloading(weights.url)
            download(weights)
    parts = [part for request in requests for part in split_request(request)]
    plans = [make_plan(part) for part in parts]
    networks = load_networks(metric for plan in plans for metric in plan.metrics)
    plans = [without_broken(plan, networks.broken) for plan in plans]
    progress.planned(plans)
    return compare([evaluate(plan, networks, options=options, progress=progress) for plan in plans])
