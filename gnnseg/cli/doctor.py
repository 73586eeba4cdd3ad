"""``gnnseg doctor``."""

from __future__ import annotations

import click

from gnnseg.cli import options

MARKS = {"ok": "ok", "note": "--", "broken": "!!"}


@click.command()
@click.option("--self-test/--no-self-test", default=True, help="Train, save and load a tiny run.")
@options.device
@options.as_json
@options.quiet
@options.example("gnnseg doctor\ngnnseg doctor --device cuda --json")
def doctor(self_test: bool, device: str, json_: bool, quiet: bool) -> None:
    """Whether this installation works: versions, device, threads, cache, weights, extras, a self-test.

    Exit code 1 says that something is broken; what is missing but not needed (--) does not count.
    """
    from gnnseg.doctor import diagnose
    from gnnseg.errors import GnnsegError
    from gnnseg.files import to_json

    found = diagnose(device, self_test)
    if json_:
        click.echo(to_json(found))
    elif not quiet:
        width = max(len(check["name"]) for check in found["checks"])
        for check in found["checks"]:
            click.echo(f"{MARKS[check['state']]}  {check['name']:<{width}}  {check['text']}")
    broken = [check["name"] for check in found["checks"] if check["state"] == "broken"]
    if broken:
        raise GnnsegError(f"broken: {', '.join(broken)}")
