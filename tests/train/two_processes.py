"""Run by torchrun in a test: trains, and keeps what each process holds."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from training import CONFIG, trainer

from dptn_cli.train.loop import Progress
from dptn_cli.train.recipe import TrainConfig
from dptn_cli.train.run_folder import RunFolder
from dptn_cli.train.step import connect

SETTINGS: TrainConfig = replace(CONFIG, batch_size=10, epochs=2)


def gradients_and_weights(data: Path, run: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The gradients of the first epoch's incomplete last batch, and the weights at the end."""
    accelerator = connect("fp32")
    kept: dict[str, dict[str, torch.Tensor]] = {}
    with RunFolder(run, writes=accelerator.is_main_process) as folder:
        it = trainer(data, folder, SETTINGS)

        def keep(progress: Progress) -> None:
            if progress.step == 2:
                parameters = it.learner.generator.named_parameters()
                kept["gradients"] = {n: p.grad.clone() for n, p in parameters if p.grad is not None}

        assert it.train(keep)
        kept["weights"] = {n: p.detach() for n, p in it.learner.generator.named_parameters()}
        assert it.learner.discriminator is not None
        kept["discriminator"] = dict(it.learner.discriminator.state_dict())
    return kept


if __name__ == "__main__":
    data, run = Path(sys.argv[1]), Path(sys.argv[2])
    kept = gradients_and_weights(data, run)
    torch.save(kept, run.with_name(f"process-{connect('fp32').process_index}.pt"))
