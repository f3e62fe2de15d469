import pytest

from tfew_pl.errors import UserError
from tfew_pl.naming import look_up


def test_known_name() -> None:
    assert look_up("thing", "a", {"a": 1, "b": 2}) == 1


def test_unknown_name_answers_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"^unknown thing 'hellaswga': did you mean hellaswag\?$"):
        look_up("thing", "hellaswga", {"hellaswag": 1, "rte": 2})


def test_name_unlike_any_answers_with_all() -> None:
    with pytest.raises(UserError, match=r"^unknown thing 'zzz': there are alpha, beta$"):
        look_up("thing", "zzz", {"alpha": 1, "beta": 2})
