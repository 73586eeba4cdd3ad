"""``gnnseg benchmark``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from gnnseg.cli import options


@click.command()
@click.option(
    "--dataset", default="movielens", show_default=True, help="Shipped name or a dataset's YAML file."
)
@click.option("--models", help="Comma-separated names or YAML files.  [default: all of the dataset]")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Seeds of training.")
@click.option("--quick", is_flag=True, help="One seed and few epochs: see that everything works.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder.  [default: a new one in benchmarks-out/]"
)
@options.seed
@options.data_dir
@options.device
@options.as_json
@options.quiet
@options.example("gnnseg benchmark --dataset movielens --models ease,lightgcn,full --seeds 5")
def benchmark(
    dataset: str,
    models: str | None,
    seeds: int,
    seed: int | None,
    quick: bool,
    out: Path | None,
    device: str,
    json_: bool,
    quiet: bool,
) -> None:
    """Compare models on one dataset: same split, same users, intervals and paired tests."""
    from gnnseg.benchmark import benchmark as measure
    from gnnseg.cli.progress import tracker
    from gnnseg.config import load_dataset_config
    from gnnseg.files import inside, to_json
    from gnnseg.report import save_results
    from gnnseg.run_folder import free_folder, unfinished

    chosen = None if models is None else [name.strip() for name in models.split(",") if name.strip()]
    name = load_dataset_config(dataset).name
    folder = out or free_folder(inside(Path("benchmarks-out"), name, "give another --out"))
    with unfinished(folder) as partial:
        shown = tracker(quiet)
        results = measure(
            dataset, chosen, seeds=seeds, seed=seed or 0, quick=quick, device=device, tracker=shown
        )
        save_results(results, partial)
    if json_:
        click.echo(to_json(results))
    elif not quiet:
        _show(results, folder, dataset)


def _show(results: Mapping[str, Any], folder: Path, dataset: str) -> None:
    from gnnseg.cli.progress import out, table
    from gnnseg.config import shipped_configs
    from gnnseg.report.tables import best_baseline, compact_rows, comparison_rows, main_metrics, verdict

    metric = main_metrics(results, 2)[-1]
    best = best_baseline(results, metric)
    names = [model["name"] for model in results["models"]]
    header, rows = compact_rows(results, metric)
    title = f"{results['dataset']['name']}: test, {len(results['models'][0]['runs'])} seed(s)"
    out.print(table(title, header, rows, None if best is None else names.index(best["name"])))
    if results["comparisons"]:
        out.print(table(f"{names[-1]} against the others", *comparison_rows(results, metric)))
        out.print(verdict(results, metric), highlight=False)
    files = "report.html, results.json, results.md, results.csv, plots"
    out.print(f"Written to {folder}: {files}", highlight=False, soft_wrap=True)
    own = f"{dataset}/{names[-1]}" if f"{dataset}/{names[-1]}" in shipped_configs() else ""
    out.print(f"Next: gnnseg train {own or f'-s dataset={dataset}'}", highlight=False, soft_wrap=True)
