"""The command line in this process."""

from __future__ import annotations

import inspect
import json
from typing import Any

from click.testing import CliRunner, Result

from gnnseg.cli import main

SEPARATE = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
"""Before click 8.2, standard error had to be asked for."""


def invoke(*arguments: object) -> Result:
    """Run ``gnnseg``; anything but an exit is a bug and raised."""
    result = CliRunner(**SEPARATE).invoke(main, [str(a) for a in arguments], prog_name="gnnseg")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def output(*arguments: object) -> str:
    """Standard output of a command that succeeds."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def printed(*arguments: object) -> Any:
    """The JSON on standard output of a command that succeeds: it and nothing else."""

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    return json.loads(output(*arguments, "--json"), parse_constant=refuse)


def failure(*arguments: object) -> str:
    """The one line on standard error of a command that fails clearly."""
    result = invoke(*arguments)
    assert result.exit_code == 1, result.stdout
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    return result.stderr.removeprefix("Error: ").rstrip()


def misuse(*arguments: object) -> str:
    """What a command says that was called wrongly."""
    result = invoke(*arguments)
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    assert "Error: " in result.stderr
    return result.stderr.partition("Error: ")[2].strip()
