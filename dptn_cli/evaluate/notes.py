"""What a reader of the numbers must know about them."""

from collections.abc import Collection, Iterator, Mapping

from dptn_cli.enums import Protocol
from dptn_cli.evaluate.plan import PUBLISHED_FID_BATCH, Plan

KID_SUBSET = 1000
FEATURES = 2048


def notes(
    plan: Plan, scores: Collection[str], left_out: Mapping[str, Mapping[str, int]], scored: int
) -> Iterator[str]:
    """A sentence for everything that makes a number another than it seems.

    Args:
        plan: what was to be computed.
        scores: ids of the metrics that have a number.
        left_out: by metric id, how many pairs have no value, by reason.
        scored: number of pairs that were scored.
    """
    for metric_id, reasons in left_out.items():
        for reason, count in reasons.items():
            if metric_id in scores:
                yield (f"{metric_id}: {count:,} of {scored:,} pairs left out of the mean: {reason}")
    if any(name.startswith("paper.") for name in scores):
        yield from _of_the_paper(plan, scores)
    if any(name.endswith((".fid", ".kid")) for name in scores):
        yield from _of_small_sets(plan, scores)


def _of_the_paper(plan: Plan, scores: Collection[str]) -> Iterator[str]:
    if any(not name.lower().endswith((".jpg", ".jpeg")) for name in plan.pairing.images):
        yield (
            "the published numbers were measured on JPEGs of quality 75, these are not all "
            "JPEGs: dptn transfer --format jpg --quality 75"
        )
    if "paper.fid" in scores and not plan.request.drop_last:
        yield (
            "paper.fid: no image was dropped; the published code drops what does not fill a "
            f"batch of {PUBLISHED_FID_BATCH}: --drop-last"
        )


def _of_small_sets(plan: Plan, scores: Collection[str]) -> Iterator[str]:
    fewest = min(len(one.names) for one in plan.feature_sets(Protocol.STANDARD))
    if "standard.kid" in scores and fewest < KID_SUBSET:
        yield f"standard.kid: subsets of {fewest:,} images, not of 1,000: no more there"
    if fewest < FEATURES:
        yield (
            f"fid: a set of {fewest:,} images is fewer than the 2,048 features: the value is "
            "far too high beside one of thousands of images"
        )
