"""How well a run knew what came after it, looked at before that is folded in."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.checkpoint import SavedRun, read_json
from gnnseg.data import Dataset, Interactions
from gnnseg.data.splits import Parts
from gnnseg.disclosure import MIN_USERS
from gnnseg.evaluation import Evaluation, evaluate, segment_gap
from gnnseg.fairness import fairness
from gnnseg.graph import BipartiteGraph
from gnnseg.prepared import Prepared
from gnnseg.scoring import strongest
from gnnseg.tracking import Tracker
from gnnseg.update.links import Grown

KEPT = ("decision", "mixture", "local", "new_items", "new_users")
"""Of the metrics of the run before: how its parts were chosen, which an update does not change."""


class Judged(NamedTuple):
    """What the run before made of what came next.

    Attributes:
        found: Its metrics; None where fewer than 10 users could be judged.
        about: How many ``users`` and ``interactions`` were judged, and how many interactions were not, as
            they are ``of_new_users`` or of pairs that validation knew (``known``).
    """

    found: Evaluation | None
    about: dict[str, Any]


def prequential(run: SavedRun, grown: Grown, tracker: Tracker) -> Judged:
    """Test a run on the interactions that it is about to learn from (Gama et al. 2013, "prequential" error).

    New links of known users to known items are held out and ranked by the run as it was, for the metrics of
    its dataset. No other figure of an update is honest: its data were all learned from.

    Args:
        run: The run before.
        grown: With the new links.
        tracker: Shown the progress.
    """
    users, items = run.train.shape
    of_known = sp.csr_matrix(grown.fresh[:users, :items])
    held_out = sp.csr_matrix(of_known - of_known.multiply(run.seen))
    held_out.eliminate_zeros()
    pairs = pairs_of(held_out)
    judged = len(np.unique(pairs.users))
    about = {
        "how": "prequential",
        "run": run.folder.name,
        "users": judged,
        "interactions": len(pairs),
        "min_users": MIN_USERS,
        "of_new_users": int(grown.fresh[users:].nnz),
        "of_new_items": int(grown.fresh[:users, items:].nnz),
        "known": int(of_known.nnz) - len(pairs),
    }
    if judged < MIN_USERS:
        return Judged(None, {**about, "users": None})
    popularity = np.bincount(run.train.indices, minlength=items)
    metrics = [*dict.fromkeys([*run.config.dataset.metrics, run.config.choose_by])]
    return Judged(evaluate(run.scorer, pairs, run.seen, metrics, popularity, tracker=tracker), about)


def pairs_of(links: sp.csr_matrix) -> Interactions:
    """The pairs of a matrix ``[U, I]``, in the order of rows."""
    return Interactions(*(part.astype(np.int64) for part in links.nonzero()))


def prepared(run: SavedRun, dataset: Dataset, graph: BipartiteGraph, seen: sp.csr_matrix) -> Prepared:
    """A dataset all of which is learned from, for what describes runs.

    Args:
        run: Whose config it has.
        dataset: ``U`` users, ``I`` items.
        graph: Of its interactions.
        seen: What is never recommended, ``[U, I]``.
    """
    none = dataset.interactions[:0]
    matrix = graph.biadjacency()
    return Prepared(run.config.dataset, dataset, Parts(dataset.interactions, none, none), graph, matrix, seen)


def metrics_of(run: SavedRun, judged: Judged) -> dict[str, Any]:
    """Content of ``metrics.json``: of the run before, on what came next; and ``before``, on its own test.

    Args:
        run: The run before.
        judged: By :func:`prequential`.
    """
    path = run.folder / "metrics.json"
    then = read_json(path) if path.is_file() else {}
    found, segments = judged.found, []
    if found is not None and run.memberships is not None:
        segments = found.by_segment(_labels(run.memberships), run.memberships.shape[1])
    test: dict[str, float | None] = {} if found is None else {**found.means}
    if segments:
        test["segment_gap"] = segment_gap(segments, run.config.choose_by)
    return {
        "test": test,
        "valid": {},
        "test_intervals": {} if found is None else found.intervals(),
        "segments": segments,
        "skipped_users": len(run.users) if found is None else found.skipped,
        **{key: then.get(key) for key in KEPT},
        "cold_items": None,
        "cold_users": None,
        "measured": judged.about,
        "before": {key: then.get(key) for key in ("test", "test_intervals", "measured")},
    }


def fairness_of(run: SavedRun, judged: Judged) -> dict[str, Any] | None:
    """Content of ``fairness.json``, of the same lists; None where there are none."""
    if judged.found is None:
        return None
    texts = None if run.texts is None else tuple(run.texts)
    dataset = Dataset(
        run.config.dataset.name, pairs_of(run.train), run.users, run.items, texts, tags=run.tags
    )
    data = prepared(run, dataset, BipartiteGraph(run.train), run.seen)
    if run.memberships is None:
        return fairness(judged.found, data, run.config.choose_by)
    path = run.folder / "segments.json"
    described = read_json(path)["segments"] if path.is_file() else []
    names = [s["name"] for s in described] or [""] * run.memberships.shape[1]
    return fairness(judged.found, data, run.config.choose_by, _labels(run.memberships), names)


def _labels(memberships: Tensor) -> np.ndarray:
    found: np.ndarray = torch.as_tensor(strongest(memberships)).numpy()
    return found
