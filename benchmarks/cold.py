"""Cold start: items that nobody has through their text, users through a few items and the users' table.

Everything is chosen on validation items or users, which are others than those of test. Prints JSON.

    python benchmarks/cold.py items --dataset movielens --seeds 3 --out cold-items.json
    python benchmarks/cold.py users --data FOLDER --seeds 3
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
from gnnseg.config import Config, load_config
from gnnseg.data import Dataset, Interactions, Parts
from gnnseg.data.splits import ColdItems
from gnnseg.evaluation import Evaluation, evaluate, evaluate_cold_items
from gnnseg.fitting import fit_scorer
from gnnseg.graph import BipartiteGraph
from gnnseg.new_items import ContentKNN, NewItems, TextRidge
from gnnseg.pipeline import run
from gnnseg.prepared import Prepared, load_dataset, prepare
from gnnseg.scoring import Among, Continued, Scorer
from gnnseg.stages import Progress
from gnnseg.statistics import compare
from gnnseg.text import Joined, TransformerEncoder
from gnnseg.tracking import Clock, Tracker

MAX_USERS = 4_000
"""Users that settings are chosen on, at most."""

METRIC, LENGTH = "ndcg@10", 5
"""What cold users are compared with users trained on by, and with how many items."""


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


def users_once(name: str, folder: Path | None, seed: int) -> dict[str, Any]:
    """A shipped config on one division: what cold users get, and what they would when trained on."""
    config = load_config(name)
    split = {**config.dataset.split, "seed": seed}
    dataset = dataset_config(config.dataset.name, folder).model_copy(update={"split": split})
    config = config.model_copy(update={"dataset": dataset})
    data = prepare(config.dataset, torch.device("cpu"))
    result = run(config, prepared=data)
    told: dict[str, Any] = {"settings": result.new_users, "lengths": result.cold_users}
    trained = trained_with(config, data, LENGTH)
    folded = told["lengths"][str(LENGTH)]["by_history"][METRIC]["mean"]
    return {**told, "trained": trained, "folded_in_over_trained": folded / trained}


def trained_with(config: Config, data: Prepared, length: int) -> float:
    """The metric of the test users when the model was trained with their first items, too."""
    shape = data.train.shape
    test = data.parts.test[data.lengths[data.parts.test.users] == 0]
    given = data.parts.histories(length)
    given = given[np.isin(given.users, test.users)]
    train = (data.parts.train + given).matrix(*shape)
    valid = data.of_known_users(data.parts.valid)
    parts = Parts(data.parts.train + given, valid, data.parts.test)
    whole = Prepared(data.config, data.dataset, parts, BipartiteGraph(train), train, train)
    without = config.model_copy(update={"new_users": None})
    scorer = fit_scorer(without, whole, Progress(), Tracker(), Clock()).scorer
    return evaluate(scorer, test, given.matrix(*shape), [METRIC]).means[METRIC]


def main() -> None:
    """Measure, print and perhaps write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["items", "users"])
    parser.add_argument("--dataset", default="movielens", help="of items: shipped name")
    parser.add_argument(
        "--config", default="movielens-1m-cold-users/full", help="of users: a config whose split is ColdUsers"
    )
    parser.add_argument("--data", type=Path, help="folder of the files")
    parser.add_argument("--seeds", type=int, default=3, help="divisions")
    parser.add_argument("--ridge", type=float, default=200.0, help="regularization of EASE")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--out", type=Path, help="file to write the JSON to as well")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.what == "items":
        dataset = load_dataset(dataset_config(options.dataset, options.data))
        features, about = text_features(dataset), options.dataset
        runs = [items_once(dataset, features, options.ridge, seed) for seed in range(options.seeds)]
    else:
        about = options.config
        runs = [users_once(about, options.data, seed) for seed in range(options.seeds)]
    result = {"benchmark": f"cold {options.what}", "of": about, "runs": runs}
    print(json.dumps(result, indent=2))
    if options.out is not None:
        files.write_json(options.out, result)


if __name__ == "__main__":
    main()
