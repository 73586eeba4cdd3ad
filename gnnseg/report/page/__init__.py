"""A run as one page that opens from disk, offline, in any browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gnnseg.disclosure import MIN_USERS
from gnnseg.errors import GnnsegError
from gnnseg.files import write_text
from gnnseg.report.page.compared import compared
from gnnseg.report.page.described import cards, heat
from gnnseg.report.page.honesty import notes
from gnnseg.report.page.html import page
from gnnseg.report.page.inputs import Inputs, read_inputs
from gnnseg.report.page.judged import by_segment, judge
from gnnseg.report.page.layout import Method
from gnnseg.report.page.mapped import map_of
from gnnseg.report.page.people import name_users, people
from gnnseg.tracking import Tracker

__all__ = ["Method", "page", "page_data", "write_page"]

MAX_EPOCHS = 400
"""Points of a training curve; of more, so many are kept, evenly."""


def write_page(
    run: str | Path,
    out: str | Path | None = None,
    *,
    compare: str | Path | None = None,
    anonymous: bool = False,
    method: Method = "pca",
    tracker: Tracker | None = None,
) -> Path:
    """Write the page of a saved run.

    Groups of fewer than 10 users and their users are not shown.

    Args:
        run: Its folder.
        out: File to write; ``report.html`` in the folder by default.
        compare: Folder of another run to put beside it.
        anonymous: Leave outside ids of users out, and their order with them. Histories of example users stay.
        method: What places users and items on the map.
        tracker: Shown the progress.

    Returns:
        The file.

    Raises:
        GnnsegError: If a run or the file cannot be read or written, the runs share no user, or ``method``
            needs a library that is not there.
    """
    folder = Path(run)
    data = page_data(folder, compare=compare, anonymous=anonymous, method=method, tracker=tracker)
    target = folder / "report.html" if out is None else Path(out)
    if target.is_dir():
        raise GnnsegError(f"cannot write '{target}': it is a folder; name a file")
    write_text(target, page(f"{data['run']['name']} · {data['run']['dataset']['name']} · gnnseg", data))
    return target


def page_data(
    folder: Path,
    *,
    compare: str | Path | None = None,
    anonymous: bool = False,
    method: Method = "pca",
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """All that the page shows, ready for JSON.

    Args:
        folder: Of a saved run.
        compare: Folder of a second run, or None.
        anonymous: Whether outside ids of users are left out.
        method: How users and items become points of a map.
        tracker: Shown the progress.
    """
    tracker = tracker or Tracker()
    inputs = read_inputs(folder, tracker)
    with tracker.task("page", 4 + (compare is not None)) as task:
        names, judged = name_users(inputs, anonymous), judge(inputs)
        task.advance()
        segments = by_segment(inputs, judged)
        found = {
            "format": 1,
            "run": _about(inputs, anonymous),
            "notes": notes(inputs, segments),
            "figures": inputs.metrics.get("test_intervals", {}),
            "test": inputs.metrics.get("test", {}),
            "quality": inputs.segments.get("quality_intervals") or {},
            "judged": segments,
            "fairness": inputs.fairness or None,
            "curves": _curves(inputs),
        }
        task.advance()
        found |= {"segments": cards(inputs, names), "heat": heat(inputs)}
        task.advance()
        found |= {"map": map_of(inputs, judged, names, method), "people": people(inputs, judged, names)}
        task.advance()
        if compare is not None:
            found["compare"] = compared(inputs, judged, read_inputs(compare, tracker))
            task.advance()
    return found


def _about(inputs: Inputs, anonymous: bool) -> dict[str, Any]:
    config, environment = inputs.saved.config, inputs.environment
    sizes = {"name": config.dataset.name, "users": len(inputs.saved.users), "items": len(inputs.saved.items)}
    parts = (config.encoder, *config.terms, config.segmenter, config.head, config.local, config.baseline)
    decision = inputs.metrics.get("decision") or {}
    return {
        "name": config.name,
        "folder": inputs.saved.folder.name,
        "dataset": sizes | (environment.get("dataset") or {}),
        "parts": [part["name"] for part in parts if part],
        "metric": config.choose_by,
        "served": decision.get("served"),
        "measured": "run before" if inputs.metrics.get("measured") else None,
        "config": config.to_yaml(),
        "seconds": environment.get("seconds") or {},
        "environment": {
            k: environment.get(k) for k in ("gnnseg", "python", "torch", "device", "cpu", "started")
        },
        "anonymous": anonymous,
        "min_users": MIN_USERS,
    }


def _curves(inputs: Inputs) -> list[dict[str, Any]]:
    """Epoch, stage, loss and validation metrics of each epoch."""
    records = inputs.history
    step = -(-len(records) // MAX_EPOCHS) or 1
    kept = [r for n, r in enumerate(records) if n % step == 0 or any(k.startswith("valid_") for k in r)]
    keys = ("stage", "epoch", "loss")
    return [
        {k: v for k, v in r.items() if k in keys or k.startswith("valid_")} for r in kept[-2 * MAX_EPOCHS :]
    ]
