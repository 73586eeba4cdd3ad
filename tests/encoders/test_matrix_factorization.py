from __future__ import annotations

import numpy as np
import torch

from gnnseg.encoders import MatrixFactorization
from tests.graphs import random_graph


def test_one_free_vector_a_node() -> None:
    encoder = MatrixFactorization(11, 8, dim=5)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == (11 + 8) * 5
    embeddings = encoder(random_graph())
    assert torch.equal(embeddings.users, encoder.users.weight)
    assert torch.equal(embeddings.items, encoder.items.weight)


def test_a_gradient_touches_its_own_pair_alone() -> None:
    encoder = MatrixFactorization(11, 8, dim=5)
    embeddings = encoder(random_graph())
    (embeddings.users[2] @ embeddings.items[6]).backward()
    assert encoder.users.weight.grad.any(1).nonzero().flatten().tolist() == [2]
    assert encoder.items.weight.grad.any(1).nonzero().flatten().tolist() == [6]
    assert torch.equal(encoder.users.weight.grad[2], encoder.items.weight[6])


def test_fold_in_is_the_mean_of_the_items() -> None:
    graph, encoder = random_graph(), MatrixFactorization(11, 8, dim=5)
    found = encoder.fold_in(graph, graph.biadjacency()).numpy()
    items = encoder.items.weight.detach().numpy()
    for user, row in enumerate(graph.biadjacency().toarray()):
        np.testing.assert_allclose(found[user], items[row > 0].mean(0), rtol=1e-4, atol=1e-6)
