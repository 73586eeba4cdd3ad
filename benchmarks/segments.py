"""What segments bring on a dataset whose files lie in a folder: ``gnnseg ablate``, with results as JSON.

    python benchmarks/segments.py movielens-1m/segments --data FOLDER \
        --out benchmarks/results/movielens-1m/segments.json

Everything is chosen on validation; test is read once for each row and seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from shared import dataset_config

from gnnseg.ablation import ablate
from gnnseg.cli.progress import tracker
from gnnseg.config import load_config
from gnnseg.files import write_json
from gnnseg.report.ablation import ablation_markdown


def main() -> None:
    """Run the ablation of the config named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("--data", type=Path, help="folder with the files of the dataset")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", help="comma-separated rows beside the global model and the full system")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    config = load_config(options.config)
    config = config.model_copy(update={"dataset": dataset_config(config.dataset.name, options.data)})
    only = None if options.only is None else options.only.split(",")
    results = ablate(config, seeds=options.seeds, only=only, tracker=tracker(quiet=False))
    write_json(options.out, results)
    print(ablation_markdown(results, config.choose_by))


if __name__ == "__main__":
    main()
