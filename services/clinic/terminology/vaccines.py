"""What is in vaccines beside the antigen that people are allergic to, by CVX code.

Each row was checked, in November 2026, against what is named with it; what could not be was left out, so a vaccine that
is not here is not without such components. It is of kinds of vaccine and not of brands: a maker's package insert says
more, and a formulary entry may name further ingredients. CVX codes are those of US CDC, checked against the displays in
Synthea's sample data; the codes of substances are SNOMED CT's, checked against the same.

| component | vaccines | source |
| --- | --- | --- |
| egg | influenza | Institute for Vaccine Safety, Johns Hopkins: Potential Allergens in Vaccines, 2021-01-15 |
| neomycin | MMR, zoster live, IPV (also polymyxin, streptomycin) | inserts, as in MSOP PIC Question, 2008-03-10 |
| neomycin; yeast | hepatitis A; hepatitis B | US CDC, Adult Immunization Schedule, appendix: contraindications |
| gelatin | MMR | package insert, as in J Allergy Clin Immunol Pract, on testing for vaccine excipients |
| latex | any | US CDC, Pink Book, Appendix B, Latex in Packaging: stoppers and tip caps, by presentation |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SOURCE: Final = "vaccine components table (CDC, Johns Hopkins, inserts)"

COMPONENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "03": ("gelatin", "neomycin"), "121": ("neomycin",), "10": ("neomycin", "polymyxin", "streptomycin"),
    "52": ("neomycin",), "83": ("neomycin",), "43": ("yeast",), "140": ("egg",),
}  # fmt: skip
"""MMR 03, zoster live 121, IPV 10, hepatitis A 52 and 83, hepatitis B 43, influenza 140."""

IN_ANY: Final = ("latex",)

SUBSTANCES: Final[Mapping[str, str]] = {"102263004": "egg", "111088007": "latex"}
"""SNOMED CT codes of substances that are a component here."""

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "egg": ("egg", "eggs", "ovalbumin"),
    "gelatin": ("gelatin", "gelatine"),
    "latex": ("latex",),
    "neomycin": ("neomycin",),
    "polymyxin": ("polymyxin",),
    "streptomycin": ("streptomycin",),
    "yeast": ("yeast",),
}
"""By what words an allergy to a component is told."""


def components(cvx: str) -> tuple[str, ...]:
    """What is known to be in a vaccine. `3` and `03` are one code."""
    return (*_listed(cvx), *IN_ANY)


def is_listed(cvx: str) -> bool:
    """Whether the table has a vaccine."""
    return bool(_listed(cvx))


def _listed(cvx: str) -> tuple[str, ...]:
    return COMPONENTS.get(cvx) or COMPONENTS.get(cvx.zfill(2)) or ()
