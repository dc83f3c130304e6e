"""Donors: known by an id, and who they are is sealed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from services.inventory.contract import (
    ChangeDonor,
    DonorChanged,
    DonorRegistered,
    InventoryError,
    RegisterDonor,
)
from tests.unit.inventory.pantry import NOW, given

BAKERY = RegisterDonor(donor="d-1", name="Crumbleholme Bakery", kind="bakery", contact="ovens@bakery.example")


def test_a_donor_is_registered_once() -> None:
    after = given().when(BAKERY).then(DonorRegistered, name="Crumbleholme Bakery", kind="bakery", occurred_at=NOW)
    after.when(BAKERY).then_rejected(InventoryError.ALREADY_EXISTS, donor="d-1")


def test_what_is_known_of_a_donor_is_replaced_as_a_whole() -> None:
    change = ChangeDonor(donor="d-1", name="Crumbleholme and Daughters", note="closed on Mondays")
    after = given(BAKERY).when(change).then(DonorChanged, name="Crumbleholme and Daughters", contact=None, kind=None)
    after.when(change).then(DonorChanged)


def test_a_donor_who_is_not_registered_cannot_be_changed() -> None:
    given().when(ChangeDonor(donor="d-9", name="Nobody")).then_rejected(InventoryError.UNKNOWN_DONOR, donor="d-9")


def test_a_refusal_says_nothing_personal() -> None:
    refused = given(BAKERY).when(BAKERY)
    assert refused.refusal is not None
    assert "Crumbleholme" not in str(refused.refusal.problem())


def test_nothing_is_registered_in_the_future() -> None:
    tomorrow = replace(BAKERY, occurred_at=NOW + timedelta(days=1))
    given().when(tomorrow).then_rejected(InventoryError.OCCURRED_IN_FUTURE)


def test_the_state_knows_no_name() -> None:
    assert "Crumbleholme" not in str(given(BAKERY).state("donor", "d-1"))
