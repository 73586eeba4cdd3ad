"""Users of whom little is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gnnseg.checkpoint import load_run
from gnnseg.config import load_dataset_config
from gnnseg.data import Interactions, UserData
from gnnseg.errors import ConfigError
from gnnseg.evaluation import evaluate
from gnnseg.explain import explain
from gnnseg.graph import BipartiteGraph
from gnnseg.new_users import GroupPrior, Prior
from gnnseg.pipeline import Run, evaluate_run, fit
from gnnseg.recommend import Recommender
from gnnseg.scoring import Constant
from gnnseg.update import update
from tests.cli.invoking import misuse, printed
from tests.runs import PLAIN, saved_run
from tests.test_fitting import world

SPECTRAL: dict[str, Any] = {"encoder": {"name": "SpectralFilter", "dim": 6}, "train": {"epochs": 0}}
BY_AGE: dict[str, Any] = {"name": "GroupPrior", "groups": [["age"]], "prior": 1.0}
KINDS: dict[str, dict[str, Any]] = {
    "encoder": {**PLAIN, "new_users": BY_AGE},
    "mixture": {**SPECTRAL, "term": "EASE", "new_users": BY_AGE},
    "baseline": {"baseline": "EASE", "new_users": BY_AGE},
}


def content_of(kind: str, folder: Path) -> dict[str, Any]:
    split = {"name": "ColdUsers", "share": 0.3, "valid": 0.2}
    data = {**load_dataset_config(world(folder)).model_dump(), "split": split}
    return {**KINDS[kind], "name": "run", "device": "cpu", "dataset": data}


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    folder = tmp_path_factory.mktemp("world")
    return fit(content_of(request.param, folder), out=folder / "run"), folder / "run"


def test_without_history_groups_beat_popularity(made: tuple[Run, Path]) -> None:
    """Everybody of one age likes the items of one group, which the table alone tells."""
    found = made[0].cold_users
    assert found is not None
    assert list(found) == ["0", "1", "3", "5", "10"]
    alone, with_groups = (
        found["0"][name]["recall@10"]["mean"] for name in ("with_popularity", "with_groups")
    )
    assert with_groups > alone + 0.1
    assert found["0"]["gain"]["recall@10"]["p"] < 0.01
    assert found["5"]["by_history"]["recall@10"]["mean"] > found["0"]["by_history"]["recall@10"]["mean"]


def test_figures_of_known_users_are_apart(made: tuple[Run, Path]) -> None:
    run = made[0]
    assert set(np.flatnonzero(run.data.lengths == 0)).isdisjoint(run.test.users.tolist())
    assert set(np.flatnonzero(run.data.lengths == 0)).isdisjoint(run.valid.users.tolist())


def test_weights_are_those_of_validation(made: tuple[Run, Path]) -> None:
    about, prior = made[0].new_users, made[0].prior
    assert about is not None
    assert prior is not None
    assert [one["length"] for one in about["lengths"]] == [0, 1, 3, 5, 10][: len(about["lengths"])]
    assert prior.rule == tuple((one["length"], one["popularity"], one["lift"]) for one in about["lengths"])
    assert about["lengths"][0]["lift"] > 0


def test_a_saved_run_recommends_by_the_table(made: tuple[Run, Path]) -> None:
    recommender = Recommender.load(made[1])
    lists = {age: recommender.recommend_for([], k=8, about={"age": age}) for age in range(20, 24)}
    own = [int(one.item[1:]) % 4 == age - 20 for age, best in lists.items() for one in best]
    assert np.mean(own) > 0.7
    nobody = recommender.recommend_for(["i00"], k=8)
    known = recommender.recommend_for(["i00"], k=8, about={"age": "21"})
    assert [one.item for one in nobody] != [one.item for one in known]


def test_a_saved_run_is_measured_the_same(made: tuple[Run, Path]) -> None:
    found = evaluate_run(load_run(made[1]), "test")["cold_users"]
    assert found == made[0].cold_users


def test_explanations_add_up(made: tuple[Run, Path]) -> None:
    recommender = Recommender.load(made[1])
    best = recommender.recommend_for(["i00", "i04"], k=3)[0]
    found = explain(recommender, best.item, items=["i00", "i04"])
    assert found.score == pytest.approx(best.score, rel=1e-5)
    assert sum(c.value for c in found.contributions) == pytest.approx(best.score, rel=1e-4)
    about = {"age": "21"}
    best = recommender.recommend_for([], k=1, about=about)[0]
    found = explain(recommender, best.item, about=about)
    assert sum(c.value for c in found.contributions) == pytest.approx(best.score, rel=1e-4)
    assert {c.kind for c in found.contributions} == {"everybody", "groups"}
    shown = printed("explain", made[1], "--item", best.item, "--about", "age=21")
    assert shown["score"] == pytest.approx(best.score, rel=1e-5)
    assert "or --about" in misuse("explain", made[1], "--item", best.item)


def test_an_update_keeps_what_newcomers_start_from(made: tuple[Run, Path], tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("who,what,stars,when\nnew,i00,5,1\nnew,i04,5,2\n", encoding="utf-8")
    update(made[1], tmp_path / "new.csv", tmp_path / "run")
    before, after = (Recommender.load(folder) for folder in (made[1], tmp_path / "run"))
    lists = [one.recommend_for(["i08"], k=5, about={"age": 22}) for one in (before, after)]
    assert len({one.item for best in lists for one in best}) <= 7
    assert before.prior is not None
    assert after.prior is not None
    assert after.prior.popularity[0] > before.prior.popularity[0]


def test_numbers_are_the_nearest_and_words_must_be_known(made: tuple[Run, Path]) -> None:
    prior = Recommender.load(made[1]).prior
    assert prior is not None
    assert torch.equal(prior.groups_of([{"age": 99}]), prior.groups_of([{"age": 23.0}]))
    assert not prior.groups_of([{}, {"age": None}]).any()
    with pytest.raises(ConfigError, match=r"unknown value of 'age' 'old'|value of 'age'"):
        prior.groups_of([{"age": "old"}])
    with pytest.raises(ConfigError, match="column of the users' table 'agee'"):
        prior.groups_of([{"agee": 20}])


def test_other_splits_choose_on_cut_histories(tmp_path: Path) -> None:
    content = content_of("baseline", tmp_path)
    content["dataset"]["split"] = {"name": "Random", "valid": 0.2, "test": 0.1}
    run = fit(content)
    assert run.cold_users is None
    assert run.new_users is not None
    assert [one["length"] for one in run.new_users["lengths"]][:3] == [0, 1, 3]
    content["dataset"]["split"]["valid"] = 0.0
    with pytest.raises(ConfigError, match=r"'new_users' are weighed on validation, which is empty"):
        fit(content)


def test_with_cut_histories_the_rest_of_training_is_not_ranked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of("baseline", tmp_path)
    content["dataset"]["split"] = {"name": "Random", "valid": 0.2, "test": 0.1}
    masked: list[int] = []

    def noted(scorer: Any, held_out: Any, seen: sp.csr_matrix, metrics: Any) -> Any:
        masked.append(seen.nnz)
        return evaluate(scorer, held_out, seen, metrics)

    monkeypatch.setattr("gnnseg.arrivals.evaluate", noted)
    run = fit(content)
    assert set(masked) == {run.data.train.nnz}


def test_factors_start_short_histories(tmp_path: Path) -> None:
    content = {**content_of("baseline", tmp_path), "baseline": {"name": "ImplicitALS", "dim": 4}}
    about = fit(content).new_users
    assert about is not None
    assert len({one["length"] for one in about["lengths"]}) > 1


def test_scores_are_the_formula() -> None:
    rng = np.random.default_rng(0)
    links = sp.csr_matrix((rng.random((30, 12)) < 0.3).astype(np.float32))
    ages = np.repeat([1.0, 2.0], 15)
    pairs = links.nonzero()
    data = UserData(Interactions(*(part.astype(np.int64) for part in pairs)), {"age": ages})
    prior, groups = GroupPrior(groups=[["age"]], prior=2.0).fit(BipartiteGraph(links), data)
    prior = Prior(
        prior.popularity, prior.lift, prior.groups, prior.values, ((0.0, 1.0, 0.5), (2.0, 0.3, 0.2))
    )
    history = sp.csr_matrix(np.eye(3, 12, dtype=np.float32)[[0, 0, 0]] * [[0], [1], [1]])
    history = sp.csr_matrix(history.toarray() + np.eye(3, 12, k=3) * [[0], [0], [1]])
    raw = rng.normal(size=12)
    found = prior.beside(Constant(torch.from_numpy(raw)), history, groups[:3]).score(torch.arange(3)).numpy()
    counts = np.maximum(links.toarray().sum(0), 0.5)
    popular = np.log(counts) / np.log(counts).std()
    inside = links.toarray()[:15].sum(0)
    lift = np.log((inside + 2) / (links.toarray().sum(0) * inside.sum() / links.nnz + 2))
    for row, (p, weight) in enumerate([(1.0, 0.5), (1.0, 0.5), (0.3, 0.2)]):
        base = raw / raw.std() + p * popular
        np.testing.assert_allclose(found[row], base + weight * base.std() * lift, rtol=1e-4, atol=1e-5)


def test_the_prior_fades_beyond_the_longest_length() -> None:
    prior = Prior(torch.randn(4), torch.zeros(4, 0), (), {}, ((0.0, 1.0, 0.0), (2.0, 0.5, 0.0)))
    history = sp.csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 1, 1]], dtype=np.float32))
    scores = prior.beside(Constant(torch.zeros(4)), history, torch.zeros(2, 0)).score(torch.arange(2))
    torch.testing.assert_close(scores, torch.outer(torch.tensor([0.5, 0.25]), prior.popularity))


def test_the_command(made: tuple[Run, Path]) -> None:
    found = printed("recommend", str(made[1]), "--about", "age=21", "-k", "3")
    assert [one["item"] for one in found[0]["items"]] == [
        one.item for one in Recommender.load(made[1]).recommend_for([], k=3, about={"age": 21})
    ]
    assert "COLUMN=VALUE (got 'age')" in misuse("recommend", str(made[1]), "--about", "age")
    assert "--items (or --about)" in misuse("recommend", str(made[1]))


def test_a_run_without_it_says_so() -> None:
    with pytest.raises(ConfigError, match="knows no users' table; train it with 'new_users'"):
        Recommender.load(saved_run()).recommend_for([], about={"age": 3})
