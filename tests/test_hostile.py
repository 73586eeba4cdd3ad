from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gnnseg
from gnnseg.checkpoint import load_run, load_tensors
from gnnseg.config import load_config
from gnnseg.data.archive import members, read_member
from gnnseg.data.sources import Table
from gnnseg.errors import GnnsegError
from gnnseg.files import to_json
from gnnseg.pipeline import fit
from gnnseg.resume import load_resume
from tests.data.sources.malformed import ROW, archives, configs, tables
from tests.runs import DATA, PLAIN, dataset, on_data, pairs, saved_run, trained, unsealed, write_data

PACKAGE = Path(gnnseg.__file__).parent

RUNS_CODE = {"eval", "exec", "compile", "__import__", "extractall", "extract", "read_pickle", "unsafe_load"}
"""Functions that run, or unpack onto the disk, what a file holds."""

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "tarfile"}

UNSAFE_LOADS = {("torch", "load"), ("yaml", "load"), ("yaml", "full_load"), ("np", "load"), ("numpy", "load")}

ALLOWED = {
    ("components.py", "eval"),  # annotations of our own source, which are text under `from __future__`
}


def dangers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            yield from (name for name in names if name.partition(".")[0] in FORBIDDEN_MODULES)
        if isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle"):
            yield from () if is_false(node.value) else (str(node.arg),)
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                named = isinstance(key, ast.Constant) and key.value == "trust_remote_code"
                if named and not is_false(value):
                    yield "trust_remote_code"
        if isinstance(node, ast.Call):
            plain = any(word.arg == "allow_pickle" and is_false(word.value) for word in node.keywords)
            yield from (name for name in called(node.func) if not (plain and name.endswith(".load")))


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def called(function: ast.expr) -> Iterator[str]:
    if isinstance(function, ast.Name) and function.id in RUNS_CODE:
        yield function.id
    if isinstance(function, ast.Attribute):
        owner = function.value.id if isinstance(function.value, ast.Name) else ""
        if (owner, function.attr) in UNSAFE_LOADS:
            yield f"{owner}.{function.attr}"
        elif function.attr in RUNS_CODE - {
            "compile",
            "eval",
            "extract",
        }:  # re.compile, model.eval, str.extract
            yield function.attr


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load(p)",
        "yaml.load(x)",
        "archive.extractall()",
        "eval(x)",
        "f(trust_remote_code=True)",
        "np.load(x)",
        "np.load(x, allow_pickle=flag)",
        "d = {'trust_remote_code': flag}",
        "pl.read_pickle(x)",
    ],
)
def test_the_search_finds(code: str) -> None:
    assert list(dangers(ast.parse(code)))


def test_nothing_runs_what_a_file_holds() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 150
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in files
        if path.name != "convert.py"  # run by hand once, in a throw-away environment; its docstring says so
        for name in dangers(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == ALLOWED


def test_safetensors_with_a_lying_header(tmp_path: Path) -> None:
    """Lengths and shapes that are not there take no memory."""
    entry = {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}
    lies = [json.dumps({"a": entry}), json.dumps({"a": {**entry, "data_offsets": [8, 4]}}), "{", "[]", '"a"']
    path = tmp_path / "t.safetensors"
    contents = [len(lie).to_bytes(8, "little") + lie.encode() for lie in lies]
    for content in (*contents, b"\xff" * 8, (1 << 40).to_bytes(8, "little") + b"{}", b"", b"abc"):
        path.write_bytes(content)
        with pytest.raises(GnnsegError, match=r"t\.safetensors") as caught:
            load_tensors(path)
        assert "\n" not in str(caught.value)


FUZZ = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def mutated(draw: st.DrawFn, whole: tuple[bytes, ...]) -> bytes:
    """One of some files with a few bytes put in, taken out or changed."""
    content = draw(st.sampled_from(whole))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        stop = start + draw(st.integers(0, 5))
        content = content[:start] + draw(st.binary(max_size=6)) + content[stop:]
    return content


def short(files: dict[str, bytes], ending: str = "") -> tuple[bytes, ...]:
    return tuple(c for name, c in files.items() if name.endswith(ending) and 0 < len(c) < 1000)


def harmless(error: GnnsegError) -> None:
    assert "\n" not in str(error)
    assert len(str(error)) < 3000


class TestFuzz:
    """Whatever stands in a file: it is read, or the project's own error says why not, in one line."""

    @pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "csv.gz"])
    @FUZZ
    @given(data=st.data())
    def test_tables(self, ending: str, data: st.DataObject, tmp_path: Path) -> None:
        whole = (ROW.encode(),) if ending == "jsonl" else ()
        content = data.draw(mutated((*short(tables(), f".{ending}"), *whole)))
        (tmp_path / f"t.{ending}").write_bytes(content)
        try:
            Table(tmp_path, interactions=f"t.{ending}", rating="rating", time="time").load("x")
        except GnnsegError as error:
            harmless(error)

    @FUZZ
    @given(content=mutated((*short(configs()), b"dataset: movielens\nencoder: {name: LightGCN, dim: 8}\n")))
    def test_configs(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "c.yaml").write_bytes(content)
        try:
            load_config(tmp_path / "c.yaml")
        except GnnsegError as error:
            harmless(error)

    @FUZZ
    @given(content=mutated(short(archives())))
    def test_archives(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "a.zip").write_bytes(content)
        try:
            for name, size in members(tmp_path / "a.zip").items():
                assert len(read_member(tmp_path / "a.zip", name, 10_000)) == size
        except GnnsegError as error:
            harmless(error)

    @pytest.mark.parametrize("name", ["model.json", "users.json", "embeddings.safetensors"])
    @FUZZ
    @given(data=st.data())
    def test_checkpoints(self, name: str, data: st.DataObject, tmp_path: Path) -> None:
        """Without the manifest, which would refuse all of them."""
        folder = tmp_path / "run"
        if not folder.exists():
            unsealed(saved_run(), folder)
        whole = (saved_run() / name).read_bytes()
        (folder / name).write_bytes(data.draw(mutated((whole,))))
        try:
            load_run(folder)
        except GnnsegError as error:
            harmless(error)
        finally:
            (folder / name).write_bytes(whole)

    @FUZZ
    @given(content=st.binary(max_size=200))
    def test_resume(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "resume.safetensors").write_bytes(content)
        with pytest.raises(GnnsegError) as caught:
            load_resume(tmp_path, load_config(on_data(PLAIN)))
        harmless(caught.value)


class TestDeterminism:
    """Same seed, same data, said otherwise: the same figures."""

    def metrics(
        self, folder: Path, rows: list[tuple[object, ...]], split: str, **options: object
    ) -> dict[str, Any]:
        folder.mkdir()
        source = {**DATA["source"], "time": "when", "items": None, "text": []}
        path = write_data(
            folder, rows, "who,what,stars,when", source=source, split={"name": split, **options}
        )
        return fit(on_data(PLAIN, dataset=str(path))).metrics

    def rows(self) -> list[tuple[object, ...]]:
        times = np.random.default_rng(1).permutation(len(pairs()))
        return [(1000 + u, f"i{i:02}", 4, t) for (u, i), t in zip(pairs(), times, strict=True)]

    def test_another_order_of_rows(self, tmp_path: Path) -> None:
        """Where the split goes by time; a random one draws rows as they stand."""
        rows = self.rows()
        shuffled = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
        assert shuffled != rows
        first, second = (
            self.metrics(tmp_path / name, some, "Temporal") for name, some in (("a", rows), ("b", shuffled))
        )
        assert first == second

    @pytest.mark.parametrize("order", ["ids", "table"])
    def test_another_order_of_rows_and_a_random_split(self, order: str, tmp_path: Path) -> None:
        rows = self.rows()
        backwards = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
        first, second = (
            self.metrics(tmp_path / name, some, "Random", order=order)
            for name, some in (("a", rows), ("b", backwards))
        )
        assert (first == second) == (order == "ids")

    @pytest.mark.parametrize("split", ["Temporal", "Random"])
    def test_renamed_ids(self, split: str, tmp_path: Path) -> None:
        """Renamed so that they sort as before, as rows are numbered in the order of ids."""
        rows = self.rows()
        renamed = [(f"user-{user}", f"ü{item}", stars, time) for user, item, stars, time in rows]
        first, second = (
            self.metrics(tmp_path / name, some, split) for name, some in (("a", rows), ("b", renamed))
        )
        assert first == second

    @pytest.mark.slow
    def test_another_process_and_hash_seed(self, tmp_path: Path) -> None:
        """Metrics, weights of the model, tables of the scorer and ids: all bit for bit."""
        code = (
            "import sys, torch; torch.set_num_threads(1)\n"
            "from pathlib import Path; from gnnseg.pipeline import run\n"
            "from gnnseg.config import load_config\n"
            "from tests.runs import FULL, on_data\n"
            "run(load_config(on_data(FULL, name='full', dataset=sys.argv[1])), out=Path(sys.argv[2]))"
        )
        root = str(Path(__file__).parents[1])
        seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
        subprocess.run(
            [sys.executable, "-c", code, dataset(), str(tmp_path / "run")],
            capture_output=True,
            check=True,
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        )
        for name in ("model.safetensors", "embeddings.safetensors", "users.json", "items.json"):
            assert (tmp_path / "run" / name).read_bytes() == (saved_run() / name).read_bytes()
        told = json.loads((tmp_path / "run" / "metrics.json").read_text())
        assert told == json.loads((saved_run() / "metrics.json").read_text())
        assert told["test"] == json.loads(to_json(trained().metrics))["test"]
