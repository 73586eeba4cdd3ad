from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import pytest

from gnnseg.ablation import ablate
from gnnseg.config import Config, load_config
from gnnseg.entries import Entry, comparisons
from gnnseg.errors import ConfigError
from gnnseg.files import to_json
from gnnseg.prepared import Prepared
from gnnseg.report.ablation import segments_verdict
from tests.runs import FULL, PLAIN, SCHEDULE, USERS, on_data, trained

CLOSED: dict[str, Any] = {"encoder": {"name": "SpectralFilter", "dim": 12}, "train": {"epochs": 0}}
SHORT = {**SCHEDULE, "epochs": 2}
BOTH = {**FULL, "train": SHORT, "fine_tune": SHORT, "local": "Lift"}
KMEANS = {"name": "KMeans", "num_segments": 3}
METRIC = "ndcg@10"

PLANTED: dict[str, Any] = {
    "dataset": {
        "source": {"name": "Planted", "num_users": 900, "num_items": 100, "num_groups": 3, "marked": 0.3,
                   "num_clusters": 10, "num_interactions": 12, "signal": 4.0},
        "metrics": [METRIC],
    },
    "device": "cpu",
    "encoder": {"name": "SpectralFilter", "dim": 32},
    "train": {"epochs": 0},
    "segmenter": KMEANS,
    "local": {"name": "LocalItems", "model": "RP3beta", "width": 0.0},
}  # fmt: skip


def config(content: dict[str, Any], **changes: Any) -> Config:
    return load_config(on_data(content, name="mine", **changes))


@functools.cache
def data() -> Prepared:
    """The small world, prepared once."""
    return trained().data


@functools.cache
def results() -> dict[str, Any]:
    """Every row of a system with head and local model."""
    found = ablate(config(BOTH), seeds=1, prepared=data())
    return json.loads(to_json(found))  # type: ignore[no-any-return]


def of(found: dict[str, Any], name: str) -> dict[str, Any]:
    [model] = [model for model in found["models"] if model["name"] == name]
    return model  # type: ignore[no-any-return]


def test_the_contract() -> None:
    found = results()
    assert (found["format"], found["command"]) == (1, "ablate")
    names = [model["name"] for model in found["models"]]
    assert (names[0], names[-1]) == ("global", "full")
    assert {"more steps", "random segments", "ensemble", "one segment", "FiLM", "Lift"} < set(names)
    compared = [(c["model"], c["baseline"], c["metric"]) for c in found["comparisons"]]
    assert compared == [("full", name, m) for m in ("recall@10", METRIC) for name in names[:-1]]
    for model in found["models"]:
        assert [run["seed"] for run in model["runs"]] == [0]
        assert model["about"]
    assert found["dataset"] == data().describe()


def test_the_plain_pipeline_is_fitted_on_its_own() -> None:
    """Its figures are those of its config alone, and it is not built on the system's encoder."""
    from gnnseg.pipeline import run

    row = of(results(), "plain pipeline")
    alone = run(Config.model_validate(row["config"]), prepared=data())
    assert row["runs"][0]["metrics"] == pytest.approx(alone.test.means)
    assert row["config"]["encoder"]["name"] == "TextMean"
    assert row["parameters"] == alone.parameters


def test_what_has_segments() -> None:
    has = {model["name"]: bool(model["runs"][0]["segments"]) for model in results()["models"]}
    assert [name for name in has if not has[name]] == ["global", "ensemble"]


def test_seeds() -> None:
    """Seeds differ; each gives what it gives alone; figures are their mean."""
    both = ablate(config(BOTH), seeds=2, only=[], prepared=data())
    alone = ablate(config(BOTH, seed=1), seeds=1, only=[], prepared=data())
    for name in ("global", "full"):
        runs = of(both, name)["runs"]
        assert [run["seed"] for run in runs] == [0, 1]
        assert runs[0]["metrics"] != runs[1]["metrics"]
        assert runs[0]["metrics"] == pytest.approx(of(results(), name)["runs"][0]["metrics"])
        assert runs[1]["metrics"] == of(alone, name)["runs"][0]["metrics"]
        mean = np.mean([run["metrics"][METRIC] for run in runs])
        assert of(both, name)["metrics"][METRIC]["mean"] == pytest.approx(mean)


def test_identity() -> None:
    """Segments that say nothing and a head that does nothing are the global model, bit for bit."""
    alike = {"segmenter": "OneSegment", "head": "Shared"}
    found = ablate(config(BOTH, local=None, **alike), seeds=1, only=["ensemble"], prepared=data())
    assert of(found, "full")["runs"][0]["metrics"] == of(found, "global")["runs"][0]["metrics"]
    [against] = [c for c in found["comparisons"] if (c["baseline"], c["metric"]) == ("global", METRIC)]
    assert (against["difference"], against["low"], against["high"], against["p"]) == (0, 0, 0, 1)
    assert segments_verdict(found, METRIC).startswith("Segments do not help here: +0.00%")


@pytest.mark.parametrize("content", [PLAIN, CLOSED], ids=["trained", "closed form"])
def test_members_of_the_ensemble_differ(content: dict[str, Any]) -> None:
    system = config({**content, "segmenter": KMEANS, "local": "Lift"})
    found = ablate(system, seeds=1, only=["ensemble"], prepared=data())
    names = [model["name"] for model in found["models"]]
    assert names == ["global", "ensemble", "full"]
    alone, summed = (of(found, name)["runs"][0] for name in ("global", "ensemble"))
    assert alone["metrics"] != summed["metrics"]
    assert alone["valid_metrics"] != summed["valid_metrics"]


def test_only() -> None:
    found = ablate(config(BOTH), seeds=1, only=["one segment", "Leiden only"], prepared=data())
    names = [model["name"] for model in found["models"]]
    assert names == ["global", "one segment", "Leiden only", "full"]


@pytest.mark.parametrize(
    ("changes", "options", "problem"),
    [
        ({}, {"only": ["random"]}, "'random' is no row of this ablation; known: global, more steps, random"),
        ({"segmenter": None, "head": None}, {}, "'mine' has no segments to ablate"),
        ({}, {"seeds": 0}, "'seeds' must be positive \\(got 0\\)"),
    ],
)
def test_refused_before_any_data_are_read(
    changes: dict[str, Any], options: dict[str, Any], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gnnseg.ablation.prepare", None)
    with pytest.raises(ConfigError, match=problem):
        ablate(config(FULL, **changes), **options)


def test_histories() -> None:
    groups = results()["histories"]
    assert [(g["history"], g["from"], g["to"]) for g in groups] == [
        ("none", 0, 0),
        ("short", 1, 5),
        ("long", 6, None),
    ]
    assert [g["users"] for g in groups] == [0, 0, USERS]
    assert [g["full"] for g in groups[:2]] == [None, None]
    everybody = [c for c in results()["comparisons"] if (c["baseline"], c["metric"]) == ("global", METRIC)]
    assert groups[2]["difference"] == pytest.approx(everybody[0]["difference"])


def test_short_histories() -> None:
    source = {"name": "Planted", "num_users": 40, "num_items": 30, "num_interactions": 4, "num_clusters": 3}
    brief = config({**CLOSED, "segmenter": KMEANS, "local": "Lift"}, dataset={"source": source})
    groups = ablate(brief, seeds=1, only=[])["histories"]
    assert [g["users"] for g in groups] == [0, 40, 0]


def test_segments() -> None:
    groups = results()["segments"]
    assert [g["segment"] for g in groups] == [0, 1, 2]
    assert sum(g["users"] for g in groups) == USERS
    mean = sum(g["users"] * g["full"] for g in groups) / USERS
    assert mean == pytest.approx(of(results(), "full")["metrics"][METRIC]["mean"])


def test_users_outside_are_in_no_segment() -> None:
    lonely = {"name": "DBSCAN", "eps": 1.0e-4, "min_users": 30}
    found = ablate(config(PLAIN, segmenter=lonely, head="FiLM"), seeds=1, only=[], prepared=data())
    assert [g["users"] for g in found["segments"]] == [0] * len(found["segments"])
    assert sum(g["users"] for g in found["histories"]) == USERS
    assert (
        of(found, "full")["runs"][0]["metrics"][METRIC] == of(found, "global")["runs"][0]["metrics"][METRIC]
    )


def test_comparisons_are_antisymmetric() -> None:
    rng = np.random.default_rng(0)
    entries = []
    for name in ("a", "b"):
        content = {"baseline": "Popularity"}
        entries.append(Entry(load_config(on_data(content, name=name)), per_user={METRIC: [rng.random(50)]}))
    [forth], [back] = comparisons(entries, [METRIC]), comparisons(entries[::-1], [METRIC])
    assert (forth["model"], forth["baseline"]) == (back["baseline"], back["model"]) == ("b", "a")
    assert forth["difference"] == pytest.approx(-back["difference"])
    assert (forth["low"], forth["high"]) == pytest.approx((-back["high"], -back["low"]))
    assert forth["p"] == forth["p_adjusted"] == pytest.approx(back["p"])
    expected = np.mean(entries[1].per_user[METRIC][0] - entries[0].per_user[METRIC][0])
    assert forth["difference"] == pytest.approx(expected)


def test_planted_segments_help_and_random_ones_do_not() -> None:
    controls = ["random segments", "ensemble", "one segment"]
    found = ablate(load_config(PLANTED), seeds=1, only=controls)
    against = {c["baseline"]: c for c in found["comparisons"]}
    assert set(against) == {"global", *controls}
    for compared in against.values():
        assert compared["relative"] > 0.2
        assert compared["p_adjusted"] < 1e-3
    gained = (
        of(found, "random segments")["metrics"][METRIC]["mean"]
        / of(found, "global")["metrics"][METRIC]["mean"]
    )
    assert gained < 1.03
    assert segments_verdict(found, METRIC).startswith("Segments help here")
