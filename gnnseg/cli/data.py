"""``gnnseg data``."""

from __future__ import annotations

from typing import Any

import click

from gnnseg.cli import options


@click.group()
@options.example("gnnseg data check books.yaml")
def data() -> None:
    """Datasets: what there is, what is in one, fetch one, check your own."""


@data.command("list")
@options.as_json
@options.example("gnnseg data list")
def list_(json_: bool) -> None:
    """Datasets that come with the package."""
    from gnnseg.config import load_dataset_config, shipped_datasets
    from gnnseg.files import to_json

    configs = [load_dataset_config(name) for name in shipped_datasets()]
    rows: list[dict[str, Any]] = [
        {"name": c.name, "source": c.source, "filters": c.filters.model_dump(), "split": c.split}
        for c in configs
    ]
    if json_:
        click.echo(to_json(rows))
        return
    from gnnseg.cli.progress import out, table

    lines = [[r["name"], r["source"]["name"], _spec(r["split"])] for r in rows]
    out.print(table("datasets", ["name", "source", "split"], lines, words=(1, 2)))


@data.command()
@click.argument("name")
@options.as_json
@options.example("gnnseg data info movielens")
def info(name: str, json_: bool) -> None:
    """Sizes of a dataset after its filters, and of its parts."""
    from gnnseg.config import load_dataset_config

    config = load_dataset_config(name)
    click.echo(f"files of '{config.name}' are looked for in {config.folder}", err=True)
    _print(_summary(config), json_)


@data.command()
@click.argument("name")
@options.quiet
@options.example("gnnseg data fetch movielens-1m")
def fetch(name: str, quiet: bool) -> None:
    """Download a dataset into the cache, or say that it needs no download."""
    from gnnseg.cli.progress import tracker
    from gnnseg.config import load_dataset_config
    from gnnseg.data import SOURCES
    from gnnseg.data.sources import MovieLens
    from gnnseg.data.sources.movielens import fetch_release
    from gnnseg.tracking import follow

    config = load_dataset_config(name)
    if SOURCES.find(config.source["name"]) is not MovieLens:
        raise click.UsageError(
            f"'{name}' is read from files in {config.folder}; there is nothing to download"
        )
    with tracker(quiet).task(f"fetching {name}", 1) as task:
        path = fetch_release(config.source["release"], config.source["base_url"], follow(task))
    click.echo(str(path))


@data.command()
@click.argument("file")
@options.as_json
@options.example("gnnseg data check books.yaml")
def check(file: str, json_: bool) -> None:
    """Read a dataset's YAML file and all its tables, and say what is in them."""
    from gnnseg.config import load_dataset_config

    _print(_summary(load_dataset_config(file)), json_)


def _summary(config: Any) -> dict[str, Any]:
    from pathlib import Path

    import numpy as np

    from gnnseg.data import SOURCES, SPLITS

    raw = SOURCES.create(config.source, Path(config.folder)).load(config.name)
    dataset = config.filters.apply(raw)
    parts = SPLITS.create(config.split).split(dataset)
    activity = np.bincount(dataset.interactions.users)
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "read": {"users": raw.num_users, "items": raw.num_items, "interactions": len(raw.interactions)},
        "kept": {
            "users": dataset.num_users,
            "items": dataset.num_items,
            "interactions": len(dataset.interactions),
        },
        "density": dataset.density,
        "interactions_per_user": {
            "min": int(activity.min()),
            "median": float(np.median(activity)),
            "max": int(activity.max()),
        },
        "items_without_text": None if dataset.texts is None else sum(not text for text in dataset.texts),
        "train": len(parts.train),
        "valid": len(parts.valid),
        "test": len(parts.test),
        "dropped": parts.dropped,
    }


def _print(summary: dict[str, Any], json_: bool) -> None:
    from gnnseg.files import to_json

    if json_:
        click.echo(to_json(summary))
        return
    from gnnseg.cli.progress import out, table

    rows = [[key, _spec(value) if isinstance(value, dict) else str(value)] for key, value in summary.items()]
    out.print(table(summary["name"], ["what", "value"], rows, words=(1,)))


def _spec(spec: dict[str, Any]) -> str:
    name = spec.get("name")
    rest = ", ".join(f"{k} {v}" for k, v in spec.items() if k != "name" and v not in (None, [], ()))
    return f"{name} ({rest})" if name and rest else str(name or rest)
