from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.decomposition import PCA

from gnnseg.encoders import TextMean
from gnnseg.errors import ConfigError
from tests.graphs import random_graph, with_isolated

GRAPH = random_graph()
FEATURES = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 6)) * [5, 3, 2, 1, 1, 1]).float()


def test_items_are_principal_components() -> None:
    """Those of scikit-learn, whose signs are free, in one scale."""
    items = TextMean(11, 8, FEATURES, dim=3)(GRAPH).items.double().numpy()
    expected = PCA(3, svd_solver="full").fit_transform(FEATURES.double().numpy())
    expected *= np.sign((items * expected).sum(0)) / expected.std(ddof=1)
    np.testing.assert_allclose(items, expected, rtol=1e-4, atol=1e-5)
    assert items.std(ddof=1) == pytest.approx(1, rel=1e-5)


def test_users_are_the_mean_of_their_items() -> None:
    found = TextMean(11, 8, FEATURES, dim=3)(GRAPH)
    links = GRAPH.biadjacency().toarray()
    expected = links @ found.items.numpy() / links.sum(1, keepdims=True)
    np.testing.assert_allclose(found.users.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_components_beyond_the_features_are_zero() -> None:
    items = TextMean(11, 8, FEATURES, dim=9)(GRAPH).items
    assert (items[:, :6].std(0) > 0).all()
    assert not items[:, 6:].any()


def test_users_without_items_are_zero() -> None:
    assert not TextMean(4, 4, FEATURES[:4], dim=2)(with_isolated()).users[1].any()


def test_somebody_new_with_a_known_history_has_that_users_vector() -> None:
    encoder = TextMean(11, 8, FEATURES, dim=3)
    found = encoder.fold_in(GRAPH, sp.csr_matrix(GRAPH.biadjacency()[[4, 2]]))
    torch.testing.assert_close(found, encoder(GRAPH).users[[4, 2]])


def test_nothing_to_train() -> None:
    assert not list(TextMean(11, 8, FEATURES).parameters())


def test_without_features() -> None:
    with pytest.raises(ConfigError, match=r"^TextMean needs item features; give the config a 'text'$"):
        TextMean(11, 8)
