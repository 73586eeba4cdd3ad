from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from sklearn.metrics import adjusted_rand_score

from gnnseg.checkpoint import load_run, load_tensors, save_tensors
from tests.cli.invoking import failure, invoke, misuse, output, printed
from tests.runs import FULL, USERS, on_data, saved_baseline, saved_run, trained, unsealed

CHOICE = ("--choose", "2,5")


def described() -> dict[str, object]:
    found: dict[str, object] = json.loads((saved_run() / "segments.json").read_text())
    return found


@pytest.fixture
def another(tmp_path: Path) -> Path:
    """The same run a while later: segments have other numbers, six users moved, two left, one joined."""
    folder = tmp_path / "another"
    unsealed(saved_run(), folder)
    tables = load_tensors(folder / "embeddings.safetensors")
    memberships = tables["memberships"][:, [2, 0, 1]]
    memberships[:6] = memberships[:6].roll(1, dims=1)
    save_tensors(folder / "embeddings.safetensors", {**tables, "memberships": memberships})
    users = json.loads((folder / "users.json").read_text())
    (folder / "users.json").write_text(json.dumps([*users[:-2], "new", "newer"]))
    return folder


def test_json() -> None:
    found = printed("segments", saved_run())
    assert found == described()
    assert found.keys() >= {"num_segments", "quality", "segments"}
    assert {"modularity", "silhouette", "stability"} <= found["quality"].keys()
    assert [s["segment"] for s in found["segments"]] == [0, 1, 2]
    assert sum(s["users"] for s in found["segments"]) == USERS
    assert all("profile" in s for s in found["segments"])


def test_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnseg.cli.progress.out._width", 200)
    text = output("segments", saved_run())
    found = printed("segments", saved_run())
    assert "3 segments" in text
    for segment in found["segments"]:
        assert f"{segment['segment']} {segment['name']}" in text
        assert f"{segment['users']} (" in text
        liked = segment["profile"]["words"] + segment["profile"]["likes"]
        assert all(entry["name"] in text for entry in segment["profile"]["likes"][:2] + liked[:1])
    interval = found["quality_intervals"]["modularity"]
    assert (
        f"modularity {found['quality']['modularity']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"
        in text
    )
    rest = found["differences"]["items"]["rest"]
    assert f"divergence of items from the rest {np.mean(rest):.3f}, of shuffled users 0." in text


def test_a_hidden_segment_and_users_outside(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    unsealed(saved_run(), folder)
    content = described()
    content["outside"] = 7
    empty = {"likes": [], "dislikes": [], "typical": []}
    content["segments"][2] |= {"hidden": True, "activity": None, "users": 4, "profile": empty}  # type: ignore[index]
    (folder / "segments.json").write_text(json.dumps(content))
    text = " ".join(output("segments", folder).split())
    assert "too few users" in text
    assert "7 users are outside every segment" in text


def test_a_run_of_before_there_were_names(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    unsealed(saved_run(), folder)
    old = {"segment": 0, "users": 60, "share": 1.0, "activity": 9.0}
    profile = {"likes": [{"name": "Alien", "lift": 1.2}], "typical": ["Alien"]}
    content = {"num_segments": 1, "quality": {"modularity": 0.5}, "segments": [{**old, "profile": profile}]}
    (folder / "segments.json").write_text(json.dumps(content))
    text = output("segments", folder)
    assert "Alien" in text
    assert "modularity 0.500" in text


def test_quiet() -> None:
    for more in ((), ("--against", saved_run())):
        result: Result = invoke("segments", saved_run(), "--quiet", *more)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_a_run_without_segments() -> None:
    message = f"'{saved_baseline()}' has no segments; train a config with a segmenter and a head"
    assert failure("segments", saved_baseline()) == message
    assert failure("segments", saved_baseline(), *CHOICE) == message
    assert failure("segments", saved_run(), "--against", saved_baseline()) == message


def test_no_run(tmp_path: Path) -> None:
    assert failure("segments", tmp_path / "absent").startswith("there is no run '")
    assert failure("segments", saved_run(), "--against", tmp_path / "absent").startswith("there is no run '")


def test_against(another: Path) -> None:
    found = printed("segments", another, "--against", saved_run())
    assert (found["users"], found["left"], found["joined"]) == (USERS - 2, None, None)
    assert found["matches"] == [1, 2, 0]
    assert found["moved"] == pytest.approx(6 / (USERS - 2))
    before, after = (
        load_run(run).memberships.argmax(1).numpy()[:-2]  # type: ignore[union-attr]
        for run in (saved_run(), another)
    )
    assert found["rand"] == pytest.approx(adjusted_rand_score(before, after))
    told = [n for row in found["counts"] for n in row]
    assert None in told
    assert all(n is None or n == 0 or n >= 10 for n in told)
    assert [[n is None for n in row] for row in found["transitions"]] == [
        [n is None for n in row] for row in found["counts"]
    ]
    names = [segment["name"] for segment in described()["segments"]]  # type: ignore[attr-defined]
    assert found["names"] == {"before": names, "after": names}


def test_against_as_a_table(another: Path) -> None:
    text = " ".join(output("segments", another, "--against", saved_run()).split())
    assert f"{6 / (USERS - 2):.1%} of {USERS - 2} users moved" in text
    assert "<10 left, <10 joined" in text
    assert "*" in text
    assert "outside" not in text
    assert "0.0% of 60 users moved" in output("segments", saved_run(), "--against", saved_run())


def test_epsilon() -> None:
    found = printed("segments", saved_run(), "--epsilon", 50)
    sizes = {s["segment"]: s["users"] for s in described()["segments"]}  # type: ignore[attr-defined]
    assert (found["epsilon"], found["clip"]) == (50, 3)
    assert {s["segment"]: s["users"] for s in found["segments"]} == sizes
    text = " ".join(output("segments", saved_run(), "--epsilon", 50).split())
    assert "epsilon 50" in text
    assert "how segments were learned is not covered" in text
    noisy = [str(printed("segments", saved_run(), "--epsilon", 0.05)["segments"]) for _ in range(4)]
    assert len(set(noisy)) > 1  # not seeded
    assert "exclude each other" in misuse("segments", saved_run(), "--epsilon", 1, "--choose", "2,3")
    assert misuse("segments", saved_run(), "--epsilon", 0)


def test_choose() -> None:
    found = printed("segments", saved_run(), *CHOICE)
    assert [c["num_segments"] for c in found["candidates"]] == [2, 5]
    assert found["num_segments"] in (2, 5)
    assert found["rule"].startswith("the most segments whose stability")
    assert all(c["lift"] is None and c["silhouette"] is not None for c in found["candidates"])
    assert printed("segments", saved_run(), *CHOICE, "--seed", 1) != found
    text = output("segments", saved_run(), *CHOICE)
    assert all(f"{c['stability']:.3f} ± {c['standard_error']:.3f}" in text for c in found["candidates"])
    assert f"{found['num_segments']} segments: the most segments" in text


def test_choose_by_lift() -> None:
    found = printed("segments", saved_run(), *CHOICE, "--by", "lift")
    lifts = {c["num_segments"]: c["lift"] for c in found["candidates"]}
    assert found["rule"] == "the largest validation lift"
    assert found["num_segments"] == max(lifts, key=lambda count: lifts[count])
    assert all(c["lift_low"] <= c["lift"] <= c["lift_high"] for c in found["candidates"])
    text = output("segments", saved_run(), *CHOICE, "--by", "lift")
    assert "validation lift" in text
    assert all(f"{lift:+.2%}" in text for lift in lifts.values())


def test_choose_is_on_the_vectors_of_the_run() -> None:
    """The saved encoder with its features gives the vectors that the run's own segments were fitted on."""
    run, result = load_run(saved_run()), trained()
    model = run.model()
    assert model is not None
    assert result.model is not None
    found = model.encoder(result.data.graph).users
    np.testing.assert_allclose(
        found.detach(), result.model.encoder(result.data.graph).users.detach(), atol=1e-6
    )


def test_nothing_to_choose(tmp_path: Path) -> None:
    from gnnseg.pipeline import fit

    fit(
        on_data(FULL, segmenter="Leiden", train={"epochs": 1}, fine_tune={"epochs": 1}),
        out=tmp_path / "leiden",
    )
    message = "segmenter Leiden finds the number of segments itself; nothing to choose"
    assert failure("segments", tmp_path / "leiden", *CHOICE) == message


def test_wrong_numbers() -> None:
    assert failure("segments", saved_run(), "--choose", "1").startswith("'candidates' must be from 2 to 48")
    assert "whole numbers" in misuse("segments", saved_run(), "--choose", "2,x")
    both = misuse("segments", saved_run(), *CHOICE, "--against", saved_run())
    assert both == "--against, --choose and --epsilon exclude each other"
