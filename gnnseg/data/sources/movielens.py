"""MovieLens in each of its releases, from the package itself or from GroupLens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from gnnseg import files
from gnnseg.data import bundled
from gnnseg.data.dataset import Dataset
from gnnseg.data.download import Progress, fetch
from gnnseg.data.ids import IdMap
from gnnseg.data.interactions import Interactions
from gnnseg.data.sources.base import Source
from gnnseg.data.sources.members import Layout, csv_table, plain_table
from gnnseg.data.sources.reading import align

Release = Literal["bundled", "100k", "1m", "20m", "32m", "latest-small", "latest"]

BASE_URL = "https://files.grouplens.org/datasets/movielens/"

CHECKSUMS: Mapping[str, str | None] = {
    "100k": "md5:0e33842e24a9c977be4e0107933c0723",
    "1m": "md5:c4d9eecfca2ab87c1945afe126590906",
    "20m": "md5:cd245b17a1ae2cc31bb14903e1204af3",
    "32m": "md5:d472be332d4daa821edc399621853b57",
    "latest-small": None,
    "latest": None,
}
"""As GroupLens publishes them; the releases with None move, so theirs are read beside them."""

# The names behind the codes, as the README of each release lists them.
# fmt: off
_GENRES_100K = [
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
]
_AGES_1M = {
    "1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44", "45": "45-49", "50": "50-55", "56": "56+",
}
_OCCUPATIONS_1M = [
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student",
    "customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker",
    "K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist",
    "self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer",
]
# fmt: on
_NO_GENRES = frozenset({"(no genres listed)", "unknown"})

_CSV_NAMES = {"user": "userId", "item": "movieId", "time": "timestamp"}
_RATINGS: Layout = {"user": pl.Int64, "item": pl.Int64, "rating": pl.Float64, "time": pl.Int64}
_MOVIES: Layout = {"item": pl.Int64, "title": pl.String, "genres": pl.String}
_USERS: Layout = {
    "user": pl.Int64,
    **dict.fromkeys(("gender", "age", "occupation", "zip"), pl.String),
}


class MovieLens(Source):
    """Ratings of movies by volunteers (Harper and Konstan 2015, doi 10.1145/2827872).

    A movie's text is its title, year and genres, as in ``Toy Story (1995). Animation, Comedy``; its genres
    are its tags. Only movies that somebody rated are items. Users and movies are numbered in the order of
    their ids. Releases 100k and 1m tell each user's gender, age, occupation and zip code. All but the
    bundled release are downloaded once and kept in the ``downloads`` folder of ``gnnseg.files.home()``.

    Args:
        folder: Not used.
        release: ``bundled`` is the latest-small release of October 2016, which the package ships. The
            releases ``latest-small`` and ``latest`` change from year to year.
        base_url: Where the archives are downloaded from.
    """

    def __init__(self, folder: Path, *, release: Release = "bundled", base_url: str = BASE_URL) -> None:
        super().__init__(folder)
        self.release: Release = release
        self.base_url = base_url

    def load(self, name: str) -> Dataset:
        """Read the release, downloading it first where that was not done before.

        Args:
            name: What the dataset is to be called.

        Raises:
            DataError: If the release cannot be downloaded or read.
        """
        if self.release == "bundled":
            return _dataset(name, _bundled())
        archive = fetch_release(self.release, self.base_url, self.progress)
        readers = {"100k": _read_100k, "1m": _read_1m}
        return _dataset(name, readers.get(self.release, _read_csvs)(archive, f"ml-{self.release}"))


def fetch_release(release: Release, base_url: str = BASE_URL, progress: Progress | None = None) -> Path:
    """The archive of a release, downloaded if need be; for ``bundled`` the file that the package ships.

    Args:
        release: Which release.
        base_url: Where the archives are downloaded from.
        progress: Told how many bytes there are.

    Raises:
        DataError: If it cannot be downloaded; the message says where to put one fetched by hand.
    """
    if release == "bundled":
        return _bundled_file("ratings")
    url = f"{base_url.rstrip('/')}/ml-{release}.zip"
    return fetch(url, CHECKSUMS[release], files.home() / "downloads", progress)


class _Tables(NamedTuple):
    """A release in one form: what users rated, what is known of movies and users."""

    ratings: pl.DataFrame  # user, item, rating, time
    movies: pl.DataFrame  # item, title, genres with "|" between them
    users: pl.DataFrame | None = None  # user, gender, age, occupation, zip


def _bundled_file(table: str) -> Path:
    return Path(bundled.__file__).with_name(f"movielens-{table}.parquet")


def _bundled() -> _Tables:
    year = pl.when(pl.col("year").is_null()).then(pl.lit("")).otherwise(pl.format(" ({})", "year"))
    movies = pl.read_parquet(_bundled_file("items")).select(
        pl.col("item").cast(pl.Int64), pl.concat_str("title", year).alias("title"), "genres"
    )
    return _Tables(pl.read_parquet(_bundled_file("ratings")).cast(_RATINGS), movies)  # type: ignore[arg-type]


def _read_100k(archive: Path, folder: str) -> _Tables:
    ratings = plain_table(archive, f"{folder}/u.data", _RATINGS, "\t")
    layout = dict.fromkeys(("item", "title", "released", "video", "address", *_GENRES_100K), pl.String)
    movies = plain_table(archive, f"{folder}/u.item", {**layout, "item": pl.Int64}, "|").select(
        "item",
        pl.when(pl.col("title") != "unknown").then("title").alias("title"),
        pl.concat_str(
            [pl.when(pl.col(g) == "1").then(pl.lit(g)) for g in _GENRES_100K],
            separator="|",
            ignore_nulls=True,
        ).alias("genres"),
    )
    order = ("user", "age", "gender", "occupation", "zip")
    users = plain_table(archive, f"{folder}/u.user", {column: _USERS[column] for column in order}, "|")
    return _Tables(ratings, movies, users)


def _read_1m(archive: Path, folder: str) -> _Tables:
    jobs = {str(code): name for code, name in enumerate(_OCCUPATIONS_1M)}
    users = plain_table(archive, f"{folder}/users.dat", _USERS, "::").with_columns(
        pl.col("age").replace(_AGES_1M), pl.col("occupation").replace(jobs)
    )
    return _Tables(
        plain_table(archive, f"{folder}/ratings.dat", _RATINGS, "::"),
        plain_table(archive, f"{folder}/movies.dat", _MOVIES, "::"),
        users,
    )


def _read_csvs(archive: Path, folder: str) -> _Tables:
    return _Tables(
        csv_table(archive, f"{folder}/ratings.csv", _RATINGS, _CSV_NAMES),
        csv_table(archive, f"{folder}/movies.csv", _MOVIES, _CSV_NAMES),
    )


def _dataset(name: str, tables: _Tables) -> Dataset:
    """Number users and items and put what is known of them in the order of their rows."""
    ratings = tables.ratings
    users, user_rows = np.unique(ratings["user"].to_numpy(), return_inverse=True)
    items, item_rows = np.unique(ratings["item"].to_numpy(), return_inverse=True)
    movies = align(tables.movies, "item", pl.Series(items))
    tags = tuple(_genres(joined) for joined in movies["genres"].to_list())
    titles = tuple(movies["title"].fill_null("").str.strip_chars().to_list())
    return Dataset(
        name=name,
        interactions=Interactions(
            user_rows.astype(np.int64),
            item_rows.astype(np.int64),
            ratings["rating"].to_numpy(),
            ratings["time"].to_numpy(),
        ),
        users=IdMap(users, "user"),
        items=IdMap(items, "item"),
        texts=tuple(
            ". ".join(filter(None, (title, ", ".join(genres))))
            for title, genres in zip(titles, tags, strict=True)
        ),
        titles=titles,
        tags=tags,
        user_table=None
        if tables.users is None
        else align(tables.users, "user", pl.Series(users)).drop("user"),
    )


def _genres(joined: str | None) -> tuple[str, ...]:
    return tuple(genre for genre in (joined or "").split("|") if genre and genre not in _NO_GENRES)
