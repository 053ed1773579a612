"""The published layout: its images and poses, their order, and files that cannot be used."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from training import SPEC

from dptn_cli.errors import InputError
from dptn_cli.io.images import read_image
from dptn_cli.keypoints import MIRRORED
from dptn_cli.train.data import BatchOrder, Draw, PairDataset, Position, find_phase
from dptn_cli.train.validation import spread


def dataset(data: Path, *, skip_missing: bool = False) -> PairDataset:
    return PairDataset(find_phase(data, "train"), SPEC, skip_missing=skip_missing)


def test_samples_are_what_the_files_say(figures: Path) -> None:
    pairs = dataset(figures)
    assert len(pairs) == 12
    sample = pairs.batch([Draw(0), Draw(5)])
    assert sample.source.shape == (2, 64, 48, 3)
    assert sample.source.dtype == torch.uint8
    assert sample.target_pose.shape == (2, 18, 2)
    image = read_image(pairs.folder / pairs.pairs[5].target)
    assert np.array_equal(sample.target[1].numpy(), image)
    pose = pairs.poses[pairs.pairs[5].target]
    assert torch.allclose(sample.target_pose[1], torch.from_numpy(pose).float())


def test_a_mirrored_pair_swaps_left_and_right(figures: Path) -> None:
    pairs = dataset(figures)
    plain, mirrored = pairs.batch([Draw(3)]), pairs.batch([Draw(3, mirrored=True)])
    assert torch.equal(mirrored.source, plain.source.flip(2))
    assert torch.equal(mirrored.target, plain.target.flip(2))
    swapped = plain.target_pose[:, list(MIRRORED)]
    seen = swapped[..., 0] != -1
    assert torch.allclose(mirrored.target_pose[..., 0], swapped[..., 0])
    assert torch.allclose(mirrored.target_pose[..., 1][seen], 47 - swapped[..., 1][seen], atol=1e-4)
    assert (mirrored.target_pose[..., 1][~seen] == -1).all()


orders = st.builds(
    BatchOrder,
    pairs=st.integers(1, 60),
    batch_size=st.integers(1, 20),
    flip=st.booleans(),
    drop_last=st.just(False),
    seed=st.integers(0, 1000),
)


class TestOrder:
    @given(orders, st.integers(0, 40), st.integers(1, 20))
    def test_another_batch_size_takes_each_pair_once(
        self, order: BatchOrder, steps: int, batch_size: int
    ) -> None:
        start = order.position_of(steps)
        other = replace(order, batch_size=batch_size, start=start)
        epochs = start.epoch + 2
        end = other.steps(epochs)
        drawn = [*order.batches(0, steps, 0, 1), *other.batches(steps, end, 0, 1)]
        rows = [draw for batch in drawn for draw in batch]
        whole = replace(order, batch_size=order.pairs)
        assert rows == [draw for batch in whole.batches(0, epochs, 0, 1) for draw in batch]
        assert other.position_of(end) == Position(end, epochs, 0)
        assert all(other.position_of(step).step == step for step in range(steps, end))

    @given(order=orders, epochs=st.integers(1, 3))
    def test_every_pair_once_an_epoch(self, order: BatchOrder, epochs: int) -> None:
        steps = order.steps_per_epoch
        batches = list(order.batches(0, steps * epochs, 0, 1))
        assert len(batches) == steps * epochs
        for epoch in range(epochs):
            rows = [d.row for batch in batches[epoch * steps : (epoch + 1) * steps] for d in batch]
            assert sorted(rows) == list(range(order.pairs))

    @given(order=orders, data=st.data())
    def test_it_can_be_resumed_anywhere(self, order: BatchOrder, data: st.DataObject) -> None:
        steps = 2 * order.steps_per_epoch
        step = data.draw(st.integers(0, steps))
        whole = list(order.batches(0, steps, 0, 1))
        assert list(order.batches(step, steps, 0, 1)) == whole[step:]

    @given(order=orders, processes=st.integers(1, 5))
    def test_processes_share_a_batch(self, order: BatchOrder, processes: int) -> None:
        steps = order.steps_per_epoch
        whole = list(order.batches(0, steps, 0, 1))
        parts = [list(order.batches(0, steps, p, processes)) for p in range(processes)]
        for step, batch in enumerate(whole):
            shares = [order.loss_weight(step, p, processes) for p in range(processes)]
            assert sum(shares) == pytest.approx(processes)
            got = [d for p in range(processes) if shares[p] for d in parts[p][step]]
            assert sorted(got) == sorted(batch)
            for share, part in zip(shares, parts, strict=True):
                if share:  # The weighted mean over the processes is the mean over the batch.
                    assert share == pytest.approx(len(part[step]) * processes / len(batch))

    def test_the_incomplete_batch_can_be_left_out(self) -> None:
        order = BatchOrder(pairs=10, batch_size=4, flip=False, drop_last=True, seed=0)
        assert [len(batch) for batch in order.batches(0, order.steps_per_epoch, 0, 1)] == [4, 4]
        with pytest.raises(InputError, match="less than one batch"):
            BatchOrder(pairs=3, batch_size=4, flip=False, drop_last=True, seed=0).steps_per_epoch  # noqa: B018

    def test_about_half_are_mirrored(self) -> None:
        order = BatchOrder(pairs=1000, batch_size=10, flip=True, drop_last=False, seed=0)
        draws = [draw for batch in order.batches(0, 200, 0, 1) for draw in batch]
        assert 900 < sum(draw.mirrored for draw in draws) < 1100
        first, second = (dict(draws[i : i + 1000]) for i in (0, 1000))
        assert any(first[row] != second[row] for row in first), "chosen again in each epoch"


@given(items=st.lists(st.integers(), max_size=50), max_count=st.integers(1, 60))
def test_spread_keeps_the_order(items: list[int], max_count: int) -> None:
    rows = spread(range(len(items)), max_count)
    assert len(rows) == min(max_count, len(items))
    assert rows == sorted(set(rows))


class TestUnusable:
    @pytest.fixture
    def broken(self, figures: Path, tmp_path: Path) -> Path:
        subprocess.run(["cp", "-r", str(figures), str(tmp_path / "data")], check=True)
        return tmp_path / "data"

    def problems(self, data: Path) -> tuple[str, ...]:
        with pytest.raises(InputError, match="--skip-missing") as error:
            dataset(data)
        return error.value.problems

    def test_no_images(self, broken: Path) -> None:
        (broken / "train").rename(broken / "elsewhere")
        with pytest.raises(InputError, match="the folder train/ with the images is missing"):
            dataset(broken)

    def test_no_annotations(self, broken: Path) -> None:
        (broken / "fasion-resize-annotation-train.csv").unlink()
        with pytest.raises(InputError, match=r"exactly one file named \*annotation-train.csv"):
            dataset(broken)

    def test_two_pair_lists(self, broken: Path) -> None:
        (broken / "other-pairs-train.csv").write_text("from,to\n")
        with pytest.raises(InputError, match="found fasion-resize-pairs-train.csv, other-pairs"):
            dataset(broken)

    def test_all_problems_are_listed_and_can_be_skipped(self, broken: Path) -> None:
        names = sorted(path.name for path in (broken / "train").iterdir())
        (broken / "train" / names[0]).unlink()
        Image.new("RGB", (40, 64)).save(broken / "train" / names[1])
        (broken / "train" / names[2]).write_bytes(b"not an image")
        annotations = broken / "fasion-resize-annotation-train.csv"
        lines = annotations.read_text().splitlines()
        others = [line for line in lines if not line.startswith(names[3])]
        annotations.write_text("\n".join(others) + "\n")
        problems = self.problems(broken)
        assert [problem.split(":")[0] for problem in problems[:2]] == names[:2]
        for problem, words in zip(
            problems, ("not in", "64x40 pixels", "not an image", "no keypoints"), strict=True
        ):
            assert words in problem
        usable = dataset(broken, skip_missing=True)
        assert usable.unusable == problems
        assert {name for pair in usable.pairs for name in (pair.source, pair.target)} == set(
            names[4:]
        )

    def test_no_pair_is_usable(self, broken: Path) -> None:
        for path in (broken / "train").iterdir():
            path.unlink()
        with pytest.raises(InputError, match="none of its 12 pairs can be used"):
            dataset(broken, skip_missing=True)

    def test_a_pose_without_joints(self, broken: Path) -> None:
        annotations = broken / "fasion-resize-annotation-train.csv"
        lines = annotations.read_text().splitlines()
        lines[1] = lines[1].split(":")[0] + f": {[-1] * 18}: {[-1] * 18}"
        annotations.write_text("\n".join(lines) + "\n")
        assert "all 18 joints are missing" in self.problems(broken)[0]

    def test_an_image_of_another_size(self, broken: Path) -> None:
        victim = sorted((broken / "train").iterdir())[0]
        Image.new("RGB", (48, 72)).save(victim)
        (problem,) = self.problems(broken)
        assert problem == f"{victim.name}: 72x48 pixels (HxW), but the data has 64x48"
