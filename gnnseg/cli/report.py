"""``gnnseg report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gnnseg.cli import options

if TYPE_CHECKING:
    from gnnseg.report.page import Method


@click.command()
@options.run_folder
@click.option("--out", type=click.Path(path_type=Path), help="File to write.  [default: RUN/report.html]")
@click.option(
    "--compare", metavar="RUN", help="Another run, shown beside it: metrics, and who changed segments."
)
@click.option("--anonymous", is_flag=True, help="Leave outside ids of users out, to share the page.")
@click.option(
    "--map",
    "method",
    type=click.Choice(["pca", "umap"]),
    default="pca",
    show_default=True,
    help="What places users and items; umap needs the extra report.",
)
@options.as_json
@options.quiet
@options.example(
    "gnnseg report runs/full\ngnnseg report runs/april --compare runs/march --anonymous --out april.html"
)
def report(
    run: str,
    out: Path | None,
    compare: str | None,
    anonymous: bool,
    method: Method,
    json_: bool,
    quiet: bool,
) -> None:
    """One page about a saved run, in one file that opens offline."""
    from gnnseg.cli.progress import tracker
    from gnnseg.files import to_json
    from gnnseg.report.page import write_page

    shown = tracker(quiet)
    file = write_page(run, out, compare=compare, anonymous=anonymous, method=method, tracker=shown)
    size = file.stat().st_size
    if json_:
        click.echo(to_json({"file": str(file), "bytes": size}))
    elif not quiet:
        click.echo(f"{file} ({size / 1e6:.1f} MB), open it in a browser", err=True)
