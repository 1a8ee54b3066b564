"""Scores against cases worked by hand."""

import pytest
from skillbench_searchqa.scoring import exact_match, f1, metrics, normalise, sub_exact_match


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The  Beatles!", "beatles"),
        ("an Apple a day", "apple day"),
        ("U.S.A.", "usa"),
        ("rock-'n'-roll", "rocknroll"),
        ("theatre", "theatre"),
        ("  \t\n", ""),
        ("The", ""),
        ("Estádio do Maracanã", "estádio do maracanã"),
        ("1,000", "1000"),
        ("“quoted”", "“quoted”"),  # only ASCII punctuation goes
    ],
)
def test_normalise(text: str, wanted: str):
    assert normalise(text) == wanted


@pytest.mark.parametrize(
    ("said", "golds", "em", "sub", "score"),
    [
        ("Paris", ["Paris"], 1, 1, 1.0),
        ("the paris.", ["Paris"], 1, 1, 1.0),
        ("Paris, France", ["Paris"], 0, 1, 2 / 3),  # 1 of 2 words right, 1 of 1 found
        ("NYC", ["New York", "New York City", "NYC"], 1, 1, 1.0),  # an alias
        ("New York", ["New York City"], 0, 0, 0.8),  # 2 / 2 and 2 / 3
        ("York New", ["New York"], 0, 0, 1.0),  # F1 knows no order
        ("comparison", ["Paris"], 0, 1, 0.0),  # sub-match is by characters
        ("", ["Paris"], 0, 0, 0.0),
        ("?!", ["Paris"], 0, 0, 0.0),
        ("the", ["A"], 0, 0, 0.0),  # both normalise to nothing
        ("A", ["A"], 1, 1, 1.0),
        ("a  ", ["A"], 1, 1, 1.0),
        ("anything", ["The"], 0, 0, 0.0),
        ("", [""], 0, 0, 0.0),
        ("São Paulo", ["são paulo"], 1, 1, 1.0),
        ("Sao Paulo", ["São Paulo"], 0, 0, 0.5),
        ("yes", ["no"], 0, 0, 0.0),
        ("war war war", ["war peace"], 0, 0, 0.4),  # 1 of 3, 1 of 2
    ],
)
def test_hand_worked_cases(said: str, golds: list, em: int, sub: int, score: float):
    assert exact_match(said, golds) is bool(em)
    assert sub_exact_match(said, golds) is bool(sub)
    assert f1(said, golds) == pytest.approx(score)
    assert metrics(said, golds) == {
        "exact_match": em,
        "sub_exact_match": sub,
        "f1": pytest.approx(score),
    }


def test_no_gold_answers():
    assert metrics("Paris", []) == {"exact_match": 0, "sub_exact_match": 0, "f1": 0}
