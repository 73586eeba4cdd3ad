import json

import numpy as np
import pytest
import torch

from gnnseg.errors import ConfigError
from gnnseg.segments import KMeans, Segmenter
from gnnseg.segments.choice import (
    BY_LIFT,
    BY_STABILITY,
    NO_GAIN,
    Candidate,
    Choice,
    Gain,
    _choose,
    choose_num_segments,
)
from gnnseg.segments.quality import modularity, silhouette
from tests.segments.planted import Planted, plant


def make(count: int) -> Segmenter:
    return KMeans(num_segments=count, num_starts=1)


def choose(planted: Planted, candidates: list[int], seed: int = 0, **options: object) -> Choice:
    rng = np.random.default_rng(seed)
    return choose_num_segments(make, candidates, planted.graph, planted.embeddings, rng, **options)  # type: ignore[arg-type]


def candidate(count: int, stability: float, error: float = 0.1, lift: float | None = None) -> Candidate:
    return Candidate(count, count, stability, error, None, None, lift)


def test_the_planted_number_is_chosen() -> None:
    planted = plant(groups=4, users=120)
    found = choose(planted, [8, 2, 4, 4])
    assert (found.num_segments, found.rule) == (4, BY_STABILITY)
    assert [c.num_segments for c in found.candidates] == [2, 4, 8]
    by_count = {c.num_segments: c for c in found.candidates}
    assert by_count[4].stability == pytest.approx(1)
    assert by_count[4].standard_error == pytest.approx(0)
    assert by_count[8].stability < 0.9
    assert by_count[4].found == 4
    assert by_count[4].modularity == max(c.modularity or 0 for c in found.candidates)
    json.dumps(found.as_dict())


def test_figures_are_those_of_a_fit_on_all() -> None:
    planted = plant(noise=0.05)
    found = choose(planted, [3]).candidates[0]
    assert found.modularity == pytest.approx(modularity(planted.graph, planted.groups))
    expected = silhouette(planted.embeddings, planted.groups, np.random.default_rng(0))
    assert found.silhouette == pytest.approx(expected)
    assert found.lift is None


def test_lift_decides() -> None:
    seen = []

    def lift(segmenter: Segmenter) -> Gain:
        seen.append(segmenter.memberships.shape)
        value = {2: 0.01, 3: -0.2, 5: 0.03}[segmenter.num_segments]
        return Gain(value, value - 0.5, value + 0.1)

    found = choose(plant(), [2, 3, 5], lift=lift)
    assert seen == [(90, 2), (90, 3), (90, 5)]
    assert (found.num_segments, found.rule) == (5, NO_GAIN)
    assert [c.lift for c in found.candidates] == [0.01, -0.2, 0.03]
    assert [c.lift_low for c in found.candidates] == pytest.approx([-0.49, -0.7, -0.47])
    assert [c.lift_high for c in found.candidates] == pytest.approx([0.11, -0.1, 0.13])

    sure = choose(plant(), [2, 3], lift=lambda _: Gain(0.02, 0.01, 0.03))
    assert (sure.num_segments, sure.rule) == (2, BY_LIFT)


def test_rules() -> None:
    steady = [candidate(2, 0.9), candidate(4, 0.85), candidate(8, 0.79), candidate(16, 0.81, 0.5)]
    assert _choose(steady).num_segments == 16
    assert _choose(steady[:3]).num_segments == 4
    # the standard error of the best counts, not that of the others
    assert _choose([candidate(2, 0.9, 0.0), candidate(4, 0.89, 0.5)]).num_segments == 2
    lifted = [candidate(2, 0.9, lift=-0.3), candidate(4, 0.1, lift=-0.1), candidate(8, 0.9, lift=-0.1)]
    assert _choose(lifted) == Choice(4, BY_LIFT, lifted)
    unknown = [candidate(2, 0.9, lift=float("nan")), candidate(4, 0.1, lift=float("nan"))]
    assert _choose(unknown) == Choice(2, BY_STABILITY, unknown)


def test_noise_is_not_stable() -> None:
    found = choose(plant(noise=100.0), [2, 6])
    assert all(c.stability < 0.7 for c in found.candidates)
    assert all(c.standard_error > 0 for c in found.candidates)


def test_same_seed_same_choice_and_candidates_share_samples() -> None:
    planted = plant(noise=0.6)
    assert choose(planted, [2, 5]) == choose(planted, [2, 5])
    assert choose(planted, [2, 5], seed=1) != choose(planted, [2, 5])

    users: dict[int, list[torch.Tensor]] = {2: [], 5: []}

    class Recorded(KMeans):
        def __init__(self, count: int) -> None:
            super().__init__(num_segments=count)
            self.count = count

        def fit(self, graph, embeddings, rng, *context):  # type: ignore[no-untyped-def]
            assert graph.num_users == len(embeddings.users)
            users[self.count].append(embeddings.users)
            return super().fit(graph, embeddings, rng, *context)

    choose_num_segments(
        Recorded, [2, 5], planted.graph, planted.embeddings, np.random.default_rng(0), draws=2
    )
    assert [len(part) for part in users[2]] == [72, 72, 72, 72, 90]
    assert all(torch.equal(a, b) for a, b in zip(users[2], users[5], strict=True))
    assert not torch.equal(users[2][0], users[2][1])


@pytest.mark.parametrize(
    ("candidates", "options", "message"),
    [
        ([], {}, r"'candidates' must name a number of segments \(got none\)"),
        ([1, 2], {}, r"'candidates' must be from 2 to 72, the users of a subsample \(got 1\)"),
        ([2, 73], {}, r"'candidates' must be from 2 to 72, the users of a subsample \(got 73\)"),
        ([2], {"draws": 1}, r"'draws' must be at least 2 \(got 1\)"),
        ([2], {"share": 1.0}, r"'share' must be above 0.5 and below 1, .* \(got 1.0\)"),
        ([2], {"share": 0.5}, r"'share' must be above 0.5 and below 1, .* \(got 0.5\)"),
    ],
)
def test_bad_input(candidates: list[int], options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        choose(plant(), candidates, **options)
