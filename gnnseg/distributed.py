"""A run in several processes: training, k-means and ranking are shared, all else is done by process 0.

Process 0 reads the data, makes the model and gives the others tasks, until it dismisses them; they know
nothing but what it sends (:func:`follow`). To train a stage (:func:`lead`), each gets the edges, held-out
items and vectors of its users, and all run the one training loop on a :class:`gnnseg.ranks.RankGraph`. After
each task process 0 has the whole result, and the run goes on from there as that of one process.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
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
from gnnseg.graph import Embeddings
from gnnseg.heads import HEADS
from gnnseg.losses import LOSSES, Loss
from gnnseg.model import SegmentRecommender
from gnnseg.prepared import Prepared
from gnnseg.ranks import Part, RankGraph, Ranks, divide, shares
from gnnseg.seeding import numpy_rng
from gnnseg.segments import SEGMENTERS, KMeans, Segmenter
from gnnseg.segments.base import check_users
from gnnseg.stages import Best, Progress, fit_stage, under
from gnnseg.together import RANK, rank_part
from gnnseg.tracking import Tracker

STAGE, SEGMENTS = "stage", "segments"
"""The tasks of training a stage and of k-means."""

HEADS_TOGETHER = ("FiLM", "LoRA", "Shared")
"""Heads that several processes train: each user's vectors are all that they adapt, and nothing is drawn."""

EDGE_BYTES, VALUE_BYTES = 48, 16
"""What segments take in process 0: two weighted adjacencies of 24 bytes an edge and direction, of which
communities join one into the other, and the users' vectors twice in float64."""

_log = logging.getLogger(__name__)


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
) -> Best:
    """Train a stage together with the processes that :func:`follow`, as process 0.

    Args:
        config: What to fit.
        data: What to train on.
        model: As training starts from it, with segments and head in stage 2; left in its best state.
        progress: Where the run stands, with ``ranks``.
        tracker: Told of every epoch.
        bounds: First user of each process, then ``U``; None for about as many edges each.

    Returns:
        The best state, with the parameters of this process.

    Raises:
        ConfigError: For what several processes cannot do together.
        TrainingError: If another process stopped.
    """
    ranks = progress.ranks
    assert ranks is not None
    refuse(config, model.encoder)
    bounds = bounds or divide(data.train.indptr, ranks.size)
    resumed = progress.resumed
    told: dict[str, Any] = {
        "task": STAGE,
        "stage": progress.stage,
        "config": config.resolved(),
        "bounds": bounds,
        "folder": None if progress.folder is None else str(progress.folder.absolute()),
        "before": 0 if model.head is None else len(list(model.head.parameters())),
        "features": None if model.encoder.item_features is None else model.encoder.item_features.shape[1],
        "segments": None if model.head is None else model.head.num_segments,
        "resumed": None if resumed is None else resumed[1],
        "global_value": progress.global_value,
    }
    ranks.task(told)
    part = _part(ranks, told)
    share = _scatter_data(part, data, data.graph.device)
    state = part.scatter({f"model.{name}": x.cpu() for name, x in model.state_dict().items()})
    own = _own_model(config, share, model.encoder.item_features, told["segments"], state)
    if resumed is not None:
        progress.resumed = part.scatter(resumed[0]), resumed[1]
    best = _train(config, share, own, progress, tracker)
    whole = part.gather({f"model.{name}": x for name, x in own.state_dict().items()})
    model.load_state_dict(under("model.", whole))
    model.eval()
    return best


def fit_segments(
    config: Config, data: Prepared, segmenter: Segmenter, embeddings: Embeddings, ranks: Ranks | None
) -> None:
    """Fit segments: k-means together with the processes that :func:`follow`, all others in process 0.

    Args:
        config: With a segmenter.
        data: What was trained on.
        segmenter: Fitted in place.
        embeddings: Of all users and items.
        ranks: The processes, or None.

    Raises:
        GnnsegError: As :meth:`gnnseg.segments.Segmenter.fit`.
    """
    rng, users = numpy_rng(config.seed, "segments"), embeddings.users.detach()
    if ranks is None or type(segmenter) is not KMeans:
        if ranks is not None:
            needed = (EDGE_BYTES * data.graph.num_edges + VALUE_BYTES * users.numel()) / 2**20
            name = type(segmenter).__name__
            _log.warning("process 0 fits %s alone, which takes about %.0f MiB beside the run", name, needed)
        segmenter.fit(data.graph, embeddings, rng, data.users)
        return
    check_users(users, segmenter.wanted)
    bounds = shares(len(users), ranks.size, 1)
    ranks.task({"task": SEGMENTS, "segmenter": config.segmenter, "seed": config.seed, "bounds": bounds})
    own = ranks.deal({"users": users[first:end].cpu()} for first, end in pairwise(bounds))
    _fit_part(ranks, segmenter.cpu(), own["users"], config.seed, bounds)
    segmenter.to(users.device)


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
        elif told["task"] == SEGMENTS:
            segmenter = SEGMENTERS.create(told["segmenter"])
            _fit_part(ranks, segmenter, ranks.deal()["users"], told["seed"], told["bounds"])
        else:
            own = _follow_stage(ranks, told)
    return own


def dismiss(ranks: Ranks | None) -> None:
    """Let the processes that :func:`follow` end, as process 0; alone there are none."""
    if ranks is not None:
        ranks.task({})


def _fit_part(ranks: Ranks, segmenter: Segmenter, users: Tensor, seed: int, bounds: list[int]) -> None:
    """K-means together; process 0 has the memberships of all users in the end."""
    assert isinstance(segmenter, KMeans)
    segmenter.fit_part(users, ranks, numpy_rng(seed, "segments"))
    whole = ranks.pile(segmenter.memberships, np.diff(bounds).tolist())
    if whole is not None:
        segmenter.learned(memberships=whole)


def _part(ranks: Ranks, told: dict[str, Any]) -> Part:
    """The users of this process, by the task of training a stage."""
    folder = None if told["folder"] is None else Path(told["folder"])
    return Part(ranks, told["bounds"], folder, told["before"])


def _follow_stage(ranks: Ranks, told: dict[str, Any]) -> SegmentRecommender:
    """Train a stage on what process 0 sends."""
    config, part = load_config(told["config"]), _part(ranks, told)
    share = _scatter_data(part, None, own_device(config.device))
    features = None if told["features"] is None else torch.zeros(share.graph.num_items, told["features"])
    own = _own_model(config, share, features, told["segments"], part.scatter({}))
    progress = Progress(told["stage"], global_value=told["global_value"])
    if told["resumed"] is not None:
        progress.history = told["resumed"]["history"]
        progress.resumed = part.scatter({}), told["resumed"]
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


def trains_together(config: Config) -> bool:
    """Whether several processes can train the head; else process 0 does."""
    head = config.head or {}
    plain = head.get("name") in HEADS_TOGETHER and not head.get("dropout")
    return plain and config.fine_tune.precision != "float16"


def _train(
    config: Config, share: Share, model: SegmentRecommender, progress: Progress, tracker: Tracker
) -> Best:
    progress.part = share.part

    def validate() -> float:
        return share.validate(model, config.choose_by)

    best = fit_stage(config, model, share.graph, validate, progress, tracker)
    progress.part = None
    return best


def _own_model(
    config: Config, share: Share, features: Tensor | None, num_segments: int | None, state: dict[str, Tensor]
) -> SegmentRecommender:
    """The model of the process's own users, with a head in stage 2."""
    graph = share.graph
    encoder = ENCODERS.create(config.encoder or {}, graph.num_users, graph.num_items, features)
    model = SegmentRecommender(encoder)
    if num_segments is not None:
        head = HEADS.create(config.head or {}, encoder.dim, num_segments)
        model.add_segments(SEGMENTERS.create(config.segmenter or {}), head)
    model.to(graph.device).load_state_dict(under("model.", state))
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
