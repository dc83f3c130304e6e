"""Vital signs: in which units each is measured, what no living body has, and what somebody confirms.

The codes and their units are those of FHIR R4's vital signs (https://hl7.org/fhir/R4/observation-vitalsigns.html); pain
and glucose are as LOINC names them. The limits hold for an infant and an adult alike, since nobody's age is needed to
weigh them; they find slips of the pen, and are no reference ranges. What is outside the outer two is refused for good,
so those lie beyond what was ever reported. Where no report or guideline is named, a limit is the clinic's own.

- blood pressure: 480/350 mmHg was measured under a leg press (MacDougall et al., J Appl Physiol 1985;58:785), and a
  diastolic of 0 is heard in aortic regurgitation; confirmed well outside a crisis of 180/120 (ACC/AHA 2017)
- heart rate: an infant's supraventricular tachycardia passes 220 /min (AHA, Pediatric Advanced Life Support), beyond
  which it is confirmed; the 99th centile of the newborn is near 180 (Fleming et al., Lancet 2011;377:1011)
- respiratory rate: the 99th centile of the newborn is near 66 /min (Fleming et al.)
- temperature: 13.7 (Gilbert et al., Lancet 2000;355:375) and 46.5 Cel (Slovis et al., Ann Emerg Med 1982;11:269) were
  survived; hypothermia, below 35.0, and hyperpyrexia, above 41.5, are confirmed
- oxygen saturation: 34 % was found on Mount Everest (Grocott et al., N Engl J Med 2009;360:140)
- weight: 212 g at birth, and 635 kg (Guinness World Records); height: 272 cm (the same); body mass index: 204 kg/m2
  (610 kg at 173 cm, the same)
- head circumference: newborns begin near 31 cm (WHO Child Growth Standards)
- pain: whole numbers from 0 to 10, as the code is named
- glucose: 2,656 mg/dL, which is 147.6 mmol/L, was survived (Guinness World Records); confirmed below 54 mg/dL (ADA,
  Standards of Care) and above 600 (hyperosmolar states: Kitabchi et al., Diabetes Care 2009;32:1335)

A code that is not in the table is taken as it is, in whatever unit. All is reckoned in integers. The table is part of
the contract, so that who reads measures of others' can tell which the clinic would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.clinic.contract.base import Coding, Measure
from services.clinic.contract.codes import CodeSystem


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one sign in one unit, with so many decimals: what is possible, and within it what is usual; ends included."""

    lowest: int
    low: int
    high: int
    highest: int
    decimals: int = 0
    whole: bool = False
    """Whether only whole numbers are a reading."""

    def possible(self, measured: Measure) -> bool:
        if self.whole and measured.value % 10**measured.decimals:
            return False
        return self._within(measured, self.lowest, self.highest)

    def usual(self, measured: Measure) -> bool:
        return self._within(measured, self.low, self.high)

    def _within(self, measured: Measure, least: int, most: int) -> bool:
        scale: int = 10**measured.decimals
        value: int = measured.value * 10**self.decimals
        return least * scale <= value <= most * scale

    def told(self, *, usual: bool) -> str:
        least, most = (self.low, self.high) if usual else (self.lowest, self.highest)
        return f"{'whole numbers ' if self.whole else ''}{self._written(least)} to {self._written(most)}"

    def _written(self, number: int) -> str:
        whole, rest = divmod(number, 10**self.decimals)
        return f"{whole}.{rest:0{self.decimals}}" if self.decimals else str(whole)


SYSTOLIC: Final = "8480-6"
DIASTOLIC: Final = "8462-4"
_SATURATION: Final = {"%": Limits(10, 80, 100, 100)}

SIGNS: Final[Mapping[str, Mapping[str, Limits]]] = {
    SYSTOLIC: {"mm[Hg]": Limits(20, 60, 220, 500)},
    DIASTOLIC: {"mm[Hg]": Limits(0, 30, 130, 400)},
    "8867-4": {"/min": Limits(0, 40, 220, 400)},  # heart rate
    "9279-1": {"/min": Limits(0, 6, 80, 150)},  # respiratory rate
    "8310-5": {"Cel": Limits(100, 350, 415, 480, 1), "[degF]": Limits(500, 950, 1067, 1184, 1)},  # body temperature
    "2708-6": _SATURATION,  # in arterial blood
    "59408-5": _SATURATION,  # by pulse oximetry
    "29463-7": {  # body weight
        "kg": Limits(2, 20, 2500, 7000, 1),
        "g": Limits(200, 2000, 250_000, 700_000),
        "[lb_av]": Limits(4, 44, 5512, 15_433, 1),
    },
    "8302-2": {  # body height
        "cm": Limits(20, 40, 220, 280),
        "m": Limits(20, 40, 220, 280, 2),
        "[in_i]": Limits(78, 157, 867, 1103, 1),
    },
    "39156-5": {"kg/m2": Limits(5, 10, 70, 250)},  # body mass index
    "9843-4": {"cm": Limits(15, 28, 65, 100), "[in_i]": Limits(59, 110, 256, 394, 1)},  # head circumference
    "72514-3": {"{score}": Limits(0, 0, 10, 10, whole=True), "1": Limits(0, 0, 10, 10, whole=True)},  # pain
    "2339-0": {"mg/dL": Limits(5, 54, 600, 3000)},  # glucose in blood, by mass
    "15074-8": {"mmol/L": Limits(3, 30, 333, 1665, 1)},  # glucose in blood, by amount of substance
}
"""By LOINC code, the limits in each UCUM unit that the sign is measured in."""


def units_of(code: Coding) -> Mapping[str, Limits] | None:
    """The limits of a sign in each unit that it is measured in; None of what is not in the table."""
    return SIGNS.get(code.code) if code.system is CodeSystem.LOINC else None
