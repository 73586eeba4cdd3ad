"""``gnnseg recommend``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnnseg.cli import options

if TYPE_CHECKING:
    from gnnseg.recommend import Recommender


@click.command()
@options.run_folder
@click.option("--user", "users", multiple=True, help="Outside id of a user; may be repeated.")
@click.option("--items", multiple=True, help="What somebody new liked: outside ids, commas between them.")
@click.option("--all", "everybody", is_flag=True, help="All users, into --out.")
@click.option("-k", default=10, show_default=True, type=click.IntRange(min=1), help="Length of a list.")
@click.option("--out", type=click.Path(path_type=Path), help="File for --all: .parquet, .csv or .jsonl.")
@options.as_json
@options.quiet
@options.example("gnnseg recommend runs/full --user 42 -k 5\ngnnseg recommend runs/full --items 1196,260")
def recommend(
    run: str,
    users: tuple[str, ...],
    items: tuple[str, ...],
    everybody: bool,
    k: int,
    out: Path | None,
    json_: bool,
    quiet: bool,
) -> None:
    """The best unseen items for users of a saved run, or for somebody new."""
    from gnnseg.files import to_json
    from gnnseg.recommend import Recommender, as_json

    if bool(users) + bool(items) + everybody != 1:
        raise click.UsageError("give exactly one of --user, --items or --all")
    if everybody != (out is not None):
        raise click.UsageError("--all and --out go together")
    recommender = Recommender.load(run)
    if out is not None:
        rows = _write_all(recommender, k, out, quiet)
        if not quiet:
            click.echo(f"{rows} rows written to {out}", err=True)
        return
    if users:
        lists = recommender.recommend(users, k)
        found = [as_json(user, recommender.segments_of(user), best) for user, best in lists.items()]
    else:
        history = [part.strip() for text in items for part in text.split(",") if part.strip()]
        best = recommender.recommend_for(history, k)
        found = [as_json("", recommender.segments_for(history), best)]
    if json_:
        click.echo(to_json(found))
    elif not quiet:
        _show(found)


def _show(found: list[dict[str, Any]]) -> None:
    from gnnseg.cli.progress import out, table

    for entry in found:
        shares = ", ".join(f"{s} ({p:.0%})" for s, p in sorted(entry["segment"].items(), key=lambda x: -x[1]))
        title = f"user {entry['user']}" if entry["user"] else "somebody new"
        rows = [[i["text"][:60] or i["item"], i["item"], f"{i['score']:.3f}"] for i in entry["items"]]
        out.print(table(title + (f", segment {shares}" if shares else ""), ["item", "id", "score"], rows))


def _write_all(recommender: Recommender, k: int, out: Path, quiet: bool) -> int:
    """Write every user's list to a table; returns the number of rows."""
    import polars as pl

    from gnnseg.cli.progress import tracker
    from gnnseg.errors import ConfigError
    from gnnseg.files import writing

    writers: dict[str, Any] = {".parquet": "write_parquet", ".csv": "write_csv", ".jsonl": "write_ndjson"}
    if out.suffix not in writers:
        raise ConfigError(f"--out must end in .parquet, .csv or .jsonl (got '{out.name}')")
    users, items = list(recommender.run.users), list(recommender.run.items)
    rows, best, scores = recommender.everybody(k, tracker(quiet))
    frame = pl.DataFrame(
        {
            "user": pl.Series(users)[rows.repeat(best.shape[1])],
            "rank": pl.Series(list(range(1, best.shape[1] + 1)) * len(rows), dtype=pl.Int32),
            "item": pl.Series(items)[best.ravel()],
            "score": scores.ravel(),
        }
    ).filter(pl.col("score").is_finite())
    with writing(out) as temporary:
        getattr(frame, writers[out.suffix])(temporary)
    return len(frame)
