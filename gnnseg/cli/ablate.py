"""``gnnseg ablate``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gnnseg.cli import options


@click.command()
@click.argument("config")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Seeds of training.")
@click.option(
    "--only", help="Comma-separated rows beside the global model and the full system.  [default: all]"
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder.  [default: a new one in ablations-out/]"
)
@options.overrides
@options.data_dir
@options.seed
@options.config_device
@options.as_json
@options.quiet
@options.example("gnnseg ablate movielens/full --seeds 5")
def ablate(
    config: str,
    seeds: int,
    only: str | None,
    out: Path | None,
    overrides: tuple[str, ...],
    seed: int | None,
    device: str | None,
    json_: bool,
    quiet: bool,
) -> None:
    """Find out what segments bring: the system against its global model, controls and parts.

    Controls are the global model trained on for as long, random segments of the same sizes, an ensemble of
    global models and one segment with as many parameters; parts are other segmenters and each head and local
    model by itself. Tests are paired, user by user, with Holm's correction.
    """
    from gnnseg.ablation import ablate as measure
    from gnnseg.cli.progress import tracker
    from gnnseg.config import load_config
    from gnnseg.files import inside, to_json
    from gnnseg.report import save_results
    from gnnseg.run_folder import free_folder, unfinished

    changes = {key: value for key, value in (("device", device), ("seed", seed)) if value is not None}
    loaded = load_config(config, overrides, **changes)
    chosen = None if only is None else [name.strip() for name in only.split(",") if name.strip()]
    name = f"{loaded.dataset.name}-{loaded.name}"
    folder = out or free_folder(inside(Path("ablations-out"), name, "give another --out"))
    with unfinished(folder) as partial:
        results = measure(loaded, seeds=seeds, only=chosen, tracker=tracker(quiet))
        save_results(results, partial)
    if json_:
        click.echo(to_json(results))
    elif not quiet:
        _show(results, folder, config)


def _show(results: Mapping[str, Any], folder: Path, config: str) -> None:
    from gnnseg.cli.progress import out, table
    from gnnseg.report.ablation import ablation_rows, group_rows, segments_verdict
    from gnnseg.report.tables import main_metrics

    metric = main_metrics(results, 2)[-1]
    title = f"{results['dataset']['name']}: test, {len(results['models'][0]['runs'])} seed(s)"
    out.print(table(title, *ablation_rows(results, metric)))
    out.print(table("full against global, by users", *group_rows(results)))
    out.print(segments_verdict(results, metric), highlight=False)
    files = "report.html, results.json, results.md, results.csv, plots"
    out.print(f"Written to {folder}: {files}", highlight=False, soft_wrap=True)
    out.print(f"Next: gnnseg train {config}", highlight=False, soft_wrap=True)
