"""Tables, lists, configs and archives that are not as they should be, by file name and content."""

from __future__ import annotations

import gzip
import io
import zipfile

HEAD = b"user,item,rating,time\n"
GOOD = HEAD + b"1,a,4,10\n2,b,5,20\n"
BOM = b"\xef\xbb\xbf"
ROW = '{"user": "1", "item": "a", "rating": 4, "time": 10}\n'


def _csv() -> dict[str, bytes]:
    cells = {
        "nan": "nan",
        "NaN": "NaN",
        "inf": "inf",
        "-inf": "-Infinity",
        "word": "good",
        "empty": "",
        "space": " ",
        "huge": "1e309",
        "large": "1e300",
        "tiny": "1e-320",
        "comma": '"4,5"',
        "hex": "0x10",
        "underscore": "1_000",
        "plus": "+4",
        "two dots": "1.2.3",
        "nul": "\x00",
        "quote": '"4""5"',
        "percent": "40%",
        "arabic": "٤",
        "minus": "-",
        "digits": "9" * 400,
        "bool": "true",
        "date": "2020-01-01",
        "iso": "2020-01-01T00:00:00Z",
        "month 13": "2020-13-01",
    }
    found = {
        f"rating {n}.csv": f"user,item,rating,time\n1,a,4,1\n2,b,{c},2\n".encode() for n, c in cells.items()
    }
    found |= {
        f"time {n}.csv": f"user,item,rating,time\n1,a,4,1\n2,b,4,{c}\n".encode() for n, c in cells.items()
    }
    ids = (
        "",
        " ",
        '""',
        "\x00",
        "\x1b[31m",
        "=1+1",
        "é",
        "😀",
        "1.0",
        "0001",
        "x" * 5000,
        "a\tb",
        '"a\nb"',
        "None",
    )
    found |= {
        f"user {n}.csv": f"user,item,rating,time\n1,a,4,1\n{c},b,4,2\n".encode() for n, c in enumerate(ids)
    }
    found |= {
        f"item {n}.csv": f"user,item,rating,time\n1,a,4,1\n2,{c},4,2\n".encode() for n, c in enumerate(ids)
    }
    return found


def _shapes() -> dict[str, bytes]:
    return {
        "good.csv": GOOD,
        "empty.csv": b"",
        "one newline.csv": b"\n",
        "blank lines.csv": b"\n\n\n",
        "header only.csv": HEAD,
        "header without newline.csv": HEAD[:-1],
        "no newline at the end.csv": GOOD[:-1],
        "bom.csv": BOM + GOOD,
        "only bom.csv": BOM,
        "two boms.csv": BOM + BOM + GOOD,
        "utf-16.csv": GOOD.decode().encode("utf-16"),
        "utf-32.csv": GOOD.decode().encode("utf-32"),
        "latin-1.csv": HEAD + "1,caf\xe9,4,10\n".encode("latin-1"),
        "cut utf-8.csv": HEAD + b"1,\xe2\x82,4,10\n",
        "surrogate.csv": HEAD + b"1,\xed\xa0\x80,4,10\n",
        "binary.csv": bytes(range(256)) * 8,
        "zeros.csv": bytes(1000),
        "nul in header.csv": b"user,item,rating,time\x00\n1,a,4,10\n",
        "crlf.csv": GOOD.replace(b"\n", b"\r\n"),
        "cr.csv": GOOD.replace(b"\n", b"\r"),
        "mixed ends.csv": HEAD + b"1,a,4,10\r\n2,b,5,20\n3,c,5,20\r\n",
        "too few fields.csv": HEAD + b"1,a,4,10\n2,b\n",
        "too many fields.csv": HEAD + b"1,a,4,10\n2,b,5,20,30\n",
        "one field.csv": HEAD + b"1\n",
        "no separator.csv": b"user item rating time\n1 a 4 10\n",
        "semicolons.csv": GOOD.replace(b",", b";"),
        "tabs.csv": GOOD.replace(b",", b"\t"),
        "open quote.csv": HEAD + b'1,"a,4,10\n2,b,5,20\n',
        "quote in the middle.csv": HEAD + b'1,a"b,4,10\n',
        "text after a quote.csv": HEAD + b'1,"a"b,4,10\n',
        "missing column.csv": b"user,item,rating\n1,a,4\n",
        "other case.csv": b"User,Item,Rating,Time\n1,a,4,10\n",
        "same column twice.csv": b"user,item,rating,time,user\n1,a,4,10,2\n",
        "unnamed column.csv": b"user,item,rating,time,\n1,a,4,10,2\n",
        "duplicates.csv": HEAD + b"1,a,4,10\n" * 3,
        "one user.csv": HEAD + b"1,a,4,10\n1,b,4,10\n",
        "one item.csv": HEAD + b"1,a,4,10\n2,a,4,10\n",
        "blank between.csv": HEAD + b"1,a,4,10\n\n2,b,5,20\n",
        "blank at the end.csv": GOOD + b"\n\n",
        "spaces.csv": HEAD + b" 1 , a , 4 , 10 \n",
        "long line.csv": HEAD + b"1," + b"x" * 1_000_000 + b",4,10\n",
        "comment.csv": b"# a comment\n" + GOOD,
        "good.tsv": GOOD.replace(b",", b"\t"),
        "commas.tsv": GOOD,
        "good.csv.gz": gzip.compress(GOOD),
        "cut.csv.gz": gzip.compress(GOOD)[:-12],
        "flipped.csv.gz": gzip.compress(GOOD)[:15] + b"\xff\xff" + gzip.compress(GOOD)[17:],
        "plain.csv.gz": GOOD,
        "empty.csv.gz": b"",
        "nothing in it.csv.gz": gzip.compress(b""),
        "bomb.csv.gz": gzip.compress(HEAD + b"1,a,4,10\n" * 100_000),
        "plain.csv.zst": GOOD,
        "damaged.csv.zst": b"\x28\xb5\x2f\xfd,item,rating\n1,a,4,10\n",
        "empty.csv.zst": b"",
        "good.txt": GOOD,
        "good.jsonl": ROW.encode() + ROW.replace('"1"', '"2"').encode(),
        "empty.jsonl": b"",
        "array.jsonl": f"[{ROW.strip()}]\n".encode(),
        "number.jsonl": b"1\n",
        "null.jsonl": b"null\n",
        "cut.jsonl": (ROW * 2)[:-9].encode(),
        "bom.jsonl": BOM + ROW.encode(),
        "latin-1.jsonl": ROW.replace("a", "\xe9", 1).encode("latin-1"),
        "nan.jsonl": ROW.replace("4", "NaN").encode(),
        "infinity.jsonl": ROW.replace("4", "Infinity").encode(),
        "nested.jsonl": ROW.replace("4", '{"a": 1}').encode(),
        "list.jsonl": ROW.replace('"1"', '["1"]').encode(),
        "null id.jsonl": ROW.replace('"1"', "null").encode(),
        "missing key.jsonl": b'{"user": "1", "item": "a", "time": 3}\n',
        "sometimes missing.jsonl": ROW.encode() + b'{"user": "1", "item": "b", "time": 3}\n',
        "twice.jsonl": b'{"user": "1", "user": "2", "item": "a", "rating": 4, "time": 10}\n',
        "deep.jsonl": b'{"user": ' + b"[" * 3000 + b"]" * 3000 + b"}\n",
        "single quotes.jsonl": ROW.replace('"', "'").encode(),
        "trailing comma.jsonl": ROW.replace("10}", "10,}").encode(),
        "blank.jsonl": b"\n\n" + ROW.encode() + b"\n",
        "csv.jsonl": GOOD,
        "empty.parquet": b"",
        "csv.parquet": GOOD,
        "magic.parquet": b"PAR1" + bytes(40) + b"PAR1",
        "length.parquet": b"PAR1" + b"\xff" * 8 + b"PAR1",
    }


def tables() -> dict[str, bytes]:
    """Tables of interactions."""
    return _csv() | _shapes()


def lists() -> dict[str, bytes]:
    """Files of lines ``user item item ...``."""
    return {
        "good": b"0 1 2\n1 2\n",
        "empty": b"",
        "blank": b"\n\n",
        "word": b"0 1 two\n",
        "float": b"0 1.5\n",
        "negative": b"0 -1\n1 2\n",
        "huge": b"0 99999999999999999999\n",
        "digits": b"0 " + b"9" * 5000 + b"\n",
        "nul": b"0 1\x00\n",
        "bom": BOM + b"0 1\n",
        "latin-1": b"0 \xe9\n",
        "user only": b"0\n1\n",
        "crlf": b"0 1 2\r\n1 2\r\n",
        "no newline": b"0 1 2",
        "tabs": b"0\t1\t2\n",
        "commas": b"0,1,2\n",
        "underscore": b"0 1_0\n",
        "same twice": b"0 1 1\n0 1\n",
    }


def configs() -> dict[str, bytes]:
    """YAML files of an experiment."""
    return {
        "empty": b"",
        "nul": b"\x00",
        "bom": BOM + b"a: 1",
        "latin-1": b"name: caf\xe9\n",
        "list": b"- 1\n- 2\n",
        "word": b"hello",
        "number": b"1",
        "open": b"encoder: {name: LightGCN",
        "tab": b"encoder:\n\tname: LightGCN\n",
        "python": b"encoder: !!python/object/apply:os.system ['true']\n",
        "unknown tag": b"encoder: !lightgcn 3\n",
        "two documents": b"a: 1\n---\nb: 2\n",
        "alias": b"encoder: *nobody\n",
        "self": b"encoder: &a [*a]\n",
        "self mapping": b"encoder: &a {name: *a}\n",
        "laughs": b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nencoder: *c\n",
        "billion laughs": b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12))
        + b"dataset: movielens\nencoder: *a11\n",
        "large": b"dataset: movielens\nbaseline: EASE\n#" + b"x" * 2**22,
        "list key": b"? [1, 2]\n: 3\n",
        "mapping key": b"? {a: 1}\n: 3\n",
        "null key": b"~: 3\n",
        "deep": b"a: " + b"[" * 500 + b"]" * 500,
        "twice": b"seed: 1\nseed: 2\nencodr: 3\n",
        "nan": b"baseline: EASE\nterm_weight: .nan\nterm: ItemKNN\n",
        "infinite": b"encoder: {name: LightGCN, dim: .inf}\n",
        "huge": b"encoder: {name: LightGCN, dim: " + b"9" * 30 + b"}\n",
        "digits": b"seed: " + b"9" * 5000 + b"\n",
        "date": b"seed: 2020-01-01\n",
        "month 13": b"seed: 2020-13-45\n",
        "bytes": b"name: !!binary aGVsbG8=\nencoder: 3\n",
        "set": b"encoder: !!set {a, b}\n",
        "bool": b"seed: true\nencoder: yes\n",
        "climbing": b"dataset: ../../etc/passwd\n",
        "null dataset": b"dataset:\nencoder: LightGCN\n",
        "path": b"encoder: os.system\n",
        "module": b"encoder: gnnseg.encoders\n",
        "long": b"encoder: " + b"x" * 100_000,
    }


def archives() -> dict[str, bytes]:
    """Zip files, of which the member ``a`` is read."""

    def zipped(**contents: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return file.getvalue()

    whole = zipped(a=b"hello" * 50, b=b"world")
    encrypted = bytearray(whole)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(mark) + at] |= 1
    method = whole.replace(b"\x08\x00", b"\x63\x00")
    return {
        "good": whole,
        "empty": b"",
        "without the member": zipped(b=b""),
        "cut": whole[:-10],
        "beginning only": whole[:30],
        "no zip": GOOD,
        "encrypted": bytes(encrypted),
        "unknown method": method,
        "flipped": whole[:32] + bytes([whole[32] ^ 255]) + whole[33:],
        "bomb": zipped(a=bytes(3_000_000)),
    }
