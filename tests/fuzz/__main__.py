"""Coverage-guided fuzzing of everything that reads files (``pip install ".[dev,fuzz]"``).

    python -m tests.fuzz --seconds 1800

Each reader is fuzzed in a process of its own, which must raise nothing but the project's own errors, in one
line, answer within 20 s and stay within ``--memory`` MB. What breaks that is kept in ``--out`` and printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HANGS = 20
"""Seconds after which a reader counts as hanging."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="for all readers together")
    parser.add_argument("--readers", help="names with commas; all of them by default")
    parser.add_argument("--memory", type=int, default=3000, help="MB that a reader may take")
    parser.add_argument("--out", type=Path, default=Path("fuzz-out"), help="folder of corpus and findings")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        fuzz(options.one)
        return 0
    from tests.fuzz.readers import READERS, seeds

    names = options.readers.split(",") if options.readers else list(READERS)
    failed = []
    for name in names:
        corpus = options.out / name
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds(name)):
            (corpus / f"seed-{number}").write_bytes(seed)
        if run(name, corpus, max(1, options.seconds // len(names)), options.memory):
            failed.append(name)
    print(f"fuzzed: {', '.join(names)}; failed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


def run(name: str, corpus: Path, seconds: int, memory: int) -> int:
    """One reader in a process of its own; its exit code, with the end of what it said if that is not 0."""
    found = corpus.parent / f"{name}-found-"
    command = [sys.executable, "-m", "tests.fuzz", "--one", name]
    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={memory}", f"-timeout={HANGS}", "-max_len=8192"]
    told = subprocess.run(
        command,
        env={**os.environ, "FUZZ": "\n".join([*limits, f"-artifact_prefix={found}", str(corpus)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    lines = told.stdout.splitlines()
    done = [line for line in lines if line.startswith("Done ")]
    print(f"{name}: exit code {told.returncode}; {' '.join(done) or 'stopped'}", flush=True)
    if told.returncode:
        print("\n".join(line for line in lines if not line.startswith("INFO: Instrumenting")))
    return told.returncode


def fuzz(name: str) -> None:
    """Fuzz one reader in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["gnnseg"]):
        import tests.fuzz.readers  # noqa: F401
    with tempfile.TemporaryDirectory(prefix="gnnseg-fuzz-") as folder:
        atheris.Setup(
            [sys.argv[0], *os.environ["FUZZ"].split("\n")], lambda content: _read(name, folder, content)
        )
        atheris.Fuzz()


def _read(name: str, folder: str, content: bytes) -> None:
    from tests.fuzz.readers import READERS, safely

    safely(READERS[name], Path(folder), content)


if __name__ == "__main__":
    sys.exit(main())
