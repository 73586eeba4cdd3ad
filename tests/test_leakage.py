"""Nothing learns from what it is judged on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnseg.config import Config, load_config, load_dataset_config
from gnnseg.data import Interactions
from gnnseg.pipeline import Run, fit, run
from gnnseg.prepared import prepare
from gnnseg.ranking import top_k
from tests.runs import (
    FULL,
    USERS,
    dataset,
    on_data,
    pairs,
    scores,
    trained,
    untimed,
    write_yaml,
)


class TestLeakage:
    """Nothing learns from what it is judged on."""

    def poisoned(self, config: Config, part: str) -> Run:
        """A run where one part holds other interactions, each user's count kept."""
        data = prepare(config.dataset, torch.device("cpu"))
        true = getattr(data.parts, part)
        free = [np.flatnonzero(row == 0) for row in data.seen.toarray()]
        rng = np.random.default_rng(1)
        items = np.array([rng.choice(free[user]) for user in true.users])
        assert (items != true.items).mean() > 0.8
        parts = replace(data.parts, **{part: Interactions(true.users, items)})
        return run(config, prepared=replace(data, parts=parts))

    def test_the_graph_is_that_of_train(self) -> None:
        data = prepare(load_dataset_config(dataset()), torch.device("cpu"))
        found = data.graph.biadjacency().tocoo()
        train = set(zip(data.parts.train.users.tolist(), data.parts.train.items.tolist(), strict=True))
        assert set(zip(found.row.tolist(), found.col.tolist(), strict=True)) == train
        assert np.array_equal(data.popularity, np.asarray(data.train.sum(0)).ravel())
        assert len(train) == data.popularity.sum() == data.train.nnz < data.seen.nnz

    def test_test_changes_nothing_but_the_figures(self) -> None:
        result = self.poisoned(load_config(on_data(FULL)), "test")
        assert trained().metrics["test"] != result.metrics["test"]
        assert torch.equal(scores(result), scores(trained()))
        assert untimed(result.history) == untimed(trained().history)
        assert (result.segments, result.decision) == (trained().segments, trained().decision)
        assert result.valid.means == trained().valid.means

    def test_validation_only_chooses(self) -> None:
        """Losses, and the segments of a state that was chosen before, come from train alone."""
        result = self.poisoned(load_config(on_data(FULL)), "valid")
        assert result.valid.means != trained().valid.means
        losses = [[r["loss"] for r in some.history if r["stage"] == 1] for some in (result, trained())]
        assert losses[0] == losses[1]

    @pytest.mark.parametrize("part", ["valid", "test"])
    @pytest.mark.parametrize("baseline", ["Popularity", "ItemKNN", "EASE"])
    def test_baselines(self, baseline: str, part: str) -> None:
        config = load_config(on_data({"baseline": baseline}))
        assert torch.equal(scores(self.poisoned(config, part)), scores(run(config)))

    def test_given_test_part(self, tmp_path: Path) -> None:
        """The same through files: another test file, the same model."""
        results = []
        for seed in (0, 1):
            folder = tmp_path / str(seed)
            folder.mkdir()
            rng = np.random.default_rng(seed)
            by_user: dict[int, list[int]] = {}
            for user, item in pairs():
                by_user.setdefault(user, []).append(item)
            rest = {user: sorted(set(range(80)) - set(items)) for user, items in by_user.items()}
            (folder / "train.txt").write_text(
                "".join(f"{user} {' '.join(map(str, items))}\n" for user, items in by_user.items())
            )
            (folder / "test.txt").write_text(
                "".join(f"{u} {rng.choice(items)}\n" for u, items in rest.items())
            )
            path = write_yaml(
                folder / "given.yaml",
                {
                    "source": {"name": "AdjacencyLists", "train": "train.txt", "test": "test.txt"},
                    "split": {"name": "Given", "valid": 0.1},
                    "metrics": ["ndcg@10"],
                },
            )
            results.append(fit(on_data(FULL, text=None, dataset=str(path))))
        assert not np.array_equal(results[0].data.parts.test.items, results[1].data.parts.test.items)
        assert torch.equal(scores(results[0]), scores(results[1]))
        assert results[0].segments == results[1].segments

    def test_seen_items_are_not_ranked(self) -> None:
        result = trained()
        items, _ = top_k(result.scorer, np.arange(USERS), 20, result.data.seen)
        seen = result.data.seen.toarray().astype(bool)
        assert not seen[np.arange(USERS)[:, None], items].any()
        assert seen.sum() == len(result.data.parts.train) + len(result.data.parts.valid)
