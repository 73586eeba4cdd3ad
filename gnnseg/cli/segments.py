"""``gnnseg segments``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnnseg.cli import options

if TYPE_CHECKING:
    import numpy as np

    from gnnseg.checkpoint import SavedRun


def _counts(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int] | None:
    """``"2,4,8"`` to numbers."""
    try:
        return None if value is None else [int(part) for part in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"'{value}' must be whole numbers with commas between, as in 2,4") from None


@click.command()
@options.run_folder
@click.option("--against", metavar="RUN", help="An earlier run: which users changed segments since.")
@click.option(
    "--choose",
    callback=_counts,
    metavar="S,S,...",
    help="Numbers of segments to compare on this run's vectors.",
)
@click.option(
    "--by",
    type=click.Choice(["stability", "lift"]),
    default="stability",
    show_default=True,
    help="What --choose chooses by; lift reads the data and measures a local model on validation.",
)
@click.option(
    "--epsilon",
    type=click.FloatRange(min=0, min_open=True),
    help="Sizes and tags under differential privacy, to share; each release spends this much.",
)
@click.option(
    "--clip",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="With --epsilon: tags a user counts for.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of --choose.")
@options.as_json
@options.quiet
@options.example(
    """
gnnseg segments runs/full
gnnseg segments runs/full --choose 2,4,8,16
gnnseg segments runs/full --choose 2,4,8,16 --by lift
gnnseg segments runs/april --against runs/march
gnnseg segments runs/full --epsilon 1 --json
"""
)
def segments(
    run: str,
    against: str | None,
    choose: list[int] | None,
    by: str,
    epsilon: float | None,
    clip: int,
    seed: int,
    json_: bool,
    quiet: bool,
) -> None:
    """Sizes, quality and profile of each segment of a saved run."""
    from gnnseg.checkpoint import load_run
    from gnnseg.files import to_json

    if (against is not None) + (choose is not None) + (epsilon is not None) > 1:
        raise click.UsageError("--against, --choose and --epsilon exclude each other")
    saved = load_run(run)
    _memberships(saved)
    found: dict[str, Any]
    if against is not None:
        found, show = _drift(saved, load_run(against)), _show_drift
    elif choose is not None:
        found, show = _choose(saved, choose, seed, by), _show_choice
    elif epsilon is not None:
        found, show = _noisy(saved, epsilon, clip), _show_noisy
    else:
        found, show = _described(saved), _show
    if json_:
        click.echo(to_json(found))
    elif not quiet:
        show(run, found)


def _memberships(saved: SavedRun) -> np.ndarray:
    from gnnseg.errors import ConfigError

    if saved.memberships is None:
        raise ConfigError(f"'{saved.folder}' has no segments; train a config with a segmenter and a head")
    return saved.memberships.numpy()


def _described(saved: SavedRun) -> dict[str, Any]:
    from gnnseg.checkpoint import read_json

    found: dict[str, Any] = read_json(saved.folder / "segments.json")
    return found


def _drift(after: SavedRun, before: SavedRun) -> dict[str, Any]:
    """What :class:`gnnseg.segments.drift.Drift` holds, and the names of both runs' segments."""
    from gnnseg.segments.drift import drift

    found = drift(_memberships(before), _memberships(after), before.users.ids, after.users.ids)
    names = {when: _names(run) for when, run in (("before", before), ("after", after))}
    return {"names": names, **found.as_dict()}


def _names(saved: SavedRun) -> list[str]:
    """Names of a run's segments; runs of older versions have none."""
    described = _described(saved)["segments"]
    return [segment.get("name", f"segment {segment['segment']}") for segment in described]


def _choose(saved: SavedRun, counts: list[int], seed: int, by: str) -> dict[str, Any]:
    """What :class:`gnnseg.segments.choice.Choice` holds, for the segmenter and the encoder of a run."""
    import torch

    from gnnseg.checkpoint import graph_of
    from gnnseg.errors import ConfigError
    from gnnseg.lift import lift_of
    from gnnseg.seeding import numpy_rng
    from gnnseg.segments import SEGMENTERS
    from gnnseg.segments.choice import choose_num_segments

    spec = SEGMENTERS.resolve(saved.config.segmenter or {})
    model, graph = saved.model(), graph_of(saved)
    if model is None or "num_segments" not in spec:
        raise ConfigError(f"segmenter {spec['name']} finds the number of segments itself; nothing to choose")
    with torch.no_grad():
        embeddings = model.encoder(graph)
    return choose_num_segments(
        lambda count: SEGMENTERS.create({**spec, "num_segments": count}),
        counts,
        graph,
        embeddings,
        numpy_rng(seed, "choice"),
        lift_of(saved, seed) if by == "lift" else None,
    ).as_dict()


def _noisy(saved: SavedRun, epsilon: float, clip: int) -> dict[str, Any]:
    """What :func:`gnnseg.privacy.noisy_segments` gives, its noise from the system's source of randomness."""
    import numpy as np
    import torch

    from gnnseg.prepared import prepare_again
    from gnnseg.privacy import noisy_segments
    from gnnseg.scoring import strongest
    from gnnseg.segments.traits import tag_matrix

    memberships = _memberships(saved)
    tags = tag_matrix(prepare_again(saved, torch.device("cpu")).dataset.tags)
    return noisy_segments(
        strongest(memberships),
        memberships.shape[1],
        saved.train,
        tags,
        epsilon=epsilon,
        clip=clip,
        rng=np.random.default_rng(),
    )


def _show_noisy(run: str, found: dict[str, Any]) -> None:
    from gnnseg.cli.progress import hidden, out, table

    rows = [[str(s["segment"]), hidden(s["users"]), _lifted(s["tags"])] for s in found["segments"]]
    title = f"{Path(run)}: segments, epsilon {found['epsilon']:g}"
    out.print(table(title, ["segment", "users", "typical tags"], rows, words=(2,)))
    off = ", ".join(f"{name} within {most}" for name, most in found["within"].items())
    out.print(f"Noisy counts, in 95 of 100: {off}. Guarantee: {found['guarantee']}.", highlight=False)


def _show(run: str, found: dict[str, Any]) -> None:
    from gnnseg.cli.progress import out, table

    rows = [_row(segment) for segment in found["segments"]]
    header = ["segment", "users", "activity", "likes more than others", "avoids"]
    title = f"{Path(run)}: {found['num_segments']} segments"
    out.print(table(title, header, rows, words=(3, 4), lines=True))
    if found.get("outside"):
        out.print(f"{found['outside']} users are outside every segment", highlight=False)
    intervals = found.get("quality_intervals", {})
    for name, value in found["quality"].items():
        if value is not None:
            interval = intervals.get(name)
            between = f" ({interval['low']:.3f} to {interval['high']:.3f})" if interval else ""
            out.print(f"{name} {value:.3f}{between}", highlight=False)
    for kind, apart in found.get("differences", {}).items():
        _show_difference(kind, apart)
    out.print(f"Next: gnnseg report {run}", highlight=False, markup=False, soft_wrap=True)


def _show_difference(kind: str, apart: dict[str, Any]) -> None:
    """One line: the mean divergence of segments from the rest, and what shuffled users would give."""
    from gnnseg.cli.progress import out

    known = [i for i, value in enumerate(apart["rest"]) if value is not None]
    if len(known) < 2:
        return
    observed, chance = (sum(apart[key][i] for i in known) / len(known) for key in ("rest", "chance_rest"))
    out.print(
        f"divergence of {kind} from the rest {observed:.3f}, of shuffled users {chance:.3f}", highlight=False
    )


def _row(segment: dict[str, Any]) -> list[str]:
    from gnnseg.cli.progress import hidden

    profile = segment["profile"]
    likes = [_lifted(profile.get("tags") or profile.get("words", [])), _items(profile.get("likes", []))]
    avoids = [_lifted(profile.get("avoids", [])), _items(profile.get("dislikes", []))]
    activity = segment["activity"]
    return [
        f"{segment['segment']} {segment.get('name', '')}".rstrip(),
        hidden(None) if segment["users"] is None else f"{segment['users']} ({segment['share']:.0%})",
        "-" if activity is None else f"{activity:.0f}",
        "too few users to tell" if segment.get("hidden") else "\n".join(filter(None, likes)),
        "\n".join(filter(None, avoids)),
    ]


def _lifted(entries: list[dict[str, Any]]) -> str:
    return ", ".join(f"{entry['name']} x{entry['lift']:.1f}" for entry in entries[:3])


def _items(entries: list[dict[str, Any]]) -> str:
    from gnnseg.cli.progress import cut

    return "; ".join(cut(entry["name"], 32) for entry in entries[:2])


def _show_drift(run: str, found: dict[str, Any]) -> None:
    from gnnseg.cli.progress import hidden, out, table

    before, after = found["names"]["before"], found["names"]["after"]
    header = ["from \\ to", "users", *(f"{i} {name}" for i, name in enumerate(after)), "outside"]
    rows = []
    for number, (name, shares) in enumerate(zip([*before, "outside"], found["transitions"], strict=True)):
        match = (found["matches"] + [len(after)])[number]
        cells = [
            f"{hidden(None) if share is None else f'{share:.0%}'}{' *' if to == match else ''}"
            for to, share in enumerate(shares)
        ]
        label = name if number == len(before) else f"{number} {name}"
        rows.append([label, hidden(found["sizes"][number]), *cells])
    if found["sizes"][-1] == 0:
        rows.pop()
    if not any(counts[-1] != 0 for counts in found["counts"]):
        header, rows = header[:-1], [row[:-1] for row in rows]
    out.print(table(f"{Path(run)}: where users went (* the matching segment)", header, rows))
    out.print(
        f"{found['moved']:.1%} of {found['users']} users moved  "
        f"adjusted Rand index {found['rand']:.3f}  "
        f"normalised mutual information {found['mutual_information']:.3f}  "
        f"{hidden(found['left'])} left, {hidden(found['joined'])} joined",
        highlight=False,
    )


def _show_choice(run: str, found: dict[str, Any]) -> None:
    from gnnseg.cli.progress import out, table

    rows = [
        [
            str(c["num_segments"]),
            str(c["found"]),
            f"{c['stability']:.3f} ± {c['standard_error']:.3f}",
            *("-" if c[key] is None else f"{c[key]:.3f}" for key in ("silhouette", "modularity")),
            *([] if c["lift"] is None else [_gained(c)]),
        ]
        for c in found["candidates"]
    ]
    chosen = [c["num_segments"] for c in found["candidates"]].index(found["num_segments"])
    header = ["segments", "found", "stability", "silhouette", "modularity"]
    if any(c["lift"] is not None for c in found["candidates"]):
        header.append("validation lift (95 %)")
    out.print(table(f"{Path(run)}: how many segments", header, rows, highlight=chosen))
    out.print(f"{found['num_segments']} segments: {found['rule']}", highlight=False)


def _gained(candidate: dict[str, Any]) -> str:
    """A lift and its interval, in per cent of the global model."""
    return f"{candidate['lift']:+.2%} ({candidate['lift_low']:+.2%} to {candidate['lift_high']:+.2%})"
