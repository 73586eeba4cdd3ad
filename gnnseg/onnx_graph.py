"""The scoring path of a run as a graph of ONNX."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.errors import ConfigError
from gnnseg.scoring import Constant, DotProduct, Gated, ItemGraph, MemberLift, Mixture, Scorer

MAX_VALUES = 2**28
"""Values of all tables: a file of ONNX holds 2 GiB at most."""

OPSET = 17


def write_onnx(scorer: Scorer, train: sp.csr_matrix, path: Path) -> dict[str, Any]:
    """Write ``users [B] -> scores [B, I]``, and compare it with torch.

    Item-item matrices take the users' histories as a second input, ``histories [B, I]``, of zeros and ones.

    Args:
        scorer: Of dot products, item-item matrices and sums of them.
        train: Histories to compare on, ``[U, I]``.
        path: The file.

    Returns:
        Names of the inputs, and the largest difference from torch relative to the largest score.

    Raises:
        ConfigError: For other scorers, tables that are too large, a missing extra, or other scores.
    """
    try:
        onnx, runtime = import_module("onnx"), import_module("onnxruntime")
    except ImportError:
        raise ConfigError("ONNX needs onnx and onnxruntime; pip install 'gnnseg[export]'") from None
    graph = _Graph(onnx)
    graph.add("Identity", [graph.scores(scorer)], output="scores")
    onnx.save(graph.model(), str(path))
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rows = np.unique(np.linspace(0, train.shape[0] - 1, min(32, train.shape[0])).astype(np.int64))
    given = {"users": rows, "histories": train[rows].toarray().astype(np.float32)}
    found = session.run(None, {name: given[name] for name in graph.inputs})[0]
    with torch.no_grad():
        wanted = scorer.score(torch.from_numpy(rows)).numpy()
    apart = float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-12))
    if not apart <= 1e-4:
        raise ConfigError(
            f"onnxruntime scores otherwise than torch (largest relative difference {apart:.1e})"
        )
    return {"inputs": list(graph.inputs), "difference": apart}


class _Graph:
    """Nodes and tables so far; every method gives the name of a result."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.tables: list[Any] = []
        self.values = 0
        self.inputs: dict[str, None] = {}

    def add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """A node."""
        name = output or f"n{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [name], **attributes))
        return name

    def table(self, values: np.ndarray | Tensor) -> str:
        """A constant."""
        array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
        self.values += array.size
        if self.values > MAX_VALUES:
            raise ConfigError(
                f"tables of more than {MAX_VALUES} values do not fit in a file of ONNX (got {self.values})"
            )
        name = f"t{len(self.tables)}"
        self.tables.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def users(self, values: Tensor) -> str:
        """Rows of a table for the users asked for."""
        self.inputs["users"] = None
        return self.add("Gather", [self.table(values), "users"], axis=0)

    def product(self, users: Tensor, items: Tensor) -> str:
        """``[U, d]`` and ``[I, d]`` to scores."""
        return self.add("MatMul", [self.users(users), self.table(items.T)])

    def spread(self, scores: str) -> str:
        """As :func:`gnnseg.scoring.spread`."""
        centred = self.add("Sub", [scores, self.add("ReduceMean", [scores], axes=[1])])
        variance = self.add("ReduceMean", [self.add("Mul", [centred, centred])], axes=[1])
        return self.add("Max", [self.add("Sqrt", [variance]), self.table(_one(1e-12))])

    def scores(self, scorer: Any) -> str:
        """Scores of all items."""
        if isinstance(scorer, DotProduct):
            found = self.product(scorer.users, scorer.items)
            if scorer.more_users is None or scorer.more_items is None:
                return found
            return self.add("Add", [found, self.product(scorer.more_users, scorer.more_items)])
        if isinstance(scorer, Constant):
            self.inputs["users"] = None
            zero = self.add("Mul", [self.add("Cast", ["users"], to=1), self.table(_one(0))])
            column = self.add("Unsqueeze", [zero, self.table(np.array([1], dtype=np.int64))])
            return self.add("Add", [column, self.table(scorer.items.unsqueeze(0))])
        if isinstance(scorer, ItemGraph):
            self.inputs["histories"] = None
            return self.add("MatMul", ["histories", self.table(_dense(scorer))])
        if isinstance(scorer, Mixture):
            return self._mixture(scorer)
        if isinstance(scorer, Gated) and isinstance(scorer.local, MemberLift):
            whole = self.scores(scorer.whole)
            local = self.product(scorer.local.memberships, scorer.local.lift)
            gate = self.add("Mul", [self.spread(whole), self.users(scorer.gates.unsqueeze(1))])
            return self.add("Add", [whole, self.add("Mul", [gate, local])])
        part = type(scorer.local if isinstance(scorer, Gated) else scorer).__name__
        raise ConfigError(f"{part} cannot be written as ONNX; export without it")

    def _mixture(self, scorer: Mixture) -> str:
        terms = []
        for part, weight in zip(scorer.scorers, scorer.weights.tolist(), strict=True):
            if weight:
                found = self.scores(part)
                scaled = self.add("Mul", [found, self.table(_one(weight))])
                terms.append(self.add("Div", [scaled, self.spread(found)]))
        return self.add("Sum", terms)

    def model(self) -> Any:
        """The whole as a model."""
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        shapes = {"users": (kinds.INT64, ["B"]), "histories": (kinds.FLOAT, ["B", "I"])}
        inputs = [helper.make_tensor_value_info(name, *shapes[name]) for name in self.inputs]
        output = helper.make_tensor_value_info("scores", kinds.FLOAT, ["B", "I"])
        graph = helper.make_graph(self.nodes, "scores", inputs, [output], self.tables)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        self.onnx.checker.check_model(model)
        return model


def _dense(scorer: ItemGraph) -> np.ndarray:
    if scorer.weights_indptr is None or scorer.weights_indices is None:
        return scorer.weights.cpu().numpy()
    size = scorer.num_items
    if size**2 > MAX_VALUES:
        raise ConfigError(f"a matrix of {size} x {size} items does not fit in a file of ONNX")
    parts = (scorer.weights, scorer.weights_indices, scorer.weights_indptr)
    matrix = sp.csr_matrix(tuple(part.cpu().numpy() for part in parts), shape=(size, size))
    found: np.ndarray = matrix.T.toarray()
    return found


def _one(value: float) -> np.ndarray:
    return np.array([value], dtype=np.float32)
