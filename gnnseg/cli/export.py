"""``gnnseg export``."""

from __future__ import annotations

from pathlib import Path

import click

from gnnseg.cli import options


@click.command()
@options.run_folder
@click.option("--to", required=True, type=click.Path(path_type=Path), help="A new folder.")
@click.option("--index", is_flag=True, help="An index of the items' vectors, too (extra export).")
@click.option("--onnx", is_flag=True, help="The scoring path as ONNX, too (extra export).")
@click.option("-k", default=10, show_default=True, type=click.IntRange(min=1), help="Recall is of the top k.")
@options.as_json
@options.quiet
@options.example("gnnseg export runs/full --to exported --index")
def export(run: str, to: Path, index: bool, onnx: bool, k: int, json_: bool, quiet: bool) -> None:
    """A run's vectors with ids, an index of them, and its scoring path in ONNX."""
    from gnnseg.checkpoint import load_run
    from gnnseg.export import export as exported
    from gnnseg.files import to_json

    about = exported(load_run(run), to, index=index, onnx=onnx, k=k)
    if json_:
        click.echo(to_json(about))
    elif not quiet:
        from gnnseg.cli.progress import counted

        whole = "all of the scores" if about["exact"] else f"left out: {', '.join(about['left_out'])}"
        sizes = (
            f"{counted(about['users'], 'user')}, {counted(about['items'], 'item')}, {about['dim']} dimensions"
        )
        click.echo(f"{sizes}; {whole}")
        share = about["recall"]["of_full_system"]
        click.echo(f"exact search of the vectors finds {share:.1%} of the full system's top {k}")
        if index:
            found = about["index"]
            click.echo(
                f"the index finds {found['recall_of_exact']:.1%} of exact search, "
                f"{found['recall_of_full_system']:.1%} of the full system"
            )
        if onnx:
            click.echo(f"onnxruntime differs from torch by {about['onnx']['difference']:.1e} at most")
        click.echo(f"Written to {to}")
