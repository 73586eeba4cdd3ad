from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import torch

import gnnseg
from gnnseg.cli import main
from gnnseg.cli.main import COMMANDS
from tests.cli.invoking import failure, invoke, misuse, output
from tests.runs import saved_run


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and subcommand, groups too."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_the_commands_of_the_contract() -> None:
    assert {"train", "benchmark", "evaluate", "segments", "recommend", "data", "show"} <= set(COMMANDS)
    data = {path[1] for path in commands() if path[0] == "data" and len(path) == 2}
    assert data == {"list", "info", "fetch", "check", "prepare"}


@pytest.mark.parametrize("path", [(), *commands()], ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(path: tuple[str, ...], flag: str) -> None:
    text = output(*path, flag)
    assert text.startswith(f"Usage: {' '.join(('gnnseg', *path))}")
    examples = re.findall(
        rf"^ +(gnnseg.*{' '.join(path)}.*)$", text.partition("Usage:")[2], flags=re.MULTILINE
    )
    assert examples, "no example"
    assert "Example:" in text or path == ()


@pytest.mark.parametrize("path", [p for p in commands() if p != ("data",)], ids=" ".join)
def test_examples_are_right(path: tuple[str, ...]) -> None:
    """Every option and argument of an example exists."""
    text = output(*path, "--help").partition("Example:")[2].partition("Options:")[0]
    lines = [shlex.split(line) for line in text.strip().splitlines() if line.strip()]
    assert lines
    for line in lines:
        assert line[: len(path) + 1] == ["gnnseg", *path]
        context, command = click.Context(main), main
        for name in path:
            assert isinstance(command, click.Group)
            command = command.get_command(context, name)  # type: ignore[assignment]
        command.make_context(" ".join(path), line[len(path) + 1 :])


def test_version() -> None:
    assert output("--version") == f"gnnseg {gnnseg.__version__}\n"


def test_unknown_command() -> None:
    assert misuse("trian") == "unknown command 'trian'; did you mean 'train'?"


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--epochs", "3"),
        ("train", "--seed", "-1"),
        ("train", "--seed", "x"),
        ("train", "a", "b"),
        ("benchmark", "--seeds", "0"),
        ("evaluate",),
        ("evaluate", "run", "--split", "train"),
        ("recommend", "run", "--user", "1", "-k", "0"),
        ("data", "lst"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert misuse(*arguments)


def in_a_new_process(code: str) -> str:
    folder = str(Path(gnnseg.__file__).parents[1])
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {folder!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = ("torch", "transformers", "torch_geometric", "sklearn", "scipy", "matplotlib", "polars")


@pytest.mark.parametrize(
    "code",
    [
        "import gnnseg",
        "import runpy\nsys.argv = ['gnnseg', '--help']\ntry:\n"
        "    runpy.run_module('gnnseg', run_name='__main__')\nexcept SystemExit as e:\n    assert not e.code",
    ],
    ids=["import", "help"],
)
def test_light(code: str) -> None:
    last = in_a_new_process(f"{code}\nprint([name for name in {HEAVY} if name in sys.modules])").splitlines()[
        -1
    ]
    assert last == "[]"


def test_an_error_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gnnseg.checkpoint.load_run", broken)
    with pytest.raises(ZeroDivisionError):
        invoke("evaluate", saved_run())


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gnnseg.checkpoint.load_run", interrupted)
    result = invoke("evaluate", saved_run())
    assert result.exit_code == 130
    assert result.stderr == "Error: interrupted; nothing was written under a final name\n"


@pytest.mark.parametrize(
    "error",
    [MemoryError("9 bytes"), torch.OutOfMemoryError("CUDA\n9 bytes"), RuntimeError("can't allocate memory")],
)
def test_memory_that_runs_out_is_one_line(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(*_: object) -> None:
        raise error

    monkeypatch.setattr("gnnseg.checkpoint.load_run", evaluate)
    text = " ".join(str(error).split())
    assert failure("evaluate", saved_run()) == (
        f"memory ran out: {text}; take a smaller batch_size or dim, fewer items, or another --device"
    )


def test_other_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("gnnseg.checkpoint.load_run", evaluate)
    with pytest.raises(RuntimeError, match="a bug"):
        invoke("evaluate", saved_run())
