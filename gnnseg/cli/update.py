"""``gnnseg update``."""

from __future__ import annotations

from pathlib import Path

import click

from gnnseg.cli import options


@click.command()
@options.run_folder
@click.option("--interactions", required=True, type=click.Path(path_type=Path), help="Table of what is new.")
@click.option("--items", type=click.Path(path_type=Path), help="Table with the texts of new items.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the new run.  [default: RUN-2, ...]")
@click.option("--epochs", default=0, type=click.IntRange(min=0), help="Of fine-tuning; none by default.")
@options.as_json
@options.quiet
@options.example("gnnseg update runs/full --interactions today.csv --out runs/full-today")
def update(
    run: str,
    interactions: Path,
    items: Path | None,
    out: Path | None,
    epochs: int,
    json_: bool,
    quiet: bool,
) -> None:
    """Fold new users, items and interactions into a saved run without training it again."""
    from gnnseg.cli.progress import tracker
    from gnnseg.files import to_json
    from gnnseg.run_folder import free_folder
    from gnnseg.update import update as updated

    target = out or free_folder(Path(run))
    about = updated(run, interactions, target, items=items, epochs=epochs, tracker=tracker(quiet or json_))
    if json_:
        click.echo(to_json({"run": str(target), **about}))
    elif not quiet:
        added = ", ".join(f"{about[f'{what}_added']} {what}" for what in ("users", "items", "links"))
        click.echo(f"{added} added; written to {target}")
        if about["items_left_out"]:
            left = about["items_left_out"]
            click.echo(f"{left['count']} new items left out: {left['reason']}")
        top = about["changed_share_of_top"]
        click.echo(f"{top['share']:.1%} of known users' top {top['k']} is new")
        if about["segment_moves"]:
            click.echo(f"{about['segment_moves']['users']} known users moved to another segment")
