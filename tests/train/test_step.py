"""One training step: the right order, the right gradients, and nothing else."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training import CONFIG, L1_ONLY, equal, plain_step

from dptn_cli.errors import ModelError
from dptn_cli.train.data import Draw, Sample, read_data
from dptn_cli.train.losses import Branches, branch_terms
from dptn_cli.train.step import Learner, connect

RATES = (2e-4, 2e-5)


@pytest.fixture(scope="module")
def sample(figures: Path) -> Sample:
    return read_data(figures, CONFIG.spec).train.batch([Draw(row) for row in range(4)])


@pytest.fixture
def learner() -> Learner:
    return Learner(CONFIG, connect("fp32"))


def snapshot(network: torch.nn.Module | None) -> dict[str, torch.Tensor]:
    assert network is not None
    return {name: value.clone() for name, value in network.state_dict().items()}


def test_it_is_the_plain_step(learner: Learner, sample: Sample) -> None:
    generator, discriminator = copy.deepcopy((learner.generator, learner.discriminator))
    assert discriminator is not None
    optimisers = tuple(
        torch.optim.Adam(network.parameters(), lr=rate, betas=(0.5, 0.999))
        for network, rate in zip((generator, discriminator), RATES, strict=True)
    )
    for _ in range(3):
        learner.step(sample, RATES, 1.0)
        plain_step(generator, discriminator, optimisers, sample, CONFIG.weights)  # type: ignore[arg-type]
    for own, plain in ((learner.generator, generator), (learner.discriminator, discriminator)):
        for name, value in snapshot(own).items():
            assert torch.allclose(value, plain.state_dict()[name], atol=1e-6), name


def test_the_discriminators_step_leaves_the_generator_alone(
    learner: Learner, sample: Sample
) -> None:
    before = snapshot(learner.generator)
    discriminator = snapshot(learner.discriminator)
    learner.step(sample, (0.0, 1e-3), 1.0)
    assert equal(snapshot(learner.generator), before)
    assert not equal(snapshot(learner.discriminator), discriminator)


def test_the_generators_step_leaves_the_discriminator_alone(
    learner: Learner, sample: Sample
) -> None:
    before = snapshot(learner.generator)
    discriminator = {
        n: v for n, v in snapshot(learner.discriminator).items() if n.endswith(("orig", "bias"))
    }
    learner.step(sample, (1e-3, 0.0), 1.0)
    after = {n: v for n, v in snapshot(learner.discriminator).items() if n in discriminator}
    assert equal(after, discriminator)
    assert not equal(snapshot(learner.generator), before)
    assert learner.discriminator is not None
    assert all(p.requires_grad for p in learner.discriminator.parameters())


def test_gradients_reach_both_branches(learner: Learner, sample: Sample) -> None:
    learner.step(sample, (0.0, 0.0), 1.0)
    without = [
        n for n, p in learner.generator.named_parameters() if p.grad is None or not p.grad.any()
    ]
    # A bias that a norm subtracts again, and a key's, which softmax ignores, have none to get.
    assert not [name for name in without if name.endswith("weight")], without


def test_every_term_is_reported(learner: Learner, sample: Sample) -> None:
    losses = learner.step(sample, RATES, 1.0)
    assert set(losses) == {"discriminator", "target_l1", "source_l1", "adversarial", "generator"}
    w = CONFIG.weights
    total = w.reconstruction * (losses["target_l1"] + losses["source_l1"]) / 2
    assert losses["generator"] == pytest.approx(total + w.adversarial * losses["adversarial"])


def test_without_a_discriminator(sample: Sample) -> None:
    learner = Learner(L1_ONLY, connect("fp32"))
    assert learner.discriminator is None
    assert set(learner.step(sample, RATES, 1.0)) == {"target_l1", "source_l1", "generator"}


def test_a_loss_that_is_not_finite(learner: Learner, sample: Sample) -> None:
    with torch.no_grad():
        next(learner.generator.parameters()).fill_(float("nan"))
    with pytest.raises(ModelError, match="a loss is not finite"):
        learner.step(sample, RATES, 1.0)


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_the_moving_average(sample: Sample, decay: float) -> None:
    learner = Learner(replace(CONFIG, ema_decay=decay), connect("fp32"))
    before = snapshot(learner.generator)
    learner.step(sample, (1e-2, 1e-2), 1.0)
    learner.update_average(1_000)
    now = snapshot(learner.generator)
    for name, value in learner.average.state_dict().items():
        assert torch.allclose(value, decay * before[name] + (1 - decay) * now[name], atol=1e-6)


def test_perceptual_losses_without_a_vgg() -> None:
    config = replace(CONFIG, weights=replace(CONFIG.weights, content=0.5))
    with pytest.raises(ValueError, match="no VGG"):
        Learner(config, connect("fp32"))


def test_terms_without_a_vgg_are_l1_alone() -> None:
    one, other = torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)
    terms = branch_terms(Branches(one, one), Branches(other, one), None)
    assert {name: term.item() for name, term in terms.items()} == {"target_l1": 1, "source_l1": 0}
