"""``gnnseg explain``."""

from __future__ import annotations

import click

from gnnseg.cli import options


@click.command()
@options.run_folder
@click.option("--item", required=True, help="Outside id of the item.")
@click.option("--user", help="Outside id of a user.")
@click.option("--items", multiple=True, help="What somebody new liked: outside ids, commas between them.")
@click.option("--about", multiple=True, metavar="COLUMN=VALUE", help="Of somebody new, as in recommend.")
@options.as_json
@options.quiet
@options.example(
    "gnnseg explain runs/full --user 42 --item 260\n"
    "gnnseg explain runs/full --items 1196,1210 --item 260 --json\n"
    "gnnseg explain runs/full --about gender=F --item 260"
)
def explain(
    run: str,
    item: str,
    user: str | None,
    items: tuple[str, ...],
    about: tuple[str, ...],
    json_: bool,
    quiet: bool,
) -> None:
    """Why a user, or somebody new, gets an item: the score as an exact sum, paths and likeness of texts."""
    from gnnseg.explain import explain as explained
    from gnnseg.files import to_json
    from gnnseg.recommend import Recommender

    if (user is None) == (not (items or about)):
        raise click.UsageError("give either --user or --items (or --about)")
    known = options.assignments("--about", about)
    history = [part.strip() for text in items for part in text.split(",") if part.strip()]
    found = explained(Recommender.load(run), item, user=user, items=history if items else None, about=known)
    if json_:
        click.echo(to_json(found.as_json()))
    elif not quiet:
        click.echo("\n".join(found.words()))
