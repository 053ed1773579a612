"""Run by torchrun in a test: trains, and saves the gradients and weights of each process."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from training import CONFIG, trainer

from dptn_cli.train.loop import StepReport
from dptn_cli.train.recipe import TrainConfig
from dptn_cli.train.run_folder import RunFolder
from dptn_cli.train.step import connect

SETTINGS: TrainConfig = replace(CONFIG, batch_size=10, epochs=2)


def gradients_and_weights(data: Path, run: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Return the gradients of the first epoch's incomplete last batch, and the final weights."""
    accelerator = connect("fp32")
    recorded: dict[str, dict[str, torch.Tensor]] = {}
    with RunFolder(run, writes=accelerator.is_main_process) as folder:
        two = trainer(data, folder, SETTINGS)

        def record(progress: StepReport) -> None:
            if progress.step == 2:
                parameters = two.gan.generator.named_parameters()
                recorded["gradients"] = {
                    n: p.grad.clone() for n, p in parameters if p.grad is not None
                }

        assert two.train(record)
        recorded["weights"] = {n: p.detach() for n, p in two.gan.generator.named_parameters()}
        assert two.gan.discriminator is not None
        recorded["discriminator"] = dict(two.gan.discriminator.state_dict())
    return recorded


if __name__ == "__main__":
    data, run = Path(sys.argv[1]), Path(sys.argv[2])
    recorded = gradients_and_weights(data, run)
    torch.save(recorded, run.with_name(f"process-{connect('fp32').process_index}.pt"))
