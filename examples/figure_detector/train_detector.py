"""Train the pose detector for drawn figures with openpifpaf's own trainer.

PYTHONPATH=examples/figures python examples/figure_detector/train_detector.py OUT.pkl
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dptn_cli.detect.openpifpaf_checkpoint import network_classes
from dptn_cli.network.torchvision_compat import import_torchvision

import_torchvision()

import openpifpaf.train  # noqa: E402
import torch  # noqa: E402

LEARNING_RATE = 2e-3
BATCH_SIZE = 8
META = {"long_edge": 257}  # size of the training crops; dptn resizes images to it


def main() -> None:
    """Train, then write the last epoch's network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "out", type=Path, help="checkpoint to write; those of the epochs go beside it"
    )
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--scenes", type=int, default=2000, help="scenes per epoch")
    parser.add_argument("--start", type=Path, help="checkpoint to start from")
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sys.argv = ["train", *trainer_arguments(options)]
    torch.set_num_threads(1)
    with torch.serialization.safe_globals(network_classes()):  # for --start
        openpifpaf.train.main()
    last = options.out.with_name(f"{options.out.name}.epoch{options.epochs:03d}")
    write_bare(last, options.out)


def trainer_arguments(options: argparse.Namespace) -> list[str]:
    """Return the arguments of openpifpaf's trainer. The rate falls in the last 40 % of epochs."""
    decay_epochs = 0.4 * options.epochs
    network = f"--checkpoint={options.start}" if options.start else "--basenet=figures"
    return [
        network,
        "--dataset=figures",
        f"--figures-scenes={options.scenes}",
        f"--output={options.out}",
        f"--epochs={options.epochs}",
        f"--batch-size={BATCH_SIZE}",
        "--loader-workers=1",
        "--adam",
        f"--lr={options.learning_rate}",
        "--lr-warm-up-epochs=0.2",
        "--lr-decay",
        f"{options.epochs - decay_epochs}",
        f"--lr-decay-epochs={decay_epochs}",
        "--lr-decay-factor=0.03",
        "--log-interval=25",
    ]


def write_bare(trained: Path, out: Path) -> None:
    """Copy a checkpoint without what the trainer adds: the host's name and all arguments."""
    checkpoint = torch.load(trained, weights_only=False)  # safe: the trainer has just written it
    torch.save({"model": checkpoint["model"], "epoch": checkpoint["epoch"], "meta": META}, out)


if __name__ == "__main__":
    main()
