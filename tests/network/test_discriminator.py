import json

import pytest
import torch
from support import DATA

from dptn_cli.network.discriminator import Discriminator


@pytest.mark.parametrize(("dataset", "layers"), [("fashion", 4), ("market", 3)])
def test_tensors_are_the_published_ones(dataset: str, layers: int) -> None:
    published = json.loads((DATA / f"dptn_discriminator_keys_{dataset}.json").read_text())
    own = {name: list(t.shape) for name, t in Discriminator(layers).state_dict().items()}
    assert own == {name: entry["shape"] for name, entry in published.items()}


def test_a_score_for_each_patch() -> None:
    assert Discriminator(4)(torch.zeros(2, 3, 64, 48)).shape == (2, 1, 4, 3)
    assert Discriminator(3)(torch.zeros(2, 3, 64, 48)).shape == (2, 1, 8, 6)
