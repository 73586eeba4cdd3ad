from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gnnseg.batch import Batch
from gnnseg.config import Schedule
from gnnseg.encoders import GraphSAGE, LightGCN, MatrixFactorization
from gnnseg.errors import DataError, TrainingError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.heads import FiLM, SegmentHead, Shared
from gnnseg.losses import BPR, FullSoftmax, Loss, SampledSoftmax, SquaredError, SquaredErrorAllPairs
from gnnseg.model import SegmentRecommender
from gnnseg.regularizers import EmbeddingL2, SimGCL, XSimGCL
from gnnseg.sampling import SAMPLERS, NegativeSampler, Uniform
from gnnseg.segments import KMeans
from gnnseg.steps import Step
from gnnseg.training import EpochReport, TrainingState, start_training, train
from tests.graphs import from_dense, random_graph, randomise

GRAPH = random_graph()
Weights = dict[str, Tensor]


def plain_model(dropout: float = 0.0) -> SegmentRecommender:
    torch.manual_seed(1)
    return SegmentRecommender(GraphSAGE(GRAPH.num_users, GRAPH.num_items, dim=6, dropout=dropout))


def segmented_model(head: SegmentHead | None = None) -> SegmentRecommender:
    torch.manual_seed(1)
    model = SegmentRecommender(LightGCN(GRAPH.num_users, GRAPH.num_items, dim=6, init_scale=1.0))
    segmenter = KMeans(num_segments=3).fit(GRAPH, model.embed(GRAPH), np.random.default_rng(0))
    model.add_segments(segmenter, FiLM(6, 3) if head is None else head)
    return model


def schedule(**options: Any) -> Schedule:
    return Schedule(**{"epochs": 3, "batch_size": 10, "learning_rate": 0.05, "num_negatives": 4, **options})


def start(model: SegmentRecommender, how: Schedule, stage: int = 1, seed: int = 0) -> TrainingState:
    return start_training(model, how, torch.Generator().manual_seed(seed), stage)


def fit(
    model: SegmentRecommender, how: Schedule, stage: int = 1, loss: Loss | None = None
) -> list[EpochReport]:
    torch.manual_seed(2)
    return list(train(model, GRAPH, loss or BPR(), how, start(model, how, stage)))


def weights(model: SegmentRecommender) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def moved(before: Weights, model: SegmentRecommender) -> set[str]:
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


def gradients(model: SegmentRecommender) -> Weights:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
@pytest.mark.parametrize("stage", [1, 2])
def test_with_learning_rate_zero_nothing_moves(stage: int, weight_decay: float) -> None:
    model = plain_model() if stage == 1 else segmented_model()
    before = weights(model)
    how = schedule(learning_rate=0.0, encoder_rate=1.0, weight_decay=weight_decay)
    reports = fit(model, how, stage)
    assert len(reports) == 3
    assert not moved(before, model)


def test_with_a_learning_rate_everything_moves() -> None:
    model = plain_model()
    before = weights(model)
    fit(model, schedule())
    assert moved(before, model) == set(before)


@pytest.mark.parametrize("batch_size", [10, 1000])
def test_equal_epochs_give_equal_gradients(batch_size: int) -> None:
    """A missing ``zero_grad`` would add the first epoch's gradients to the second's."""
    model, how = plain_model(), schedule(epochs=2, learning_rate=0.0, batch_size=batch_size)
    state = start(model, how)
    found = []
    for _ in train(model, GRAPH, BPR(), how, state):
        found.append(gradients(model))
        state.generator.manual_seed(0)
    first, second = found
    assert set(first) == {name for name, _ in model.named_parameters()}
    for name in first:
        assert first[name].abs().max() > 0
        assert torch.equal(first[name], second[name])


def test_gradients_left_over_from_elsewhere_are_not_used() -> None:
    clean, dirty, how = plain_model(), plain_model(), schedule(epochs=1)
    for parameter in dirty.parameters():
        parameter.grad = torch.full_like(parameter, 100.0)
    fit(clean, how)
    fit(dirty, how)
    assert not moved(weights(clean), dirty)


def test_one_step_is_the_gradient_of_the_loss_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One batch of everything, against the loss written out pair by pair, with drawn items known by user."""
    dense = GRAPH.biadjacency().toarray()
    free = torch.from_numpy(np.stack([np.resize(np.flatnonzero(row == 0), 4) for row in dense]))
    monkeypatch.setattr(Uniform, "uniform", lambda self, users, count, generator: free[users])
    model, how = plain_model(), schedule(epochs=1, batch_size=1000, learning_rate=0.0)
    [report] = fit(model, how)
    found = gradients(model)
    model.zero_grad()
    users, items = model(GRAPH)
    losses = [
        -F.logsigmoid(users[user] @ items[item] - users[user] @ items[other])
        for user, item in np.argwhere(dense).tolist()
        for other in free[user].tolist()
    ]
    expected = torch.stack(losses).mean()
    expected.backward()
    assert report.loss == pytest.approx(expected.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("batch_size", [7, 10, 1000])
def test_the_reported_loss_is_the_mean_over_interactions(batch_size: int) -> None:
    """With nothing learned, however the last batch is cut."""
    seen: list[tuple[float, int]] = []

    class Recorded(BPR):
        def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
            value: Tensor = super().forward(positive, negative)
            seen.append((value.item(), len(positive)))
            return value

    model = plain_model()
    [report] = fit(model, schedule(epochs=1, learning_rate=0.0, batch_size=batch_size), loss=Recorded())
    sizes = [size for _, size in seen]
    assert sum(sizes) == GRAPH.num_edges
    assert max(sizes) == min(batch_size, GRAPH.num_edges)
    assert report.loss == pytest.approx(sum(v * n for v, n in seen) / GRAPH.num_edges, rel=1e-5)


def test_every_pair_is_seen_once_an_epoch_with_items_drawn_for_its_user() -> None:
    positives: list[float] = []
    negatives: list[Tensor] = []

    class Recorded(BPR):
        def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
            assert negative.shape == (len(positive), 4)
            positives.extend(positive.tolist())
            negatives.extend(negative.detach())
            return super().forward(positive, negative)  # type: ignore[no-any-return]

    model = plain_model()
    scores = model.scorer(GRAPH).score(torch.arange(GRAPH.num_users))
    pairs = torch.from_numpy(np.argwhere(GRAPH.biadjacency().toarray()))
    expected = scores[pairs[:, 0], pairs[:, 1]]
    fit(model, schedule(epochs=1, learning_rate=0.0), loss=Recorded())
    torch.testing.assert_close(torch.tensor(positives).sort().values, expected.sort().values)
    assert not torch.allclose(torch.tensor(positives), expected)
    distance = (torch.tensor(positives).unsqueeze(1) - expected).abs()
    for user, drawn in zip(pairs[distance.argmin(1), 0].tolist(), negatives, strict=True):
        others = scores[user][torch.from_numpy(GRAPH.biadjacency().toarray()[user]) == 0]
        assert (drawn.unsqueeze(1) - others).abs().amin(1).max() < 1e-6


def test_cosine_losses_see_cosines() -> None:
    class Bounded(SampledSoftmax):
        def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
            assert positive.abs().max() <= 1.0001
            assert negative.abs().max() <= 1.0001
            return super().forward(positive, negative)  # type: ignore[no-any-return]

    def model() -> SegmentRecommender:
        torch.manual_seed(0)
        return SegmentRecommender(
            MatrixFactorization(GRAPH.num_users, GRAPH.num_items, dim=6, init_scale=9.0)
        )

    fit(model(), schedule(), loss=Bounded())
    with pytest.raises(AssertionError):
        fit(model(), schedule(), loss=Bounded(cosine=False))


def test_same_seed_same_weights() -> None:
    first, again, other = plain_model(0.3), plain_model(0.3), plain_model(0.3)
    losses = [[report.loss for report in fit(model, schedule())] for model in (first, again)]
    assert losses[0] == losses[1]
    assert not moved(weights(first), again)
    torch.manual_seed(2)
    list(train(other, GRAPH, BPR(), schedule(), start(other, schedule(), seed=1)))
    assert moved(weights(first), other)


def test_the_loss_falls() -> None:
    reports = fit(plain_model(), schedule(epochs=15))
    assert reports[-1].loss < 0.7 * reports[0].loss


def test_reports() -> None:
    reports = fit(plain_model(), schedule())
    assert [report.epoch for report in reports] == [1, 2, 3]
    for report in reports:
        assert report.seconds > 0
        assert report.rate == pytest.approx(GRAPH.num_edges / report.seconds)


def test_no_epochs_yield_nothing() -> None:
    model = plain_model()
    before = weights(model)
    assert fit(model, schedule(epochs=0)) == []
    assert not moved(before, model)


def test_the_caller_stops_when_it_likes() -> None:
    model, how = plain_model(), schedule(epochs=1000)
    state = start(model, how)
    for report in train(model, GRAPH, BPR(), how, state):
        assert state.epoch == report.epoch
        if report.epoch == 2:
            break
    assert state.epoch == 2


def test_going_on_from_a_state_equals_not_having_stopped() -> None:
    how = schedule(epochs=5)
    whole = plain_model()
    expected = fit(whole, how)

    def first_part() -> Iterator[EpochReport]:
        for report in train(model, GRAPH, BPR(), how, state):
            yield report
            if report.epoch == 2:
                return

    model = plain_model()
    torch.manual_seed(2)
    state = start(model, how)
    found = list(first_part())
    saved_model, saved_optimizer = (
        copy.deepcopy(model.state_dict()),
        copy.deepcopy(state.optimizer.state_dict()),
    )
    saved_generator = state.generator.get_state()

    other = SegmentRecommender(GraphSAGE(GRAPH.num_users, GRAPH.num_items, dim=6))
    other.load_state_dict(saved_model)
    state = start(other, how, seed=99)
    state.optimizer.load_state_dict(saved_optimizer)
    state.generator.set_state(saved_generator)
    state.epoch = 2
    found += list(train(other, GRAPH, BPR(), how, state))
    assert [(r.epoch, r.loss) for r in found] == [(r.epoch, r.loss) for r in expected]
    assert not moved(weights(whole), other)


def test_training_mode_is_set_anew_each_epoch() -> None:
    """The caller evaluates in between, in evaluation mode."""
    watched, left = plain_model(0.5), plain_model(0.5)
    torch.manual_seed(2)
    how = schedule()
    for _ in train(watched, GRAPH, BPR(), how, start(watched, how)):
        watched.eval()
    fit(left, how)
    assert not moved(weights(left), watched)


class Counting(LightGCN):
    """Counts its forward passes."""

    calls = 0

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        self.calls += 1
        return super().forward(graph)


def test_a_frozen_encoder_runs_once_and_does_not_move() -> None:
    model = segmented_model()
    encoder = Counting(GRAPH.num_users, GRAPH.num_items, dim=6)
    model.encoder = encoder
    before = weights(model)
    fit(model, schedule(weight_decay=0.5), stage=2)
    assert encoder.calls == 1
    assert moved(before, model) == {"head.scale", "head.shift"}
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_an_encoder_with_a_rate_of_its_own_moves_with_the_head() -> None:
    model = segmented_model()
    encoder = Counting(GRAPH.num_users, GRAPH.num_items, dim=6)
    model.encoder = encoder
    before = weights(model)
    how = schedule(encoder_rate=0.1)
    reports = fit(model, how, stage=2)
    assert encoder.calls == len(reports) * -(-GRAPH.num_edges // 10)
    assert moved(before, model) == {
        "encoder.users.weight",
        "encoder.items.weight",
        "head.scale",
        "head.shift",
    }


def test_learning_rates_of_both_stages() -> None:
    def rates(model: SegmentRecommender, how: Schedule, stage: int) -> dict[str, float]:
        names = {id(parameter): name.split(".")[0] for name, parameter in model.named_parameters()}
        groups = start(model, how, stage).optimizer.param_groups
        return {names[id(p)]: group["lr"] for group in groups for p in group["params"]}

    how = schedule(learning_rate=0.2, encoder_rate=0.1)
    assert rates(plain_model(), how, 1) == {"encoder": 0.2}
    assert rates(segmented_model(), how, 2) == {"encoder": pytest.approx(0.02), "head": 0.2}
    assert rates(segmented_model(), schedule(learning_rate=0.2), 2) == {"head": 0.2}


def test_stage_one_thaws_what_stage_two_froze() -> None:
    model = segmented_model()
    start(model, schedule(), stage=2)
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())
    start(model, schedule(), stage=1)
    assert all(parameter.requires_grad for parameter in model.encoder.parameters())


def test_a_head_without_parameters_on_a_frozen_encoder_trains_nothing() -> None:
    model = segmented_model(Shared(6, 3))
    before = weights(model)
    reports = fit(model, schedule(), stage=2)
    assert [report.epoch for report in reports] == [1, 2, 3]
    assert all(np.isfinite(report.loss) for report in reports)
    assert not moved(before, model)


def test_a_head_without_parameters_with_an_encoder_that_moves() -> None:
    model = segmented_model(Shared(6, 3))
    before = weights(model)
    fit(model, schedule(encoder_rate=0.5), stage=2)
    assert moved(before, model) == {"encoder.users.weight", "encoder.items.weight"}


def test_weight_decay_is_decoupled() -> None:
    """Without gradients AdamW shrinks by ``1 - rate * decay`` a step."""

    class Flat(Loss):
        def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
            return positive.sum() * 0 + negative.sum() * 0

    model = plain_model()
    before = weights(model)
    fit(model, schedule(epochs=1, batch_size=1000, learning_rate=0.1, weight_decay=0.5), loss=Flat())
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name] * 0.95)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_training(value: float) -> None:
    class Broken(Loss):
        steps = 0

        def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
            self.steps += 1
            return positive.mean() * 0 + (value if self.steps > 5 else 1.0)

    how, found = schedule(learning_rate=0.05, epochs=9), []
    model = plain_model()
    steps = -(-GRAPH.num_edges // 10)
    assert 5 // steps + 1 == 2
    where = f"in epoch 2, step {6 - steps} of {steps}"
    with pytest.raises(
        TrainingError, match=rf"^the loss is {value} {where}; try a lower .*now 0\.05.*checkpoint .* kept$"
    ):
        found.extend(train(model, GRAPH, Broken(), how, start(model, how)))


def test_an_overflow_of_the_model_itself_is_noticed() -> None:
    model, how = plain_model(), schedule(epochs=5)
    randomise(model, std=1e20)
    with pytest.raises(TrainingError, match="in epoch 1"):
        list(train(model, GRAPH, SquaredError(), how, start(model, how)))


def test_a_user_with_all_items_is_refused_before_anything_moves() -> None:
    graph = from_dense(np.array([[1, 1], [1, 0]]))
    model = SegmentRecommender(LightGCN(2, 2, dim=3))
    before = weights(model)
    with pytest.raises(DataError, match="a user has all 2 items"):
        list(train(model, graph, BPR(), schedule(), start(model, schedule())))
    assert not moved(before, model)


@pytest.mark.parametrize("loss", [FullSoftmax(), SquaredErrorAllPairs()])
def test_losses_that_want_no_draws_take_users_with_all_items(loss: Loss) -> None:
    graph = from_dense(np.array([[1, 1], [1, 0]]))
    torch.manual_seed(0)
    model, how = SegmentRecommender(LightGCN(2, 2, dim=3)), schedule(epochs=10)
    reports = list(train(model, graph, loss, how, start(model, how)))
    assert reports[-1].loss < reports[0].loss


def test_a_whole_table_loss_of_cosines_sees_unit_vectors() -> None:
    class Watched(FullSoftmax):
        def of(self, tables: Embeddings, batch: Batch) -> Tensor:
            for table in tables:
                torch.testing.assert_close(table.norm(dim=1), torch.ones(len(table)))
            return super().of(tables, batch)

    fit(plain_model(), schedule(epochs=1), loss=Watched(cosine=True))
    with pytest.raises(AssertionError):
        fit(plain_model(), schedule(epochs=1), loss=Watched(cosine=False))


def test_an_epoch_of_small_batches_has_the_exact_loss_of_all_pairs() -> None:
    model, how = plain_model(), schedule(epochs=1, learning_rate=0.0, batch_size=7)
    [report] = fit(model, how, loss=SquaredErrorAllPairs(negative_weight=0.3))
    scores = model.scorer(GRAPH).score(torch.arange(GRAPH.num_users))
    links = torch.from_numpy(GRAPH.biadjacency().toarray())
    dense = ((1 - scores).square() * links).sum() + 0.3 * (scores.square() * (1 - links)).sum()
    assert report.loss == pytest.approx(float(dense) / GRAPH.num_edges, rel=1e-5)


class Fixed(NegativeSampler):
    """The first items that each user lacks, with a probability of its own."""

    def draw(self, batch: Batch, tables: Embeddings, count: int, generator: torch.Generator) -> Tensor:
        dense = self.graph.biadjacency().toarray()
        rows = [np.flatnonzero(dense[user] == 0)[:count] for user in batch.users.tolist()]
        return torch.from_numpy(np.stack(rows))

    def log_q(self, users: Tensor, items: Tensor) -> Tensor:
        return items.float() / 10


def test_the_sampler_draws_and_tells_its_probabilities() -> None:
    model, how = plain_model(), schedule(epochs=1, learning_rate=0.0, num_negatives=2)
    loss = SampledSoftmax(temperature=0.5, cosine=False, log_q=True)
    [report] = train(model, GRAPH, loss, how, start(model, how), Fixed(GRAPH))
    scores = model.scorer(GRAPH).score(torch.arange(GRAPH.num_users))
    dense = GRAPH.biadjacency().toarray()
    losses = []
    for user, item in np.argwhere(dense).tolist():
        drawn = np.flatnonzero(dense[user] == 0)[:2].tolist()
        others = [scores[user, other] / 0.5 - other / 10 for other in drawn]
        losses.append(F.cross_entropy(torch.stack([scores[user, item] / 0.5, *others]), torch.tensor(0)))
    assert report.loss == pytest.approx(float(torch.stack(losses).mean()), rel=1e-5)


@pytest.mark.parametrize("name", SAMPLERS.classes())
def test_every_sampler_teaches(name: str) -> None:
    model, how = plain_model(), schedule(epochs=15)
    sampler = SAMPLERS.create(name, GRAPH)
    torch.manual_seed(2)
    reports = list(train(model, GRAPH, BPR(), how, start(model, how), sampler))
    assert reports[-1].loss < 0.85 * reports[0].loss


def test_samplers_see_what_the_loss_multiplies() -> None:
    seen: list[Embeddings] = []

    class Seeing(Uniform):
        def draw(self, batch: Batch, tables: Embeddings, count: int, generator: torch.Generator) -> Tensor:
            seen.append(tables)
            return super().draw(batch, tables, count, generator)

    model, how = plain_model(), schedule(epochs=1)
    list(train(model, GRAPH, SampledSoftmax(), how, start(model, how), Seeing(GRAPH)))
    assert all(torch.allclose(t.norm(dim=1), torch.ones(len(t))) for tables in seen for t in tables)


def test_a_parameter_that_overflows_in_the_last_step_is_noticed_in_its_epoch() -> None:
    """Else it would be saved as if it could be gone on with."""

    class Steep(Loss):
        def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
            return (positive * 0).sum().sqrt()  # finite itself, not its slope

    model, how = plain_model(), schedule(epochs=3, batch_size=1000)
    with pytest.raises(TrainingError, match=r"^a parameter is not finite after epoch 1, step 1 of 1; try"):
        list(train(model, GRAPH, Steep(), how, start(model, how)))


class Waiting(TorchDispatchMode):
    """Refuses operations that make the host wait for a device."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "equal.default", "is_nonzero")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert not any(name in str(func) for name in self.FORBIDDEN), func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("sampler", SAMPLERS.classes())
@pytest.mark.parametrize("loss", [BPR(), SampledSoftmax(log_q=True), FullSoftmax(own_items=False)])
def test_off_the_cpu_no_step_waits(monkeypatch: pytest.MonkeyPatch, loss: Loss, sampler: str) -> None:
    """Whatever is looked at in the forward pass is made on the device."""
    true_loss_of = Step.loss_of

    def watched(self: Step, users: Tensor, items: Tensor) -> Tensor:
        with Waiting():
            return true_loss_of(self, users, items)

    monkeypatch.setattr(Step, "loss_of", watched)
    torch.manual_seed(1)
    encoder = LightGCN(GRAPH.num_users, GRAPH.num_items, dim=6, edge_dropout=0.1, message_dropout=0.1)
    model, how = SegmentRecommender(encoder), schedule(epochs=1)
    regularizers = [EmbeddingL2(), SimGCL(), XSimGCL()]
    arguments = (model, GRAPH, loss, how, start(model, how), SAMPLERS.create(sampler, GRAPH), regularizers)
    with pytest.raises(AssertionError, match="unique"):
        list(train(*arguments))
    monkeypatch.setattr("gnnseg.batch.prompt", lambda device: False)
    monkeypatch.setattr("gnnseg.training.prompt", lambda device: False)
    assert len(list(train(*arguments))) == 1


def test_off_the_cpu_the_step_that_diverged_is_found_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(FullSoftmax):
        steps = 0

        def of(self, tables: Embeddings, batch: Batch) -> Tensor:
            self.steps += 1
            return super().of(tables, batch) * (torch.nan if self.steps == 2 else 1)

    monkeypatch.setattr("gnnseg.training.prompt", lambda device: False)
    model, how, loss = plain_model(), schedule(), Broken()
    steps = -(-GRAPH.num_edges // 10)
    with pytest.raises(TrainingError, match=f"nan in epoch 1, step 2 of {steps}"):
        list(train(model, GRAPH, loss, how, start(model, how)))
    assert loss.steps == steps


def test_off_the_cpu_training_is_the_same_where_nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    on, off = plain_model(), plain_model()
    fit(on, schedule(), loss=FullSoftmax())
    monkeypatch.setattr("gnnseg.batch.prompt", lambda device: False)
    fit(off, schedule(), loss=FullSoftmax())
    for name, tensor in on.state_dict().items():
        torch.testing.assert_close(off.state_dict()[name], tensor, rtol=1e-3, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_on_cuda(precision: str) -> None:
    graph, how = GRAPH.to("cuda"), schedule(epochs=15, precision=precision)
    model = plain_model().to("cuda")
    state = start_training(model, how, torch.Generator("cuda").manual_seed(0))
    reports = list(train(model, graph, BPR(), how, state))
    assert reports[-1].loss < 0.7 * reports[0].loss
