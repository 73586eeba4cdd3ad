"""``gnnseg train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnnseg.cli import options

if TYPE_CHECKING:
    from gnnseg.pipeline import Run
    from gnnseg.ranks import Ranks
    from gnnseg.search import Found

DEFAULT_CONFIG = "movielens/full"


@click.command()
@click.argument("config", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the run.  [default: a new one in runs/]"
)
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with an interrupted run.")
@click.option(
    "--track",
    multiple=True,
    type=click.Choice(["tensorboard", "wandb", "mlflow"]),
    help="Write curves for it into the run's folder, too; may be repeated.",
)
@click.option(
    "--search",
    "trials",
    type=click.IntRange(min=1),
    metavar="N",
    help="First choose among N settings of the config's search block, on validation; needs gnnseg[search].",
)
@options.overrides
@options.data_dir
@options.seed
@options.config_device
@options.as_json
@options.quiet
@options.example(
    "gnnseg train movielens/lightgcn --out runs/lightgcn -s encoder.dim=32\n"
    "gnnseg train mine.yaml --search 20"
)
def train(
    config: str | None,
    out: Path | None,
    resume: Path | None,
    track: tuple[str, ...],
    trials: int | None,
    overrides: tuple[str, ...],
    seed: int | None,
    device: str | None,
    json_: bool,
    quiet: bool,
) -> None:
    """Train one experiment, evaluate it and save the run.

    CONFIG is a YAML file or the name of a shipped config (see `gnnseg show configs`); without one, the full
    system on the bundled MovieLens. A search that was stopped goes on when the same command is given again.
    With `torchrun --nproc-per-node P -m gnnseg train CONFIG` P processes share the work (docs/scale.md).
    """
    from gnnseg.cli.progress import err, tracker
    from gnnseg.config import load_config
    from gnnseg.files import inside, to_json
    from gnnseg.pipeline import run
    from gnnseg.ranks import connect
    from gnnseg.run_folder import finished_folder, free_folder, partial_folder
    from gnnseg.search import tune
    from gnnseg.signals import exit_code
    from gnnseg.tracking import TRACKERS, Trackers

    ranks = connect()
    if _follows(ranks, trials):
        return
    changes: dict[str, Any] = {} if device is None else {"device": device}
    if resume is not None:
        if config or out or trials or overrides or seed is not None:
            raise click.UsageError("--resume goes on with the config of the interrupted run; give it alone")
        out = finished_folder(resume)
        loaded = load_config(partial_folder(out) / "config.yaml", **changes)
    else:
        changes |= {} if seed is None else {"seed": seed}
        loaded = load_config(config or DEFAULT_CONFIG, overrides, **changes)
        out = out or free_folder(inside(Path("runs"), loaded.name, "give another --out"))
    track = tuple(dict.fromkeys(track))
    told = Trackers([tracker(quiet), *(TRACKERS[name]() for name in track)])
    found = None
    try:
        if trials is None:
            result = run(loaded, out=out, resume=resume, tracker=told, ranks=ranks)
        else:
            result, found = tune(loaded, trials, out, told)
    except KeyboardInterrupt as stopped:
        hint = "; the same command goes on with the search" if trials else ""
        if partial_folder(out).is_dir():
            again = " ".join([str(out), *(f"--track {name}" for name in track)])
            hint = f"; go on with: gnnseg train --resume {again}"
        err.print(f"Interrupted: '{out}' was not written{hint}", highlight=False, soft_wrap=True)
        raise SystemExit(exit_code(stopped)) from None
    if json_:
        chosen = {} if found is None else {"search": found.best}
        click.echo(to_json({"run": str(out), **result.metrics, **chosen}))
    elif not quiet:
        _show(result, out)
        if found is not None:
            _show_chosen(found)


def _follows(ranks: Ranks | None, trials: int | None) -> bool:
    """Train as one of the processes that are not the first; all they need to know comes from it."""
    from gnnseg.distributed import follow

    if ranks is not None and trials:
        raise click.UsageError("--search runs in one process; start it without torchrun")
    if ranks is None or ranks.rank == 0:
        return False
    follow(ranks)
    return True


def _show_chosen(found: Found) -> None:
    """The settings as YAML to put into a config."""
    import yaml

    best = found.best
    click.echo(
        f"# trial {best['trial']} of {len(found.trials)}, validation {best['metric']} {best['value']:.4f}"
    )
    click.echo(yaml.safe_dump(found.overrides, sort_keys=False).rstrip())


def _show(result: Run, out: Path) -> None:
    from gnnseg.cli import progress
    from gnnseg.report.ablation import local_verdict
    from gnnseg.report.cold import cold_lines

    intervals = result.test.intervals()
    rows = [[m, f"{i['mean']:.4f}", f"{i['low']:.4f} to {i['high']:.4f}"] for m, i in intervals.items()]
    progress.out.print(
        progress.table(f"{result.config.name}: test", ["metric", "mean", "95 % interval"], rows)
    )
    if result.decision is not None:
        d = result.decision
        progress.out.print(
            f"Validation {d['metric']}: global {d['global']:.4f}, with segments {d['segmented']:.4f}; "
            f"served: the {d['served']} model.",
            highlight=False,
        )
        share = f"{d['trainable_share']:.1%}"
        progress.out.print(f"Fine-tuning trained {share} of the parameters.", highlight=False)
    if result.mixture is not None:
        names = (term["name"] for term in result.config.terms)
        weights = zip(names, result.mixture["weights"], strict=True)
        told = ", ".join(f"{name}: {weight:g}" for name, weight in weights)
        progress.out.print(f"Weight of {told}", highlight=False)
    if result.local is not None:
        progress.out.print(local_verdict(result.local), highlight=False)
    for line in cold_lines(result.metrics):
        progress.out.print(line, highlight=False)
    progress.out.print(f"Saved in {out}", highlight=False, soft_wrap=True)
    user = next(iter(result.data.dataset.users))
    progress.out.print(f"Next: gnnseg recommend {out} --user {user}", highlight=False, soft_wrap=True)
