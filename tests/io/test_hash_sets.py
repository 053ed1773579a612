from collections import Counter

import numpy as np
import pytest

from dptn_cli.errors import InputError
from dptn_cli.io.hash_sets import DuplicateFinder, Hashes, HashMap, HashSet, hash64


@pytest.fixture(params=["in memory", "spread"])
def numbers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Hashes:
    """5,000 digests, some of them equal; many more than the memory that is left, or fewer."""
    monkeypatch.setattr(
        "dptn_cli.io.hash_sets._IN_MEMORY", 100_000 if request.param == "in memory" else 400
    )
    names = np.random.default_rng(0).integers(0, 100_000, 5000)
    return np.array([hash64(f"{name}.png") for name in names], np.uint64)


def test_a_digest_has_64_bits() -> None:
    assert hash64("a") == hash64("a") != hash64("b")
    assert all(0 <= hash64(str(i)) < 1 << 64 for i in range(100))


def test_repeats(numbers: Hashes) -> None:
    expected = {number for number, times in Counter(numbers.tolist()).items() if times > 1}
    assert len(expected) > 50
    with DuplicateFinder() as finder:
        for part in np.array_split(numbers, 30):
            finder.add(part)
        assert finder.duplicates(10_000) == expected
    with DuplicateFinder() as finder:
        finder.add(np.unique(numbers))
        assert finder.duplicates(10_000) == set()


def test_no_repeats_in_nothing() -> None:
    with DuplicateFinder() as finder:
        assert finder.duplicates(10) == set()


def test_no_room_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dptn_cli.io.hash_sets._IN_MEMORY", 1)
    monkeypatch.setattr("dptn_cli.io.hash_sets.tempfile.TemporaryFile", refuse)
    with DuplicateFinder() as finder, pytest.raises(InputError, match=r"No space left.*\$TMPDIR"):
        finder.add(np.arange(2, dtype=np.uint64))


def test_a_set_tells_what_is_new(
    numbers: Hashes,
) -> None:
    known, expected = HashSet(), set[int]()
    for part in np.array_split(numbers, 7):
        part = np.unique(part)
        assert known.add(part).tolist() == [number not in expected for number in part.tolist()]
        expected |= set(part.tolist())


def test_a_map_keeps_what_came_last(
    numbers: Hashes,
) -> None:
    found, expected = HashMap(), dict[int, int]()
    for value, key in enumerate(numbers.tolist()):
        found.put(key, value)
        expected[key] = value
    assert all(found.get(key) == value for key, value in expected.items())
    assert found.get(12345) == 0
