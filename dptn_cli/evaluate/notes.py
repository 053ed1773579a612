"""Caveats that a reader of the scores must know."""

from collections.abc import Collection, Iterator, Mapping

from dptn_cli.enums import Protocol
from dptn_cli.evaluate.plan import PUBLISHED_FID_BATCH, Plan
from dptn_cli.metrics.fid import FEATURE_WIDTH
from dptn_cli.metrics.protocols import KID_SUBSET_SIZE


def notes(
    plan: Plan, scores: Collection[str], left_out: Mapping[str, Mapping[str, int]], scored: int
) -> Iterator[str]:
    """Yield a sentence for each circumstance that a reader of the scores must know.

    Args:
        plan: the evaluation.
        scores: ids of the metrics that have a score.
        left_out: number of pairs without a value, by metric id and reason.
        scored: number of pairs that were scored.
    """
    for metric_id, reasons in left_out.items():
        for reason, count in reasons.items():
            if metric_id in scores:
                yield f"{metric_id}: {count:,} of {scored:,} pairs left out of the mean: {reason}"
    if any(metric_id.startswith("paper.") for metric_id in scores):
        yield from _paper_notes(plan, scores)
    if any(metric_id.endswith((".fid", ".kid")) for metric_id in scores):
        yield from _small_set_notes(plan, scores)


def _paper_notes(plan: Plan, scores: Collection[str]) -> Iterator[str]:
    if plan.trained_on not in (None, plan.dataset):
        trained_on = str(plan.trained_on)[:60]  # run.json may be anybody's
        yield (
            f"the model was trained on {trained_on}, not {plan.dataset}: the published scores "
            "are not shown"
        )
    elif any(not name.lower().endswith((".jpg", ".jpeg")) for name in plan.pairing.images):
        yield (
            "the published numbers were measured on JPEGs of quality 75, but not all of these "
            "are JPEGs: dptn transfer --format jpg --quality 75"
        )
    if "paper.fid" in scores and not plan.request.drop_last:
        yield (
            "paper.fid: no image was dropped; the published code drops what does not fill a "
            f"batch of {PUBLISHED_FID_BATCH}: --drop-last"
        )


def _small_set_notes(plan: Plan, scores: Collection[str]) -> Iterator[str]:
    if plan.statistics:
        size = len(plan.generated.names)
        yield f"standard.fid: the real set is that of the statistics in {plan.request.reference}"
    else:
        size = min(len(images.names) for images in plan.feature_sets(Protocol.STANDARD))
    if "standard.kid" in scores and size < KID_SUBSET_SIZE:
        yield (
            f"standard.kid: subsets of {size:,} images instead of {KID_SUBSET_SIZE:,}, because "
            "there are no more"
        )
    if size < FEATURE_WIDTH:
        yield (
            f"fid: {size:,} images are fewer than the {FEATURE_WIDTH:,} features: the value is "
            "much higher than on thousands of images"
        )
