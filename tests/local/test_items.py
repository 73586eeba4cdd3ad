from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gnnseg.baselines import EASE
from gnnseg.errors import ConfigError
from gnnseg.local import LocalItems
from tests.graphs import random_graph

USERS, ITEMS = 40, 9
GRAPH = random_graph(USERS, ITEMS)


def ridge(weights: np.ndarray, regularization: float) -> np.ndarray:
    """Each item regressed on all others by weighted least squares, no closed form."""
    links = GRAPH.biadjacency().toarray().astype(np.float64) * np.sqrt(weights)[:, None]
    found = np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        others = np.arange(ITEMS) != item
        rows = np.vstack([links[:, others], np.sqrt(regularization) * np.eye(ITEMS - 1)])
        target = np.concatenate([links[:, item], np.zeros(ITEMS - 1)])
        found[others, item] = np.linalg.lstsq(rows, target, rcond=None)[0]
    return found


@pytest.mark.parametrize("width", [0.0, 0.4, 0.9])
def test_a_ridge_regression_for_each_segment(width: float) -> None:
    shares = torch.softmax(2 * torch.randn(USERS, 3), dim=1)
    members = shares.double().numpy()
    model = {"name": "EASE", "regularization": 5.0}
    found = LocalItems(model=model, width=width).fit(GRAPH, shares).score(torch.arange(USERS)).numpy()
    links = GRAPH.biadjacency().toarray().astype(np.float64)
    expected = sum(
        members[:, [s]] * (links @ ridge(width + (1 - width) * members[:, s], 5.0)) for s in range(3)
    )
    np.testing.assert_allclose(found, expected / expected.std(1, keepdims=True), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "model", ["EASE", {"name": "SparseEASE", "regularization": 0.01}, "ItemKNN", "RP3beta"], ids=str
)
@pytest.mark.parametrize("count", [1, 4])
def test_the_largest_entries_of_each_column_are_kept(model: Any, count: int) -> None:
    shares = torch.softmax(torch.randn(USERS, 2), dim=1)
    scorer = LocalItems(model=model, num_neighbors=count).fit(GRAPH, shares)
    made = LocalItems(model=model).model
    rows = torch.repeat_interleave(torch.arange(2 * ITEMS), scorer.weights_indptr.diff())
    kept = torch.zeros(2 * ITEMS, ITEMS)
    kept[rows, scorer.weights_indices] = scorer.weights
    for s in range(2):
        whole = made.item_weights(GRAPH.biadjacency(), 0.4 + 0.6 * shares[:, s].double().numpy())
        whole = np.asarray(whole.todense() if hasattr(whole, "todense") else whole)
        for item in range(ITEMS):
            column = kept[s * ITEMS : (s + 1) * ITEMS, item].numpy()  # what speaks for the item
            large = np.argsort(-np.abs(whole[:, item]))[:count]
            expected = np.zeros(ITEMS)
            expected[large] = whole[large, item]
            np.testing.assert_allclose(column, expected, rtol=1e-5, atol=1e-7)


def test_the_widest_kernel_is_the_global_model() -> None:
    shares = torch.softmax(torch.randn(USERS, 3), dim=1)
    model = {"name": "EASE", "regularization": 5.0}
    wide = LocalItems(model=model, width=1 - 1e-9).fit(GRAPH, shares).score(torch.arange(USERS))
    whole = EASE(regularization=5.0).fit(GRAPH).score(torch.arange(USERS))
    torch.testing.assert_close(wide, whole / whole.std(1, keepdim=True, correction=0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", ["Popularity", {"name": "ImplicitALS"}, "ChebyCF"])
def test_only_item_item_models(model: Any) -> None:
    with pytest.raises(ConfigError, match="'model' must be an item-item baseline, such as EASE"):
        LocalItems(model=model)
