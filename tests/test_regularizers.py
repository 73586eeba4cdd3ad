from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.batch import Batch, marked
from gnnseg.config import Schedule
from gnnseg.encoders import GraphEncoder, GraphSAGE, LightGCN, MatrixFactorization, SpectralFilter
from gnnseg.errors import ConfigError
from gnnseg.losses import BPR, SquaredErrorAllPairs
from gnnseg.model import SegmentRecommender
from gnnseg.regularizers import EmbeddingL2, SimGCL, XSimGCL, info_nce
from gnnseg.training import start_training, train
from tests.graphs import dense_normalised, random_graph

GRAPH = random_graph()
USERS, ITEMS = torch.from_numpy(GRAPH.biadjacency().toarray()).nonzero()[::2].T
DENSE = dense_normalised(GRAPH).float()


def encoder_of(**options: object) -> LightGCN:
    torch.manual_seed(0)
    return LightGCN(GRAPH.num_users, GRAPH.num_items, dim=5, **{"num_layers": 2, **options}).train()


def batch() -> Batch:
    found = Batch.of(GRAPH, USERS, ITEMS)
    return found.against(torch.randint(GRAPH.num_items, (len(found.users), 3)))


def info_nce_by_loop(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Written out, row by row."""
    losses, first, second = [], first.detach(), second.detach()
    for row in range(len(first)):
        cosines = [float(F.cosine_similarity(first[row], other, dim=0)) for other in second]
        total = sum(math.exp(cosine / temperature) for cosine in cosines)
        losses.append(-math.log(math.exp(cosines[row] / temperature) / total))
    return torch.tensor(sum(losses) / len(losses))


def noisy_layers(encoder: LightGCN, eps: float) -> list[Tensor]:
    """The passes of the SimGCL paper with dense products, from the state of the generator as it is."""
    layers = [encoder.inputs()]
    for _ in range(encoder.num_layers):
        layer = DENSE @ layers[-1]
        noise = torch.rand(layer.shape)
        layers.append(layer + layer.sign() * noise / noise.norm(dim=1, keepdim=True) * eps)
    return layers


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_info_nce(temperature: float) -> None:
    first, second = torch.randn(7, 4), torch.randn(7, 4)
    expected = info_nce_by_loop(first, second, temperature)
    torch.testing.assert_close(info_nce(first, second, temperature, None), expected)


def test_info_nce_of_marked_rows_is_that_of_the_different_ones() -> None:
    """As off the CPU, with gradients."""
    first, second = torch.randn(9, 4, requires_grad=True), torch.randn(9, 4, requires_grad=True)
    rows, counts = marked(torch.tensor([4, 0, 4, 4, 8, 0, 2]))
    found = info_nce(first[rows], second[rows], 0.3, counts)
    once = torch.tensor([0, 2, 4, 8])
    expected = info_nce(first[once], second[once], 0.3, None)
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, (first, second)),
        torch.autograd.grad(expected, (first, second)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_l2_pair_by_pair() -> None:
    encoder, some = encoder_of(), batch()
    rows, users, items = some.users.tolist(), encoder.users.weight.detach(), encoder.items.weight.detach()
    total = 0.0
    for user, item in zip(USERS.tolist(), ITEMS.tolist(), strict=True):
        drawn = some.negatives[rows.index(user)].tolist()
        total += float(users[user].square().sum() + items[item].square().sum())
        total += sum(float(items[other].square().sum()) for other in drawn) / 3
    found = EmbeddingL2(weight=0.3)(encoder, some).item()
    assert found == pytest.approx(0.3 * total / 2 / len(USERS), rel=1e-5)


def test_l2_without_drawn_items() -> None:
    encoder = encoder_of()
    squares = encoder.users.weight[USERS].square().sum() + encoder.items.weight[ITEMS].square().sum()
    found = EmbeddingL2(weight=1.0)(encoder, Batch.of(GRAPH, USERS, ITEMS))
    torch.testing.assert_close(found, squares / 2 / len(USERS))


def agreement(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """InfoNCE on the batch's different users plus that on its items, of stacked views."""
    users, items = sorted(set(USERS.tolist())), [GRAPH.num_users + n for n in sorted(set(ITEMS.tolist()))]
    return sum(
        (info_nce_by_loop(first[rows], second[rows], temperature) for rows in (users, items)),
        torch.tensor(0.0),
    )


def test_simgcl() -> None:
    encoder, some = encoder_of(), batch()
    torch.manual_seed(5)
    first, second = (sum(noisy_layers(encoder, 0.2)[1:]) / 2 for _ in range(2))
    torch.manual_seed(5)
    found = SimGCL(weight=0.7, temperature=0.4, eps=0.2)(encoder, some)
    torch.testing.assert_close(found, 0.7 * agreement(first, second, 0.4), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("include_input", [True, False])
@pytest.mark.parametrize("layer", [1, 2])
def test_xsimgcl(layer: int, include_input: bool) -> None:
    encoder, regularizer = (
        encoder_of(include_input=include_input),
        XSimGCL(weight=0.7, temperature=0.4, eps=0.2, layer=layer),
    )
    torch.manual_seed(5)
    layers = noisy_layers(encoder, 0.2)
    result = sum(layers) / 3 if include_input else sum(layers[1:]) / 2
    torch.manual_seed(5)
    tables = regularizer.embed(encoder, GRAPH)
    torch.testing.assert_close(GRAPH.stack(tables), result)
    found = regularizer(encoder, batch())
    torch.testing.assert_close(found, 0.7 * agreement(result, layers[layer], 0.4), rtol=1e-4, atol=1e-5)


def test_noise_has_its_length_and_stays_in_the_orthant() -> None:
    encoder = encoder_of(num_layers=1, include_input=False)
    noise = GRAPH.stack(XSimGCL(eps=0.3).embed(encoder, GRAPH)) - GRAPH.stack(encoder(GRAPH))
    torch.testing.assert_close(noise.norm(dim=1), torch.full((GRAPH.num_nodes,), 0.3))
    assert (noise * GRAPH.stack(encoder(GRAPH)) >= 0).all()


def test_xsimgcl_trains_on_the_pass_that_it_contrasts() -> None:
    """One pass a step, not two, and link prediction sees its noise."""
    passes = []

    class Counted(LightGCN):
        def layers(self, *arguments: object) -> list[Tensor]:
            passes.append(self.training)
            return super().layers(*arguments)  # type: ignore[arg-type]

        def forward(self, *arguments: object) -> None:
            raise AssertionError("a second pass")

    seen = []

    class Seeing(SquaredErrorAllPairs):
        def of(self, tables: object, batch: Batch) -> Tensor:
            seen.append(GRAPH.stack(tables).detach())  # type: ignore[arg-type]
            return super().of(tables, batch)  # type: ignore[arg-type]

    torch.manual_seed(0)
    model = SegmentRecommender(Counted(GRAPH.num_users, GRAPH.num_items, dim=5))
    how = Schedule(epochs=1, batch_size=10, learning_rate=0.0)
    state = start_training(model, how, torch.Generator().manual_seed(0))
    list(train(model, GRAPH, Seeing(), how, state, regularizers=[XSimGCL(eps=0.5)]))
    assert passes == [True] * len(seen)
    assert len(seen) == -(-GRAPH.num_edges // 10)
    assert not torch.allclose(seen[0], seen[1])


def test_only_one_may_make_the_pass() -> None:
    model, how = SegmentRecommender(encoder_of()), Schedule(epochs=1)
    state = start_training(model, how, torch.Generator().manual_seed(0))
    with pytest.raises(ConfigError, match=r"only one regularizer .*\(got 2\); drop one"):
        list(train(model, GRAPH, BPR(), how, state, regularizers=[XSimGCL(), XSimGCL(eps=0.1)]))


def test_layers_that_are_not_there() -> None:
    with pytest.raises(ConfigError, match=r"^XSimGCL needs layer 3 .*\(got num_layers 2\); give LightGCN as"):
        XSimGCL(layer=3).check(encoder_of())
    with pytest.raises(ConfigError, match=r"^SimGCL needs layer 1 of the encoder \(got num_layers 0\)"):
        SimGCL().check(encoder_of(num_layers=0))
    XSimGCL(layer=2).check(encoder_of())


@pytest.mark.parametrize("cls", [GraphSAGE, MatrixFactorization])
def test_noise_needs_an_encoder_with_layers_that_take_it(cls: type[GraphEncoder]) -> None:
    encoder = cls(GRAPH.num_users, GRAPH.num_items)
    for regularizer in (SimGCL(), XSimGCL()):
        with pytest.raises(ConfigError, match=rf"\(got {cls.__name__}\); use LightGCN or a subclass of it"):
            regularizer.check(encoder)
    EmbeddingL2().check(encoder)


def test_layer_0_needs_an_encoder_with_tables() -> None:
    encoder = SpectralFilter(GRAPH.num_users, GRAPH.num_items)
    with pytest.raises(
        ConfigError,
        match=r"^EmbeddingL2 needs an encoder with a free vector for each node \(got SpectralFilter\); use ",
    ):
        EmbeddingL2().check(encoder)


def test_a_frozen_encoder_is_not_regularized() -> None:
    model, how = SegmentRecommender(encoder_of()), Schedule(epochs=1)
    state = start_training(model, how, torch.Generator().manual_seed(0), stage=2)
    [plain], [found] = (
        list(train(model, GRAPH, BPR(), how, state, regularizers=some))
        for state, some in (
            (state, []),
            (start_training(model, how, torch.Generator().manual_seed(0), 2), [XSimGCL()]),
        )
    )
    assert found.loss == plain.loss
