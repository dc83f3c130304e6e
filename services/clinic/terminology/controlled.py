"""Ingredients that US law controls: of these nothing is prescribed or dispensed here.

Source: schedules II to V of the US Drug Enforcement Administration, 21 CFR 1308.12 to 1308.15, as in force in November
2024; of each the substances that are, or were, marketed as medicines for people. Preparations that the regulation
excepts, or lists in a lower schedule for their strength, are refused as well: a table of ingredients cannot tell.
Excerpts of those sections were read; the list was not compared with them name by name, so a pharmacist should look it
over before a clinic relies on it.
RxNorm codes: as in ingredients.py; where none was verified the name alone finds it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.clinic.contract import CodeSystem, Coding
from services.clinic.terminology import plain

SCHEDULES: Final = {
    "II": (
        "alfentanil, amobarbital, amphetamine, cocaine, codeine, dexmethylphenidate, dextroamphetamine, "
        "dihydrocodeine, fentanyl, glutethimide, hydrocodone, hydromorphone, levorphanol, lisdexamfetamine, "
        "meperidine, methadone, methamphetamine, methylphenidate, morphine, nabilone, opium, oxycodone, oxymorphone, "
        "pentobarbital, remifentanil, secobarbital, sufentanil, tapentadol"
    ),
    "III": (
        "benzphetamine, buprenorphine, butabarbital, butalbital, dronabinol, esketamine, fluoxymesterone, ketamine, "
        "methyltestosterone, nandrolone, oxandrolone, oxymetholone, perampanel, phendimetrazine, sodium oxybate, "
        "testosterone, thiopental"
    ),
    "IV": (
        "alprazolam, armodafinil, butorphanol, carisoprodol, chlordiazepoxide, clobazam, clonazepam, clorazepate, "
        "daridorexant, diazepam, diethylpropion, eluxadoline, estazolam, eszopiclone, flurazepam, lemborexant, "
        "lorazepam, meprobamate, midazolam, modafinil, oxazepam, pentazocine, phenobarbital, phentermine, "
        "propoxyphene, quazepam, remimazolam, solriamfetol, suvorexant, temazepam, tramadol, triazolam, zaleplon, "
        "zolpidem"
    ),
    "V": "brivaracetam, cenobamate, difenoxin, diphenoxylate, ezogabine, lacosamide, lasmiditan, pregabalin",
}  # fmt: skip
"""By schedule, the names as RxNorm and the regulation write them."""

CODES: Final = {
    "480": "alfentanil", "596": "alprazolam", "1739745": "brivaracetam", "2101": "carisoprodol", "21241": "clobazam",
    "2598": "clonazepam", "2670": "codeine", "3322": "diazepam", "4337": "fentanyl", "6470": "lorazepam",
    "6813": "methadone", "6901": "methylphenidate", "6960": "midazolam", "30125": "modafinil", "7052": "morphine",
    "7781": "oxazepam", "7804": "oxycodone", "187832": "pregabalin", "10689": "tramadol",
}  # fmt: skip
"""RxNorm codes of ingredients."""

_OTHER_NAMES: Final = (
    "pethidine", "amfetamine", "dexamfetamine", "lisdexamphetamine", "dextropropoxyphene", "phenobarbitone", "thc",
    "gamma hydroxybutyrate", "adderall", "ambien", "ativan", "klonopin", "lomotil", "lyrica", "norco", "percocet",
    "ritalin", "soma", "suboxone", "valium", "vicodin", "vyvanse", "xanax",
)  # fmt: skip
"""International spellings, and brands that an order in words often names."""

_NAMES: Final = tuple(
    plain(name) for name in (*(one for names in SCHEDULES.values() for one in names.split(",")), *_OTHER_NAMES)
)


def is_controlled(codings: Iterable[Coding]) -> bool:
    """Whether any of these is, or names, a controlled substance: by its RxNorm code, or by the words of its display."""
    return any(
        (one.system is CodeSystem.RXNORM and one.code in CODES) or any(name in plain(one.display) for name in _NAMES)
        for one in codings
    )
