"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

quiet = click.option("--quiet", "-q", is_flag=True, help="No progress and no tables.")
as_json = click.option("--json", "json_", is_flag=True, help="Print the result as JSON.")
device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
config_device = click.option(
    "--device", default=None, help="auto, cpu, cuda, cuda:N or mps.  [default: the config's]"
)
seed = click.option("--seed", type=click.IntRange(min=0), default=None, help="Seed of training.")
overrides = click.option(
    "-s",
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the config, such as encoder.dim=32.",
)


def _use_data_dir(ctx: click.Context, param: click.Parameter, folder: Path | None) -> None:
    if folder is not None:
        from gnnseg.files import datasets_in

        ctx.with_resource(datasets_in(folder))


data_dir = click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    expose_value=False,
    callback=_use_data_dir,
    help="Files of shipped datasets, in a folder of the dataset's name.  [default: $GNNSEG_HOME/datasets]",
)
run_folder = click.argument("run", metavar="RUN")


def assignments(option: str, given: tuple[str, ...]) -> dict[str, str]:
    """``KEY=VALUE`` each, as a mapping.

    Raises:
        click.UsageError: If a text has no ``=``, or no key before it.
    """
    found = dict(text.split("=", 1) for text in given if text.partition("=")[0] and "=" in text)
    wrong = [text for text in given if not text.partition("=")[0] or "=" not in text]
    if wrong:
        raise click.UsageError(f"{option} takes COLUMN=VALUE (got {wrong[0]!r})")
    return found


def example(text: str) -> Callable[[F], F]:
    """Add an example to a command's help; goes above ``@click.command`` 's function."""

    def decorate(function: F) -> F:
        lines = "\n".join(f"      {line}" for line in text.strip().splitlines())
        function.__doc__ = f"{function.__doc__}\n\n    \b\n    Example:\n{lines}\n"
        return function

    return decorate
