"""A distribution day and a breakfast morning on a real ledger: orders, boxes, the table, and a count that is certified.

Everything that is shown is done by `commons` itself, beside the pantry's week and on the same ledger.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from services.demo.stage import Stage

HOUSEHOLDS: Final[tuple[Mapping[str, Any], ...]] = (
    {"household": "h-0412", "card": "K-0412", "name": "Selin Aydemir", "size": 4,
     "members": [{"member": "1", "band": "adult"}, {"member": "2", "band": "adult"},
                 {"member": "3", "band": "child", "allergens": "peanuts"}, {"member": "4", "band": "child"}]},
    {"household": "h-0413", "card": "K-0413", "name": "Ola Brekke", "size": 1,
     "members": [{"member": "1", "band": "senior"}]},
    {"household": "h-0414", "card": "K-0414", "name": "Mirela Costin", "size": 3,
     "members": [{"member": "1", "band": "adult"}, {"member": "2", "band": "child"}]},
    {"household": "h-0415", "card": "K-0415", "name": "Tunde Farrell", "size": 2,
     "members": [{"member": "1", "band": "adult"}, {"member": "2", "band": "adult"}]},
)  # fmt: skip
"""Who comes: opaque ids, and names and allergens that are sealed."""

PROGRAMME: Final = "saturday-boxes"
SESSION: Final = "saturday"

_BUNDLE: Final = {"rice-1kg": 1, "kidney-beans-400g": 2, "tomatoes-400g": 2}


def show(stage: Stage, now: datetime) -> None:
    """Play the day. Raises DemoFailed when it goes wrong."""
    doors(stage, now)
    orders(stage)
    table(stage, now)
    recall(stage)
    breakfast(stage, now.date())


def doors(stage: Stage, now: datetime) -> None:
    """A programme, its limit, its standard box; four households; the doors open."""
    stage.heading("Saturday: the doors open")
    _send(stage, "OpenProgramme", f"programme={PROGRAMME}", "name=Saturday boxes", "kind=box", quietly=True)
    _send(stage, "SetLimit", f"programme={PROGRAMME}", "times=1", "every=week")
    for size, times in ((1, 1), (3, 2)):
        lines = [{"item": item, "quantity": quantity * times} for item, quantity in _BUNDLE.items()]
        _send(stage, "SetBundle", f"programme={PROGRAMME}", f"min_size={size}", f"lines={json.dumps(lines)}",
              quietly=True)  # fmt: skip
    for household in HOUSEHOLDS:
        fields = (f"{name}={json.dumps(value) if name == 'members' else value}" for name, value in household.items())
        _send(stage, "RegisterHousehold", *fields, quietly=True)
    _send(stage, "ScheduleSession", f"session={SESSION}", f"programme={PROGRAMME}", "site=store",
          "name=Saturday at the store", f"starts_at={now - timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}",
          f"ends_at={now + timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}", quietly=True)  # fmt: skip
    _send(stage, "OpenSession", f"session={SESSION}", quietly=True)
    stage.level()
    stage.commons("show", "check-in", "K-0412")


def orders(stage: Stage) -> None:
    """Orders are confirmed and packed; one is short, one has a warning, and nobody comes for one."""
    stage.heading("Saturday: orders and boxes")
    _send(stage, "PlaceOrder", "order=o-1", "household=h-0412", f"session={SESSION}",
          'lines=[{"item":"rice-1kg","quantity":2},{"item":"peanut-butter-340g","quantity":1}]',
          refused=True)  # fmt: skip
    stage.say("\nSomebody in this household must not eat that. Something else, then:")
    _send(stage, "PlaceOrder", "order=o-1", "household=h-0412", f"session={SESSION}",
          'lines=[{"item":"rice-1kg","quantity":2},{"item":"honey-340g","quantity":150}]')  # fmt: skip
    for order, household in (("o-2", "h-0413"), ("o-3", "h-0414"), ("o-4", "h-0415")):
        _send(stage, "PlaceOrder", f"order={order}", f"household={household}", f"session={SESSION}", quietly=True)
    for order in ("o-1", "o-2", "o-3", "o-4"):
        _send(stage, "ConfirmOrder", f"order={order}", quietly=order != "o-1")
    stage.say("\nWhat follows goes by itself: the claim, and goods set aside in inventory, whole or in part.")
    stage.wait_for(_SET_ASIDE)
    stage.commons("show", "packing", SESSION)
    for number in (1, 2, 3, 4):
        _send(stage, "PackBox", f"box=B-10{number}", f"order=o-{number}", quietly=number > 1)
    _send(stage, "PackBox", "box=B-101", "order=o-2", refused=True)
    for number in (1, 2, 3):
        _send(stage, "HandOutBox", f"box=B-10{number}", quietly=number > 1)
    _send(stage, "RecordNoShow", "order=o-4")
    _send(stage, "UnpackBox", "box=B-104", "reason=nobody came for it")


def table(stage: Stage, now: datetime) -> None:
    """A second table cannot serve a household again; what happened offline is recorded, and somebody looks at it."""
    stage.heading("Saturday: two tables")
    year, week, _ = now.isocalendar()
    visit = ("household=h-0412", f"programme={PROGRAMME}", f"period={year}-W{week:02}", f"session={SESSION}")
    stage.commons("serve", "K-0412", "--as", "bruno", refused=True)
    stage.say("\nA table without a network had given them a box all the same. What has happened is recorded:")
    _send(stage, "RecordVisit", "visit=v-2", *visit, "fact=true")
    _send(stage, "CloseSession", f"session={SESSION}")
    stage.level()
    stage.commons("show", "session", SESSION)
    stage.commons("show", "review", "--of", "distribution")


def recall(stage: Stage) -> None:
    """Two lots of rice are recalled: the boxes that hold them, and whose they are, are one query."""
    stage.heading("Saturday: a recall that reaches three boxes")
    lots = [
        row["lot"] for row in stage.rows("SELECT DISTINCT lot FROM read.box_lots WHERE item = 'rice-1kg' ORDER BY 1")
    ]
    stage.send("RecallLot", "item=rice-1kg", "recall=rice-stones", f"scope={json.dumps({'lots': lots})}",
               "reason=stones found")  # fmt: skip
    stage.level()
    stage.commons("show", "reach", "rice-stones")


def breakfast(stage: Stage, day: date) -> None:
    """Forty meals arrive; what was served, dropped and left over must be as many."""
    stage.heading("Sunday: breakfast")
    meal = ("site=hall", f"date={day}", "meal=breakfast")
    _send(stage, "DeliverMeals", *meal, "delivery=kitchen-1", "quantity=40", "temperature=620", quietly=True)
    for serving, (diner, quantity) in enumerate((("first", 31), ("second", 4), ("program_adult", 2))):
        _send(stage, "ServeMeal", *meal, f"diner={diner}", f"quantity={quantity}", f"serving=sheet-{serving}",
              quietly=serving > 0)  # fmt: skip
    _send(stage, "DiscardMeals", *meal, "discard=tray-1", "quantity=1", "reason=dropped", quietly=True)
    _send(stage, "CertifyCount", *meal, "left_over=1", refused=True)
    stage.say("\nOne meal is missing. It is found in the kitchen, and the count adds up:")
    _send(stage, "CertifyCount", *meal, "left_over=2", actor="chen")
    stage.level()
    stage.commons("show", "meals", "--site", "hall")


_SET_ASIDE: Final = """SELECT 1 FROM read.orders o WHERE stage = 'confirmed' AND session = 'saturday'
    GROUP BY session HAVING count(*) = 4 AND bool_and(
        (SELECT count(*) FROM read.fulfilment_lines l WHERE l.fulfilment = o.order_id)
        = (SELECT count(*) FROM jsonb_object_keys(o.goods))
    )"""
"""Whether inventory has answered for every item of the four orders."""


def _send(stage: Stage, command: str, *fields: str, **how: Any) -> None:
    stage.send(command, *fields, service="distribution", **how)
