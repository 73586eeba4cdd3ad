"""``gnnseg update``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
        _show(about, target)


def _show(about: dict[str, Any], target: Path) -> None:
    from gnnseg.cli.progress import counted

    added = ", ".join(counted(about[f"{noun}s_added"], noun) for noun in ("user", "item", "link"))
    click.echo(f"{added} added; written to {target}")
    if left := about["items_left_out"]:
        click.echo(f"{counted(left['count'], 'new item')} left out: {left['reason']}")
    judged = about["judged"]
    if judged["metrics"]:
        figures = ", ".join(
            f"{name} {i['mean']:.4f} ({i['low']:.4f} to {i['high']:.4f})"
            for name, i in list(judged["metrics"].items())[:2]
        )
        click.echo(
            f"Before, {judged['run']} foresaw {counted(judged['interactions'], 'new interaction')} of "
            f"{counted(judged['users'], 'known user')} with {figures}"
        )
    else:
        few = f"Fewer than {judged['min_users']} known users came back"
        click.echo(f"{few}, too few to tell how well {judged['run']} foresaw it")
    top = about["changed_share_of_top"]
    click.echo(f"{top['share']:.1%} of known users' top {top['k']} is new")
    if (moves := about["segment_moves"]) is not None:
        click.echo(f"{counted(moves['users'], 'known user')} moved to another segment")
    click.echo(f"Next: gnnseg report {target}")
