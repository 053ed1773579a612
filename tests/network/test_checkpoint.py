"""Checkpoints: loaded completely, or not at all."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support import TINY_CONFIG, TINY_SPEC, tiny_generator
from torch import Tensor

from dptn_cli.errors import ModelError
from dptn_cli.network.checkpoint import load_discriminator, load_generator, save_generator
from dptn_cli.network.discriminator import Discriminator
from dptn_cli.network.generator import Generator

Tensors = dict[str, Tensor]


def saved(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "net_G.pth"
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name,
        lambda name: f"module.{name}",
        lambda name: name.replace("PTM.", "transformer."),
        lambda name: "module." + name.replace("PTM.", "transformer."),
        lambda name: f"_orig_mod.module.module.{name}",
    ],
    ids=["plain", "prefixed", "older", "prefixed older", "compiled"],
)
def test_published_names(
    tmp_path: Path,
    official_tensors: Tensors,
    official_generator: Generator,
    rename: Callable[[str], str],
) -> None:
    renamed = {rename(name): tensor for name, tensor in official_tensors.items()}
    loaded = load_generator(saved(tmp_path, renamed))
    assert loaded.spec is None
    for name, tensor in official_generator.state_dict().items():
        assert torch.equal(loaded.generator.state_dict()[name], tensor)


def test_one_copy_of_a_tensor_stored_twice_is_enough(
    tmp_path: Path, official_tensors: Tensors
) -> None:
    single = {n: t for n, t in official_tensors.items() if not n.startswith("mblock0.model.2")}
    loaded = load_generator(saved(tmp_path, single)).generator.state_dict()
    assert torch.equal(loaded["mblock0.model.2.weight"], official_tensors["mblock0.conv1.weight"])


def test_own_checkpoint_holds_its_configuration(tmp_path: Path) -> None:
    generator = tiny_generator()
    save_generator(tmp_path / "own.pth", generator, TINY_SPEC)
    loaded = load_generator(tmp_path / "own.pth")
    assert (loaded.generator.config, loaded.spec) == (TINY_CONFIG, TINY_SPEC)
    for name, tensor in generator.state_dict().items():
        assert torch.equal(loaded.generator.state_dict()[name], tensor)


def without(name: str) -> Callable[[Tensors], Any]:
    return lambda tensors: {n: t for n, t in tensors.items() if n != name}


def changed(name: str, value: object) -> Callable[[Tensors], Any]:
    return lambda tensors: tensors | {name: value}


BIAS = "decoder0.model.2.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without(BIAS), f"1 missing: {BIAS}"),
        (changed("block9.weight", torch.zeros(1)), "1 unexpected: block9.weight"),
        (
            changed(BIAS, torch.zeros(5)),
            rf"1 of the wrong shape: {BIAS} \(5,\) instead of \(128,\)",
        ),
        (changed(BIAS, torch.full((128,), torch.nan)), f"1 not finite: {BIAS}"),
        (changed(BIAS, "a string"), "is a str, not a tensor"),
        (
            changed("mblock0.conv1.bias", torch.zeros(256)),
            "two different tensors for mblock0.model.2.bias",
        ),
        (lambda _: {}, "168 missing: .* and 160 more"),
        (lambda _: [1, 2], "a list, not a dict"),
        (lambda _: {1: torch.zeros(1)}, "not a dict of named tensors"),
        (lambda _: {"format": "dptn-generator-9"}, "but this dptn reads 'dptn-generator-1'"),
        (lambda _: {"format": "dptn-generator-1"}, "configuration cannot be read"),
    ],
)
def test_everything_wrong_is_in_one_error(
    tmp_path: Path, official_tensors: Tensors, change: Callable[[Tensors], Any], message: str
) -> None:
    path = saved(tmp_path, change(dict(official_tensors)))
    with pytest.raises(ModelError, match=message) as raised:
        load_generator(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("config", [{"width": 0}, {"width": 10**9}, {"heads": 7}, {"new": 1}])
def test_an_impossible_configuration_is_refused(tmp_path: Path, config: dict[str, int]) -> None:
    save_generator(tmp_path / "own.pth", tiny_generator(), TINY_SPEC)
    content = torch.load(tmp_path / "own.pth", weights_only=True)
    content["config"] |= config
    with pytest.raises(ModelError):
        load_generator(saved(tmp_path, content))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        load_generator(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_file(tmp_path: Path, tiny_checkpoint: Path, share: float) -> None:
    content = tiny_checkpoint.read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match="not a PyTorch checkpoint"):
        load_generator(path)


def with_prefix(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    ("wrap", "note"),
    [
        (lambda t: {"state_dict": with_prefix("module.", t), "epoch": 3}, "state_dict"),
        (lambda t: {"net_G": t, "net_D": {}, "epoch": 10}, "net_G"),
        (lambda t: {"checkpoint": {"model": t, "args": {"lr": 0.1}}}, "checkpoint.model"),
        (lambda t: {"params": zeros(t), "params_ema": t}, "params_ema, not params"),
        (lambda t: {"net_G_ema": t, "net_G": zeros(t)}, "net_G_ema, not net_G"),
        (lambda t: {"n_averaged": torch.tensor(5), **with_prefix("module.", t)}, "module"),
        (
            lambda t: {"state_dict": with_prefix("ema.", t) | with_prefix("net_G.", zeros(t))},
            "state_dict.ema, not state_dict.net_G",
        ),
        (lambda t: {"a": t, "b": t}, "a, not b"),
    ],
)
def test_the_one_dict_that_holds_the_generator(
    tmp_path: Path, official_tensors: Tensors, wrap: Callable[[Tensors], Any], note: str
) -> None:
    loaded = load_generator(saved(tmp_path, wrap(official_tensors)))
    assert loaded.note == f"the weights are read from {note}"
    state = loaded.generator.state_dict()
    assert torch.equal(state["decoder0.model.2.bias"], official_tensors["decoder0.model.2.bias"])


def zeros(tensors: Tensors) -> Tensors:
    return dict.fromkeys(tensors, torch.zeros(1))


def test_several_generators_and_no_average(tmp_path: Path, official_tensors: Tensors) -> None:
    content = {"a": official_tensors, "b": zeros(official_tensors)}
    with pytest.raises(ModelError, match="several generators: a, b: save the dict that you want"):
        load_generator(saved(tmp_path, content))


def test_no_generator_in_the_dicts(tmp_path: Path) -> None:
    content = {"epoch": 3, "optimizer": {"lr": 0.1}}
    with pytest.raises(ModelError, match="no weights of a generator in it, but epoch, optimizer:"):
        load_generator(saved(tmp_path, content))


def test_each_network_in_the_place_of_the_other(tmp_path: Path, tiny_checkpoint: Path) -> None:
    path = saved(tmp_path, Discriminator(3).state_dict())
    with pytest.raises(ModelError, match="the weights of a discriminator, not of a generator"):
        load_generator(path)
    with pytest.raises(ModelError, match="the weights of a generator, not of a discriminator"):
        load_discriminator(tiny_checkpoint, Discriminator(3))


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_discriminator(tmp_path: Path, wrapped: bool) -> None:
    state = with_prefix("module.", Discriminator(3).state_dict())
    network = Discriminator(3)
    note = load_discriminator(saved(tmp_path, {"net_D": state} if wrapped else state), network)
    assert note == ("the weights are read from net_D" if wrapped else "")
    assert torch.equal(network.state_dict()["conv.bias"], state["module.conv.bias"])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("legacy", [False, True])
def test_other_precisions_and_the_older_format(
    tmp_path: Path, dtype: torch.dtype, legacy: bool
) -> None:
    path, generator = tmp_path / "own.pth", tiny_generator()
    save_generator(path, generator, TINY_SPEC)
    content = torch.load(path, weights_only=True)
    content["generator"] = {name: t.to(dtype) for name, t in content["generator"].items()}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    for name, tensor in load_generator(path).generator.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, generator.state_dict()[name].to(dtype).float())


class Evil:
    """Creates a file if it is unpickled without restrictions."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("by", ["torch", "pickle"])
def test_a_checkpoint_cannot_run_code(tmp_path: Path, by: str) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    if by == "torch":
        torch.save({"block0": Evil(trace)}, path)
    else:
        path.write_bytes(pickle.dumps(Evil(trace)))
    with pytest.raises(ModelError, match="not a PyTorch checkpoint"):
        load_generator(path)
    assert not trace.exists()


def test_a_checkpoint_for_resuming_is_not_a_generator(tmp_path: Path) -> None:
    torch.save({"config": {}, "step": 3}, tmp_path / "checkpoint-last.pth")
    with pytest.raises(ModelError, match="generator-last.pth"):
        load_generator(tmp_path / "checkpoint-last.pth")
