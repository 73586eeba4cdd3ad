"""What a reader must know before believing a picture."""

from __future__ import annotations

from typing import Any

from gnnseg.report.page.inputs import Inputs

Note = dict[str, str]

WEAK = {
    "silhouette": (0.25, "no substantial structure in the vectors (Kaufman and Rousseeuw 1990)"),
    "modularity": (0.3, "below what graphs with clear communities have (Newman and Girvan 2004)"),
    "stability": (0.6, "another seed would put many users elsewhere"),
}
"""Below what a measure of quality counts as weak, and what that means."""


def notes(inputs: Inputs, judged: dict[str, Any] | None) -> list[Note]:
    """Warnings, the gravest first; empty where there is nothing to warn of."""
    measured = inputs.metrics.get("measured")
    found = [] if measured is None else [_updated(measured)]
    if inputs.saved.memberships is not None:
        found += _served(inputs) + _structure(inputs) + _harmed(inputs, judged)
    if inputs.why_not:
        text = f"{inputs.why_not}: {_lost(inputs)} and metrics by user are left out."
        found.append(_note("Some parts are missing", text))
    if judged is not None and judged["drawn"]:
        text = f"Metrics by segment and by user are of {judged['users']:,} test users drawn at random."
        found.append(_note("A sample of the users", text))
    return found


def _lost(inputs: Inputs) -> str:
    return "times" if inputs.saved.tags is not None else "genres, times"


def _updated(measured: dict[str, Any]) -> Note:
    text = (
        f"Nothing is left to test it on: figures are those of {measured['run']}, which it was made from, on "
        f"the {measured['interactions']:,} interactions that came next, ranked before they were folded in."
    )
    if measured["users"] is None:
        text = "Too few known users came back to tell how well they were met; there are no figures."
    return _note("An updated run", text)


def _note(title: str, text: str) -> Note:
    return {"title": title, "text": text}


def _served(inputs: Inputs) -> list[Note]:
    decision, local = inputs.metrics.get("decision") or {}, inputs.metrics.get("local") or {}
    served = [part.get("served") for part in (decision, local) if part]
    if served and all(name == "global" for name in served):
        text = (
            "Validation did not prefer the segmented model, so everybody gets the global model's "
            "recommendations. The segments describe users; they do not change what is recommended."
        )
        return [_note("The global model is served", text)]
    return []


def _structure(inputs: Inputs) -> list[Note]:
    quality = inputs.segments.get("quality", {})
    weak = [
        f"{name} is {quality[name]:.2f}, under {limit}: {meaning}"
        for name, (limit, meaning) in WEAK.items()
        if quality.get(name) is not None and quality[name] < limit
    ]
    if not weak:
        return []
    listed = "; ".join(weak)
    text = f"{listed[0].upper()}{listed[1:]}. Read them as tendencies, not as types."
    return [_note("The segments overlap or shift", text)]


def _harmed(inputs: Inputs, judged: dict[str, Any] | None) -> list[Note]:
    metric = inputs.saved.config.choose_by
    rows = [] if judged is None else [r for r in judged["rows"] if r["segment"] is not None]
    worse = [r for r in rows if "difference" in r and r["difference"][metric]["high"] < 0]
    if not worse:
        return []
    count = f"{len(worse)} segment{'s' if len(worse) > 1 else ''}"
    text = f"{count} would have a better {metric} with the global model (95 % interval below zero)."
    return [_note("Not everybody gains", text)]
