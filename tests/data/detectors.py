"""Networks and drawn figures for the tests of pose detection."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from figures_people import Fabric
from make_figures import draw, sample_person, sample_stance
from PIL import Image

from dptn_cli.detect.openpifpaf_package import import_openpifpaf
from dptn_cli.types import Pose, Size

MODELS = Path(__file__).parents[2] / "models"
# Differs from the seeds of the training and of `score_detector.py`.
SEED = 77


def fresh_network() -> Any:
    """Build one of openpifpaf's networks with random weights; it finds nobody."""
    openpifpaf = import_openpifpaf()
    torch.manual_seed(0)
    metas = openpifpaf.plugins.coco.CocoKp().head_metas
    openpifpaf.network.Factory.checkpoint = None
    factory = openpifpaf.network.Factory(base_name="shufflenetv2k16")
    model, _ = factory.factory(head_metas=metas)
    return model


def save_network(model: Any, path: Path) -> Path:
    """Save a network in the layout of openpifpaf's trainer."""
    torch.save({"model": model, "epoch": 0, "meta": {"hostname": "here"}}, path)
    return path


def draw_figure(
    number: int, size: Size, *, view: str = "front", sleeves: bool = False
) -> tuple[Image.Image, Pose]:
    """Draw a figure that the detector was not trained on.

    Args:
        number: number of the figure; the same number draws the same figure.
        size: (height, width) of the image, pixels.
        view: `front` or `back`.
        sleeves: whether to give the person a red right sleeve and a blue left one.

    Returns:
        The image and its pose.
    """
    rng = np.random.default_rng([SEED, number])
    person = sample_person(rng, ("light", "dark")[number % 2])
    if sleeves:
        colours = (Fabric((200, 40, 40)), Fabric((40, 60, 200)))
        person = replace(person, sleeves=colours, sleeve_length=0.97)
    return draw(person, sample_stance(rng, view=view), size)
