"""Two records of one owner become one: no key is lost, and what was destroyed stays so, in whatever order they meet."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from shared.keyring import KeyFile, KeyRecord, WrappedKey, merged

KEYS = st.lists(st.integers(1, 5), unique=True, max_size=3).map(
    lambda numbers: tuple(WrappedKey(number, "m", f"w{number}") for number in numbers)
)
RECORDS = st.one_of(
    KEYS.map(lambda keys: KeyRecord("party/p-1", keys)),
    st.sampled_from(["2026-01-01", "2026-02-01"]).map(lambda at: KeyRecord("party/p-1", erased=at)),
)


def _says(record: KeyRecord) -> tuple[set[int], str | None]:
    return {key.number for key in record.keys}, record.erased


@given(RECORDS, RECORDS, RECORDS)
def test_the_order_in_which_records_meet_makes_no_difference(a: KeyRecord, b: KeyRecord, c: KeyRecord) -> None:
    assert _says(merged(a, b)) == _says(merged(b, a))
    assert _says(merged(merged(a, b), c)) == _says(merged(a, merged(b, c)))
    assert merged(a, a) == a


@given(RECORDS, RECORDS)
def test_no_key_is_lost_and_none_comes_back(a: KeyRecord, b: KeyRecord) -> None:
    both = merged(a, b)
    if a.erased or b.erased:
        assert both.erased and both.keys == ()
    else:
        assert {key.number for key in both.keys} == {key.number for key in (*a.keys, *b.keys)}
        assert both.keys[-len(b.keys) :] == b.keys or not b.keys, "the newest key of the newer record seals"


@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_a_file_says_what_its_lines_say_together(records: list[KeyRecord]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = KeyFile(Path(folder), "club")
        together: KeyRecord | None = None
        for record in records:
            file.append(record)
            together = merged(together, record)
        assert file.load() == {"party/p-1": together}
        assert file.written_over == (len(records) > 1)
        file.rewrite()
        assert file.load() == {"party/p-1": together}
        assert not file.written_over
