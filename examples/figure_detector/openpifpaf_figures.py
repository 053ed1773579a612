"""An openpifpaf plugin: the small network `figures`, and drawn figures to train it on.

openpifpaf finds the plugin by its name if this folder is on PYTHONPATH. A finished checkpoint
does not need it: it contains only modules of openpifpaf and torchvision.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import openpifpaf
import torch
from figure_scenes import make_scene
from numpy.typing import NDArray
from torchvision.models.resnet import BasicBlock

from dptn_cli.keypoints import to_coco
from dptn_cli.types import MISSING

STRIDE = 8
WIDTHS = (24, 48, 64)
DILATIONS = (1, 2, 4, 8)
FEATURES = 128
TRAINING_SEED, VALIDATION_SEED = 1, 2
VALIDATION_SCENES = 64


def make_backbone(*_: object) -> torch.nn.Sequential:
    """Build the network below the heads.

    Returns:
        A network that maps (N, 3, H, W) to (N, 128, H / 8, W / 8), rounded up, wrapped in another
        module, because openpifpaf takes the first child of a torchvision network.
    """
    layers: list[torch.nn.Module] = []
    channels = 3
    for width in WIDTHS:
        layers += [
            torch.nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False),
            torch.nn.BatchNorm2d(width),
            torch.nn.ReLU(inplace=True),
        ]
        channels = width
    for dilation in DILATIONS:
        block = BasicBlock(channels, channels)
        for convolution in (block.conv1, block.conv2):
            convolution.dilation = convolution.padding = (dilation, dilation)
        layers.append(block)
    layers += [
        torch.nn.Conv2d(channels, FEATURES, 1, bias=False),
        torch.nn.BatchNorm2d(FEATURES),
        torch.nn.ReLU(inplace=True),
    ]
    return torch.nn.Sequential(torch.nn.Sequential(*layers))


def make_base() -> Any:
    """Wrap the backbone in openpifpaf's class that adds nothing but the stride."""
    base = openpifpaf.network.basenetworks.MobileNetV2("figures", make_backbone, FEATURES)
    base.stride = STRIDE
    return base


class EpochSampler(torch.utils.data.Sampler[int]):
    """Yields the numbers of an epoch's scenes; every epoch has scenes of its own."""

    def __init__(self, scenes: int) -> None:
        self.scenes = scenes
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; openpifpaf's trainer calls this before each one."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.epoch * self.scenes, (self.epoch + 1) * self.scenes))

    def __len__(self) -> int:
        return self.scenes


class SceneDataset(torch.utils.data.Dataset[Any]):
    """Scenes by number, after openpifpaf's preprocessing."""

    def __init__(self, seed: int, preprocess: Any) -> None:
        self.seed = seed
        self.preprocess = preprocess

    def __getitem__(self, number: int) -> Any:
        scene = make_scene(self.seed, number)
        annotations = [_annotation(pose) for pose in scene.poses if (pose != MISSING).any()]
        meta = {"image_id": number, "file_name": f"{self.seed}-{number}"}
        return self.preprocess(scene.image, annotations, meta)


def coco_joints(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert a pose to COCO's joints (17, 3) as (x, y, v); v is 2 if visible, else 0."""
    joints_xyv = to_coco(pose, np.ones(len(pose)))
    joints_xyv[:, 2] *= 2
    return joints_xyv


def _annotation(pose: NDArray[np.float64]) -> dict[str, Any]:
    """Build openpifpaf's annotation of a person; its default box would have no width."""
    visible = pose[(pose != MISSING).any(axis=1), ::-1]
    low, high = visible.min(axis=0) - 1, visible.max(axis=0) + 1
    return {"keypoints": coco_joints(pose), "bbox": [*low, *(high - low)], "iscrowd": False}


class Figures(openpifpaf.datasets.DataModule):  # type: ignore[misc]
    """Drawn figures with COCO's 17 joints."""

    scenes = 2000
    square_edge = 257

    def __init__(self) -> None:
        super().__init__()
        self.head_metas = openpifpaf.plugins.coco.CocoKp().head_metas

    @classmethod
    def cli(cls, parser: argparse.ArgumentParser) -> None:
        """Add this module's options to openpifpaf's."""
        group = parser.add_argument_group("data module Figures")
        group.add_argument(
            "--figures-scenes", type=int, default=cls.scenes, help="scenes per epoch"
        )
        group.add_argument("--figures-square-edge", type=int, default=cls.square_edge)

    @classmethod
    def configure(cls, args: argparse.Namespace) -> None:
        """Store the values of these options."""
        cls.scenes = args.figures_scenes
        cls.square_edge = args.figures_square_edge

    def train_loader(self) -> Any:
        """Return the loader of the training scenes, new ones for every epoch."""
        return self._loader(TRAINING_SEED, EpochSampler(self.scenes))

    def val_loader(self) -> Any:
        """Return the loader of the validation scenes, always the same ones."""
        return self._loader(VALIDATION_SEED, range(VALIDATION_SCENES))

    def _loader(self, seed: int, sampler: Any) -> Any:
        return torch.utils.data.DataLoader(
            SceneDataset(seed, self._preprocess()),
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.loader_workers,
            drop_last=True,
            collate_fn=openpifpaf.datasets.collate_images_targets_meta,
        )

    def _preprocess(self) -> Any:
        cif, caf = self.head_metas
        return openpifpaf.transforms.Compose([
            openpifpaf.transforms.NormalizeAnnotations(),
            openpifpaf.transforms.Crop(self.square_edge, use_area_of_interest=True),
            openpifpaf.transforms.CenterPad(self.square_edge),
            openpifpaf.transforms.EVAL_TRANSFORM,
            openpifpaf.transforms.Encoders(
                [openpifpaf.encoder.Cif(cif, bmin=0.1), openpifpaf.encoder.Caf(caf, bmin=0.1)]
            ),
        ])  # fmt: skip


def register() -> None:
    """Register the network and the data with openpifpaf, which calls this."""
    openpifpaf.BASE_FACTORIES["figures"] = make_base
    openpifpaf.DATAMODULES["figures"] = Figures
