"""Models of other libraries, fitted on a matrix of interactions and judged as our scorers are.

Each entry of :data:`PEERS` names its library, the settings tried on validation (the library's defaults are
always among them) and a function from the matrix to a scorer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from lightgcn_ways import CooLightGCN, PyGLightGCN, Way, train
from torch import Tensor

from gnnseg.scoring import DotProduct, ItemGraph, Scorer


@dataclass(frozen=True)
class Job:
    """What a peer is given.

    Attributes:
        links: Training interactions, ``[U, I]``.
        seed: Of anything random.
        threads: At most.
        epochs: Of models trained by gradient; None for as many as their authors run.
        seconds: After which those stop; None for no limit.
    """

    links: sp.csr_matrix
    seed: int = 0
    threads: int = 1
    epochs: int | None = None
    seconds: float | None = None


Fit = Callable[..., tuple[Scorer, dict[str, Any]]]


@dataclass(frozen=True)
class Peer:
    """A model of another library.

    Attributes:
        library: Name on PyPI, whose version is recorded.
        fit: From a job and settings to a scorer and notes.
        defaults: The library's or the authors' settings.
        grid: Other values to try on validation, in all combinations.
        modules: Must be importable.
    """

    library: str
    fit: Fit
    modules: tuple[str, ...]
    defaults: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, Sequence[Any]] = field(default_factory=dict)

    def settings(self) -> list[dict[str, Any]]:
        """The defaults, then all combinations of the grid."""
        combined = [
            dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())
        ]
        found = [self.defaults, *({**self.defaults, **some} for some in combined)]
        return [some for place, some in enumerate(found) if some not in found[:place]]


def implicit_als(job: Job, **settings: Any) -> tuple[Scorer, dict[str, Any]]:
    """Alternating least squares by conjugate gradients."""
    from implicit.cpu.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(num_threads=job.threads, random_state=job.seed, **settings)
    return _implicit(model, job)


def implicit_bpr(job: Job, **settings: Any) -> tuple[Scorer, dict[str, Any]]:
    """Matrix factorisation by BPR, without a lock between threads; biases are columns of the factors."""
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(num_threads=job.threads, random_state=job.seed, **settings)
    return _implicit(model, job)


def _implicit(model: Any, job: Job) -> tuple[Scorer, dict[str, Any]]:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # as implicit asks for: its own threads are the parallel ones
        model.fit(job.links, show_progress=False)
    return DotProduct(_tensor(model.user_factors), _tensor(model.item_factors)), {}


def implicit_cosine(job: Job, **settings: Any) -> tuple[Scorer, dict[str, Any]]:
    """Cosine similarities of items, the largest kept."""
    from implicit.nearest_neighbours import CosineRecommender

    model = CosineRecommender(num_threads=job.threads, **settings)
    model.fit(job.links.astype(np.float64), show_progress=False)
    return ItemGraph.build(job.links, model.similarity), {}


class LensKitScorer(Scorer):
    """Asks a LensKit component for one user after another, as it sums only the nearest of the user's items.

    Args:
        component: Trained; called with a query and items.
        links: Histories, ``[U, I]``.
    """

    def __init__(self, component: Any, links: sp.csr_matrix) -> None:
        from lenskit.data import ItemList

        super().__init__()
        self.component, self.links, self.num_items = component, links, links.shape[1]
        self.items = ItemList(item_ids=np.arange(links.shape[1]))
        self.register_buffer("place", torch.zeros(0))

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``; items that share no user with the history last."""
        from lenskit.data import ItemList, RecQuery

        rows = []
        for user in users.tolist():
            own = self.links.indices[self.links.indptr[user] : self.links.indptr[user + 1]]
            query = RecQuery(user_id=user, user_items=ItemList(item_ids=own))
            rows.append(self.component(query, self.items).scores("numpy"))
        return torch.from_numpy(np.nan_to_num(np.stack(rows).astype(np.float32)))


def lenskit_item_knn(job: Job, **settings: Any) -> tuple[Scorer, dict[str, Any]]:
    """Item neighbours for implicit feedback."""
    from lenskit.knn import ItemKNNScorer
    from lenskit.training import TrainingOptions

    model = ItemKNNScorer(feedback="implicit", **settings)
    model.train(_lenskit_dataset(job.links), TrainingOptions(rng=job.seed))
    return LensKitScorer(model, job.links), {}


def lenskit_als(job: Job, **settings: Any) -> tuple[Scorer, dict[str, Any]]:
    """Alternating least squares by Cholesky factors."""
    from lenskit.als import ImplicitMFScorer
    from lenskit.training import TrainingOptions

    model = ImplicitMFScorer(**settings)
    model.train(_lenskit_dataset(job.links), TrainingOptions(rng=job.seed))
    size = model.user_embeddings.shape[1]
    tables = [torch.zeros(count, size) for count in job.links.shape]
    known = ((model.users, model.user_embeddings), (model.items, model.item_embeddings))
    for table, (names, vectors) in zip(tables, known, strict=True):
        table[torch.from_numpy(np.array(names.ids(), dtype=np.int64))] = _tensor(vectors)
    return DotProduct(*tables), {}


def _lenskit_dataset(links: sp.csr_matrix) -> Any:
    import pandas as pd
    from lenskit.data import from_interactions_df

    pairs = links.tocoo()
    return from_interactions_df(pd.DataFrame({"user_id": pairs.row, "item_id": pairs.col}))


def pyg_lightgcn(job: Job, **settings: Any) -> tuple[Scorer, dict[str, Any]]:
    """See :class:`PyGLightGCN`."""
    return _trained(PyGLightGCN(job.links, **settings), job)


def coo_lightgcn(job: Job, **settings: Any) -> tuple[Scorer, dict[str, Any]]:
    """See :class:`CooLightGCN`."""
    return _trained(CooLightGCN(job.links, **settings), job)


def _trained(way: Way, job: Job) -> tuple[Scorer, dict[str, Any]]:
    notes = train(way, job.epochs, job.seconds)
    with torch.no_grad():
        return DotProduct(*way.tables()), notes


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32))


PEERS: dict[str, Peer] = {
    "implicit ALS": Peer(
        "implicit",
        implicit_als,
        ("implicit",),
        {"factors": 100, "regularization": 0.01, "alpha": 1.0, "iterations": 15},
        {"factors": (64, 256), "regularization": (1.0, 10.0, 50.0), "alpha": (1.0, 5.0, 20.0)},
    ),
    "implicit BPR": Peer(
        "implicit",
        implicit_bpr,
        ("implicit",),
        {"factors": 100, "learning_rate": 0.01, "regularization": 0.01, "iterations": 100},
        {"learning_rate": (0.01, 0.03, 0.1), "regularization": (0.001, 0.01, 0.05)},
    ),
    "implicit CosineRecommender": Peer(
        "implicit", implicit_cosine, ("implicit",), {"K": 20}, {"K": (50, 100, 200, 500)}
    ),
    "LensKit ImplicitMF": Peer(
        "lenskit",
        lenskit_als,
        ("lenskit", "pandas"),
        {"embedding_size": 50, "epochs": 10, "regularization": 0.1, "weight": 40.0},
        {"embedding_size": (50, 128), "regularization": (0.1, 10.0), "weight": (5.0, 40.0)},
    ),
    "LensKit ItemKNN": Peer(
        "lenskit", lenskit_item_knn, ("lenskit", "pandas"), {"max_nbrs": 20}, {"max_nbrs": (20, 100)}
    ),
    "PyG LightGCN": Peer("torch-geometric", pyg_lightgcn, ("torch_geometric",)),
    "LightGCN-PyTorch's way": Peer("torch", coo_lightgcn, ("torch",)),
}
"""By the name that tables show."""

LEFT_OUT = {
    "RecBole": "RecBole 1.2.1 does not run with NumPy 2 (its Config reads np.float_, which is gone), which "
    "torch's current wheels and gnnseg's other peers come with",
}
"""Asked for, but not measured: why."""
