"""``gnnseg show``."""

from __future__ import annotations

from typing import Any

import click

from gnnseg.cli import options


@click.command()
@click.argument("what", required=False)
@options.overrides
@options.as_json
@options.example("gnnseg show encoders.LightGCN\ngnnseg show movielens/full -s encoder.dim=32")
def show(what: str | None, overrides: tuple[str, ...], json_: bool) -> None:
    """What there is: configs, components and their parameters, a resolved config.

    WHAT is `configs`, a kind (`encoders`), one of a kind (`encoders.LightGCN`), or a config.
    """
    from gnnseg.config import KINDS, shipped_configs
    from gnnseg.data import SOURCES, SPLITS
    from gnnseg.errors import ConfigError, unknown

    folders = sorted({name.split("/")[0] for name in shipped_configs()})
    kinds: dict[str, Any] = {
        "sources": SOURCES,
        "splits": SPLITS,
        **{_plural(key): kind for key, kind in KINDS.items() if key != "term"},  # a term is a baseline
    }
    if what is None:
        _lines(
            {"configs": shipped_configs()} | {key: list(kind.classes()) for key, kind in kinds.items()}, json_
        )
    elif what == "configs":
        _lines({"configs": shipped_configs()}, json_)
    elif what in kinds:
        _lines({what: {name: _first_line(cls) for name, cls in kinds[what].classes().items()}}, json_)
    elif what.partition(".")[0] in kinds and not what.endswith((".yaml", ".yml")):
        kind, _, name = what.partition(".")
        _component(kinds[kind].find(name), json_)
    elif "/" in what or what.endswith((".yaml", ".yml")) or what in folders:
        _config(what, overrides, json_)
    else:
        raise ConfigError(unknown("kind or config", what, ["configs", *kinds, *folders, *shipped_configs()]))


def _plural(key: str) -> str:
    return {"loss": "losses", "local": "local"}.get(key, key if key.endswith("s") else f"{key}s")


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]


def _lines(content: dict[str, Any], json_: bool) -> None:
    from gnnseg.files import to_json

    if json_:
        click.echo(to_json(content))
        return
    for title, entries in content.items():
        click.secho(title, bold=True)
        for entry in entries:
            note = f"  {entries[entry]}" if isinstance(entries, dict) else ""
            click.echo(f"  {entry:<22}{note}".rstrip())


def _component(cls: Any, json_: bool) -> None:
    from gnnseg.cli.progress import out, table
    from gnnseg.files import to_json

    parameters = cls.hyperparameters()
    content = {
        name: {
            "type": _type(p.annotation),
            "default": None if p.required else p.default,
            "required": p.required,
        }
        for name, p in parameters.items()
    }
    if json_:
        click.echo(to_json({"name": cls.__name__, "about": cls.__doc__, "parameters": content}))
        return
    import inspect

    click.echo(inspect.cleandoc(cls.__doc__ or ""))
    rows = [[n, c["type"], "(required)" if c["required"] else str(c["default"])] for n, c in content.items()]
    out.print(table(cls.__name__, ["parameter", "type", "default"], rows))


def _type(annotation: Any) -> str:
    import typing

    if typing.get_origin(annotation) is typing.Annotated:
        base, *limits = typing.get_args(annotation)
        return f"{_type(base)} {', '.join(_limit(x) for x in limits)}"
    if typing.get_origin(annotation) is typing.Literal:
        return " | ".join(map(str, typing.get_args(annotation)))
    return (
        getattr(annotation, "__name__", str(annotation)) if isinstance(annotation, type) else str(annotation)
    )


def _limit(limit: Any) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    return " ".join(f"{sign} {getattr(limit, name)}" for name, sign in signs.items() if hasattr(limit, name))


def _config(name: str, overrides: tuple[str, ...], json_: bool) -> None:
    from gnnseg.config import load_config
    from gnnseg.files import to_json

    config = load_config(name, overrides)
    click.echo(to_json(config.resolved()) if json_ else config.to_yaml().rstrip())
