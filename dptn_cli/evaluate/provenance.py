"""What results were made with and of, by the records of the run that made them."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dptn_cli.io.files import file_sha256

if TYPE_CHECKING:
    from dptn_cli.evaluate.plan import EvalRequest

MAX_LENGTH = 500  # characters of a text
MODEL_KEYS = ("path", "sha256", "dataset", "precision", "target")
RUN_KEYS = (
    "provider", "arithmetic", "arithmetic_psnr_db", "fit", "retarget", "jpeg_quality", "state",
    "started", "finished",
)  # fmt: skip
REQUEST_KEYS = ("pairs", "pairs_sha256", "images", "sources", "poses", "keypoints", "detector")


def provenance(request: "EvalRequest", run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of how results were made, for the report.

    Args:
        request: the evaluation.
        run: content of `run.json`, which may be anybody's; {} if there is none.

    Returns:
        `model`, `run`, `made_of` and `versions` as `run.json` has them, as far as it has them;
        `scored_list` with its `sha256`, if the evaluation was given a pair list; `part`, if only
        one model or format was scored.

    Raises:
        InputError: the pair list cannot be read.
    """
    known = {
        "model": _take(run.get("model"), MODEL_KEYS),
        "run": _take(run, RUN_KEYS),
        "made_of": _take(run.get("request"), REQUEST_KEYS),
        "versions": _take(run.get("versions"), None),
    }
    document: dict[str, Any] = {name: values for name, values in known.items() if values}
    if pairs := request.naming.pairs:
        document["scored_list"] = {"path": str(pairs), "sha256": file_sha256(pairs)}
    if request.part:
        document["part"] = request.part
    return document


def _take(values: object, keys: tuple[str, ...] | None) -> dict[str, Any]:
    """Return the entries of a JSON object that are plain values, or lists of them."""
    if not isinstance(values, dict):
        return {}
    names = values.keys() if keys is None else keys
    return {name: _plain(values[name]) for name in names if name in values}


def _plain(value: object) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value[:MAX_LENGTH]]
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    # Lone surrogates, which JSON can hold, are no text.
    return str(value)[:MAX_LENGTH].encode("utf-8", "replace").decode()
