"""Which alerts of a dispensing are open, once they are opened."""

from __future__ import annotations

import msgspec
import pytest

from services.clinic.contract import Alert, AlertKind, Check
from services.queries.answer import QueryResult
from services.queries.clinic.dispensing import _QUEUE, with_open_alerts

WORDS = {column.name: column.words for column in _QUEUE.columns}
MONDAY = Alert(kind=AlertKind.DUPLICATE, detail="given on Monday")
FRIDAY = Alert(kind=AlertKind.DUPLICATE, detail="given on Friday")
ALLERGY = Alert(kind=AlertKind.ALLERGY, detail="penicillin G")


def said(column: str, value: object) -> str:
    words = WORDS[column]
    assert words is not None
    return words(msgspec.json.encode(value).decode())


@pytest.mark.parametrize(
    ("checked", "noted", "answered", "still"),
    [
        ((), (), (), []),
        ((ALLERGY,), (MONDAY,), (), ["allergy", "duplicate"]),
        ((ALLERGY,), (MONDAY, FRIDAY), ((MONDAY,),), ["allergy", "duplicate"]),  # Friday's was not answered for
        ((ALLERGY,), (MONDAY, FRIDAY), ((MONDAY, FRIDAY), (ALLERGY,)), []),
    ],
)
def test_an_answer_is_for_the_alerts_that_stood_by_then(
    checked: tuple[Alert, ...], noted: tuple[Alert, ...], answered: tuple[tuple[Alert, ...], ...], still: list[str]
) -> None:
    values = {
        "check": said("check", Check(alerts=checked)), "alerts": [said("alerts", one) for one in noted],
        "answered": [said("answered", some) for some in answered], "state": "requested", "waits": "to be verified",
    }  # fmt: skip
    row = tuple(values.get(column.name) for column in _QUEUE.columns)
    (shown,) = with_open_alerts(QueryResult("Dispensing", _QUEUE.columns, [row], ("CLINIC", 1))).records()
    assert shown["alerts"] == still
    assert shown["waits"].startswith("alerts to be answered for") == bool(still)
    assert "answered" not in shown and "check" not in shown
