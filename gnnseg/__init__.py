"""Graph neural network recommendation with user segments.

>>> import gnnseg
>>> run = gnnseg.fit("movielens")  # doctest: +SKIP
>>> run.metrics["test"]["ndcg@10"]  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gnnseg.benchmark import benchmark
    from gnnseg.pipeline import Run, fit
    from gnnseg.recommend import Recommender

__all__ = ["Recommender", "Run", "__version__", "benchmark", "fit"]

_HOMES = {
    "Recommender": "gnnseg.recommend",
    "Run": "gnnseg.pipeline",
    "benchmark": "gnnseg.benchmark",
    "fit": "gnnseg.pipeline",
}


def __getattr__(name: str) -> Any:
    """Import on first use: ``import gnnseg`` itself is light."""
    if name == "__version__":
        return import_module("gnnseg.environment").version()
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'gnnseg' has no attribute '{name}'")
