import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gnnseg.data.dataset import Dataset
from gnnseg.data.sources import SOURCES, MovieLens
from gnnseg.data.sources.movielens import CHECKSUMS, fetch_release
from gnnseg.errors import ConfigError, DataError
from tests.data.conftest import Server

REAL = Path(__file__).parents[3].parent / "shared/data/movielens-latest-small/ml-latest-small.zip"

CSVS = {
    "ratings.csv": "userId,movieId,rating,timestamp\n2,10,4.5,100\n2,7,0.5,101\n1,10,3.0,102\n",
    "movies.csv": (
        "movieId,title,genres\n1,Nobody's (1990),Drama\n7,No Year,(no genres listed)\n"
        '10,"Misérables, Les (1995)",Drama|War\n'
    ),
}


def archive(path: Path, release: str, texts: Mapping[str, str], encoding: str = "utf-8") -> bytes:
    """Write an archive in the layout of a release; its content is returned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, text in texts.items():
            opened.writestr(f"ml-{release}/{name}", text.encode(encoding))
    return path.read_bytes()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, home: Path):
    """Puts an archive where a download would be, its checksum known."""

    def put(release: str, texts: Mapping[str, str], encoding: str = "utf-8") -> Path:
        path = home / "downloads" / f"ml-{release}.zip"
        content = archive(path, release, texts, encoding)
        monkeypatch.setitem(CHECKSUMS, release, f"md5:{hashlib.md5(content).hexdigest()}")
        return path

    return put


def load(release: str, **options: object) -> Dataset:
    return MovieLens(Path(), release=release, **options).load("name")  # type: ignore[arg-type]


def check_small(dataset: Dataset) -> None:
    """What every layout makes of the same three ratings."""
    assert dataset.users.ids == ("1", "2")
    assert dataset.items.ids == ("7", "10")
    assert dataset.interactions.users.tolist() == [1, 1, 0]
    assert dataset.interactions.items.tolist() == [1, 0, 1]
    assert dataset.interactions.times.tolist() == [100, 101, 102]
    assert dataset.interactions.users.dtype == dataset.interactions.times.dtype == np.int64


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load("bundled")


class TestBundled:
    def test_sizes(self, dataset: Dataset) -> None:
        assert dataset.name == "name"
        assert (dataset.num_users, dataset.num_items, len(dataset.interactions)) == (671, 9066, 100_004)
        assert set(dataset.interactions.weights) == set(np.arange(1, 11) / 2)
        assert dataset.users.ids[:3] == ("1", "2", "3")
        assert dataset.user_table is None

    def test_texts_and_tags(self, dataset: Dataset) -> None:
        row = dataset.items.rows(["1"])[0]
        assert dataset.texts[row] == "Toy Story (1995). Adventure, Animation, Children, Comedy, Fantasy"
        assert dataset.tags[row] == ("Adventure", "Animation", "Children", "Comedy", "Fantasy")
        untitled = dataset.items.rows(["108583", "151307", "162376"])
        assert [dataset.texts[row] for row in untitled] == ["Comedy", "", "Drama"]
        assert [dataset.tags[row] for row in untitled] == [("Comedy",), (), ("Drama",)]
        assert not any("listed" in text for text in dataset.texts)

    def test_is_the_same_every_time(self, dataset: Dataset) -> None:
        assert load("bundled").digest == dataset.digest

    def test_size_and_terms_in_the_package(self) -> None:
        folder = fetch_release("bundled").parent
        assert sum(path.stat().st_size for path in folder.glob("*.parquet")) < 1_000_000
        terms = (folder / "LICENSE-MOVIELENS.txt").read_text()
        assert "10.1145/2827872" in terms
        assert "endorsement" in terms

    def test_conversion_repeats(self, tmp_path: Path) -> None:
        from gnnseg.data.bundled.convert import convert

        folder = fetch_release("bundled").parent
        items = pl.read_parquet(folder / "movielens-items.parquet")
        ratings = pl.read_parquet(folder / "movielens-ratings.parquet")
        names = {"item": "movieId", "user": "userId", "time": "timestamp"}
        convert(
            ratings.join(items, on="item").rename(names).sample(fraction=1.0, shuffle=True, seed=0), tmp_path
        )
        assert pl.read_parquet(tmp_path / "movielens-items.parquet").equals(items)
        assert pl.read_parquet(tmp_path / "movielens-ratings.parquet").equals(ratings)


def test_100k(known) -> None:
    flags = {0: "1" + "0" * 18, 7: "0" * 19, 10: "0" * 8 + "1" + "0" * 8 + "1" + "0"}
    known(
        "100k",
        {
            "u.data": "2\t10\t4\t100\n2\t7\t1\t101\n1\t10\t3\t102\n",
            "u.item": "".join(
                f'{item}|{title}|01-Jan-1995||http://host/"{title}|{"|".join(flags[item])}\n'
                for item, title in ((0, "Nobody's (1990)"), (7, "unknown"), (10, 'Misérables, "Les" (1995)'))
            ),
            "u.user": "1|24|M|technician|85711\n2|53|F|other|T8H1N\n3|1|M|none|00000\n",
        },
        "latin-1",
    )
    dataset = load("100k")
    check_small(dataset)
    assert dataset.interactions.weights.tolist() == [4, 1, 3]
    assert dataset.texts == ("", 'Misérables, "Les" (1995). Drama, War')
    assert dataset.tags == ((), ("Drama", "War"))
    assert dataset.user_table.rows(named=True) == [
        {"age": "24", "gender": "M", "occupation": "technician", "zip": "85711"},
        {"age": "53", "gender": "F", "occupation": "other", "zip": "T8H1N"},
    ]


def test_1m(known) -> None:
    known(
        "1m",
        {
            "ratings.dat": "2::10::4::100\n2::7::1::101\n1::10::3::102\n",
            "movies.dat": (
                "1::Nobody's (1990)::Drama\n7::A: B|C (1970)::Sci-Fi\n10::Misérables (1995)::Drama|War\n"
            ),
            "users.dat": "1::F::1::10::48067\n2::M::56::16::00231\n",
        },
        "latin-1",
    )
    dataset = load("1m")
    check_small(dataset)
    assert dataset.texts == ("A: B|C (1970). Sci-Fi", "Misérables (1995). Drama, War")
    assert dataset.user_table.rows(named=True) == [
        {"gender": "F", "age": "under 18", "occupation": "K-12 student", "zip": "48067"},
        {"gender": "M", "age": "56+", "occupation": "self-employed", "zip": "00231"},
    ]


@pytest.mark.parametrize("release", ["20m", "32m", "latest-small", "latest"])
def test_releases_as_csv(known, release: str) -> None:
    known(release, CSVS)
    dataset = load(release)
    check_small(dataset)
    assert dataset.interactions.weights.tolist() == [4.5, 0.5, 3.0]
    assert dataset.texts == ("No Year", "Misérables, Les (1995). Drama, War")
    assert dataset.tags == ((), ("Drama", "War"))
    assert dataset.user_table is None


def test_movie_that_the_archive_does_not_describe(known) -> None:
    known("20m", {**CSVS, "movies.csv": "movieId,title,genres\n7,Seven (1995),Crime\n"})
    assert load("20m").texts == ("Seven (1995). Crime", "")


HEAD = "userId,movieId,rating,timestamp\n"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("ratings.csv", "userId,movieId,rating\n1,2,3\n", "is malformed"),
        ("ratings.csv", f"{HEAD}1,x,3,4\n", "line 2 must have a whole number as 'movieId' (got 'x')"),
        ("ratings.csv", f"{HEAD}1,2,3,4\n\n1,2,,4\n", "line 4 must have a number as 'rating' (got '')"),
        ("ratings.csv", f"{HEAD}1,2,3,4,5\n", "line 2 must have at most 4 fields (got 5)"),
        ("ratings.csv", HEAD, "is empty"),
        ("movies.csv", "", "is malformed: empty"),
    ],
)
def test_malformed_member(known, name: str, text: str, says: str) -> None:
    path = known("20m", {**CSVS, name: text})
    with pytest.raises(DataError) as caught:
        load("20m")
    assert str(caught.value).startswith(f"'{path}': 'ml-20m/{name}' ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_malformed_member_without_a_header(known) -> None:
    known("1m", {"users.dat": "1::F::1::10::48067\n", "ratings.dat": "1::2::3::4\n1::2::three::4\n"})
    with pytest.raises(
        DataError, match=r"ratings\.dat' line 2 must have a number as 'rating' \(got 'three'\)"
    ):
        load("1m")


def test_missing_member(known) -> None:
    known("20m", {"ratings.csv": CSVS["ratings.csv"]})
    with pytest.raises(DataError, match=r"unknown member 'ml-20m/movies\.csv'"):
        load("20m")


class TestDownload:
    @pytest.fixture
    def content(self, tmp_path: Path, server: Server) -> bytes:
        content = archive(tmp_path / "served.zip", "latest-small", CSVS)
        server.files["ml-latest-small.zip"] = content
        server.files["ml-latest-small.zip.md5"] = hashlib.md5(content).hexdigest().encode()
        return content

    @pytest.mark.parametrize("slash", ["", "/"])
    def test_load_downloads_once(self, server: Server, home: Path, content: bytes, slash: str) -> None:
        source = MovieLens(Path(), release="latest-small", base_url=server.url + slash)
        told: list[tuple[int, int | None]] = []
        source.progress = lambda done, total: told.append((done, total))
        check_small(source.load("name"))
        assert told[-1] == (len(content), len(content))
        assert (home / "downloads" / "ml-latest-small.zip").read_bytes() == content
        server.requests.clear()
        check_small(source.load("name"))
        assert not server.requests

    def test_placed_by_hand(self, server: Server, home: Path, content: bytes) -> None:
        (home / "downloads").mkdir(parents=True)
        (home / "downloads" / "ml-latest-small.zip").write_bytes(content)
        server.files.clear()
        check_small(load("latest-small", base_url=server.url))

    def test_climbing_entry_is_refused(self, server: Server, home: Path, tmp_path: Path) -> None:
        content = archive(tmp_path / "served.zip", "latest-small", {**CSVS, "../../evil": "x"})
        server.files["ml-latest-small.zip"] = content
        server.files["ml-latest-small.zip.md5"] = hashlib.md5(content).hexdigest().encode()
        with pytest.raises(DataError, match="leads out of its folder"):
            load("latest-small", base_url=server.url)
        assert not list(tmp_path.rglob("evil"))

    def test_wrong_content_is_refused(self, server: Server, home: Path) -> None:
        server.files["ml-1m.zip"] = b"something else"
        with pytest.raises(
            DataError, match=r"wrong checksum \(expected md5:c4d9eecfca2ab87c1945afe126590906"
        ):
            load("1m", base_url=server.url)
        assert not (home / "downloads" / "ml-1m.zip").exists()

    @pytest.mark.skipif(not REAL.is_file(), reason="the real archive is not beside this checkout")
    def test_real_archive(self, server: Server, home: Path) -> None:
        content = REAL.read_bytes()
        server.files["ml-latest-small.zip"] = content
        server.files["ml-latest-small.zip.md5"] = hashlib.md5(content).hexdigest().encode()
        server.cuts = [100, 400_000]  # the checksum comes first, whole
        dataset = load("latest-small", base_url=server.url)
        assert [span for name, span in server.requests if name.endswith("zip")] == [None, "bytes=400000-"]
        assert (dataset.num_users, dataset.num_items, len(dataset.interactions)) == (610, 9724, 100_836)
        assert dataset.texts[0] == "Toy Story (1995). Adventure, Animation, Children, Comedy, Fantasy"


def test_unknown_release() -> None:
    with pytest.raises(ConfigError, match=r"'release' .*\(got '2m'\)"):
        load("2m")


def test_kind_of_source() -> None:
    assert set(SOURCES.classes()) == {
        "AdjacencyLists",
        "MovieLens",
        "Planted",
        "PreparedFolder",
        "Query",
        "Table",
    }
    assert isinstance(SOURCES.create({"name": "MovieLens", "release": "1m"}, Path()), MovieLens)
