from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import chisquare

from gnnseg.errors import ConfigError
from gnnseg.privacy import geometric_noise, noisy_segments

NAMES = ["a", "b", "c", "d"]


def world() -> tuple[np.ndarray, sp.csr_matrix, sp.csr_matrix]:
    """Segments, interactions and tags; users of segment 0 like tag a, those of 1 tag b."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, -1], [200, 300, 5, 20])
    tags = np.eye(4)[np.arange(40) % 4]
    chance = np.where(np.arange(40)[None] % 4 == labels[:, None], 0.4, 0.1)
    return labels, sp.csr_matrix(rng.random(chance.shape) < chance), sp.csr_matrix(tags)


def noisy(epsilon: float, seed: int = 0, **options: Any) -> dict[str, Any]:
    labels, train, tags = world()
    rng = np.random.default_rng(seed)
    return noisy_segments(labels, 3, train, (NAMES, tags), epsilon=epsilon, rng=rng, **options)


@pytest.mark.parametrize(("epsilon", "sensitivity"), [(1.0, 1), (0.7, 3)])
def test_noise_is_what_epsilon_promises(epsilon: float, sensitivity: int) -> None:
    drawn = geometric_noise((200_000,), epsilon, sensitivity, np.random.default_rng(0))
    values = np.arange(-12, 13)
    expected = np.exp(-epsilon * np.abs(values) / sensitivity)
    observed = np.array([(drawn == v).sum() for v in values])
    assert chisquare(observed, expected / expected.sum() * observed.sum()).pvalue > 0.001


def test_without_noise_it_is_the_truth() -> None:
    labels, train, tags = world()
    found = noisy(1e6, clip=2)
    assert [s["users"] for s in found["segments"]] == [200, 300, None]
    assert found["segments"][2]["tags"] == []
    mass = train.toarray().astype(float) @ tags.toarray()
    top = [[t for t in sorted(range(4), key=lambda t: (-m[t], t))[:2] if m[t]] for m in mass]
    for segment in found["segments"][:2]:
        inside = np.flatnonzero(labels == segment["segment"])
        for entry in segment["tags"]:
            users = sum(NAMES.index(entry["name"]) in top[row] for row in inside)
            assert entry["users"] == users
            assert entry["share"] == pytest.approx(users / len(inside))
    assert found["segments"][0]["tags"][0]["name"] == "a"
    assert found["segments"][1]["tags"][0]["name"] == "b"


def test_a_user_changes_counts_by_no_more_than_is_covered() -> None:
    """By the clip, however many interactions the user has."""
    labels, train, tags = world()
    more, everything = np.append(labels, 1), sp.vstack([train, np.ones((1, 40), dtype=bool)]).tocsr()
    options: dict[str, Any] = {"epsilon": 1e6, "clip": 3, "min_users": 1}
    before, after = (
        noisy_segments(a, 3, b, (NAMES, tags), rng=np.random.default_rng(0), **options)["segments"]
        for a, b in ((labels, train), (more, everything))
    )
    changed = sum(abs(a["users"] - b["users"]) for a, b in zip(before, after, strict=True))
    assert changed == 1

    def counts(found: list[dict[str, Any]]) -> np.ndarray:
        by_name = [{t["name"]: t["users"] for t in s["tags"]} for s in found]
        return np.array([[own.get(name, 0) for name in NAMES] for own in by_name])

    assert np.abs(counts(before) - counts(after)).sum() == 3


def test_within_holds_and_is_no_larger_than_needed() -> None:
    exact = [s["users"] for s in noisy(1e6)["segments"][:2]]
    off = np.array([[s["users"] for s in noisy(0.8, seed)["segments"][:2]] for seed in range(300)]) - exact
    within = noisy(0.8)["within"]["users"]
    assert 0.93 < (np.abs(off) <= within).mean() < 0.99
    assert (np.abs(off) <= within - 2).mean() < 0.95


def test_without_tags_all_goes_to_sizes() -> None:
    labels, train, _ = world()
    found = noisy_segments(labels, 3, train, None, epsilon=2.0, rng=np.random.default_rng(0))
    assert found["within"] == {"users": noisy(4.0)["within"]["users"]}
    assert all(s["tags"] == [] for s in found["segments"])
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, math.inf, math.nan])
def test_bad_epsilon(epsilon: float) -> None:
    with pytest.raises(ConfigError, match="'epsilon' must be a positive number"):
        noisy(epsilon)


def test_bad_clip() -> None:
    with pytest.raises(ConfigError, match=r"'clip' must be at least 1 \(got 0\)"):
        noisy(1.0, clip=0)
