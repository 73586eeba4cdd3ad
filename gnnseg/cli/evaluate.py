"""``gnnseg evaluate``."""

from __future__ import annotations

import math
from typing import Any

import click

from gnnseg.cli import options


@click.command()
@options.run_folder
@click.option("--split", type=click.Choice(["valid", "test"]), default="test", show_default=True)
@click.option("--popularity-penalty", default=0.0, help="Also judge lists that rank rare items higher.")
@click.option("--diversity", default=0.0, help="Also judge lists of items unlike each other (MMR).")
@click.option("--calibration", default=0.0, help="Also judge lists with genres as in the user's history.")
@options.device
@options.as_json
@options.quiet
@options.example(
    "gnnseg evaluate runs/full --split valid\ngnnseg evaluate runs/full --popularity-penalty 0.2\n"
    "gnnseg evaluate runs/full --calibration 0.5"
)
def evaluate(
    run: str,
    split: str,
    popularity_penalty: float,
    diversity: float,
    calibration: float,
    device: str,
    json_: bool,
    quiet: bool,
) -> None:
    """Metrics of a saved run, overall and per segment.

    With `torchrun --nproc-per-node P -m gnnseg evaluate RUN` P processes rank (docs/scale.md).
    """
    from gnnseg.checkpoint import load_run
    from gnnseg.cli.progress import tracker
    from gnnseg.distributed import follow
    from gnnseg.files import to_json
    from gnnseg.pipeline import evaluate_run
    from gnnseg.ranks import connect
    from gnnseg.rules import Rules

    ranks = connect()
    if ranks is not None and ranks.rank:
        follow(ranks)
        return
    rules = Rules(popularity_penalty=popularity_penalty, diversity=diversity, calibration=calibration)
    wanted = rules if rules.reranks else None
    result = evaluate_run(load_run(run), split, device, tracker(quiet), wanted, ranks)
    if json_:
        click.echo(to_json(result))
    elif not quiet:
        _show(run, split, result)


def _show(run: str, split: str, result: dict[str, Any]) -> None:
    from gnnseg.cli.progress import hidden, out, table
    from gnnseg.report.cold import cold_lines

    rows = [
        [name, f"{i['mean']:.4f}", f"{i['low']:.4f} to {i['high']:.4f}"]
        for name, i in result[f"{split}_intervals"].items()
    ]
    out.print(table(f"{run}: {split}", ["metric", "mean", "95 % interval"], rows))
    for line in cold_lines(result):
        out.print(line, highlight=False)
    if "reranking" in result:
        _show_cost(result["reranking"])
    if not result["segments"]:
        return
    metrics = list(result["segments"][0]["metrics"])[:2]
    lines = [
        [str(s["segment"]), hidden(s["users"]), *(_cell(s["metrics"][m]) for m in metrics)]
        for s in result["segments"]
    ]
    out.print(table("by segment", ["segment", "users", *metrics], lines))


def _show_cost(found: dict[str, Any]) -> None:
    """What re-ranking costs, user by user, and what it brings to rare items."""
    from gnnseg.cli.progress import out, table

    rows = [
        [
            metric,
            f"{found['metrics'][metric]:.4f}",
            f"{c['difference']:+.4f} ({c['low']:+.4f} to {c['high']:+.4f})",
            "" if math.isnan(c["relative"]) else f"{c['relative']:+.1%}",
        ]
        for metric, c in found["cost"].items()
    ]
    out.print(table("re-ranked", ["metric", "mean", "against by score, 95 %", "relative"], rows))
    before, after = found["exposure"]["before"], found["exposure"]["after"]
    tail = [e["bins"][-1]["of_lists"] for e in (before, after)]
    out.print(
        f"Catalogue shown {before['coverage']:.1%} to {after['coverage']:.1%}, Gini {before['gini']:.3f} to "
        f"{after['gini']:.3f}, tail in lists {tail[0]:.1%} to {tail[1]:.1%}.",
        highlight=False,
    )
    if (tags := found["miscalibration"]) is not None:
        d = tags["difference"]
        out.print(
            f"Divergence of the lists' tags from the histories': {tags['before']:.3f} to {tags['after']:.3f} "
            f"({d['difference']:+.3f}, {d['low']:+.3f} to {d['high']:+.3f}).",
            highlight=False,
        )


def _cell(interval: dict[str, float]) -> str:
    if math.isnan(interval["mean"]):
        return "-"
    return f"{interval['mean']:.4f} ({interval['low']:.4f}-{interval['high']:.4f})"
