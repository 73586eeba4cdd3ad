"""Cold start: items that nobody has through their text, users through a few items and the users' table.

Everything is chosen on validation items or users, which are others than those of test. Prints JSON.

    python benchmarks/cold.py items --dataset movielens --seeds 3 --out benchmarks/results/cold-movielens.json
    python benchmarks/cold.py users --dataset movielens-1m --data /work/data/movielens-1m --seeds 3
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from shared import dataset_config

from gnnseg import files
from gnnseg.arrivals import try_places
from gnnseg.baselines import EASE
from gnnseg.data import Dataset, Interactions, Parts, UserData
from gnnseg.data.splits import ColdItems, ColdUsers
from gnnseg.evaluation import Evaluation, evaluate, evaluate_cold_items
from gnnseg.gates import gated
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.local import Lift
from gnnseg.new_items import ContentKNN, NewItems, TextRidge
from gnnseg.prepared import load_dataset
from gnnseg.scoring import Among, Constant, Continued, Gates, LocalScorer, Mixture, NewUsers, Scorer
from gnnseg.segments import ByColumn
from gnnseg.statistics import compare
from gnnseg.text import Joined, TransformerEncoder

MAX_USERS = 4_000
"""Users that settings are chosen on, at most."""

WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Of the group's lift, in standard deviations of the scores."""

POPULARITY = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Of popularity beside what a history says, both in standard deviations."""

PRIORS = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Of ``Lift``: pseudo-interactions with each item."""


def text_features(dataset: Dataset) -> dict[str, np.ndarray]:
    """Each kind of text vectors, ``[I, f]``."""
    texts = list(dataset.texts or ())
    joined = Joined(
        encoders=["TransformerEncoder", {"name": "TfidfEncoder", "num_features": 256}, "YearEncoder"],
        weights=[1.0, 0.3, 0.3],
    )
    encoders = {"minilm": TransformerEncoder(), "joined": joined}
    return {kind: encoder.encode(texts).numpy() for kind, encoder in encoders.items()}


def ways() -> dict[str, list[NewItems]]:
    """What is compared, each with the settings to choose from."""
    strengths = (1.0, 3.0, 10.0, 30.0)
    return {
        "mean similarity": [ContentKNN(num_neighbors=10**9)],
        "content kNN": [ContentKNN(num_neighbors=n) for n in (5, 10, 20, 50, 100, 200)],
        "ridge of texts": [TextRidge(regularization=r, of_graph=0.0) for r in strengths],
        "ridge": [TextRidge(regularization=r) for r in strengths],
    }


SHARES = (0.5, 1.0, 2.0)
"""Of the user's own items beside the scores of all warm ones."""


def some_users(pairs: Interactions, seed: int) -> Interactions:
    """The pairs of at most ``MAX_USERS`` users."""
    users = np.random.default_rng(seed).permutation(np.unique(pairs.users))[:MAX_USERS]
    return pairs[np.isin(pairs.users, users)]


def items_once(dataset: Dataset, features: dict[str, np.ndarray], ridge: float, seed: int) -> dict[str, Any]:
    """Every way with one division: chosen on the cold items of validation, read on those of test."""
    parts = ColdItems(seed=seed).split(dataset)
    shape = dataset.num_users, dataset.num_items
    train, seen = parts.train.matrix(*shape), (parts.train + parts.valid).matrix(*shape)
    scorer = EASE(regularization=ridge).fit(BipartiteGraph(train))
    metrics = ["recall@20", "ndcg@20"]
    found: dict[str, Evaluation] = {}
    told: dict[str, Any] = {"id only": means(evaluate_cold_items(scorer, parts.test, seen, train, metrics))}
    for (kind, vectors), (name, candidates) in itertools.product(features.items(), ways().items()):
        best, about = chosen(scorer, candidates, vectors, parts.valid, train, seed)
        tested = evaluate_cold_items(best, parts.test, seen, train, metrics)
        found[f"{name}, {kind}"] = tested["cold"]
        told[f"{name}, {kind}"] = {**means(tested), **about}
    for kind, other in itertools.product(features, features):
        both = (found[f"ridge, {kind}"], found[f"content kNN, {other}"])
        values = [one.per_user["recall@20"] for one in both]
        tested = compare(*values, np.random.default_rng(0))
        ratio = {"ratio": 1 + tested.relative, "p": tested.p, "users": tested.users}
        told[f"ratio, {kind} to {other}"] = ratio
    return told


def chosen(
    scorer: Scorer,
    candidates: list[NewItems],
    vectors: np.ndarray,
    valid: Interactions,
    train: sp.csr_matrix,
    seed: int,
) -> tuple[Scorer, dict[str, Any]]:
    """The candidate that finds most cold items of validation, placed among the warm ones; its settings."""
    warm = np.bincount(train.indices, minlength=train.shape[1]) > 0
    some = some_users(valid, seed)
    cold = some[~warm[some.items]]
    among = np.zeros(len(warm), dtype=bool)
    among[cold.items] = True
    active = torch.from_numpy(np.flatnonzero(np.diff(train.indptr))[:1000])
    best: tuple[float, Continued, dict[str, Any]] | None = None
    for way in candidates:
        whole = way.extend(scorer, train, vectors)
        for share in SHARES if way.of_scores else (1.0,):
            on = whole.balanced(share, way.of_scores, active)
            value = evaluate(Among(on, torch.from_numpy(among)), cold, train, ["recall@20"]).means[
                "recall@20"
            ]
            if best is None or value > best[0]:
                best = value, on, {"settings": {**vars(way), "of_history": share}, "valid": value}
    assert best is not None
    _, on, about = best
    tried = try_places(on, some, train, "ndcg@20", np.random.default_rng(seed))
    place = max(tried, key=lambda one: tried[one])
    return on.placed(*place), {**about, "place": place}


def means(found: dict[str, Evaluation]) -> dict[str, dict[str, float]]:
    """Means of each kind of items."""
    return {kind: one.means for kind, one in found.items()}


def users_once(dataset: Dataset, groupings: list[list[list[str]]], ridge: float, seed: int) -> dict[str, Any]:
    """Each length of history: the prior's weight chosen on validation users, read on those of test."""
    split = ColdUsers(seed=seed)
    parts = split.split(dataset)
    shape = dataset.num_users, dataset.num_items
    train = parts.train.matrix(*shape)
    graph = BipartiteGraph(train)
    nothing = Embeddings(torch.zeros(shape[0], 1), torch.zeros(shape[1], 1))
    data = UserData.of(dataset, parts.train)

    def members(columns: list[str]) -> torch.Tensor:
        groups = ByColumn(columns=columns)
        return groups.fit(graph, nothing, np.random.default_rng(seed), data).memberships

    scorer = EASE(regularization=ridge).fit(graph)
    counts = np.bincount(parts.train.items, minlength=shape[1])
    popular = Constant(torch.from_numpy(np.log(np.maximum(counts, 0.5))))
    known = np.isin(np.arange(shape[0]), parts.train.users)
    valid, test = (part[~known[part.users]] for part in (parts.valid, parts.test))
    priors = []
    for groups, prior in itertools.product(groupings, PRIORS):
        shares = torch.cat([members(columns) for columns in groups], dim=1)
        priors.append((Lift(prior=prior).fit(graph, shares), {"groups": groups, "prior": prior}))
    told: dict[str, Any] = {}
    for length in split.histories:
        history = parts.histories(length).matrix(*shape)

        def judged(one: Scorer, history: sp.csr_matrix = history) -> float:
            return evaluate(one, valid, history, ["ndcg@10"]).means["ndcg@10"]

        wholes: list[tuple[Scorer, float]] = [(popular, 0.0)]
        if length:
            folded = NewUsers.build(scorer, history)
            wholes = [(Mixture([folded, popular], torch.tensor([1.0, v])), v) for v in POPULARITY]
        whole, share = max(wholes, key=lambda one: judged(one[0]))
        if not length:  # who the groups are is settled where nothing else is known
            lift, about = max(priors, key=lambda one: judged(with_lift(whole, one[0], 0.7)))
        weight = max(WEIGHTS, key=lambda w: judged(with_lift(whole, lift, w)))
        alone, added = (
            evaluate(one, test, history, ["ndcg@10"]) for one in (whole, with_lift(whole, lift, weight))
        )
        values = [one.per_user["ndcg@10"] for one in (added, alone)]
        tested = compare(*values, np.random.default_rng(0))
        told[str(length)] = {
            "popularity": share,
            "weight": weight,
            "without_prior": alone.means["ndcg@10"],
            "with_prior": added.means["ndcg@10"],
            "relative": tested.relative,
            "p": tested.p,
            "users": tested.users,
            **(about if not length else {}),
        }
        if length:
            told[str(length)]["fold_in_alone"] = evaluate(folded, test, history, ["ndcg@10"]).means["ndcg@10"]
    told["5 items trained on"] = trained_with(parts, 5, ridge, shape, known)
    told["5 items folded in over trained on"] = told["5"]["fold_in_alone"] / told["5 items trained on"]
    return told


def with_lift(whole: Scorer, lift: LocalScorer, weight: float) -> Scorer:
    """Scores of new users plus what their group likes more than others, in spreads of the scores."""
    gates = Gates(weight, np.inf, np.ones(lift.memberships.shape[1]))
    return gated(whole, lift, gates, np.zeros(len(lift.memberships)))


def trained_with(parts: Parts, length: int, ridge: float, shape: tuple[int, int], known: np.ndarray) -> float:
    """ndcg@10 of the test users when the model was trained with their first items."""
    history = parts.histories(length).matrix(*shape)
    test = parts.test[~known[parts.test.users]]
    tested = np.isin(np.arange(shape[0]), test.users)
    both = sp.csr_matrix(parts.train.matrix(*shape) + sp.diags(tested.astype(np.float32)) @ history)
    scorer = EASE(regularization=ridge).fit(BipartiteGraph(both))
    return evaluate(scorer, test, history, ["ndcg@10"]).means["ndcg@10"]


def main() -> None:
    """Measure, print and perhaps write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["items", "users"])
    parser.add_argument("--dataset", default="movielens", help="shipped name")
    parser.add_argument("--data", type=Path, help="folder of the files")
    parser.add_argument("--seeds", type=int, default=3, help="divisions")
    parser.add_argument("--ridge", type=float, default=200.0, help="regularization of EASE")
    parser.add_argument(
        "--columns",
        nargs="+",
        default=["gender,age", "gender,age+occupation", "gender,age,occupation"],
        help="groupings to choose from: columns joined by commas, groupings added up by +",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--out", type=Path, help="file to write the JSON to as well")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dataset = load_dataset(dataset_config(options.dataset, options.data))
    if options.what == "items":
        features = text_features(dataset)
        runs = [items_once(dataset, features, options.ridge, seed) for seed in range(options.seeds)]
    else:
        groupings = [[part.split(",") for part in one.split("+")] for one in options.columns]
        runs = [users_once(dataset, groupings, options.ridge, seed) for seed in range(options.seeds)]
    result = {"benchmark": f"cold {options.what}", "dataset": options.dataset, "runs": runs}
    print(json.dumps(result, indent=2))
    if options.out is not None:
        files.write_json(options.out, result)


if __name__ == "__main__":
    main()
