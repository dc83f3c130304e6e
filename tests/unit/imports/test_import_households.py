"""Households come out of the two layouts seen in the field; ages become bands, allergens the catalogue's words."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from services.distribution.contract import AgeBand, Member, RegisterHousehold, distribution
from services.imports.ages import band_of, band_of_age, born_in
from services.imports.cells import Unreadable
from services.imports.columns import column_map
from services.imports.households import EXAMPLE, USUAL, Form, read_households
from services.imports.plan import Lines
from shared.errors import Invalid

ON = date(2026, 6, 15)


def read(tmp_path: Path, *lines: str, **form: Any) -> Lines:
    file = tmp_path / "households.csv"
    file.write_text("\n".join(lines) + "\n")
    return Lines.of(read_households(file, Form(ON, **form)))


def parsed(lines: Lines) -> list[RegisterHousehold]:
    assert not lines.refused, lines.refused
    return [distribution.parse(one.command, one.data) for one in lines.planned]


def test_a_row_a_household_gives_its_size_and_bands(tmp_path: Path) -> None:
    header = "Household No;Card No;Family name;Phone;E-mail;Household size;Children;Adults;60+;Allergies;Valid until"
    (one,) = parsed(read(tmp_path, header, "h-1;K1;Okafor;0555 1;o@example.org;5;2;1;1;Erdnüsse;31.12.2026"))
    assert (one.household, one.card, one.name, one.contact) == ("h-1", "K1", "Okafor", "0555 1, o@example.org")
    assert (one.size, one.eligible_until) == (5, date(2026, 12, 31))
    assert [m.band for m in one.members] == [AgeBand.CHILD, AgeBand.CHILD, AgeBand.ADULT, AgeBand.SENIOR]
    assert [m.allergens for m in one.members] == ["peanuts", None, None, None]


def test_a_row_a_person_is_gathered_by_household_wherever_its_rows_stand(tmp_path: Path) -> None:
    found = read(
        tmp_path, "case id,first name,last name,dob,allergies,address", "c-1,Ana,Ruiz,1990-05-01,,4 Mill Lane",
        "c-2,Bo,Lund,1950-01-01,,", "c-1,Leo,Ruiz,2015-05-01,\"egg, milk\",",
    )  # fmt: skip
    first, second = parsed(found)
    assert (first.household, first.size, first.name, first.address) == ("c-1", 2, "Ana Ruiz", "4 Mill Lane")
    assert first.members == (
        Member(member="m1", band=AgeBand.ADULT, name="Ana Ruiz"),
        Member(member="m2", band=AgeBand.CHILD, name="Leo Ruiz", allergens="eggs, milk"),
    )
    assert (second.household, second.members[0].band) == ("c-2", AgeBand.SENIOR)


def test_no_birth_and_no_age_is_in_what_is_sent_or_reported(tmp_path: Path) -> None:
    found = read(
        tmp_path, "household,person,born,age", "h-1,p-1,1987-02-03,", "h-2,p-2,,41", "h-3,p-3,2031-02-03,",
        "h-4,p-4,03/02/1987x,",
    )  # fmt: skip
    assert len(found.planned) == len(found.refused) == 2
    for secret in ("1987", "41", "2031", "02-03"):
        assert secret not in repr([one.data for one in found.planned] + [one.reason for one in found.refused])


def test_a_household_of_which_a_row_is_wrong_is_held_back_whole_and_the_others_are_taken(tmp_path: Path) -> None:
    found = read(tmp_path, "household,person,age", "h-1,p-1,30", "h-2,p-2,40", "h-1,p-3,many", "h-1,p-4,5")
    assert [one.data["household"] for one in found.planned] == ["h-2"]
    (refused,) = found.refused
    assert (refused.line, refused.what) == (4, "household h-1")
    assert "many" not in refused.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",4,,", "is not an id"),
        ("Ana Ruiz,4,,", "is not an id"),
        ("h-1,0,,", "a household of 0"),
        ("h-1,400,,", "a household of 400"),
        ("h-1,,,", "no size and no ages"),
        ("h-1,2,3,", "its size is 2, and 3 are listed"),
        ("h-1,4,-1,", "negative"),
        ("h-1,4,99999999,", "99999999 children"),
        ("h-1,4,1,A 1", "is not a code"),
        ("h-1,four,,", "not a whole number"),
        ("h-1,4", "has 2 cells"),
    ],
)
def test_what_cannot_be_a_household_is_refused_with_its_reason(tmp_path: Path, line: str, reason: str) -> None:
    found = read(tmp_path, "household,size,children,card", line)
    assert not found.planned
    assert reason in found.refused[0].reason
    assert found.refused[0].line == 2


def test_rows_of_one_household_that_disagree_are_refused(tmp_path: Path) -> None:
    found = read(tmp_path, "household,size", "h-1,3", "h-1,3", "h-2,3", "h-2,4")
    assert [one.data["household"] for one in found.planned] == ["h-1"]
    assert "its size is not that of a line above" in found.refused[0].reason
    found = read(tmp_path, "household,age,card", "h-1,3,A1", "h-1,30,A2")
    assert "its card is not that of a line above" in found.refused[0].reason


def test_columns_are_mapped_by_hand_and_unknown_ones_are_named_and_left_out(tmp_path: Path) -> None:
    columns = column_map(["household=HH Ref,size=Mouths"], USUAL, EXAMPLE)
    found = read(tmp_path, "HH Ref,Mouths,Religion,Income", "h-1,3,x,900", columns=columns)
    assert parsed(found)[0].size == 3
    assert [(one.line, one.fragment) for one in found.for_a_person] == [(1, "income, religion")]
    with pytest.raises(Invalid, match="no column Mouths"):
        read(tmp_path, "HH Ref,Size", "h-1,3", columns=columns)
    with pytest.raises(Unreadable, match="--map takes pairs such as household="):
        column_map(["religion=Religion"], USUAL, EXAMPLE)


def test_dates_that_can_be_read_in_two_ways_are_refused_until_it_is_said_how(tmp_path: Path) -> None:
    lines = ("household,dob", "h-1,03/04/1990", "h-1,05/06/2010")
    with pytest.raises(Invalid, match="--date-format") as refusal:
        read(tmp_path, *lines)
    assert "1990" not in refusal.value.detail and "2010" not in refusal.value.detail
    assert parsed(read(tmp_path, *lines, date_format="dd/mm/yyyy"))[0].size == 2


def test_the_same_household_has_one_command_id_which_tells_nothing_of_it(tmp_path: Path) -> None:
    ids = {read(tmp_path, "household,size,name", f"h-1,{n},{name}").planned[0].id for n, name in ((1, "A"), (2, "B"))}
    assert len(ids) == 1


def test_a_file_without_a_household_column_is_refused_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="no column with the household's id"):
        read(tmp_path, "name,size", "Ana,3")


def test_an_allergen_that_is_not_known_is_kept_and_shown_to_a_person(tmp_path: Path) -> None:
    found = read(tmp_path, "household,size,allergies", "h-1,3,kiwi")
    assert parsed(found)[0].members == (Member(member="m1", allergens="kiwi"),)
    assert "none of the known words" in found.for_a_person[0].reason
    assert found.for_a_person[0].fragment == "kiwi"


def test_an_allergen_says_nothing_of_how_many_live_there(tmp_path: Path) -> None:
    found = read(tmp_path, "household,size,allergies,diet", "h-1,,kiwi,", "h-2,,,low salt", "h-3,2,milk,")
    assert [one.data["household"] for one in found.planned] == ["h-3"]
    assert len(found.refused) == 2
    assert all("no size and no ages are given" in one.reason for one in found.refused)


@pytest.mark.parametrize("size", ["Größe", "Haushaltsgröße", "Anzahl Personen", "Taille du foyer", "Personnes",
                                  "Tamaño", "Personas"])  # fmt: skip
def test_the_size_is_found_in_the_languages_of_the_other_columns(tmp_path: Path, size: str) -> None:
    assert parsed(read(tmp_path, f"Haushalt;{size};Allergien", "h-1;4;Milch"))[0].size == 4


def test_a_card_that_two_households_have_is_listed_for_a_person_in_the_file_and_on_the_ledger(tmp_path: Path) -> None:
    lines = ("household,size,card", "h-1,3,K1", "h-2,1,K1", "h-3,1,K3", "h-4,1,K4")
    found = read(tmp_path, *lines, cards={"K3": "old-1", "K4": "h-4"})
    assert len(parsed(found)) == 4
    assert [(one.line, one.what, one.fragment) for one in found.for_a_person] == [
        (3, "household h-2", "K1"), (4, "household h-3", "K3"),
    ]  # fmt: skip
    assert "household h-1" in found.for_a_person[0].reason and "household old-1" in found.for_a_person[1].reason


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("0", AgeBand.CHILD), ("17", AgeBand.CHILD), ("18", AgeBand.ADULT), ("59 years", AgeBand.ADULT),
        ("60", AgeBand.SENIOR), ("7 months", AgeBand.CHILD), ("adult", AgeBand.ADULT), ("60+", AgeBand.SENIOR),
        ("18-59", AgeBand.ADULT), ("under 18", AgeBand.CHILD), ("0 - 5", AgeBand.CHILD), ("over 65", AgeBand.SENIOR),
    ],
)  # fmt: skip
def test_an_age_becomes_its_band(text: str, band: AgeBand) -> None:
    assert band_of_age(text) is band


@pytest.mark.parametrize("text", ["18-64", "over 50", "130", "young", "1e2"])
def test_an_age_across_bands_or_of_nobody_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        band_of_age(text)


def test_an_empty_group_is_not_known() -> None:
    assert band_of("") is AgeBand.UNKNOWN


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("2008-06-15", AgeBand.ADULT), ("2008-06-16", AgeBand.CHILD), ("1966-06-16", AgeBand.ADULT),
        ("1966-06-15", AgeBand.SENIOR), ("2008", AgeBand.ADULT), ("2026-06-15", AgeBand.CHILD),
    ],
)  # fmt: skip
def test_a_birth_becomes_the_band_on_that_day(text: str, band: AgeBand) -> None:
    assert born_in(text, "ymd", ON) is band


@pytest.mark.parametrize("text", ["2026-06-16", "2027", "1875", "15.6.2008", "x"])
def test_a_birth_that_cannot_be_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        born_in(text, "ymd", ON)
    assert text not in str(refusal.value)
