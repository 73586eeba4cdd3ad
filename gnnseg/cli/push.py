"""``gnnseg push``."""

from __future__ import annotations

import click

from gnnseg.cli import options


@click.command()
@options.run_folder
@click.option("--repo", required=True, metavar="OWNER/NAME", help="On the hub; made if it is not there.")
@click.option("--public", is_flag=True, help="Let anybody read it, ids and interactions of users included.")
@click.option("--revision", help="Branch.  [default: the main one]")
@options.as_json
@options.quiet
@options.example("gnnseg push runs/full --repo me/movielens-full")
def push(run: str, repo: str, public: bool, revision: str | None, json_: bool, quiet: bool) -> None:
    """Send a saved run with its model card to Hugging Face's hub, into a private repository by default.

    HF_TOKEN, or `hf auth login`, says who you are; HF_ENDPOINT names another hub.
    """
    from gnnseg.files import to_json
    from gnnseg.hub import push as send

    found = send(run, repo, public=public, revision=revision)
    if json_:
        click.echo(to_json(found))
    elif not quiet:
        seen = "private" if found["private"] else "public"
        click.echo(f"{len(found['files'])} files in {found['repo']} ({seen}): {found['url']}")
