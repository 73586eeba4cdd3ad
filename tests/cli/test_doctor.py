from __future__ import annotations

import json

import pytest

from gnnseg import doctor
from tests.cli.invoking import invoke, output, printed


def test_lines_and_json() -> None:
    found = printed("doctor", "--no-self-test")
    assert found["ok"]
    lines = output("doctor", "--no-self-test").splitlines()
    assert [line.split()[1] for line in lines] == [check["name"] for check in found["checks"]]
    assert {line.split()[0] for line in lines} <= {"ok", "--"}


def test_quiet() -> None:
    result = invoke("doctor", "--no-self-test", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_exit_code_says_what_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("no-such-package",))
    result = invoke("doctor", "--no-self-test", "--json")
    assert result.exit_code == 1
    assert not json.loads(result.stdout)["ok"]
    assert result.stderr == "Error: broken: versions\n"
    shown = invoke("doctor", "--no-self-test")
    assert shown.stdout.splitlines()[0].startswith("!!  versions")
