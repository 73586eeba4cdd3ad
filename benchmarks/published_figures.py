"""Figures that others report on the public protocols, for tables and plots to stand beside ours.

Copied from where ``source`` says, not measured here; those of models that a shipped config has stand in its
``reference``. On MovieLens-1M the protocol is the same (ratings of 3
and more, 8:1:1, full ranking), the random split is not; on Gowalla the split is the same too.
"""

from __future__ import annotations

from typing import Any

from gnnseg.config import load_config, shipped_configs

_LEADERBOARD = "RecBole-GNN, results/general/ml-1m.md (d = 64)"


def _figure(name: str, source: str, **metrics: float) -> dict[str, Any]:
    return {"name": name, "source": source, "metrics": {k.replace("_", "@"): v for k, v in metrics.items()}}


PUBLISHED: dict[str, list[dict[str, Any]]] = {
    "movielens-1m": [
        _figure("BPR", _LEADERBOARD, recall_10=0.1776, ndcg_10=0.2401),
        _figure("LightGCN", _LEADERBOARD, recall_10=0.1861, ndcg_10=0.2538),
        _figure("SGL", _LEADERBOARD, recall_10=0.1889, ndcg_10=0.2505),
        _figure("NCL", _LEADERBOARD, recall_10=0.2021, ndcg_10=0.2702),
        _figure("SimGCL", _LEADERBOARD, recall_10=0.2029, ndcg_10=0.2667),
        _figure("XSimGCL", _LEADERBOARD, recall_10=0.2116, ndcg_10=0.2750),
    ],
    "gowalla": [
        _figure("LightGCN", "arXiv 2002.02126", recall_20=0.1830, ndcg_20=0.1554),
        _figure(
            "LightGCN, PyTorch", "github.com/gusye1234/LightGCN-PyTorch", recall_20=0.1824, ndcg_20=0.1547
        ),
        _figure("UltraGCN", "arXiv 2110.15114", recall_20=0.1862, ndcg_20=0.1580),
        _figure("SimpleX", "arXiv 2109.12613", recall_20=0.1872, ndcg_20=0.1557),
        _figure("EASE", "BARS benchmark", recall_20=0.1765, ndcg_20=0.1467),
        _figure("BSPM-EM", "arXiv 2211.09324", recall_20=0.1920, ndcg_20=0.1597),
    ],
}
"""Of models without a config, by dataset."""


def published(dataset: str) -> list[dict[str, Any]]:
    """``name``, ``source`` and ``metrics`` of every figure on a dataset, those of its configs included."""
    ours = [load_config(name) for name in shipped_configs() if name.startswith(f"{dataset}/")]
    references = [
        {"name": config.name, **config.reference.model_dump()}
        for config in ours
        if config.reference is not None
    ]
    return PUBLISHED.get(dataset, []) + references
