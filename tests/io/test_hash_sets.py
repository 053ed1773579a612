from collections import Counter

import numpy as np
import pytest

from dptn_cli.errors import InputError
from dptn_cli.io.hash_sets import DigestMap, Digests, DigestSet, RepeatFinder, digest


@pytest.fixture(params=["in memory", "spread"])
def numbers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Digests:
    """5,000 digests, some of them equal; many more than the memory that is left, or fewer."""
    monkeypatch.setattr(
        "dptn_cli.io.hash_sets._IN_MEMORY", 100_000 if request.param == "in memory" else 400
    )
    names = np.random.default_rng(0).integers(0, 100_000, 5000)
    return np.array([digest(f"{name}.png") for name in names], np.uint64)


def test_a_digest_has_64_bits() -> None:
    assert digest("a") == digest("a") != digest("b")
    assert all(0 <= digest(str(i)) < 1 << 64 for i in range(100))


def test_repeats(numbers: Digests) -> None:
    expected = {number for number, times in Counter(numbers.tolist()).items() if times > 1}
    assert len(expected) > 50
    with RepeatFinder() as finder:
        for part in np.array_split(numbers, 30):
            finder.add(part)
        assert finder.repeated(10_000) == expected
    with RepeatFinder() as finder:
        finder.add(np.unique(numbers))
        assert finder.repeated(10_000) == set()


def test_no_repeats_in_nothing() -> None:
    with RepeatFinder() as finder:
        assert finder.repeated(10) == set()


def test_no_room_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dptn_cli.io.hash_sets._IN_MEMORY", 1)
    monkeypatch.setattr("dptn_cli.io.hash_sets.tempfile.TemporaryFile", refuse)
    with RepeatFinder() as finder, pytest.raises(InputError, match=r"No space left.*\$TMPDIR"):
        finder.add(np.arange(2, dtype=np.uint64))


def test_a_set_tells_what_is_new(
    numbers: Digests,
) -> None:
    known, expected = DigestSet(), set[int]()
    for part in np.array_split(numbers, 7):
        part = np.unique(part)
        assert known.add(part).tolist() == [number not in expected for number in part.tolist()]
        expected |= set(part.tolist())


def test_a_map_keeps_what_came_last(
    numbers: Digests,
) -> None:
    found, expected = DigestMap(), dict[int, int]()
    for value, key in enumerate(numbers.tolist()):
        found.put(key, value)
        expected[key] = value
    assert all(found.get(key) == value for key, value in expected.items())
    assert found.get(12345) == 0
