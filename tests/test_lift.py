from __future__ import annotations

import pytest

from gnnseg.checkpoint import load_run
from gnnseg.evaluation import evaluate
from gnnseg.lift import _global
from gnnseg.scoring import Gated
from tests.runs import local_folder, local_run, saved_run, trained


def test_the_global_model_is_the_one_without_the_local_model() -> None:
    local_run()
    saved = load_run(local_folder())
    assert isinstance(saved.scorer, Gated)
    assert _global(saved) is saved.scorer.whole


def test_the_global_model_is_the_one_without_the_head() -> None:
    """Its validation metric is the one that the head was compared with."""
    trained()
    data, decision = trained().data, trained().decision
    assert decision is not None
    found = evaluate(_global(load_run(saved_run())), data.choosing, data.train, ["ndcg@10"])
    assert found.means["ndcg@10"] == pytest.approx(decision["global"], abs=1e-6)
