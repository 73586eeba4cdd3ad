import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnseg.seeding import numpy_rng, seed_torch, torch_rng

seeds = st.integers(0, 2**40)
streams = st.text(max_size=10)


def numpy_draw(seed: int, stream: str) -> list[float]:
    return numpy_rng(seed, stream).random(4).tolist()


def torch_draw(seed: int, stream: str) -> list[float]:
    return torch.rand(4, generator=torch_rng(seed, stream), dtype=torch.float64).tolist()


def global_draw(seed: int, stream: str) -> list[float]:
    seed_torch(seed, stream)
    return torch.rand(4, dtype=torch.float64).tolist()


@pytest.mark.parametrize("draw", [numpy_draw, torch_draw, global_draw])
@given(seeds, streams)
def test_same_seed_same_numbers(draw: object, seed: int, stream: str) -> None:
    assert draw(seed, stream) == draw(seed, stream)  # type: ignore[operator]


@pytest.mark.parametrize("draw", [numpy_draw, torch_draw, global_draw])
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["split", "init", "batches"])), unique=True))
def test_other_seeds_and_other_names_give_other_numbers(draw: object, uses: list[tuple[int, str]]) -> None:
    found = [tuple(draw(*use)) for use in uses]  # type: ignore[operator]
    assert len(set(found)) == len(uses)


def test_streams_are_independent() -> None:
    one, other = numpy_rng(0, "a").standard_normal(20_000), numpy_rng(0, "b").standard_normal(20_000)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03
    one, other = (torch.randn(20_000, generator=torch_rng(0, name)).numpy() for name in "ab")
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03


def test_generators_leave_the_global_ones_alone() -> None:
    before = torch.random.get_rng_state()
    torch_rng(3, "a")
    numpy_rng(3, "a")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_numbers_never_change() -> None:
    """A saved seed must mean the same in later versions."""
    assert numpy_rng(7, "split").integers(1000, size=3).tolist() == [266, 796, 621]
    assert torch.randint(1000, (3,), generator=torch_rng(7, "split")).tolist() == [188, 262, 4]
