"""What magnitude pruning of a config's head does to its validation metric.

    python benchmarks/pruning.py movielens/plain-segments
    python benchmarks/pruning.py movielens/full --set head.name=LoRA --blind

Prints a line of JSON for each share of the head's entries that is set to zero. Where validation prefers the
global model, the head is the identity and there is nothing to prune: ``--blind`` trains both stages to the
end.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import torch

from gnnseg.config import load_config
from gnnseg.data import Interactions
from gnnseg.evaluation import evaluate
from gnnseg.fitting import fit_global, fit_segmented
from gnnseg.heads import prune
from gnnseg.prepared import item_features, prepare
from gnnseg.stages import Progress
from gnnseg.tracking import Clock, Tracker

SHARES = (0.0, 0.5, 0.9, 0.99)


def main() -> None:
    """Fit once, prune several times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--shares", type=float, nargs="+", default=SHARES)
    parser.add_argument("--blind", action="store_true", help="do not look at validation while training")
    options = parser.parse_args()
    config = load_config(options.config, options.set)
    data = prepare(config.dataset, torch.device("cpu"))
    tracker, clock = Tracker(), Clock()
    features, _ = item_features(config, data, tracker, clock)
    none = Interactions(data.parts.valid.users[:0], data.parts.valid.items[:0])
    seen = replace(data, parts=replace(data.parts, valid=none)) if options.blind else data
    progress = Progress()
    model = fit_global(config, seen, features, progress, tracker, clock)
    if config.head is None:
        raise SystemExit("the config has no head to prune")
    alone = config.model_copy(update={"term": None, "local": None})
    decision = fit_segmented(alone, seen, model, progress, tracker, clock).decision
    head, served = model.head, (decision or {}).get("served")
    for share in options.shares:
        model.head, kept = prune(head, share)
        found = evaluate(model.scorer(data.graph), data.parts.valid, data.train, [config.choose_by])
        value = round(found.means[config.choose_by], 4)
        print(json.dumps({"share": share, "kept": round(kept, 4), "valid": value, "served": served}))


if __name__ == "__main__":
    main()
