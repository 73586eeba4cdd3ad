"""Trackers of whole runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gnnseg.config import load_config
from gnnseg.errors import GnnsegError
from gnnseg.pipeline import fit, run
from gnnseg.resume import load_resume
from gnnseg.run_folder import partial_folder
from gnnseg.tracking import Tracker, Trackers
from tests.runs import (
    PLAIN,
    Interrupt,
    fill_disk,
    on_data,
)


class Lifetime(Tracker):
    """Writes down what it is told of a run's life."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def start(self, folder: Path | None, config: Mapping[str, Any], history: Any = ()) -> None:
        self.told.append(("start", folder, dict(config), len(history)))

    def finish(self, metrics: Mapping[str, Any]) -> None:
        self.told.append(("finish", dict(metrics)))

    def close(self) -> None:
        self.told.append("close")


class TestTracked:
    def test_a_run_in_memory(self) -> None:
        tracker = Lifetime()
        content = on_data({"baseline": "Popularity"})
        found = fit(content, tracker=tracker)
        config = load_config(content).resolved()
        assert tracker.told == [("start", None, config, 0), ("finish", found.metrics["test"]), "close"]

    def test_a_run_on_disk(self, tmp_path: Path) -> None:
        tracker = Lifetime()
        found = fit(on_data(PLAIN), out=tmp_path / "run", tracker=tracker)
        assert [told[:2] for told in tracker.told[:2]] == [
            ("start", partial_folder(tmp_path / "run")),
            ("finish", found.metrics["test"]),
        ]
        assert tracker.told[2:] == ["close"]

    def test_a_failure_is_not_a_finish(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tracker = Lifetime()
        fill_disk(monkeypatch, "metrics.json")
        with pytest.raises(GnnsegError):
            fit(on_data({"baseline": "Popularity"}), out=tmp_path / "run", tracker=tracker)
        assert [told[0] for told in tracker.told] == ["start", "c"]

    @pytest.mark.parametrize("where", ["memory", "disk"])
    def test_closed_when_interrupted(self, where: str, tmp_path: Path) -> None:
        tracker = Lifetime()
        out = tmp_path / "run" if where == "disk" else None
        with pytest.raises(KeyboardInterrupt):
            run(load_config(on_data(PLAIN)), out=out, tracker=Trackers([tracker, Interrupt(1, 3)]))
        assert tracker.told[-1] == "close"

    def test_told_what_came_before(self, tmp_path: Path) -> None:
        config, out = load_config(on_data(PLAIN)), tmp_path / "run"
        with pytest.raises(KeyboardInterrupt):
            run(config, out=out, tracker=Interrupt(1, 4))
        saved = load_resume(partial_folder(out), config)[1]["history"]
        tracker = Lifetime()
        run(config, resume=out, tracker=tracker)
        assert tracker.told[0][3] == len(saved) > 0
