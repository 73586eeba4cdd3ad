from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gnnseg.segments.naming import LONGEST_TITLE, name_segment


def segment(number: int = 3, **liked: list[str]) -> dict[str, Any]:
    profile = {kind: [{"name": name} for name in names] for kind, names in {"likes": [], **liked}.items()}
    return {"segment": number, "profile": profile}


def test_tags_come_first() -> None:
    known = segment(tags=["Horror", "Sci-Fi", "War"], words=["robot"], likes=["Alien"])
    assert name_segment(known, set()) == "Horror & Sci-Fi"
    assert name_segment(known, {"horror & sci-fi"}) == "Horror, Sci-Fi & War"
    assert name_segment(known, {"horror & sci-fi", "horror, sci-fi & war"}) == "Horror & Sci-Fi: Alien"


def test_then_words_that_the_tags_do_not_say() -> None:
    assert name_segment(segment(tags=["Sci-Fi"], words=["sci", "robot"]), set()) == "Sci-Fi & Robot"
    assert name_segment(segment(words=["robot", "space", "war"]), set()) == "Robot & Space"


def test_then_items() -> None:
    long = "The Assassination of Jesse James by the Coward Robert Ford"
    name = name_segment(segment(likes=[long, "Alien"]), set())
    assert name == "The Assassination of Jesse Jame… & Alien"
    assert len(name.split(" & ")[0]) <= LONGEST_TITLE


def test_then_numbers() -> None:
    assert name_segment(segment(), set()) == "segment 3"
    assert name_segment(segment(), {"segment 3"}) == "segment 3 (3)"
    assert name_segment(segment(), {"segment 3", "segment 3 (3)"}) == "segment 3 (3) (3)"


words = st.lists(st.sampled_from(["a", "A", "b", "segment 1", "b (1)"]), max_size=3)


@given(st.lists(st.tuples(words, words, words), max_size=6))
def test_no_two_names_are_the_same(drawn: list[tuple[list[str], list[str], list[str]]]) -> None:
    taken: set[str] = set()
    for number, (tags, terms, likes) in enumerate(drawn):
        name = name_segment(segment(number, tags=tags, words=terms, likes=likes), taken)
        assert name.strip()
        assert name.casefold() not in taken
        taken.add(name.casefold())
