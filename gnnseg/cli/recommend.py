"""``gnnseg recommend``."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from gnnseg.cli import options

if TYPE_CHECKING:
    from gnnseg.ranks import Ranks
    from gnnseg.recommend import Recommender
    from gnnseg.rules import Rules

WIDTH = 60
"""Characters of an item's text in a table."""


@click.command()
@options.run_folder
@click.option("--user", "users", multiple=True, help="Outside id of a user, or @FILE with one id a line.")
@click.option("--items", multiple=True, help="What somebody new liked: ids, commas between them, or @FILE.")
@click.option(
    "--about",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="What the users' table would say of somebody new; with or without --items, for runs with new_users.",
)
@click.option("--segment", help="What this segment as a whole is served.")
@click.option("--all", "everybody", is_flag=True, help="All users, into --out.")
@click.option("-k", default=10, show_default=True, type=click.IntRange(min=1), help="Length of a list.")
@click.option("--exclude", multiple=True, help="Items never to recommend: ids with commas, or @FILE.")
@click.option("--only", multiple=True, help="The only items to recommend: ids with commas, or @FILE.")
@click.option("--min-novelty", default=0.0, help="Bits of self-information an item needs.")
@click.option("--diversity", default=0.0, help="0 by score alone; towards 1, items unlike each other (MMR).")
@click.option("--diversity-on", type=click.Choice(["vectors", "texts"]), default="vectors", help="Alike by.")
@click.option("--popularity-penalty", default=0.0, help="0 by score alone; towards 1, rare items first.")
@click.option("--calibration", default=0.0, help="0 by score alone; towards 1, genres as in the history.")
@click.option("--out", type=click.Path(path_type=Path), help="File: .parquet, .csv or .jsonl.")
@click.option("--texts", is_flag=True, help="Write the items' texts into --out, too.")
@options.as_json
@options.quiet
@options.example(
    "gnnseg recommend runs/full --user 42 -k 5 --exclude 1196\n"
    "gnnseg recommend runs/full --items 1196,260 --diversity 0.3\n"
    "gnnseg recommend runs/full --about gender=F --about age=25\n"
    "gnnseg recommend runs/full --segment 2 --min-novelty 4\n"
    "gnnseg recommend runs/full --all --out lists.parquet"
)
def recommend(
    run: str,
    users: tuple[str, ...],
    items: tuple[str, ...],
    about: tuple[str, ...],
    segment: str | None,
    everybody: bool,
    k: int,
    out: Path | None,
    texts: bool,
    json_: bool,
    quiet: bool,
    **rules: Any,
) -> None:
    """The best unseen items for users of a saved run, for somebody new, or for a segment.

    With `torchrun --nproc-per-node P -m gnnseg recommend RUN --all --out FILE` P processes rank
    (docs/scale.md).
    """
    from gnnseg.files import to_json
    from gnnseg.ranks import connect
    from gnnseg.recommend import Recommender

    if bool(users) + bool(items or about) + (segment is not None) + everybody != 1:
        raise click.UsageError("give exactly one of --user, --items (or --about), --segment or --all")
    if (everybody and out is None) or (out is not None and not (users or everybody)):
        raise click.UsageError("--all and --out go together; --out takes --user, too")
    if texts and out is None:
        raise click.UsageError("--texts is for --out; other output has texts already")
    ranks = connect()
    if ranks is not None and out is None:
        raise click.UsageError("several processes write lists into --out; without it, start one")
    recommender = Recommender.load(run)
    known = _ids(users, split=False)
    wanted = _rules(**rules)
    if out is not None:
        _write(recommender, out, None if everybody else known, k, wanted, texts, quiet, ranks)
        return
    somebody = (_ids(items), options.assignments("--about", about)) if items or about else None
    found = _lists(recommender, known, somebody, segment, k, wanted)
    if json_:
        click.echo(to_json(found))
    elif not quiet:
        _show(run, found, segment)


def _rules(exclude: tuple[str, ...], only: tuple[str, ...], **others: Any) -> Rules:
    from gnnseg.rules import Rules

    return Rules(exclude=_ids(exclude), only=_ids(only) if only else None, **others)


def _ids(given: tuple[str, ...], split: bool = True) -> list[str]:
    """Ids from options: commas between them where ``split``, and ``@FILE`` for one a line."""
    from gnnseg.errors import ConfigError

    found: list[str] = []
    for text in given:
        if not text.startswith("@"):
            found += text.split(",") if split else [text]
            continue
        try:
            found += Path(text[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot read ids from '{text[1:]}': {getattr(error, 'strerror', error)}"
            ) from None
    return [name.strip() for name in found if name.strip()]


def _lists(
    recommender: Recommender,
    users: list[str],
    somebody: tuple[list[str], dict[str, str]] | None,
    segment: str | None,
    k: int,
    rules: Rules,
) -> list[dict[str, Any]]:
    from gnnseg.recommend import as_json

    if segment is not None:
        return [as_json("", {str(segment): 1.0}, recommender.recommend_segment(segment, k, rules))]
    if somebody is not None:
        items, about = somebody
        best = recommender.recommend_for(items, k, rules, about)
        return [as_json("", recommender.segments_for(items) if items else {}, best)]
    lists = recommender.recommend(users, k, rules)
    return [as_json(user, recommender.segments_of(user), found) for user, found in lists.items()]


def _show(run: str, found: list[dict[str, Any]], segment: str | None) -> None:
    from gnnseg.cli.progress import cut, out, table

    for entry in found:
        shares = ", ".join(f"{s} ({p:.0%})" for s, p in sorted(entry["segment"].items(), key=lambda x: -x[1]))
        title = f"user {entry['user']}" if entry["user"] else "somebody new"
        title += f", segment {shares}" if shares else ""
        if segment is not None:
            title = f"segment {segment} as a whole"
        rows = [[cut(i["text"], WIDTH) or i["item"], i["item"], f"{i['score']:.3f}"] for i in entry["items"]]
        out.print(table(title, ["item", "id", "score"], rows))
    if found and found[0]["user"] and found[0]["items"]:
        out.print(_next(run, found), highlight=False, markup=False, soft_wrap=True)


def _next(run: str, found: list[dict[str, Any]]) -> str:
    """The command that tells why the first user gets the first item."""
    user, item = (quote(name) for name in (found[0]["user"], found[0]["items"][0]["item"]))
    return f"Next: gnnseg explain {run} --user {user} --item {item}"


def _write(
    recommender: Recommender,
    out: Path,
    users: list[str] | None,
    k: int,
    rules: Rules,
    texts: bool,
    quiet: bool,
    ranks: Ranks | None,
) -> None:
    from gnnseg.cli.progress import tracker
    from gnnseg.lists import write_lists

    rows = None if users is None else recommender.run.users.rows(users)
    quiet = quiet or (ranks is not None and ranks.rank > 0)
    written = write_lists(recommender, out, k, rows, rules, texts, tracker(quiet), ranks)
    if not quiet:
        click.echo(f"{written} rows written to {out}", err=True)
