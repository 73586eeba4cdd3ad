import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from gnnseg import ranking
from gnnseg.errors import ConfigError, TooLargeError
from gnnseg.ranking import top_k, top_k_blocks
from gnnseg.scoring import Constant, DotProduct, Scorer


class Table(Scorer):
    """Scores that are written down, ``[U, I]``."""

    table: Tensor

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self.num_items = table.shape[1]
        self.register_buffer("table", torch.from_numpy(table.astype(np.float32)))
        self.asked: list[int] = []

    def score(self, users: Tensor) -> Tensor:
        assert users.dtype == torch.int64
        self.asked.append(len(users))
        return self.table[users]


def naive(
    table: np.ndarray, users: np.ndarray, k: int, seen: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """One sort a user."""
    items, scores = [], []
    for user in users:
        row = table[user].astype(np.float32).copy()
        if seen is not None:
            row[seen[user]] = -np.inf
        best = np.argsort(-row, kind="stable")[:k]
        items.append(best)
        scores.append(row[best])
    return np.array(items).reshape(-1, k), np.array(scores).reshape(-1, k)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """Scores without ties, users in any order and repeated, ``k``, and a mask of what was seen."""
    num_users, num_items = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    table = rng.permutation(num_users * num_items).reshape(num_users, num_items) - 20.0
    seen = rng.random(table.shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    users = draw(st.lists(st.integers(0, num_users - 1), max_size=8))
    return table, np.array(users, dtype=np.int64), draw(st.integers(1, num_items)), seen


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases(), st.sampled_from([1, 7, 20, 2**24]))
def test_against_one_sort_a_user(
    monkeypatch: pytest.MonkeyPatch, case: tuple[np.ndarray, np.ndarray, int, np.ndarray], block: int
) -> None:
    table, users, k, seen = case
    monkeypatch.setattr(ranking, "BLOCK_SCORES", block)
    items, scores = top_k(Table(table), users, k, sp.csr_matrix(seen))
    expected_items, expected_scores = naive(table, users, k, seen)
    assert items.dtype == np.int64
    assert scores.dtype == np.float32
    assert items.shape == scores.shape == (len(users), k)
    np.testing.assert_array_equal(scores, expected_scores)
    left = np.isfinite(scores)
    np.testing.assert_array_equal(items[left], expected_items[left])
    for user, row, kept in zip(users, items, left, strict=True):
        assert not seen[user, row[kept]].any()
        assert kept.sum() == min(k, (~seen[user]).sum())
        assert len(set(row.tolist())) == k


def test_without_a_mask() -> None:
    table = np.random.default_rng(0).random((5, 8))
    items, scores = top_k(Table(table), np.arange(5), 3)
    expected_items, expected_scores = naive(table, np.arange(5), 3, None)
    np.testing.assert_array_equal(items, expected_items)
    np.testing.assert_array_equal(scores, expected_scores)


def test_fewer_left_than_asked_for() -> None:
    seen = np.array([[True, False, True, False]])
    items, scores = top_k(Table(np.array([[4.0, 3.0, 2.0, 1.0]])), np.array([0]), 3, sp.csr_matrix(seen))
    assert items[0, :2].tolist() == [1, 3]
    assert scores[0].tolist() == [3, 1, -np.inf]


def test_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.random.default_rng(1).random((10, 6))
    seen = sp.csr_matrix(np.random.default_rng(2).random((10, 6)) < 0.4)
    whole = top_k(Table(table), np.arange(10), 4, seen)
    monkeypatch.setattr(ranking, "BLOCK_SCORES", 20)
    scorer, told = Table(table), []
    blocked = top_k(scorer, np.arange(10), 4, seen, told.append)
    np.testing.assert_array_equal(blocked[0], whole[0])
    np.testing.assert_array_equal(blocked[1], whole[1])
    assert scorer.asked == told == [3, 3, 3, 1]


def test_one_user_a_block_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "BLOCK_SCORES", 1)
    scorer = Table(np.ones((3, 6)))
    top_k(scorer, np.arange(3), 2)
    assert scorer.asked == [1, 1, 1]


def test_nobody() -> None:
    scorer = Table(np.ones((3, 6)))
    items, scores = top_k(scorer, np.array([], dtype=np.int64), 2)
    assert items.shape == scores.shape == (0, 2)
    assert scorer.asked == []


@pytest.mark.parametrize("kind", [np.int32, np.uint16, list])
def test_rows_of_any_integer_type(kind: type) -> None:
    table = np.random.default_rng(0).random((5, 8))
    rows = [4, 0] if kind is list else np.array([4, 0], dtype=kind)
    assert np.array_equal(top_k(Table(table), rows, 3)[0], naive(table, [4, 0], 3, None)[0])


@pytest.mark.parametrize("seen", [None, sp.csr_matrix(np.eye(4, 6))])
def test_only_allowed_items_are_ranked(seen: sp.csr_matrix | None) -> None:
    table = np.random.default_rng(4).random((4, 6)) - 0.5
    allowed = np.array([True, True, False, True, False, False])
    closed = np.tile(~allowed, (4, 1)) | (False if seen is None else seen.toarray() > 0)
    items, scores = top_k(Table(table), np.arange(4), 3, seen, allowed=torch.from_numpy(allowed))
    expected_items, expected_scores = naive(table, np.arange(4), 3, closed)
    np.testing.assert_array_equal(scores, expected_scores)
    left = np.isfinite(scores)
    np.testing.assert_array_equal(items[left], expected_items[left])
    assert left.sum() == (~closed).sum()


class Elsewhere(Scorer):
    """Scores that lie on another device, ``meta``, which knows shapes and types and refuses other devices."""

    num_items = 6

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.empty(6, device="meta"))

    def score(self, users: Tensor) -> Tensor:
        assert users.device.type == "meta"
        return self.table.repeat(len(users), 1)


def test_everything_is_moved_to_the_device_of_the_scorer(monkeypatch: pytest.MonkeyPatch) -> None:
    def pairs(indptr: Tensor, indices: Tensor, users: Tensor) -> tuple[Tensor, Tensor]:
        assert {part.device.type for part in (indptr, indices, users)} == {"meta"}
        return users[:1], users[:1]

    monkeypatch.setattr(ranking, "history_pairs", pairs)
    seen, allowed = sp.csr_matrix(np.eye(3, 6)), torch.ones(6, dtype=torch.bool)
    moved = []
    masked_fill = Tensor.masked_fill_
    monkeypatch.setattr(
        Tensor,
        "masked_fill_",
        lambda x, mask, value: moved.append(mask.device) or masked_fill(x, mask, value),
    )
    found = list(top_k_blocks(Elsewhere(), np.arange(3), 2, seen, allowed))
    assert [(part.device.type, part.shape) for part in found[0]] == [("meta", (3, 2))] * 2
    assert moved == [torch.device("meta")]


@pytest.mark.parametrize("users", [[0], [0, 1, 1]])
def test_the_scorer_is_left_as_it_is(users: list[int]) -> None:
    """What one user has seen must be masked for nobody else, even where scores are shared."""
    seen = sp.csr_matrix(np.array([[0, 0, 0, 1], [0, 0, 1, 0]]))
    scorer = Constant(torch.arange(4.0))
    first, _ = top_k(scorer, np.array(users), 2, seen)
    assert first.tolist() == [[[2, 1], [3, 1]][user] for user in users]
    assert scorer.items.tolist() == [0, 1, 2, 3]


def test_no_gradient_is_kept() -> None:
    tables = torch.randn(4, 3, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    items, _ = top_k(DotProduct(*tables), np.arange(4), 5)
    expected = (tables[0] @ tables[1].T).argsort(1, descending=True)
    np.testing.assert_array_equal(items, expected.numpy())


@pytest.mark.parametrize("k", [-1, 0, 7])
def test_k_out_of_range(k: int) -> None:
    with pytest.raises(ConfigError, match=rf"'k' must be between 1 and the number of items 6 \(got {k}\)"):
        top_k(Table(np.ones((3, 6))), np.arange(3), k)


class Small(Table):
    """Scores so many users at once, and runs out of memory for more."""

    def __init__(self, table: np.ndarray, most: int, error: type[BaseException]) -> None:
        super().__init__(table)
        self.most, self.error = most, error

    def score(self, users: Tensor) -> Tensor:
        if len(users) > self.most:
            raise self.error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return super().score(users)


class TestLittleMemory:
    TABLE = np.random.default_rng(0).normal(size=(13, 7))

    @pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
    @pytest.mark.parametrize("most", [1, 2, 5, 13])
    def test_blocks_shrink(self, most: int, error: type[BaseException]) -> None:
        scorer = Small(self.TABLE, most, error)
        items, scores = top_k(scorer, np.arange(13), 3)
        expected_items, expected_scores = naive(self.TABLE, np.arange(13), 3, None)
        assert np.array_equal(items, expected_items)
        assert np.array_equal(scores, expected_scores)
        assert sum(scorer.asked) == 13

    def test_halves(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        monkeypatch.setattr(ranking, "BLOCK_SCORES", 8 * 7)
        scorer = Small(self.TABLE, 3, torch.OutOfMemoryError)
        top_k(scorer, np.arange(13), 3)
        assert scorer.asked == [2] * 6 + [1]
        assert [record.args[1] for record in caplog.records] == [4, 2]

    def test_one_user_is_too_many(self) -> None:
        with pytest.raises(TooLargeError, match="the scores of one user for 7 items do not fit into"):
            top_k(Small(self.TABLE, 0, torch.OutOfMemoryError), np.arange(13), 3)

    def test_other_errors_are_not_taken_for_it(self) -> None:
        class Broken(Table):
            def score(self, users: Tensor) -> Tensor:
                self.asked.append(len(users))
                raise RuntimeError("shapes do not match")

        scorer = Broken(self.TABLE)
        with pytest.raises(RuntimeError, match="shapes do not match"):
            top_k(scorer, np.arange(13), 3)
        assert scorer.asked == [13]
