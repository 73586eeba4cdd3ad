"""``gnnseg segments``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gnnseg.cli import options


@click.command()
@options.run_folder
@options.as_json
@options.quiet
@options.example("gnnseg segments runs/full")
def segments(run: str, json_: bool, quiet: bool) -> None:
    """Sizes, quality and profile of each segment of a saved run."""
    from gnnseg.checkpoint import load_run, read_json
    from gnnseg.errors import ConfigError
    from gnnseg.files import to_json

    if load_run(run).memberships is None:
        raise ConfigError(f"'{run}' has no segments; train a config with a segmenter and a head")
    found = read_json(Path(run) / "segments.json")
    if json_:
        click.echo(to_json(found))
    elif not quiet:
        _show(run, found)


def _show(run: str, found: dict[str, Any]) -> None:
    from gnnseg.cli.progress import out, table

    rows = [_row(segment) for segment in found["segments"]]
    header = ["segment", "users", "activity", "likes more than others", "most lifted items"]
    out.print(table(f"{run}: {found['num_segments']} segments", header, rows, words=(3, 4)))
    measured = [f"{k} {'-' if v is None else format(v, '.3f')}" for k, v in found["quality"].items()]
    out.print("  ".join(measured), highlight=False)


def _row(segment: dict[str, Any]) -> list[str]:
    profile = segment["profile"]
    tags = [f"{tag['name']} x{tag['lift']:.1f}" for tag in profile.get("tags", [])[:3]]
    return [
        str(segment["segment"]),
        f"{segment['users']} ({segment['share']:.0%})",
        f"{segment['activity']:.0f}",
        ", ".join(tags),
        "; ".join(item["name"][:32] for item in profile["likes"][:2]),
    ]
