"""The tables of README.md and docs/, each from the JSON in ``benchmarks/results``."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gnnseg.report.ablation import ablation_rows, gain, segments_verdict
from gnnseg.report.tables import comparison_rows, markdown, mean_seconds, peak_memory, verdict

RESULTS = Path(__file__).parent / "results"


def read(name: str) -> Any:
    """One file of results."""
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def accuracy() -> str:
    """Models on the bundled MovieLens."""
    results = read("movielens/results.json")
    metrics = ["recall@10", "ndcg@10", "recall@20", "ndcg@20"]
    rows = []
    for model in results["models"]:
        cells = [_interval(model["metrics"][metric]) for metric in metrics]
        costs = [f"{mean_seconds(model, 'fit'):.1f}", f"{peak_memory(model):.0f}"]
        rows.append([model["name"], *cells, *costs])
    seeds = len(results["models"][0]["runs"])
    data = results["dataset"]
    note = (
        f"{data['users']:,} users, {data['items']:,} items, {data['train']:,} training interactions; mean "
        f"over {seeds} seeds with 95 % bootstrap intervals over users."
    )
    return f"{markdown(['model', *metrics, 'fit s', 'peak MB'], rows)}\n\n{note}"


def against() -> str:
    """The full system against each of the others."""
    results = read("movielens/results.json")
    return f"{markdown(*comparison_rows(results, 'ndcg@10'))}\n\n{_upper(verdict(results, 'ndcg@10'))}"


def plain() -> str:
    """Which simple baselines the full system beats and which it does not."""
    results = read("movielens/results.json")
    full = results["models"][-1]["name"]
    groups: dict[str, list[str]] = {"beats": [], "ties with": [], "loses to": []}
    for row in results["comparisons"]:
        if row["metric"] == "ndcg@10":
            word = "ties with"
            if row["p_adjusted"] < 0.05:
                word = "beats" if row["difference"] > 0 else "loses to"
            groups[word].append(f"{row['baseline']} ({row['relative']:+.1%}, p {row['p_adjusted']:.2g})")
    lines = [f"* **{full}** {word} {', '.join(names)}." for word, names in groups.items() if names]
    served = [run["decision"]["served"] for run in results["models"][-1]["runs"] if run["decision"]]
    kept = served.count("segmented")
    lines.append(
        f"* Validation kept the segments in {kept} of {len(served)} seeds, else served the global model."
    )
    return "\n".join(lines)


def speed() -> str:
    """Ratios against peers."""
    found = read("speed-cpu.json")
    text = read("text-cpu.json")
    first = read("first-command.json")
    step, ranks = found["step"], found["ranking"]
    rows = [
        ["LightGCN step, Gowalla", f"{step['seconds']['gnnseg']:.3f} s", "PyG `LightGCN`",
         f"{step['others_over_ours']['PyG LightGCN']:.1f} times faster"],
        ["", "", "six raw products", f"{1 / step['others_over_ours']['six products']:.2f} times as long"],
        ["ranking all of Gowalla", f"{ranks['seconds']['gnnseg']:.1f} s", "bare product and top-k",
         f"{1 / ranks['others_over_ours']['bare product and top-k']:.2f} times as long"],
        ["Leiden, Gowalla", f"{found['communities']['Leiden']['seconds']:.1f} s", "", ""],
    ]  # fmt: skip
    rows += [
        [
            f"texts, batch {batch}",
            f"{r['gnnseg']:.0f} a second",
            "sentence-transformers",
            f"{r['ratio']:.2f} times",
        ]
        for batch, r in text_rates(text).items()
    ]
    rows += [
        [f"first command{', --quick' if kind == 'quick' else ''}", f"{first[kind]['seconds']:.0f} s",
         "", f"{first[kind]['peak_memory_mb_so_far']:.0f} MB"]
        for kind in ("quick", "full")
    ]  # fmt: skip
    return f"{markdown(['what', 'gnnseg', 'against', 'ratio'], rows)}\n\n{_machine(found)}"


def published() -> str:
    """Baselines at their authors' settings, beside the figures of their papers."""
    rows = []
    for model in read("gowalla/published.json")["models"]:
        cells = [
            f"{model['metrics'][m]['mean']:.4f} ({model['published'][m]:.4f})" for m in model["published"]
        ]
        costs = [f"{model['seconds'][step]:.0f}" for step in ("fit", "evaluate")]
        rows.append([model["name"], *cells, *costs, model["source"]])
    return markdown(["model", "recall@20", "ndcg@20", "fit s", "rank s", "published in"], rows)


def peers(dataset: str) -> str:
    """Models of other libraries and ours, and what others report."""
    found = read(f"{dataset}/peers.json")
    metrics = found["protocol"]["metrics"][:2]
    rows = []
    for model in sorted(found["models"], key=lambda m: -m["metrics"][metrics[-1]]["mean"]):
        cells = [_interval(model["metrics"][metric]) for metric in metrics]
        costs = [f"{mean_seconds(model, 'fit'):.1f}", f"{mean_seconds(model, 'evaluate'):.1f}"]
        name = f"**{model['name']}**" if model["ours"] else model["name"]
        rows.append([name, model["library"], *cells, *costs, f"{peak_memory(model):.0f}", _epochs(model)])
    for figure in found["published"]:
        cells = [f"{figure['metrics'][m]:.4f}" if m in figure["metrics"] else "" for m in metrics]
        rows.append([f"{figure['name']}, published", figure["source"], *cells, "", "", "", ""])
    header = ["model", "library or source", *metrics, "fit s", "rank s", "peak MB", "epochs"]
    runs = max((len(model["runs"]) for model in found["models"]), default=0)
    fits = f"Mean over {runs} seeds" if runs > 1 else "One fit each"
    notes = [f"{fits} with 95 % bootstrap intervals over users. {_machine(found)}"]
    notes += [f"{name} is left out: {reason}." for name, reason in found["left_out"].items()]
    return f"{markdown(header, rows)}\n\n" + "\n".join(notes)


def cold_items() -> str:
    """Items without interactions on every dataset that was measured."""
    tables = []
    for path in sorted(RESULTS.glob("*/cold-items.json")):
        runs = read(f"{path.parent.name}/cold-items.json")["runs"]
        rows = []
        for way in [name for name in runs[0] if not name.startswith("ratio")]:
            kinds = ("cold", "cold_in_all")
            rows.append([way, *(_each([run[way][kind]["recall@20"] for run in runs]) for kind in kinds)])
        header = [f"{path.parent.name}, recall@20", "among cold items", "in the whole catalogue"]
        ratios = [name for name in runs[0] if name.startswith("ratio")]
        told = [f"{name[7:]} " + ", ".join(f"{run[name]['ratio']:.2f}" for run in runs) for name in ratios]
        note = f"Ridge over content kNN in each of {len(runs)} divisions, by text vectors of both; "
        tables.append(f"{markdown(header, rows)}\n\n{note}{'; '.join(told)}.")
    return "\n\n".join(tables)


def cold_users() -> str:
    """Users without training interactions on MovieLens-1M."""
    runs = read("movielens-1m/cold-users.json")["runs"]
    rows = []
    for length in runs[0]["lengths"]:
        found = [run["lengths"][length] for run in runs]
        kinds = ("by_history", "with_popularity", "with_groups")
        cells = [_each([one[kind]["ndcg@10"]["mean"] for one in found]) for kind in kinds]
        gains = [one["gain"]["ndcg@10"] for one in found]
        told = ", ".join(f"{100 * gain['relative']:+.1f}%" for gain in gains)
        rows.append([length, *cells, told, f"{max(gain['p'] for gain in gains):.2g}"])
    header = ["items known", "fold-in alone", "with popularity", "and the group's lift", "gain", "largest p"]
    shares = ", ".join(f"{100 * run['folded_in_over_trained']:.1f} %" for run in runs)
    note = f"{len(runs)} divisions. 5 items folded in over the same items trained with: {shares}."
    return f"{markdown(header, rows)}\n\n{note}"


def _each(values: list[float]) -> str:
    """The mean and what it is of."""
    return f"{sum(values) / len(values):.4f} ({min(values):.4f} to {max(values):.4f})"


def growth() -> str:
    """One training step as the graph grows."""
    found = read("growth-cpu.json")
    header = ["edges", "users", "items", "generate s", "build s", "step s", "ns an edge", "of the smallest",
              "graph bytes an edge", "peak bytes an edge"]  # fmt: skip
    rows = [
        [
            *(f"{size[key]:,}" for key in ("edges", "users", "items")),
            *(f"{size[key]['seconds']:.2f}" for key in ("generate", "build")),
            f"{size['step_seconds']:.3f}",
            f"{size['nanoseconds_an_edge']:.0f}",
            f"{size['step_per_edge_over_smallest']:.2f}",
            f"{size['graph_bytes_an_edge']:.0f}",
            f"{size['peak_bytes_an_edge']:.0f}",
        ]
        for size in found["sizes"]
    ]
    return f"{markdown(header, rows)}\n\n{found['layers']} layers, d = {found['dim']}. {_machine(found)}"


def seconds() -> str:
    """From loaded data to published accuracy, against the way it was published."""
    found = read("gowalla/seconds.json")
    way = found["published_way"]
    costs = [f"{found['seconds'][step]:.0f}" for step in ("fit", "evaluate")]
    ours = [f"{found['metrics'][metric]:.4f}" for metric in ("recall@20", "ndcg@20")]
    rows = [[f"gnnseg {found['model']}, measured", *ours, *costs, f"{found['peak_memory_mb']:.0f}"]]
    projected = f"{way['projected_seconds']:,.0f} (projected)"
    for figure in found["published"]:
        cells = [f"{figure['metrics'][metric]:.4f}" for metric in ("recall@20", "ndcg@20")]
        costs = [projected if "PyTorch" in figure["name"] else "", "", ""]
        rows.append([f"{figure['name']}, published", *cells, *costs])
    note = (
        f"Projected: {way['seconds_a_step']:.2f} s a step as measured here x {way['steps_an_epoch']} steps x "
        f"{way['published_epochs']} epochs: {found['projected_over_ours']['fit']:,.0f} times the seconds to "
        f"fit, {found['projected_over_ours']['fit and rank']:,.0f} times those to fit and rank. "
    )
    if missed := [name for name, reached in found["reached"].items() if not reached]:
        note = f"The published figures of {', '.join(missed)} were not reached. "
    header = ["Gowalla", "recall@20", "ndcg@20", "fit s", "rank s", "peak MB"]
    return f"{markdown(header, rows)}\n\n{note}{_machine(found)}"


def recovery() -> str:
    """Adjusted Rand index of segmenters with planted groups over the signal."""
    found = read("planted/results.json")
    signals = [point["signal"] for point in next(iter(found["recovery"].values()))]
    rows = [[name, *map(_interval, points)] for name, points in found["recovery"].items()]
    note = (
        f"Mean over {found['worlds']} worlds of {found['source']['num_users']:,} users in "
        f"{found['source']['num_groups']} groups with half of Student's 95 % interval."
    )
    return f"{markdown(['segmenter', *(f'signal {signal:g}' for signal in signals)], rows)}\n\n{note}"


def planted() -> str:
    """The ablation on planted groups, found and true."""
    found = read("planted/results.json")
    header, rows = ablation_rows(found["ablation"], "ndcg@10")
    told = segments_verdict(found["true_groups"], "ndcg@10")
    own = segments_verdict(found["ablation"], "ndcg@10")
    seeds = len(found["ablation"]["models"][0]["runs"])
    note = f"Signal {found['source']['signal']:g}, {seeds} seeds. {_machine(found)}"
    return f"{markdown(header, rows)}\n\nGroups found: {own}\n\nTrue groups: {told}\n\n{note}"


def text_rates(text: Any) -> dict[str, dict[str, float]]:
    """Texts a second by batch size, ours and the ratio to the peer."""
    return {
        str(entry["batch_size"]): {"gnnseg": entry["texts_per_second"]["gnnseg"], "ratio": entry["ratio"]}
        for entry in text["comparisons"]
    }


def segments() -> str:
    """What segments bring on each dataset: the system against its global model, controls and by history."""
    header = [
        "dataset",
        "ndcg",
        "global",
        "with segments",
        "gain",
        "p (Holm)",
        "not above",
        "up to 5 items",
    ]
    rows = []
    for path in sorted(RESULTS.glob("*/segments.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        metric = found["histories"][0]["metric"]
        tests = {c["baseline"]: c for c in found["comparisons"] if c["metric"] == metric}
        means = {m["name"]: m["metrics"][metric]["mean"] for m in found["models"]}
        left = [
            m["name"]
            for m in found["models"]
            if m["role"] == "control"
            and not (tests[m["name"]]["difference"] > 0 and tests[m["name"]]["p_adjusted"] < 0.05)
        ]
        short = next(group for group in found["histories"] if group["to"] == 5)
        rows.append(
            [
                found["dataset"]["name"],
                metric,
                f"{means['global']:.4f}",
                f"{means['full']:.4f}",
                gain(tests["global"]),
                f"{tests['global']['p_adjusted']:.2g}",
                ", ".join(left) or "none of the controls",
                f"{gain(short)} (n = {short['users']})" if short["users"] else "no such users",
            ]
        )
    return markdown(header, rows)


def segments_large() -> str:
    """Segments of a large planted graph: seconds, memory, what was found."""
    found = read("segments-large.json")
    header = ["segmenter", "seconds", "peak MB", "segments", "adjusted Rand index"]
    rows = [
        [
            one["name"],
            f"{one['seconds']:.0f}",
            f"{one['peak_memory_mb']:.0f}",
            str(one["segments"]),
            f"{one['adjusted_rand']:.3f}",
        ]
        for one in found["segmenters"]
    ]
    sizes = f"{found['users']:,} users, {found['items']:,} items, {found['edges']:,} edges, one fit each"
    return f"{markdown(header, rows)}\n\n{sizes}. {_machine(found)}"


def ranks() -> str:
    """Seconds of a step and bytes moved, by the number of processes."""
    found = read("ranks-cpu.json")
    header = ["processes", "step s", "times faster", "propagation moved, MB", "by the formula, MB"]
    rows = []
    for run in found["runs"]:
        moved = run["moved"].get("propagation", 0.0) / 1e6
        cells = [
            f"{run['seconds']:.2f}",
            f"{run['speedup']:.2f}",
            f"{moved:.2f}",
            f"{run['formula'] / 1e6:.2f}",
        ]
        rows.append([str(run["processes"]), *cells])
    edges = f"{found['runs'][0]['edges']:,} edges"
    return f"{markdown(header, rows)}\n\nOne thread a process, {edges}, LightGCN on BPR."


def shift(dataset: str) -> str:
    """How a given test part differs from validation drawn at random."""
    parts = read(f"{dataset}/shift.json")["parts"]
    what = {
        "log_degree": "mean log of 1 + users of an item in train",
        "history_cosine": "cosine of a held-out item and one of the history",
        "own_cosine": "cosine of two held-out items of a user",
        "overdispersion": "overdispersion of an item's held-out share",
    }
    rows = [[said, *(f"{part[key]:.3f}" for part in parts.values())] for key, said in what.items()]
    return markdown(["", *parts], rows)


TABLES: dict[str, Callable[[], str]] = {
    "accuracy": accuracy,
    "against": against,
    "growth": growth,
    "cold-items": cold_items,
    "cold-users": cold_users,
    "peers-goodbooks-10k": partial(peers, "goodbooks-10k"),
    "peers-gowalla": partial(peers, "gowalla"),
    "peers-movielens-1m": partial(peers, "movielens-1m"),
    "plain": plain,
    "ranks": ranks,
    "planted": planted,
    "planted-recovery": recovery,
    "published": published,
    "seconds": seconds,
    "segments": segments,
    "segments-large": segments_large,
    "shift-gowalla": partial(shift, "gowalla"),
    "speed": speed,
}


def _interval(found: dict[str, float]) -> str:
    return f"{found['mean']:.4f} ± {(found['high'] - found['low']) / 2:.4f}"


def _epochs(model: dict[str, Any]) -> str:
    """Epochs done of those that the authors run, for models that were trained so."""
    notes = [run["notes"] for run in model["runs"] if run["notes"]]
    return f"{notes[0]['epochs']:.0f} of {notes[0]['published_epochs']}" if notes else ""


def _machine(found: dict[str, Any]) -> str:
    environment = found["environment"]
    where = f"{environment['threads']} threads of {environment['cpu']}"
    if environment["device"] != "cpu":
        where = environment["device"]
    return f"{where}, torch {environment['torch']}."


def _upper(sentence: str) -> str:
    return f"**{sentence}**" if sentence else ""
