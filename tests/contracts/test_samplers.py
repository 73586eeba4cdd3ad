from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gnnseg.batch import Batch
from gnnseg.errors import ConfigError, DataError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.sampling import SAMPLERS, NegativeSampler
from tests.contracts.hyperparameters import wrong_hyperparameters
from tests.graphs import from_dense, random_graph, random_matrix

GRAPH = random_graph()
ODD: dict[str, BipartiteGraph] = {
    "no edge but one": from_dense(np.array([[1, 0], [0, 0], [0, 0]])),
    "one item left": from_dense(np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1]])),
    "items without users": from_dense(np.array([[1, 1, 0, 0, 0], [1, 0, 0, 0, 0]])),
    "nothing else was ever liked": from_dense(np.array([[1, 0, 0], [1, 0, 0]])),
    "dense": from_dense(random_matrix(12, 9, density=0.9)),
    "random": GRAPH,
}

each_class = pytest.mark.parametrize("cls", SAMPLERS.classes().values(), ids=SAMPLERS.classes())


def tables(graph: BipartiteGraph) -> Embeddings:
    torch.manual_seed(0)
    return Embeddings(torch.randn(graph.num_users, 4), torch.randn(graph.num_items, 4))


def all_pairs(graph: BipartiteGraph) -> Batch:
    users, items = torch.from_numpy(graph.biadjacency().toarray()).nonzero().T
    return Batch.of(graph, users, items)


def draw(
    sampler: NegativeSampler, count: int = 5, seed: int = 0, batch: Batch | None = None, **changes: Any
) -> Tensor:
    graph = sampler.graph
    generator = torch.Generator().manual_seed(seed)
    return sampler.draw(batch or all_pairs(graph), changes.get("tables", tables(graph)), count, generator)


@each_class
@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("count", [1, 40])
def test_never_the_users_own_items(cls: type[NegativeSampler], name: str, count: int) -> None:
    graph = ODD[name]
    batch = all_pairs(graph)
    drawn = draw(cls(graph), count)
    assert drawn.shape == (len(batch.users), count)
    assert drawn.dtype == torch.int64
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) < graph.num_items
    own = graph.biadjacency().toarray()[batch.users.numpy()[:, None], drawn.numpy()]
    assert not own.any()


@each_class
def test_users_once_a_pair(cls: type[NegativeSampler]) -> None:
    """As batches are off the CPU: each of a user's pairs has draws of its own."""
    users, items = torch.tensor([2, 2, 2, 5]), torch.from_numpy(GRAPH.biadjacency()[2].indices[:1]).long()
    batch = Batch(GRAPH, users, torch.arange(4), items.expand(4), users.new_zeros(4, 0))
    several = [draw(cls(GRAPH), 3, seed, batch) for seed in range(10)]
    for drawn in several:
        assert drawn.shape == (4, 3)
        assert not GRAPH.biadjacency().toarray()[users.numpy()[:, None], drawn.numpy()].any()
    assert any(not torch.equal(drawn[0], drawn[1]) for drawn in several)


@each_class
def test_same_generator_same_items(cls: type[NegativeSampler]) -> None:
    """And nothing else is a source of randomness, so that a run can be resumed."""
    sampler = cls(GRAPH)
    first = draw(sampler, seed=4)
    torch.manual_seed(99)
    assert torch.equal(first, draw(cls(GRAPH), seed=4))
    assert not torch.equal(first, draw(sampler, seed=5))
    source, batch, both = torch.Generator().manual_seed(0), all_pairs(GRAPH), tables(GRAPH)
    state = torch.get_rng_state()
    assert not torch.equal(sampler.draw(batch, both, 5, source), sampler.draw(batch, both, 5, source))
    assert torch.equal(torch.get_rng_state(), state)


@each_class
def test_a_user_with_all_items_is_refused(cls: type[NegativeSampler]) -> None:
    matrix = np.zeros((3, 4))
    matrix[1] = 1
    with pytest.raises(DataError, match="a user has all 4 items, so there are no negatives; remove"):
        cls(from_dense(matrix))


@each_class
def test_nothing_is_learned_through_the_draw(cls: type[NegativeSampler]) -> None:
    both = Embeddings(*(table.requires_grad_() for table in tables(GRAPH)))
    batch, sampler = all_pairs(GRAPH), cls(GRAPH)
    drawn = draw(sampler, tables=both)
    log_q = sampler.log_q(batch.users, drawn)
    assert not drawn.requires_grad
    assert log_q is None or not log_q.requires_grad


@each_class
@pytest.mark.parametrize("name", ODD)
def test_log_q_is_finite_for_what_is_drawn(cls: type[NegativeSampler], name: str) -> None:
    sampler, batch = cls(ODD[name]), all_pairs(ODD[name])
    drawn = draw(sampler, 40)
    log_q = sampler.log_q(batch.users, drawn)
    if log_q is not None:
        assert log_q.shape == drawn.shape
        assert log_q.dtype == torch.float32
        assert torch.isfinite(log_q).all()


@pytest.mark.parametrize(("cls", "name", "value"), wrong_hyperparameters(SAMPLERS))
def test_hyperparameter_out_of_range(cls: type[NegativeSampler], name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^sampler {cls.__name__}: '{name}'.*\(got {value!r}\)"):
        SAMPLERS.resolve({"name": cls.__name__, name: value})
    with pytest.raises(ConfigError, match=rf"{name}.*\(got {value!r}\)"):
        cls(GRAPH, **{name: value})
