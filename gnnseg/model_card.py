"""What a run is, in a page that a hub reads as well: data, figures with intervals, segments, limits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from gnnseg.config import Config
from gnnseg.disclosure import MIN_USERS

FILE = "README.md"
"""In the folder of a run, where hubs look for a model card."""

TAGS = ("gnnseg", "recommender-systems", "user-segmentation", "graph-neural-networks")

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&@])")


def card(
    config: Config,
    data: Mapping[str, Any],
    metrics: Mapping[str, Any],
    segments: Mapping[str, Any] | None = None,
    fairness: Mapping[str, Any] | None = None,
) -> str:
    """A model card (Mitchell et al. 2019, doi 10.1145/3287560.3287596) with metadata for Hugging Face's hub.

    Args:
        config: Resolved.
        data: Name, digest and sizes of the dataset, as ``environment.json`` has them.
        metrics: Content of ``metrics.json``.
        segments: Content of ``segments.json``; None without segments.
        fairness: Content of ``fairness.json``; None without.

    Returns:
        Markdown with a YAML header. Text from the data stays text.
    """
    parts = [
        f"# {plain(config.name)} on {plain(data['name'])}",
        _about(config, metrics),
        "## Data",
        _data(config, data),
        "## Figures",
        _figures(metrics),
    ]
    if segments is not None:
        parts += ["## Segments", _segments(segments)]
    if fairness is not None:
        parts += ["## For whom", _gaps(fairness)]
    parts += ["## How to use it", _usage(metrics), "## Limits", _limits(config, metrics)]
    return f"---\n{_metadata(config, data, metrics)}---\n\n" + "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Any text in one line, none of it read as markup."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; cells are taken as they are."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _metadata(config: Config, data: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    split = "test" if metrics.get("measured") is None else "next interactions, by the run before"
    results = [
        {"type": name, "value": round(float(i["mean"]), 6), "name": f"{split} {name}"}
        for name, i in metrics["test_intervals"].items()
    ]
    result = {
        "task": {"type": "recommendation", "name": "Top-k recommendation"},
        "dataset": {"type": data["name"], "name": data["name"], "split": split},
        "metrics": results,
    }
    content: dict[str, Any] = {"library_name": "gnnseg", "tags": list(TAGS)}
    if results:  # the hub refuses an entry without figures
        content["model-index"] = [{"name": config.name, "results": [result]}]
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _about(config: Config, metrics: Mapping[str, Any]) -> str:
    parts = (config.text, config.encoder, *config.terms, config.segmenter, config.head, config.local)
    names = " + ".join(plain(part["name"]) for part in (*parts, config.baseline) if part)
    text = f"A recommender made with gnnseg: {names}. Seed {config.seed}."
    decision = metrics.get("decision")
    if decision is not None:
        text += f" Of the global and the segmented model, validation chose the {decision['served']} one."
    if (local := metrics.get("local")) is not None:
        text += f" Of the global and the local model, the {local['served']} one is served."
    return text


def _data(config: Config, data: Mapping[str, Any]) -> str:
    sizes = [[name, f"{data[name]:,}"] for name in ("users", "items", "train", "valid", "test")]
    split = ", ".join(
        f"{key} {plain(value)}" for key, value in config.dataset.split.items() if value is not None
    )
    filters = ", ".join(f"{k} {v}" for k, v in config.dataset.filters.model_dump().items() if v)
    return (
        f"{table(['', 'number'], sizes)}\n\nTrain, valid and test count interactions. Split: {split}. "
        f"Filters: {filters or 'none'}. Digest: `{data['digest']}`."
    )


def _figures(metrics: Mapping[str, Any]) -> str:
    measured = metrics.get("measured")
    if measured is not None:
        return _updated(metrics, measured)
    beyond = {
        k: v for k, v in metrics["test"].items() if k not in metrics["test_intervals"] and v is not None
    }
    text = _intervals(metrics["test_intervals"], metrics["valid"])
    text += "\n\nThe whole catalogue is ranked, seen items left out; intervals are bootstraps over users."
    if beyond:
        text += " Besides: " + ", ".join(f"{name} {value:.4g}" for name, value in beyond.items()) + "."
    return text


def _intervals(intervals: Mapping[str, Any], valid: Mapping[str, Any]) -> str:
    rows = [
        [name, f"{i['mean']:.4f}", f"{i['low']:.4f} to {i['high']:.4f}", _or_dash(valid.get(name))]
        for name, i in intervals.items()
    ]
    return table(["metric", "test", "95 % interval", "validation"], rows)


def _updated(metrics: Mapping[str, Any], measured: Mapping[str, Any]) -> str:
    """Figures of an update: nothing that it was not trained on is left to measure it by."""
    before = plain(measured["run"])
    parts = [
        f"An update of {before}: what came next was folded into it without training it anew, and nothing is "
        "left to test the new run on."
    ]
    if metrics["test_intervals"]:
        parts += [
            f"So the figures are those of the run before on what came next, {measured['interactions']:,} "
            f"interactions of {measured['users']:,} users whom it knew, ranked before they were folded in:",
            _intervals(metrics["test_intervals"], {}),
        ]
    else:
        parts.append(f"Fewer than {MIN_USERS} known users came back, too few to tell how well they were met.")
    if then := metrics["before"].get("test_intervals"):
        parts += [f"{before} reached on its own test:", _intervals(then, {})]
    return "\n\n".join(parts)


def _segments(segments: Mapping[str, Any]) -> str:
    rows = [
        [str(s["segment"]), "", f"<{MIN_USERS}", ""]
        if s["hidden"] and s["users"] is None
        else [
            str(s["segment"]),
            plain(s["name"]),
            f"{s['users']:,}",
            ", ".join(plain(e["name"]) for e in (s["profile"].get("tags") or s["profile"]["likes"])[:3]),
        ]
        for s in segments["segments"]
    ]
    quality = {k: v for k, v in segments["quality"].items() if v is not None}
    text = table(["segment", "name", "users", "likes more than others"], rows)
    if quality:
        text += "\n\n" + ", ".join(f"{name} {value:.3f}" for name, value in quality.items()) + "."
    return text


def _gaps(fairness: Mapping[str, Any]) -> str:
    lines = []
    for entry in fairness["groups"]:  # each has two groups at least, and so a gap
        g = entry["gap"]
        lines.append(
            f"* By {plain(entry['by'])}: {plain(g['best'])} is served {g['difference']:.4f} ({g['low']:.4f} "
            f"to {g['high']:.4f}) of {fairness['metric']} above {plain(g['worst'])}; shuffled users would "
            f"lie {g['chance']:.4f} apart (p {g['p']:.2g})."
        )
    tail = fairness["exposure"]["bins"][-1]
    lines.append(
        f"* Rare items (a third of the interactions, {tail['of_items']:.0%} of the catalogue) get "
        f"{tail['of_lists']:.1%} of the places in lists of {fairness['k']}."
    )
    return "\n".join(lines)


def _usage(metrics: Mapping[str, Any]) -> str:
    again = "" if metrics.get("measured") else "; `gnnseg train FOLDER/config.yaml` repeats the run"
    return (
        "```python\nimport gnnseg\n\n"
        'recommender = gnnseg.Recommender.load("FOLDER")  # this folder\n'
        'recommender.recommend(["USER"], k=10)  # outside ids in, outside ids out\n'
        'recommender.recommend_for(items=["ITEM"])  # somebody new, by what they liked\n```\n\n'
        f"`gnnseg report FOLDER` draws all of it{again}."
    )


def _limits(config: Config, metrics: Mapping[str, Any]) -> str:
    lines = [
        f"Figures hold for this dataset and split alone; {metrics['skipped_users']:,} users without test "
        "interactions are not in them.",
        "What is recommended is what was interacted with, not what is good for anybody; popular items are "
        "recommended more often than they are chosen where the shares above say so.",
        f"Groups of fewer than {MIN_USERS} users are not told of.",
        "**The folder holds outside ids and interactions of its users** (`users.json`, "
        "`embeddings.safetensors`): treat it as personal data. `gnnseg audit FOLDER` measures what scores "
        "alone give away.",
        "Interactions may have terms of their own; the licence of the data is not stated here.",
    ]
    if config.encoder is None:
        lines.append("A baseline: it has no segments and no text.")
    return "\n".join(f"* {line}" for line in lines)


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
