"""``gnnseg data``."""

from __future__ import annotations

from pathlib import Path
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
@options.data_dir
@options.as_json
@options.example("gnnseg data info movielens")
def info(name: str, json_: bool) -> None:
    """Terms of a dataset and how to get its files, its sizes after its filters, and those of its parts."""
    from gnnseg.config import dataset_notes, load_dataset_config
    from gnnseg.data import SOURCES

    config = load_dataset_config(name)
    if notes := dataset_notes(name):
        click.echo(notes, err=True)
    click.echo(f"files of '{config.name}' are looked for in {config.folder}", err=True)
    _print(_summary(config, SOURCES.create(config.source, Path(config.folder)).load(config.name)), json_)


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
@click.option(
    "--on-bad-rows",
    type=click.Choice(["error", "skip"]),
    help="Whether they make the check fail.  [default: as the file says]",
)
@options.data_dir
@options.as_json
@options.example("gnnseg data check books.yaml --on-bad-rows skip")
def check(file: str, on_bad_rows: str | None, json_: bool) -> None:
    """Read a dataset's YAML file and all its tables, and say what is in them and what is wrong.

    Tells sizes, density, repeated pairs, ids that do not match between tables, missing texts, how many
    interactions users and items have, what each filter drops, and every kind of bad row with its first 20.
    """
    from gnnseg.config import load_dataset_config
    from gnnseg.data import SOURCES
    from gnnseg.data.checking import examine
    from gnnseg.data.sources import Problems
    from gnnseg.errors import DataError

    config = load_dataset_config(file)
    source = SOURCES.create(config.source, Path(config.folder))
    refused = (on_bad_rows or source.problems.on_bad_rows) == "error"
    source.problems = Problems("skip")  # to find all, not the first
    raw = source.load(config.name)
    summary = {**_summary(config, raw), **examine(raw, config.filters, source.problems)}
    _print(summary, json_)
    if refused and source.problems.total:
        more = source.problems.total - 1
        raise DataError(
            f"{source.problems.message}; {more} more bad row(s): mend them, or set on_bad_rows to skip"
        )


@data.command()
@click.argument("file")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to make.")
@options.data_dir
@options.quiet
@options.as_json
@options.example("gnnseg data prepare books.yaml --out books-prepared")
def prepare(file: str, out: Path, quiet: bool, json_: bool) -> None:
    """Make a dataset's tables into a folder to train on, apart from training; they may exceed the memory.

    Ids are numbered, filters applied and pairs sorted by user. Train on DIR/dataset.yaml: its metrics are
    those of training on the tables. A folder that was prepared with the same settings is left as it is.
    """
    from gnnseg.cli.progress import tracker
    from gnnseg.config import load_dataset_config
    from gnnseg.preparing import prepare_folder

    with tracker(quiet).task(f"preparing {file}", 1):
        about = prepare_folder(load_dataset_config(file), out)
    summary = {"name": about["settings"]["name"], "folder": str(out)}
    summary |= {key: about[key] for key in ("users", "items", "interactions")}
    if json_ or not quiet:
        _print(summary, json_)
    if not json_ and not quiet:
        click.echo(f"Next: gnnseg train -s dataset={out}/dataset.yaml", err=True)


def _summary(config: Any, raw: Any) -> dict[str, Any]:
    import numpy as np

    from gnnseg.data import SPLITS
    from gnnseg.data.checking import activity, sizes

    dataset = config.filters.apply(raw)
    parts = SPLITS.create(config.split).split(dataset)
    return {
        "name": dataset.name,
        "digest": dataset.digest,
        "read": sizes(raw),
        "kept": sizes(dataset),
        "density": dataset.density,
        "interactions_per_user": activity(np.bincount(dataset.interactions.users)),
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

    rows = [[key, _shown(value)] for key, value in summary.items() if key not in _LISTS]
    out.print(table(summary["name"], ["what", "value"], rows, words=(1,)))
    unmatched = summary.get("unmatched_ids", ())
    if unmatched:
        lines = [[u["table"], u["problem"], str(u["ids"]), ", ".join(u["examples"])] for u in unmatched]
        out.print(
            table("ids that do not match", ["table", "which", "ids", "such as"], lines, words=(0, 1, 3))
        )
    for kind in summary.get("bad_rows", {}).get("kinds", ()):
        lines = [[r["table"].rpartition("/")[2].rstrip("'"), str(r["row"]), _got(r)] for r in kind["first"]]
        out.print(f"{kind['total']} bad row(s): {kind['rule']}", highlight=False, soft_wrap=True)
        out.print(table("the first", ["table", "row", "got"], lines, words=(0, 2)))


_LISTS = ("unmatched_ids", "bad_rows")


def _shown(value: Any) -> str:
    return _spec(value) if isinstance(value, dict) else str(value)


def _got(row: dict[str, Any]) -> str:
    return f"line {row['line']}" if "line" in row else repr(row["got"])[:60]


def _spec(spec: dict[str, Any]) -> str:
    name = spec.get("name")
    rest = ", ".join(f"{k} {v}" for k, v in spec.items() if k != "name" and v not in (None, [], ()))
    return f"{name} ({rest})" if name and rest else str(name or rest)
