import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gnnseg import statistics
from gnnseg.statistics import bootstrap_means, compare, holm, mean_interval, normal_interval

properties = settings(deadline=None, max_examples=100)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_bootstrap_means_vary_as_means_do() -> None:
    values = rng(1).exponential(size=200)
    means = bootstrap_means(values, rng(), 10_000)
    assert means.shape == (10_000,)
    assert means.mean() == pytest.approx(values.mean(), abs=5e-3)
    assert means.std() == pytest.approx(values.std() / math.sqrt(200), rel=0.05)


@pytest.mark.parametrize("n", [1, 3, 1_000_000, 5_000_000])
@pytest.mark.parametrize("resamples", [1, 3])
def test_number_of_resamples(n: int, resamples: int) -> None:
    assert bootstrap_means(np.ones(n), rng(), resamples).tolist() == [1] * resamples


def test_number_of_resamples_that_no_block_divides() -> None:
    """Four fit in a block."""
    assert bootstrap_means(np.ones(1_000_000), rng(), 6).tolist() == [1] * 6


def test_resamples_are_the_same_in_every_release() -> None:
    """Published intervals belong to them; written down when they were settled."""
    values = np.array([0.0, 1.0, 10.0, 100.0, 1000.0])
    assert (5 * bootstrap_means(values, rng(), 4)).round().tolist() == [1112.0, 1000.0, 2210.0, 1220.0]


def test_memory_is_bounded() -> None:
    values = rng().random(20_000)
    tracemalloc.start()
    bootstrap_means(values, rng(), 1_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 80e6  # all resamples at once would take 240 MB


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_interval_against_scipy(level: float) -> None:
    values = rng(2).exponential(size=150)
    found = mean_interval(values, rng(), level)
    oracle = stats.bootstrap(
        (values,), np.mean, confidence_level=level, method="percentile", n_resamples=9_999, rng=rng(5)
    ).confidence_interval
    width = oracle.high - oracle.low
    assert found.mean == values.mean()
    assert found.low == pytest.approx(oracle.low, abs=0.05 * width)
    assert found.high == pytest.approx(oracle.high, abs=0.05 * width)


def test_fewer_resamples_give_another_interval() -> None:
    values = rng(2).exponential(size=150)
    few, many = mean_interval(values, rng(), resamples=3), mean_interval(values, rng())
    assert few.mean == many.mean
    assert few.high - few.low < 0.9 * (many.high - many.low)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_normal_interval(level: float) -> None:
    values = rng(2).exponential(size=150)
    found = normal_interval(values, level)
    low, high = stats.norm.interval(level, values.mean(), values.std() / math.sqrt(150))
    assert (found.mean, found.low, found.high) == pytest.approx((values.mean(), low, high))
    bootstrap = mean_interval(values, rng(), level)
    assert found.low == pytest.approx(bootstrap.low, abs=0.1 * (high - low))


def test_normal_interval_of_nothing() -> None:
    found = normal_interval(np.array([]))
    assert all(math.isnan(value) for value in (found.mean, found.low, found.high))


def test_interval_covers_the_mean_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 500)
    draws = rng(3)
    inside = 0
    for trial in range(400):
        found = mean_interval(draws.normal(2.0, 1.0, size=60), rng(trial), 0.9)
        inside += found.low <= 2.0 <= found.high
    # 360 expected, standard deviation 6; the percentile interval is a little short
    assert 335 <= inside <= 380


def test_interval_repeats() -> None:
    values = rng(1).random(30)
    assert mean_interval(values, rng(7)) == mean_interval(values, rng(7))


def test_interval_of_one_value() -> None:
    found = mean_interval(np.array([0.5]), rng())
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)


def test_interval_of_nothing() -> None:
    found = mean_interval(np.array([]), rng())
    assert math.isnan(found.mean)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


@pytest.mark.parametrize("seed", range(3))
def test_comparison_against_scipy(seed: int) -> None:
    draws = rng(seed)
    baseline = draws.random(80)
    model = baseline + draws.normal(0.05, 0.2, size=80)
    model[::5] = baseline[::5]
    found = compare(model, baseline, rng())
    differences = model - baseline
    assert found.difference == pytest.approx(differences.mean())
    assert found.relative == pytest.approx(differences.mean() / baseline.mean())
    assert found.users == 80
    oracle = stats.wilcoxon(model, baseline, zero_method="wilcox", method="asymptotic")
    assert found.p == pytest.approx(oracle.pvalue)
    interval = mean_interval(differences, rng())
    assert (found.low, found.high) == (interval.low, interval.high)


@pytest.mark.parametrize("level", [0.5, 0.8])
def test_the_level_of_a_comparison(level: float) -> None:
    draws = rng(5)
    model, baseline = draws.random(40), draws.random(40)
    found, whole = compare(model, baseline, rng(), level), compare(model, baseline, rng())
    interval = mean_interval(model - baseline, rng(), level)
    assert (found.low, found.high) == (interval.low, interval.high)
    assert found.high - found.low < 0.8 * (whole.high - whole.low)


def test_p_value_by_the_normal_distribution_of_rank_sums() -> None:
    """Wilcoxon's statistic by hand: users who do not differ are left out, nothing is corrected."""
    baseline = np.zeros(11)
    model = np.array([0.5, -0.1, 0.3, 0.9, 0.7, -0.2, 0.6, 0.4, 1.1, 0.8, 0.0])
    n, of_negative = 10, 1 + 2  # ranks of 0.1 and 0.2
    z = (of_negative - n * (n + 1) / 4) / math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    expected = math.erfc(abs(z) / math.sqrt(2))
    assert compare(model, baseline, rng()).p == pytest.approx(expected, rel=1e-9)
    assert compare(model[:10], baseline[:10], rng()).p == pytest.approx(expected, rel=1e-9)


def test_p_value_is_near_the_exact_one() -> None:
    draws = rng(4)
    baseline = draws.random(40)
    model = baseline + draws.normal(0.1, 0.3, size=40)
    exact = stats.wilcoxon(model, baseline, method="exact").pvalue
    assert compare(model, baseline, rng()).p == pytest.approx(exact, rel=0.1)


def test_comparison_turns_round() -> None:
    a, b = rng(1).random(50), rng(2).random(50)
    there, back = compare(a, b, rng(3)), compare(b, a, rng(3))
    assert there.difference == pytest.approx(-back.difference)
    assert there.low == pytest.approx(-back.high)
    assert there.p == pytest.approx(back.p)


def test_p_values_are_uniform_where_nothing_differs() -> None:
    draws = rng(8)
    p = [compare(draws.normal(size=30), draws.normal(size=30), rng()).p for _ in range(40)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_equal_models() -> None:
    values = rng(1).random(20)
    found = compare(values, values.copy(), rng())
    assert (found.difference, found.relative, found.low, found.high, found.p) == (0, 0, 0, 0, 1)


@pytest.mark.parametrize("n", [1, 2])
def test_few_users(n: int) -> None:
    found = compare(np.full(n, 0.5), np.full(n, 0.25), rng())
    assert found.difference == 0.25
    assert 0 < found.p <= 1


def test_relative_to_a_baseline_of_zero() -> None:
    assert math.isnan(compare(np.array([0.1, 0.2]), np.zeros(2), rng()).relative)


def naive_holm(p_values: list[float]) -> list[float]:
    """The largest of all p-values up to this one, each times the number of those not smaller."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    for place, i in enumerate(order):
        factors = [(len(order) - j) * p_values[order[j]] for j in range(place + 1)]
        adjusted[i] = min(1.0, max(factors))
    return adjusted


@properties
@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm(p_values: list[float]) -> None:
    found = holm(p_values)
    assert found == pytest.approx(naive_holm(p_values))
    assert all(0 <= p <= q <= 1 for p, q in zip(p_values, found, strict=True))


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


def test_holm_rejects_what_the_step_down_procedure_rejects() -> None:
    p_values = rng(1).random(12) ** 4
    rejected = set()
    for place, i in enumerate(np.argsort(p_values)):
        if p_values[i] > 0.05 / (12 - place):
            break
        rejected.add(int(i))
    assert 0 < len(rejected) < 12
    assert {i for i, p in enumerate(holm(p_values.tolist())) if p <= 0.05} == rejected
