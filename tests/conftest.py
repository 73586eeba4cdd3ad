from __future__ import annotations

import importlib
import warnings
from types import ModuleType

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small products gain nothing from threads, and sums in one order give the same bits."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed() -> int:
    """Every test starts from the same global generators, whatever ran before it."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    return 0


@pytest.fixture(scope="session")
def pyg() -> ModuleType:
    """``torch_geometric.nn``, the oracle of propagation; its import warns of what torch has deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("torch_geometric.nn")
