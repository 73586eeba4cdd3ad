"""Why an item is recommended: the score as an exact sum, paths in the graph, and likeness of texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.encoders.base import Parts
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.model import SegmentRecommender
from gnnseg.new_users import Started
from gnnseg.recommend import Recommender
from gnnseg.scoring import (
    Constant,
    Continued,
    DotProduct,
    Gated,
    GroupNetworks,
    HistoryScorer,
    LocalScorer,
    Mixture,
    NewUsers,
    Scorer,
    divisor,
    history_pairs,
    spread,
)

Key = tuple[str, str]
"""Kind of a contribution and what it is called: an item's row, a segment's number, or words."""

OWN, OTHERS, WHOLE = (
    ("user", "the user's own vector"),
    ("graph", "other users and items of the graph"),
    ("user", "the user's vector as a whole"),
)
POPULAR, GROUPS = ("everybody", "what everybody likes"), ("groups", "what users of the same groups like more")


@dataclass(frozen=True)
class Contribution:
    """One summand of a score.

    Attributes:
        kind: ``item`` of the user's own, ``segment``, ``user`` (the user's own vector), ``graph`` (all other
            nodes), ``groups`` (of the users' table) or ``everybody`` (the same for all users).
        name: Outside id of the item, number of the segment, or words.
        value: What it adds; all together are the score.
        text: The item's text.
    """

    kind: str
    name: str
    value: float
    text: str = ""


@dataclass(frozen=True)
class Explanation:
    """Why a score is what it is.

    Attributes:
        user: Outside id; empty for somebody new.
        item: Outside id.
        text: The item's text.
        score: As served.
        contributions: Summands of the score, the largest size first.
        paths: Strongest paths user, item, other user, item: the item on the way, its ``strength``, the sum
            over other users of the product of ``1 / sqrt(d d')`` of the three links, and how many ``users``.
            No user is named.
        similar: Own items with the most alike texts, with their cosine.
    """

    user: str
    item: str
    text: str
    score: float
    contributions: tuple[Contribution, ...]
    paths: tuple[dict[str, Any], ...]
    similar: tuple[dict[str, Any], ...]

    def as_json(self) -> dict[str, Any]:
        """Content of ``gnnseg explain --json``."""
        return asdict(self)

    def words(self, most: int = 5) -> list[str]:
        """A few sentences, the strongest reasons first."""
        lines = [f"{self.text or self.item} ({self.item}) scores {self.score:.4g}."]
        lines += [f"{c.value:+.4g}  {_said(c)}" for c in self.contributions[:most]]
        rest = self.contributions[most:]
        if rest:
            lines.append(f"{sum(c.value for c in rest):+.4g}  {len(rest)} smaller contributions")
        for path in self.paths[:2]:
            lines.append(
                f"{path['users']} other users of {path['text'] or path['item']} have it, too "
                f"(strength of these paths {path['strength']:.3g})."
            )
        if self.similar and self.similar[0]["cosine"] > 0:
            near = self.similar[0]
            lines.append(f"Its text is most like that of {near['text']} (cosine {near['cosine']:.2f}).")
        return lines


def explain(
    recommender: Recommender, item: object, *, user: object = None, items: Sequence[object] | None = None
) -> Explanation:
    """Say why a user, or somebody new, gets an item.

    Scores linear in the history are divided exactly among the user's own items, propagation also among
    the input vectors of other nodes, and heads and local models among segments. What is not linear, such as
    the vector of GraphSAGE or of ALS, stays one summand.

    Args:
        recommender: Of a loaded run.
        item: Outside id of the item.
        user: Outside id of a known user; or
        items: the history of somebody new, outside ids.

    Raises:
        DataError: If the user or an item is unknown.
        ConfigError: For a history that the run cannot score.
    """
    run = recommender.run
    target = int(run.items.rows([item])[0])
    if items is not None:
        scorer, history, _ = recommender.newcomer(items)
        own, row = history.indices, 0
    else:
        row = int(run.users.rows([user])[0])
        scorer, own = run.scorer, run.train[row].indices
    with torch.no_grad():
        model = recommender.model if items is None else None
        found = _Split(model, own).of(scorer, row, target, True)
        score = float(scorer.score(torch.tensor([row]))[0, target])
    named = [_named(recommender, key, value) for key, value in found.items()]
    return Explanation(
        user="" if items is not None else str(user),
        item=run.items.ids[target],
        text=run.texts[target] if run.texts else "",
        score=score,
        contributions=tuple(sorted(named, key=lambda c: -abs(c.value))),
        paths=tuple(_paths(recommender, own, target, None if items is not None else row)),
        similar=tuple(_similar(recommender, own, target)),
    )


class _Split:
    """Divides the score of one pair.

    Args:
        model: With its graph, where the user is one of it.
        own: Rows of the user's items, ``[m]``.
    """

    def __init__(self, model: tuple[SegmentRecommender, BipartiteGraph] | None, own: np.ndarray) -> None:
        self.model = model
        self.own = torch.from_numpy(own.astype(np.int64))

    def of(self, scorer: Scorer, row: int, target: int, main: bool) -> dict[Key, float]:
        """Summands by key; ``main`` is whether ``scorer`` is what the model scores with."""
        user = torch.tensor([row])
        if isinstance(scorer, Continued) and target in scorer.warm:
            return self.of(scorer.whole, row, target, main)
        if isinstance(scorer, Started):
            return self._started(scorer, row, target, main)
        if isinstance(scorer, Mixture):
            total: dict[Key, float] = defaultdict(float)
            for place, part in enumerate(scorer.scorers):
                weight = float(scorer.weights[place])
                if weight:
                    scale = weight / float(divisor(part.score(user)))  # type: ignore[operator]
                    _add(total, self.of(part, row, target, main and place == 0), scale)  # type: ignore[arg-type]
            return total
        if isinstance(scorer, Gated):
            total = defaultdict(float, self.of(scorer.whole, row, target, main))
            scale = float(spread(scorer.whole.score(user))) * float(scorer.gates[row])
            _add(total, _by_segment(scorer.local, row, target), scale)
            return total
        score = float(scorer.score(user)[0, target])
        if main and self.model is not None and isinstance(scorer, DotProduct | GroupNetworks):
            return self._modelled(*self.model, row, target, score)
        return self._plain(scorer, row, target, score)

    def _started(self, scorer: Started, row: int, target: int, main: bool) -> dict[Key, float]:
        """Scores by history, what everybody likes and what the user's groups like more."""
        history, popular, lifted = (
            part.item() for part in scorer.summands(torch.tensor([row]))[:, 0, target]
        )
        total: dict[Key, float] = defaultdict(float, {POPULAR: popular, GROUPS: lifted})
        size = float(spread(scorer.scorer.score(torch.tensor([row]))))
        if history:
            _add(total, self.of(scorer.scorer, row, target, main), 1 / size)
        return {key: value for key, value in total.items() if value}

    def _plain(self, scorer: Scorer, row: int, target: int, score: float) -> dict[Key, float]:
        if isinstance(scorer, Constant):
            return {POPULAR: score}
        inner: object = scorer
        indptr, indices = getattr(scorer, "indptr", None), getattr(scorer, "indices", None)
        if isinstance(scorer, NewUsers):
            inner = scorer.scorer
        if isinstance(inner, Constant):
            return {POPULAR: score}
        if isinstance(inner, HistoryScorer) and indptr is not None and indices is not None:
            items = history_pairs(indptr, indices, torch.tensor([row]))[1]
            values = inner.contributions(items, target).double().tolist()
            if abs(sum(values) - score) <= 1e-5 * max(abs(score), sum(map(abs, values))):
                return {("item", str(i)): v for i, v in zip(items.tolist(), values, strict=True)}
        return {WHOLE: score}

    def _modelled(
        self, model: SegmentRecommender, graph: BipartiteGraph, row: int, target: int, score: float
    ) -> dict[Key, float]:
        """The global score by parts of the user's vector, the rest of the score by segments."""
        plain = model.encoder(graph)
        segments = self._segments(model, plain, row, target)
        rest = score - sum(segments.values())
        parts: Parts | None = model.encoder.parts(graph, row)
        item = plain.items[target].double()
        if parts is None or abs(rest) < 1e-12:
            return {**segments, **({WHOLE: rest} if parts is None else {})}
        found = {
            ("item", str(i)): v for i, v in zip(self.own.tolist(), _dots(parts.items, item), strict=True)
        }
        found |= {OWN: float(parts.own.double() @ item), OTHERS: float(parts.others.double() @ item)}
        whole = sum(found.values())
        if abs(whole - rest) > 1e-4 * max(abs(score), sum(map(abs, found.values()))):
            return {**segments, WHOLE: rest}  # the vectors are not those of the model: say no more than is so
        return {**segments, **{key: value for key, value in found.items() if value}}

    def _segments(
        self, model: SegmentRecommender, plain: Embeddings, row: int, target: int
    ) -> dict[Key, float]:
        """What each of the user's segments adds: correction of a head is linear in memberships."""
        if model.segmenter is None or model.head is None:
            return {}
        head, shares = model.head, model.segmenter.memberships[row]
        present = shares.nonzero().squeeze(1)
        if not len(present):
            return {}
        rows = torch.zeros(len(present), len(shares)).index_put(
            (torch.arange(len(present)), present), shares[present]
        )
        rows = torch.cat([torch.zeros(1, len(shares)), rows])
        users = plain.users[row].expand(len(rows), -1)
        items = head(plain, model.segmenter.memberships).items
        adapted = head.fold_in(Embeddings(users, plain.items), rows)
        scores = (
            model.scorer_of(Embeddings(adapted, items)).score(torch.arange(len(rows)))[:, target].double()
        )
        base = scores[0] if head.starts_as_global else 0.0
        values = (scores[1:] - base).tolist()
        return {("segment", str(s)): v for s, v in zip(present.tolist(), values, strict=True)}


def _add(total: dict[Key, float], parts: dict[Key, float], scale: float) -> None:
    for key, value in parts.items():
        total[key] += scale * value


def _dots(vectors: Tensor, other: Tensor) -> list[float]:
    found: list[float] = (vectors.double() @ other).tolist()
    return found


def _by_segment(local: LocalScorer, row: int, target: int) -> dict[Key, float]:
    """A local model's score by segments, in the ratio they have before the sum is brought to unit spread."""
    score = float(local.score(torch.tensor([row]))[0, target])
    shares = local.memberships[row]
    present = shares.nonzero().squeeze(1)
    indptr, indices = getattr(local, "indptr", None), getattr(local, "indices", None)
    if indptr is None or indices is None:
        indptr, indices = torch.zeros(2, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    items = history_pairs(indptr, indices, torch.tensor([row if len(indptr) > row + 1 else 0]))[1]
    raw = {}
    for segment in present.tolist():
        raw[("segment", str(segment))] = local.raw(float(shares[segment]), segment, items, target)
    scale = score / sum(raw.values()) if abs(sum(raw.values())) > 1e-12 else 0.0
    return {key: value * scale for key, value in raw.items()}


def _named(recommender: Recommender, key: Key, value: float) -> Contribution:
    kind, name = key
    if kind != "item":
        return Contribution(kind, name, value)
    texts = recommender.run.texts
    return Contribution(kind, recommender.run.items.ids[int(name)], value, texts[int(name)] if texts else "")


def _said(contribution: Contribution) -> str:
    if contribution.kind == "item":
        return f"having {contribution.text or contribution.name}"
    return f"segment {contribution.name}" if contribution.kind == "segment" else contribution.name


def _paths(
    recommender: Recommender, own: np.ndarray, target: int, row: int | None, most: int = 5
) -> list[dict[str, Any]]:
    """Own items by the strength of paths through other users to the target."""
    train, run = recommender.run.train, recommender.run
    others = np.flatnonzero(np.asarray(train[:, [target]].todense()).ravel())
    others = others[others != (-1 if row is None else row)]
    users, items = np.diff(train.indptr), np.bincount(train.indices, minlength=train.shape[1])
    links = sp.csr_matrix(train[others][:, own]) if len(others) and len(own) else sp.csr_matrix((0, len(own)))
    scale = 1 / (np.maximum(users[others], 1) * np.sqrt(max(items[target], 1)))
    near = 1 / (np.maximum(items[own], 1) * np.sqrt(max(len(own), 1)))
    strength = np.asarray(scale @ links).ravel() * near if links.shape[0] else np.zeros(len(own))
    order = np.argsort(-strength, kind="stable")[:most]
    counts = links.getnnz(axis=0)
    return [
        {
            "item": run.items.ids[own[at]],
            "text": run.texts[own[at]] if run.texts else "",
            "strength": float(strength[at]),
            "users": int(counts[at]),
        }
        for at in order
        if strength[at] > 0
    ]


def _similar(recommender: Recommender, own: np.ndarray, target: int, most: int = 3) -> list[dict[str, Any]]:
    """Own items by the cosine of their texts with the target's."""
    run = recommender.run
    if run.texts is None or not len(own):
        return []
    vectors = recommender.text_directions
    cosine = (vectors[torch.from_numpy(own.astype(np.int64))] @ vectors[target]).numpy()
    order = np.argsort(-cosine, kind="stable")[:most]
    return [
        {"item": run.items.ids[own[at]], "text": run.texts[own[at]], "cosine": float(cosine[at])}
        for at in order
    ]
