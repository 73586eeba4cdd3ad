"""Segmenters that need more than graph and vectors, users outside and local models, through a whole run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnseg import Recommender
from gnnseg.checkpoint import load_run
from gnnseg.config import Config, load_config
from gnnseg.errors import ConfigError, DataError, TooLargeError
from gnnseg.fitting import Fitted, fit_global, fit_segmented
from gnnseg.gates import choose_gates
from gnnseg.heads import FiLM
from gnnseg.local import LOCAL_MODELS
from gnnseg.pipeline import Run, evaluate_run, fit, run
from gnnseg.prepared import Prepared
from gnnseg.scoring import DotProduct, Gated, Gates
from gnnseg.seeding import numpy_rng
from gnnseg.stages import Progress
from gnnseg.tracking import Clock, Tracker
from tests.runs import (
    DATA,
    GROUPS,
    LOCAL,
    PLAIN,
    SCHEDULE,
    USERS,
    Interrupt,
    assert_same,
    local_folder,
    local_run,
    on_data,
    pairs,
    trained,
    write_data,
)

TABLES = {
    **DATA["source"],
    "time": "when",
    "users": "people.csv",
    "user_key": "who",
    "user_columns": ["gender", "age"],
}


def world(folder: Path, source: dict[str, Any] = TABLES) -> str:
    """Users of a group are of one gender and active in one month; every fifth keeps its gender to itself."""
    rows = [(1000 + user, f"i{item:02}", 4, 2_600_000 * (user % GROUPS) + item) for user, item in pairs()]
    people = [
        f"{1000 + user},{'' if user % 5 == 4 else 'FM'[user % 2]},{20 + user % GROUPS}"
        for user in range(USERS)
    ]
    (folder / "people.csv").write_text("\n".join(["who,gender,age", *people]) + "\n", encoding="utf-8")
    return str(write_data(folder, rows, header="who,what,stars,when", source=source))


def segmented(dataset: str, segmenter: dict[str, Any], out: Path | None = None, **changes: Any) -> Run:
    content = {
        **PLAIN,
        "dataset": dataset,
        "device": "cpu",
        "segmenter": segmenter,
        "head": "FiLM",
        "fine_tune": {"epochs": 2, **SCHEDULE},
        **changes,
    }
    return fit(content, out=out)


def test_segments_by_column(tmp_path: Path) -> None:
    result = segmented(world(tmp_path), {"name": "ByColumn", "columns": ["gender"]}, out=tmp_path / "run")
    assert [segment["group"] for segment in result.segments["segments"]] == ["gender F", "gender M"]
    assert result.segments["outside"] == 0
    saved = load_run(tmp_path / "run").model().segmenter
    assert saved.names == ("gender F", "gender M")
    labels = saved.labels.numpy()
    known = np.arange(USERS) % 5 != 4  # ids in the order of rows
    assert (labels[known] == np.arange(USERS)[known] % 2).all()
    assert result.segments["quality"]["stability"] == 1


def test_segments_by_time(tmp_path: Path) -> None:
    result = segmented(world(tmp_path), {"name": "ByTime", "num_segments": GROUPS})
    memberships = result.model.segmenter.memberships.numpy()
    share = [memberships[np.arange(USERS) % GROUPS == group].mean(0) for group in range(GROUPS)]
    assert np.argmax(share, axis=1).tolist() == list(range(GROUPS))
    assert np.max(share, axis=1).min() > 0.9


def test_what_the_data_do_not_hold(tmp_path: Path) -> None:
    plain = str(write_data(tmp_path))
    with pytest.raises(ConfigError, match=r"no column 'gender' in the users' table \(it has none; give"):
        segmented(plain, {"name": "ByColumn", "columns": ["gender"]})
    with pytest.raises(DataError, match="ByTime needs the times of interactions"):
        segmented(plain, {"name": "ByTime"})


def test_nobody_in_a_segment_is_the_global_model(tmp_path: Path) -> None:
    dataset = str(write_data(tmp_path))
    lonely = {"name": "DBSCAN", "eps": 1.0e-4, "min_users": 30}
    run = segmented(dataset, lonely, out=tmp_path / "run", fine_tune={"epochs": 2, **SCHEDULE})
    alone = fit({**PLAIN, "dataset": dataset, "device": "cpu"})
    assert run.segments["outside"] == USERS
    assert run.metrics["test"]["ndcg@10"] == alone.metrics["test"]["ndcg@10"]
    assert [segment["users"] for segment in run.metrics["segments"]] == [0]
    again = evaluate_run(load_run(tmp_path / "run"), "test", "cpu")
    assert [segment["users"] for segment in again["segments"]] == [0]
    recommender = Recommender.load(tmp_path / "run")
    assert recommender.segments_of("1000") == {}
    assert recommender.segments_for(["i00", "i04"]) == {}
    assert len(recommender.recommend_for(["i00", "i04"], k=3)) == 3


def steps(**changes: Any) -> tuple[Config, Prepared, Fitted, Clock]:
    """A config, fitted by its two steps."""
    config = load_config(on_data({**LOCAL, **changes}, name="local"))
    data, clock, tracker, progress = trained().data, Clock(), Tracker(), Progress()
    model = fit_global(config, data, None, progress, tracker, clock)
    assert model.segmenter is None
    return config, data, fit_segmented(config, data, model, progress, tracker, clock), clock


class TestLocal:
    def test_without_a_head(self) -> None:
        _, data, fitted, clock = steps()
        assert fitted.model is not None
        assert fitted.model.head is None
        assert fitted.model.segmenter is not None
        assert (fitted.decision, fitted.mixture) == (None, None)
        assert fitted.local is not None
        assert fitted.local["served"] == "local"
        assert isinstance(fitted.scorer, Gated)
        assert isinstance(fitted.scorer.whole, DotProduct)
        assert clock.seconds["local"] > 0
        assert clock.seconds["head"] == 0
        rows = torch.arange(USERS)
        assert torch.equal(fitted.scorer.whole.score(rows), fitted.model.scorer(data.graph).score(rows))
        gates = Gates(
            fitted.local["scale"], fitted.local["fade"] or np.inf, np.array(fitted.local["factors"])
        )
        members = fitted.model.segmenter.memberships.numpy()
        expected = gates.of(np.diff(data.train.indptr), members)
        np.testing.assert_allclose(fitted.scorer.gates.numpy(), expected, rtol=1e-6)

    def test_it_is_fitted_on_train_and_gated_on_validation(self) -> None:
        config, data, fitted, _ = steps()
        assert fitted.model is not None
        local = LOCAL_MODELS.create(config.local).fit(data.graph, fitted.model.segmenter.memberships)
        rows = torch.arange(USERS)
        assert torch.equal(fitted.scorer.local.score(rows), local.score(rows))
        arguments = data.parts.valid, data.train, "ndcg@10", numpy_rng(0, "gates")
        _, about = choose_gates(fitted.scorer.whole, local, *arguments)
        assert fitted.local == about

    def test_with_a_head_and_a_term(self) -> None:
        changes = {"head": "FiLM", "fine_tune": {"epochs": 1, **SCHEDULE}, "term": "ItemKNN"}
        _, _, fitted, _ = steps(**changes, term_weight=0.01)
        assert fitted.model is not None
        assert isinstance(fitted.model.head, FiLM)
        assert fitted.decision is not None
        assert fitted.mixture is not None
        assert isinstance(fitted.scorer, Gated)
        assert fitted.scorer.kind == {"whole": ["DotProduct", "ItemGraph"], "local": "MemberItems"}

    def test_where_it_does_not_help_the_global_scorer_is_served(self) -> None:
        changes = {"segmenter": "OneSegment", "local": "Lift"}
        _, data, fitted, _ = steps(**changes)
        assert fitted.local is not None
        assert (fitted.local["served"], fitted.local["gain"]) == ("global", 0)
        assert isinstance(fitted.scorer, DotProduct)
        assert fitted.model is not None
        rows = torch.arange(USERS)
        assert torch.equal(fitted.scorer.score(rows), fitted.model.scorer(data.graph).score(rows))

    def test_without_one(self) -> None:
        changes = {"segmenter": None, "local": None}
        _, _, fitted, clock = steps(**changes)
        assert fitted.local is None
        assert clock.seconds["local"] == 0

    def test_without_validation_nothing_is_trained(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gnnseg.fitting.fit_stage", lambda *_: pytest.fail("trained"))
        dataset = str(write_data(tmp_path, split={"name": "Random", "valid": 0.0, "test": 0.2}))
        with pytest.raises(ConfigError, match="'local' model are chosen on validation, which is empty; set"):
            fit({**LOCAL, "dataset": dataset, "device": "cpu"})

    def test_users_in_no_segment(self) -> None:
        lonely = {"name": "DBSCAN", "eps": 1.0e-4, "min_users": 30}
        _, _, fitted, _ = steps(segmenter=lonely)
        assert fitted.local is not None
        assert fitted.local["served"] == "global"
        assert not fitted.local["gain"]

    def test_a_resumed_run_ends_as_any_other(self, tmp_path: Path) -> None:
        content = on_data(LOCAL, name="resumed", train={"epochs": 4, **SCHEDULE}, head=None)
        whole = fit(content)
        with pytest.raises(KeyboardInterrupt):
            fit(content, out=tmp_path / "run", tracker=Interrupt(1, 3))
        again = run(load_config(content), resume=tmp_path / ".run.partial")
        assert_same(again, whole)
        assert again.local == whole.local


def test_what_a_run_tells_of_a_local_model() -> None:
    result = local_run()
    assert result.metrics["local"] == result.local
    assert result.local is not None
    assert result.local["served"] == "local"
    assert json.loads((local_folder() / "metrics.json").read_text())["local"] == result.local
    own = ("text", "encoder", "segments", "head", "local")
    assert result.seconds["local"] > 0
    assert result.seconds["fit"] == pytest.approx(sum(result.seconds[step] for step in own))
    assert len(result.metrics["segments"]) == 3
    assert result.segments is not None
    assert result.segments["num_segments"] == 3
    assert trained().metrics["local"] is None


@pytest.mark.parametrize("text", [False, True])
def test_training_is_refused_without_the_memory(text: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a step is taken: five times the parameters, which another count finds, too."""
    content = on_data(PLAIN if not text else {**PLAIN, "text": {"name": "TfidfEncoder", "num_features": 6}})
    model = fit(content).model
    assert model is not None
    needed = 5 * sum(p.numel() * 4 for p in model.encoder.parameters())
    monkeypatch.setattr("gnnseg.memory.available", lambda device: needed)
    fit(content)
    monkeypatch.setattr("gnnseg.memory.available", lambda device: needed - 1)
    with pytest.raises(TooLargeError, match=f"training LightGCN needs {needed} bytes .*; choose a smaller"):
        fit(content)
