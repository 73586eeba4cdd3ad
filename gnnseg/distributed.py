"""Stage 1 in several processes, each with its own users; all before and after it is done by process 0.

Process 0 reads the data, makes the model and gives each process the edges, held-out items and vectors of its
users (:func:`lead`). The others know nothing but what it sends (:func:`follow`). All run the one training
loop on a :class:`gnnseg.ranks.RankGraph`; then process 0 has the whole table again, and the run goes on from
there as that of one process.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.config import Config, load_config
from gnnseg.data import Interactions
from gnnseg.encoders import ENCODERS, Encoder, LightGCN, MatrixFactorization
from gnnseg.environment import find_device
from gnnseg.errors import ConfigError
from gnnseg.evaluation import evaluate
from gnnseg.losses import LOSSES, Loss
from gnnseg.model import SegmentRecommender
from gnnseg.prepared import Prepared
from gnnseg.ranks import Part, RankGraph, Ranks, divide
from gnnseg.stages import Progress, fit_stage, under
from gnnseg.together import RANK, rank_part
from gnnseg.tracking import Tracker

STAGE = "stage"
"""The task of training a stage."""


@dataclass(frozen=True)
class Share:
    """What one process trains on.

    Attributes:
        part: Its users.
        graph: Their edges.
        valid: Their validation items; users are rows of the process.
        valid_users: Users with validation items of each process, ``[P]``.
    """

    part: Part
    graph: RankGraph
    valid: Interactions
    valid_users: list[int]

    def validate(self, model: SegmentRecommender, metric: str) -> float:
        """The mean of a validation metric over the users of all processes; NaN without validation."""
        if not sum(self.valid_users):
            return float("nan")
        scorer = model.scorer(self.graph)  # all propagate, whether their users have validation items or not
        own = torch.zeros(0, dtype=torch.float64)
        if len(self.valid):
            found = evaluate(scorer, self.valid, self.graph.biadjacency(), [metric])
            own = torch.from_numpy(np.asarray(found.per_user[metric], dtype=np.float64))
        return float(self.part.collect(own, self.valid_users).numpy().mean())


def lead(
    config: Config,
    data: Prepared,
    model: SegmentRecommender,
    progress: Progress,
    tracker: Tracker,
    bounds: list[int] | None = None,
) -> None:
    """Train stage 1 together with the processes that :func:`follow`, as process 0.

    Args:
        config: What to fit.
        data: What to train on.
        model: As training starts from it; left in its best state.
        progress: Where the run stands, with ``ranks``.
        tracker: Told of every epoch.
        bounds: First user of each process, then ``U``; None for about as many edges each.

    Raises:
        ConfigError: For what several processes cannot do together.
        TrainingError: If another process stopped.
    """
    ranks = progress.ranks
    assert ranks is not None
    refuse(config, model.encoder)
    bounds = bounds or divide(data.train.indptr, ranks.size)
    part = Part(ranks, bounds, progress.folder is not None)
    resumed = progress.resumed
    features = model.encoder.item_features
    ranks.task(
        {
            "task": STAGE,
            "config": config.resolved(),
            "bounds": bounds,
            "saves": part.saves,
            "features": None if features is None else features.shape[1],
            "resumed": None if resumed is None else resumed[1],
        }
    )
    share = _scatter_data(part, data, data.graph.device)
    state = part.scatter({f"model.{name}": x.cpu() for name, x in model.state_dict().items()})
    own = _own_model(config, share, features, state)
    if resumed is not None:
        progress.resumed = part.scatter(resumed[0]), resumed[1]
    progress.global_value = _train(config, share, own, progress, tracker)
    whole = part.gather({f"model.{name}": x for name, x in own.state_dict().items()})
    model.load_state_dict(under("model.", whole))
    model.eval()


def follow(ranks: Ranks) -> SegmentRecommender | None:
    """Do what process 0 wants done together, until it wants no more, as one of the others.

    Args:
        ranks: The processes.

    Returns:
        The model of the process's own users as it was trained last; None where nothing was trained.

    Raises:
        TrainingError: If another process stopped.
    """
    own = None
    while told := ranks.task():
        if told["task"] == RANK:
            rank_part(ranks, told, own_device(told["device"]))
        else:
            own = _follow_stage(ranks, told)
    return own


def dismiss(ranks: Ranks | None) -> None:
    """Let the processes that :func:`follow` end, as process 0; alone there are none."""
    if ranks is not None:
        ranks.task({})


def _follow_stage(ranks: Ranks, told: dict[str, Any]) -> SegmentRecommender:
    """Train a stage on what process 0 sends."""
    config = load_config(told["config"])
    part = Part(ranks, told["bounds"], told["saves"])
    share = _scatter_data(part, None, own_device(config.device))
    features = None if told["features"] is None else torch.zeros(share.graph.num_items, told["features"])
    own = _own_model(config, share, features, part.scatter({}))
    progress = Progress()
    if told["resumed"] is not None:
        progress = Progress(1, told["resumed"]["history"], resumed=(part.scatter({}), told["resumed"]))
    _train(config, share, own, progress, Tracker())
    part.gather({f"model.{name}": x for name, x in own.state_dict().items()})
    return own


def own_device(name: str) -> torch.device:
    """The device of a process: on CUDA the one that ``torchrun`` numbered it for.

    Args:
        name: As in a config.
    """
    found = find_device(name)
    plain = found.type == "cuda" and found.index is None
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if plain else found


def refuse(config: Config, encoder: Encoder) -> None:
    """Refuse what several processes cannot train together.

    Raises:
        ConfigError: Naming what they can.
    """
    name = type(encoder).__name__
    wrong = None
    if not isinstance(encoder, LightGCN | MatrixFactorization):
        wrong = f"encoder LightGCN or MatrixFactorization (got {name})"
    elif isinstance(encoder, LightGCN) and (encoder.edge_dropout or encoder.message_dropout):
        wrong = "'edge_dropout' and 'message_dropout' 0"
    elif type(loss := LOSSES.create(config.loss)).of is not Loss.of:
        wrong = f"a loss that is a mean over pairs (got {config.loss['name']})"
    elif loss.draws and config.sampler["name"] != "Uniform":
        wrong = f"sampler Uniform (got {config.sampler['name']})"
    elif any(spec["name"] != "EmbeddingL2" for spec in config.regularizers):
        wrong = f"no regularizer but EmbeddingL2 (got {', '.join(s['name'] for s in config.regularizers)})"
    elif config.train.precision == "float16":
        wrong = "precision float32 or bfloat16 (got float16)"
    if wrong:
        raise ConfigError(f"training in several processes needs {wrong}; start one process")


def _train(
    config: Config, share: Share, model: SegmentRecommender, progress: Progress, tracker: Tracker
) -> float:
    progress.part = share.part

    def validate() -> float:
        return share.validate(model, config.choose_by)

    best = fit_stage(config, model, share.graph, validate, progress, tracker)
    progress.part = None
    return best.value


def _own_model(
    config: Config, share: Share, features: Tensor | None, state: dict[str, Tensor]
) -> SegmentRecommender:
    """The model of the process's own users."""
    graph = share.graph
    encoder = ENCODERS.create(config.encoder or {}, graph.num_users, graph.num_items, features)
    model = SegmentRecommender(encoder).to(graph.device)
    model.load_state_dict(under("model.", state))
    return model


def _scatter_data(part: Part, data: Prepared | None, device: torch.device) -> Share:
    """Give each process the edges and validation items of its users; ``data`` are those of process 0."""
    ranks = part.ranks
    sizes, pieces = None, {}
    if data is not None:
        degrees = np.bincount(data.train.indices, minlength=data.train.shape[1])
        pieces = {r: _piece(part, r, data) for r in range(ranks.size)}
        sizes = {
            "items": data.train.shape[1],
            "lengths": [[len(x) for x in piece] for piece in pieces.values()],
            "valid_users": [len(piece[2].unique()) for piece in pieces.values()],
        }
    sizes = ranks.tell(sizes)
    lengths = sizes["lengths"]
    item_degrees = torch.empty(sizes["items"], dtype=torch.int64)
    if data is not None:
        item_degrees = torch.from_numpy(degrees)
        for other in range(1, ranks.size):
            for x in pieces[other]:
                ranks.send(x, other)
        own = pieces[0]
    else:
        own = [ranks.receive(torch.empty(n, dtype=torch.int64), 0) for n in lengths[ranks.rank]]
    item_degrees = ranks.share(item_degrees)
    indptr, indices, users, items = (x.numpy() for x in own)
    matrix = sp.csr_matrix(
        (np.ones(len(indices), dtype=np.float32), indices, indptr), shape=(part.count(), sizes["items"])
    )
    edges = [length[1] for length in lengths]
    before = sum(edges[: ranks.rank])
    graph = RankGraph(matrix, item_degrees.numpy(), ranks, before, sum(edges), device)
    return Share(part, graph, Interactions(users, items), sizes["valid_users"])


def _piece(part: Part, rank: int, data: Prepared) -> list[Tensor]:
    """Edges of a process in CSR, ``[u+1]`` and ``[e]``, users and items of its validation, ``[v]`` each."""
    rows, valid = part.users(rank), data.choosing
    matrix = data.train[rows]
    held_out = valid[(valid.users >= rows.start) & (valid.users < rows.stop)]
    parts = (matrix.indptr, matrix.indices, held_out.users - rows.start, held_out.items)
    return [torch.from_numpy(np.ascontiguousarray(x, dtype=np.int64)) for x in parts]
