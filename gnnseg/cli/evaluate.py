"""``gnnseg evaluate``."""

from __future__ import annotations

from typing import Any

import click

from gnnseg.cli import options


@click.command()
@options.run_folder
@click.option("--split", type=click.Choice(["valid", "test"]), default="test", show_default=True)
@options.device
@options.as_json
@options.quiet
@options.example("gnnseg evaluate runs/full --split valid")
def evaluate(run: str, split: str, device: str, json_: bool, quiet: bool) -> None:
    """Metrics of a saved run, overall and per segment."""
    from gnnseg.checkpoint import load_run
    from gnnseg.cli.progress import tracker
    from gnnseg.files import to_json
    from gnnseg.pipeline import evaluate_run

    result = evaluate_run(load_run(run), split, device, tracker(quiet))
    if json_:
        click.echo(to_json(result))
    elif not quiet:
        _show(run, split, result)


def _show(run: str, split: str, result: dict[str, Any]) -> None:
    from gnnseg.cli.progress import out, table
    from gnnseg.report.cold import cold_lines

    rows = [
        [name, f"{i['mean']:.4f}", f"{i['low']:.4f} to {i['high']:.4f}"]
        for name, i in result[f"{split}_intervals"].items()
    ]
    out.print(table(f"{run}: {split}", ["metric", "mean", "95 % interval"], rows))
    for line in cold_lines(result):
        out.print(line, highlight=False)
    if not result["segments"]:
        return
    metrics = list(result["segments"][0]["metrics"])[:2]
    lines = [
        [str(s["segment"]), str(s["users"]), *(_cell(s["metrics"][m]) for m in metrics)]
        for s in result["segments"]
    ]
    out.print(table("by segment", ["segment", "users", *metrics], lines))


def _cell(interval: dict[str, float]) -> str:
    return f"{interval['mean']:.4f} ({interval['low']:.4f}-{interval['high']:.4f})"
