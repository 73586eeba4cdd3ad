"""Why an item is recommended: the score as an exact sum, paths in the graph, and likeness of texts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnseg.encoders.base import Parts
from gnnseg.evidence import most_similar, strongest_paths
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.model import SegmentRecommender
from gnnseg.new_users import Started
from gnnseg.recommend import Recommender
from gnnseg.scoring import (
    Constant,
    Continued,
    DotProduct,
    Factors,
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
FITTED = ("user", "the rest of the user's vector")
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
        digits = _digits([self.score, *(c.value for c in self.contributions)])
        name = f"{self.text} ({self.item})" if self.text else self.item
        lines = [f"{name} scores {self.score:.{digits}f}."]
        parts = [(c.value, _said(c)) for c in self.contributions[:most]]
        rest = self.contributions[most:]
        if rest:
            what = f"{len(rest)} smaller contribution{'s' if len(rest) > 1 else ''}"
            parts.append((sum(c.value for c in rest), what))
        values = [f"{value:+.{digits}f}" for value, _ in parts]
        width = max(map(len, values), default=0)
        lines += [f"{value:>{width}}  {said}" for value, (_, said) in zip(values, parts, strict=True)]
        for path in self.paths[:2]:
            others = "1 other user" if path["users"] == 1 else f"{path['users']} other users"
            have = "has" if path["users"] == 1 else "have"
            lines.append(f"{others} of “{path['text'] or path['item']}” {have} it, too.")
        if self.similar and self.similar[0]["cosine"] > 0:
            near = self.similar[0]
            lines.append(f"Its text is most like that of “{near['text']}” (cosine {near['cosine']:.2f}).")
        return lines


def explain(
    recommender: Recommender,
    item: object,
    *,
    user: object = None,
    items: Sequence[object] | None = None,
    about: Mapping[str, object] | None = None,
) -> Explanation:
    """Say why a user, or somebody new, gets an item.

    Scores linear in the history are divided exactly among the user's own items, propagation also among
    the input vectors of other nodes, and heads and local models among segments. What is not linear, such as
    the vector of GraphSAGE, stays one summand. ALS is divided by its closed form for the user's items, and
    what the fitted vector has beyond that is one more.

    Args:
        recommender: Of a loaded run.
        item: Outside id of the item.
        user: Outside id of a known user; or
        items: the history of somebody new, outside ids; may be none with ``about``.
        about: What the users' table would say of somebody new; for runs with ``new_users``.

    Raises:
        DataError: If the user or an item is unknown.
        ConfigError: For a history, or something ``about`` the user, that the run cannot score.
    """
    run = recommender.run
    target = int(run.items.rows([item])[0])
    somebody_new = items is not None or bool(about)
    if somebody_new:
        scorer, history, _ = recommender.newcomer(items or (), about)
        own, row = history.indices, 0
    else:
        row = int(run.users.rows([user])[0])
        scorer, own = run.scorer, run.train[row].indices
    with torch.no_grad():
        model = None if somebody_new else recommender.model
        found = _Split(model, own).of(scorer, row, target, True)
        score = float(scorer.score(torch.tensor([row]))[0, target])
    named = [_named(recommender, key, value) for key, value in found.items()]
    return Explanation(
        user="" if somebody_new else str(user),
        item=run.items.ids[target],
        text=run.texts[target] if run.texts else "",
        score=score,
        contributions=tuple(sorted(named, key=lambda c: -abs(c.value))),
        paths=tuple(strongest_paths(recommender, own, target, None if somebody_new else row)),
        similar=tuple(most_similar(recommender, own, target)),
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
        if isinstance(scorer, Factors) and len(self.own):
            return self._factored(scorer, target, score)
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

    def _factored(self, scorer: Factors, target: int, score: float) -> dict[Key, float]:
        """What the closed form divides among the user's items, and what the fitted vector has beyond it."""
        values = scorer.contributions(self.own, target).tolist()
        found: dict[Key, float] = {
            ("item", str(i)): v for i, v in zip(self.own.tolist(), values, strict=True)
        }
        return {**found, FITTED: score - sum(values)}

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


def _digits(values: Sequence[float]) -> int:
    """Decimals that show four digits of the largest of some numbers."""
    largest = max(map(abs, values))
    return 3 if not largest else min(12, max(0, 3 - math.floor(math.log10(largest))))


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
        return f"having “{contribution.text or contribution.name}”"
    return f"segment {contribution.name}" if contribution.kind == "segment" else contribution.name
