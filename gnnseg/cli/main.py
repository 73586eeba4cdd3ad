"""The group of commands, and what happens when one fails."""

from __future__ import annotations

import logging
import sys
from importlib import import_module
from typing import Any

import click

from gnnseg.errors import GnnsegError, unknown
from gnnseg.signals import exit_code, terminable

COMMANDS = (
    "train",
    "benchmark",
    "ablate",
    "evaluate",
    "segments",
    "recommend",
    "report",
    "explain",
    "audit",
    "export",
    "push",
    "update",
    "data",
    "show",
    "doctor",
)


_LESS = "take a smaller batch_size or dim, fewer items, or another --device"


class Commands(click.Group):
    """Loads a command's module when it is called; turns errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of a first session."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import ``gnnseg.cli.<name>``."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"gnnseg.cli.{cmd_name}"), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with the nearest name for an unknown command."""
        if args and args[0] not in COMMANDS:
            ctx.fail(unknown("command", args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a user's error is one line on standard error and exit code 1."""
        try:
            with terminable():
                return super().invoke(ctx)
        except GnnsegError as error:
            _fail(" ".join(str(error).split()), 1)
        except (MemoryError, RuntimeError) as error:  # PyTorch's own are the latter
            from gnnseg.memory import out_of_memory

            if not out_of_memory(error):
                raise
            _fail(f"memory ran out: {' '.join(str(error).split())[:200]}; {_LESS}", 1)
        except KeyboardInterrupt as stopped:
            _fail("interrupted; nothing was written under a final name", exit_code(stopped))
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)


def _fail(message: str, code: int) -> None:
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)


def _version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from gnnseg.environment import version

        click.echo(f"gnnseg {version()}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show it."
)
def main() -> None:
    """Graph neural network recommendation with user segments.

    \b
    Start with:
      gnnseg benchmark --dataset movielens     compare models on the bundled data
      gnnseg train                             train the full system and save it
      gnnseg recommend runs/full --user 42     use it
    """  # noqa: D301 -- the character itself tells click to keep the lines
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
