from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from gnnseg.encoders import MatrixFactorization
from gnnseg.encoders.base import history_matrix
from gnnseg.graph import BipartiteGraph
from tests.graphs import from_dense, random_graph, random_matrix


def features(num_items: int = 40, size: int = 12, seed: int = 0) -> Tensor:
    """Correlated, of unequal spread, and not centred."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(num_items, size)) * np.linspace(3, 0.5, size) @ rng.normal(size=(size, size))
    return torch.from_numpy(values + 5).float()


def encoder(given: Tensor | None, num_users: int = 20, **options: object) -> MatrixFactorization:
    num_items = 40 if given is None else len(given)
    return MatrixFactorization(num_users, num_items, given, **options)  # type: ignore[arg-type]


def graph_for(num_items: int = 40, num_users: int = 20) -> BipartiteGraph:
    return from_dense(random_matrix(num_users, num_items))


@pytest.mark.parametrize("dim", [1, 4, 12])
def test_items_start_from_principal_components(dim: int) -> None:
    given = features()
    start = encoder(given, dim=dim).items.weight.detach().numpy()
    expected = PCA(dim, svd_solver="full").fit_transform(given.double().numpy())
    for column in range(dim):
        assert abs(np.corrcoef(start[:, column], expected[:, column])[0, 1]) == pytest.approx(1, abs=1e-4)
    ratio = np.linalg.norm(start, axis=0) / np.linalg.norm(expected, axis=0)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


@pytest.mark.parametrize("dim", [3, 12])
def test_signs_of_components_do_not_depend_on_the_sample(dim: int) -> None:
    """The largest loading is positive, so that two platforms start alike."""
    given = features()
    start = encoder(given, dim=dim).items.weight.detach().double()
    loadings = torch.linalg.lstsq((given - given.mean(0)).double(), start).solution
    largest = loadings.gather(0, loadings.abs().argmax(0, keepdim=True))
    assert (largest > 0).all()


@pytest.mark.parametrize("init_scale", [0.1, 0.5])
@pytest.mark.parametrize("size", [1.0, 1000.0])
@pytest.mark.parametrize("dim", [6, 12])
def test_the_spread_is_that_of_a_random_start(init_scale: float, size: float, dim: int) -> None:
    made = encoder(features() * size, dim=dim, init_scale=init_scale)
    assert made.items.weight.std().item() == pytest.approx(init_scale, rel=1e-4)
    made.warm_start(graph_for())
    assert made.users.weight.std().item() == pytest.approx(init_scale, rel=1e-4)


def test_random_start_has_its_scale() -> None:
    made = MatrixFactorization(500, 400, dim=32, init_scale=0.3)
    for table in (made.users, made.items):
        assert table.weight.std().item() == pytest.approx(0.3, rel=0.03)
        assert table.weight.mean().item() == pytest.approx(0, abs=0.01)


def test_columns_past_the_features_start_at_random() -> None:
    torch.manual_seed(1)
    start = encoder(features(size=3), dim=8, init_scale=0.2).items.weight
    torch.manual_seed(1)
    random = encoder(None, dim=8, init_scale=0.2).items.weight
    assert torch.equal(start[:, 3:], random[:, 3:])
    assert start[:, :3].std().item() == pytest.approx(0.2, rel=1e-4)


def test_features_that_do_not_vary_start_at_zero() -> None:
    start = encoder(torch.ones(40, 5), dim=4).items.weight
    assert torch.isfinite(start).all()
    assert start.abs().max() < 1e-3


def test_warm_start_is_the_mean_of_the_users_items() -> None:
    made, graph = encoder(features(), dim=6), graph_for()
    made.warm_start(graph)
    links = graph.biadjacency().toarray()
    items = made.items.weight.detach().numpy()
    expected = np.stack([items[row > 0].mean(0) for row in links])
    expected *= made.init_scale / expected.std(ddof=1)
    np.testing.assert_allclose(made.users.weight.detach().numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "features_as", "moves"),
    [(False, "init", False), (True, "init", True), (True, "input", False), (True, "both", True)],
)
def test_warm_start_only_where_items_start_from_features(given: bool, features_as: str, moves: bool) -> None:
    made = encoder(features() if given else None, dim=6, features_as=features_as)
    users, items = made.users.weight.clone(), made.items.weight.clone()
    made.warm_start(graph_for())
    assert torch.equal(made.users.weight, users) != moves
    assert torch.equal(made.items.weight, items)
    assert made.users.weight.requires_grad


def test_features_as_init_are_not_kept() -> None:
    made = encoder(features(), dim=6)
    assert made.projection is None
    assert set(made.state_dict()) == {"users.weight", "items.weight"}
    assert torch.equal(made.inputs(), torch.cat([made.users.weight, made.items.weight]))


@pytest.mark.parametrize("features_as", ["input", "both"])
def test_features_as_input_go_through_a_linear_map(features_as: str) -> None:
    given = features()
    made = encoder(given, dim=6, features_as=features_as)
    assert made.projection is not None
    expected = made.items.weight + given @ made.projection.weight.T
    torch.testing.assert_close(made.inputs()[20:], expected)
    assert torch.equal(made.inputs()[:20], made.users.weight)
    assert torch.equal(made.state_dict()["item_features"], given)


def test_given_features_are_not_shared() -> None:
    given = features()
    made = encoder(given, dim=6, features_as="input")
    given.zero_()
    assert made.item_features.abs().min() > 0


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_history_matrix(power: float) -> None:
    dense = random_graph().biadjacency().toarray()[[4, 0, 2]]
    dense[1] = 0
    histories = sp.csr_matrix(dense)
    expected = dense / np.maximum(dense.sum(1, keepdims=True), 1) ** power
    found = history_matrix(histories, power, torch.zeros(1)).to_dense()
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
