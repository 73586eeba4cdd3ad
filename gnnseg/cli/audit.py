"""``gnnseg audit``."""

from __future__ import annotations

from typing import Any

import click

from gnnseg.cli import options


@click.command()
@options.run_folder
@click.option("--users", type=click.IntRange(min=1), default=2000, show_default=True, help="To attack.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the users drawn.")
@options.device
@options.as_json
@options.quiet
@options.example("gnnseg audit runs/full\ngnnseg audit runs/full --users 500 --json")
def audit(run: str, users: int, seed: int, device: str, json_: bool, quiet: bool) -> None:
    """Do scores of a saved run give away which interactions it was trained on (membership inference)?

    The attacker sees scores and tells training interactions of a user from held-out ones of the same user:
    an AUC of 0.5 is guessing, 1 gives all away.
    """
    from gnnseg.checkpoint import load_run
    from gnnseg.cli.progress import tracker
    from gnnseg.files import to_json
    from gnnseg.privacy import audit_run

    found = audit_run(load_run(run), users, seed, device, tracker(quiet))
    if json_:
        click.echo(to_json(found))
    elif not quiet:
        _show(run, found)


def _show(run: str, found: dict[str, Any]) -> None:
    from gnnseg.cli.progress import counted, out, table

    rows = [
        [name, f"{i['mean']:.3f}", f"{i['low']:.3f} to {i['high']:.3f}"]
        for name, i in (("by score", found["auc"]), ("by popularity alone", found["popularity_auc"]))
    ]
    title = (
        f"{run}: {counted(found['users'], 'user')}, {found['trained_on']:,} training interactions against "
        f"{found['held_out']:,} held out"
    )
    out.print(title, highlight=False, markup=False, soft_wrap=True)
    out.print(table("membership inference", ["attack", "AUC", "95 % interval"], rows))
    share = f"{found['found_at_1_percent']:.1%} of training interactions are found at 1 % false alarms."
    out.print(share, highlight=False)
    out.print(f"The attacker {found['attacker']}.", highlight=False)
    out.print(_verdict(found["auc"]), highlight=False)


def _verdict(auc: dict[str, float]) -> str:
    if auc["low"] > 0.5:
        return (
            "Scores tell what was trained on: give lists, not scores or vectors, to those who must not know."
        )
    return "Scores do not tell training interactions from held-out ones by this attack; others may."
