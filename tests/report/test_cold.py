from gnnseg.report.cold import cold_lines

ONE = {"mean": 0.5, "low": 0.25, "high": 0.75}


def test_items() -> None:
    found = cold_lines({"cold_items": {"cold": {"recall@20": ONE}, "warm": {"recall@20": ONE}}})
    assert found == [
        "cold items among themselves: recall@20 0.5000 (0.2500 to 0.7500)",
        "known items among themselves: recall@20 0.5000 (0.2500 to 0.7500)",
    ]


def test_users() -> None:
    kinds = {"by_history": {"ndcg@10": ONE}, "with_groups": {"ndcg@10": ONE}, "gain": {}}
    assert cold_lines({"cold_users": {"3": kinds}}) == [
        "new users, 3 items known: ndcg@10 by history 0.5000 (0.2500 to 0.7500), "
        "with groups 0.5000 (0.2500 to 0.7500)"
    ]


def test_nothing_kept_out() -> None:
    assert cold_lines({"cold_items": None, "cold_users": None}) == []
