"""Ingredients of medicines common in free clinics: RxNorm code, ATC classes, and what cross-reacts with what.

Each row is a name, its RxNorm code, its ATC classes, its groups, and other names. How they were checked, in November
2026:

- Codes are of RxNorm (US National Library of Medicine, in the public domain), term type IN; 10831 is an MIN. Each was
  found with its name in the tables of CPIC (cpicpgx/cpic-schema, drug.sql), in Synthea's allergy modules, or in further
  public texts; 70618, 7980 and 10180 in one or two of those alone. Where it was not found there is none, and the
  ingredient is found by its name.
- Classes are those of ATC (WHO Collaborating Centre for Drug Statistics Methodology) at the fourth level, found by the
  substance's name in the index of 2026-04-25; topical uses are left out.
- Groups say what is taken for the same when somebody is allergic to one of it. They are wide on purpose: an alert too
  many is answered for with a reason, one too few is never seen. They follow what US labelling warns of:

  - beta-lactams: cephalosporins, "cross-hypersensitivity among beta-lactam antibiotics", checked in cephalexin's; Khan
    et al., Drug allergy: a 2022 practice parameter update (J Allergy Clin Immunol 150), finds it rare where side chains
    differ
  - sulfonamides: antimicrobials, sulfasalazine, celecoxib, thiazides and furosemide; nsaids: any after aspirin or
    another; opioids: tramadol after codeine or others; ace-inhibitors: any after angioedema with one;
    aromatic-anticonvulsants, statins, macrolides, quinolones, sulfonylureas, proton-pump-inhibitors: another of them
    (not checked label by label)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from services.clinic.contract import CodeSystem, Coding
from services.clinic.terminology import plain

SOURCE: Final = "ingredients table (RxNorm, ATC 2026-04-25)"


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One row. `rxnorm` is empty where no code was verified."""

    name: str
    rxnorm: str
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    names: tuple[str, ...]


_ROWS: Final = """
penicillin|70618|J01C|beta-lactams|penicillins, pcn
penicillin G|7980|J01CE|beta-lactams|benzylpenicillin
penicillin V|7984|J01CE|beta-lactams|phenoxymethylpenicillin
amoxicillin|723|J01CA|beta-lactams|amoxycillin
ampicillin|733|J01CA|beta-lactams|
dicloxacillin||J01CF|beta-lactams|
cephalosporin||J01DB J01DC J01DD J01DE|beta-lactams|cephalosporins
cephalexin|2231|J01DB|beta-lactams|cefalexin
cefazolin|2180|J01DB|beta-lactams|
cefaclor|2176|J01DC|beta-lactams|
cefuroxime|2194|J01DC|beta-lactams|
cefoxitin|2189|J01DC|beta-lactams|
cefdinir|25037|J01DD|beta-lactams|
cefixime|25033|J01DD|beta-lactams|
cefpodoxime|20489|J01DD|beta-lactams|
ceftriaxone|2193|J01DD|beta-lactams|
ceftazidime|2191|J01DD|beta-lactams|
cefepime|20481|J01DE|beta-lactams|
sulfonamide||J01EB J01EC|sulfonamides|sulfonamides, sulfa, sulpha, sulfa drugs, sulfa drug
sulfamethoxazole|10180|J01EC|sulfonamides|
sulfamethoxazole / trimethoprim|10831|J01EE|sulfonamides|sulfamethoxazole trimethoprim, co trimoxazole, tmp smx
sulfadiazine|10171|J01EC|sulfonamides|
sulfacetamide|10169||sulfonamides|
sulfisoxazole|10207|J01EB|sulfonamides|sulfafurazole
sulfasalazine|9524|A07EC|sulfonamides|
hydrochlorothiazide|5487|C03AA|sulfonamides|hctz
furosemide|4603|C03CA|sulfonamides|frusemide
nsaid||M01A|nsaids|nsaids, non steroidal anti inflammatory
aspirin|1191|N02BA B01AC|nsaids|acetylsalicylic acid, asa
ibuprofen|5640|M01AE|nsaids|
naproxen|7258|M01AE|nsaids|
flurbiprofen|4502|M01AE|nsaids|
diclofenac|3355|M01AB|nsaids|
ketorolac||M01AB|nsaids|
indomethacin||M01AB|nsaids|indometacin
meloxicam||M01AC|nsaids|
celecoxib|140587|M01AH|nsaids sulfonamides|
acetaminophen|161|N02BE||paracetamol
opioid||N02A|opioids|opioids, opiate, opiates
codeine|2670|R05DA N02AA|opioids|
morphine|7052|N02AA|opioids|
oxycodone|7804|N02AA|opioids|
tramadol|10689|N02AX|opioids|
ace inhibitor||C09AA|ace-inhibitors|ace inhibitors
lisinopril|29046|C09AA|ace-inhibitors|
captopril|1998|C09AA|ace-inhibitors|
enalapril|3827|C09AA|ace-inhibitors|
benazepril|18867|C09AA|ace-inhibitors|
quinapril|35208|C09AA|ace-inhibitors|
ramipril|35296|C09AA|ace-inhibitors|
losartan||C09CA||
amlodipine|17767|C08CA||
metoprolol|6918|C07AB||
propranolol|8787|C07AA||
carvedilol|20352|C07AG||
spironolactone|9997|C03DA||
statin||C10AA|statins|statins
simvastatin|36567|C10AA|statins|
atorvastatin|83367|C10AA|statins|
pravastatin|42463|C10AA|statins|
rosuvastatin|301542|C10AA|statins|
macrolide||J01FA|macrolides|macrolides
erythromycin|4053|J01FA|macrolides|
azithromycin|18631|J01FA|macrolides|
clarithromycin|21212|J01FA|macrolides|
quinolone||J01MA|quinolones|quinolones, fluoroquinolone, fluoroquinolones
ciprofloxacin|2551|J01MA|quinolones|
levofloxacin|82122|J01MA|quinolones|
moxifloxacin|139462|J01MA|quinolones|
norfloxacin|7517|J01MA|quinolones|
clindamycin||J01FF||
doxycycline||J01AA||
metronidazole||J01XD P01AB||
nitrofurantoin|7454|J01XE||
trimethoprim||J01EA||
isoniazid|6038|J04AC||
metformin|6809|A10BA||
glipizide|4821|A10BB|sulfonylureas|
glimepiride|25789|A10BB|sulfonylureas|
glyburide|4815|A10BB|sulfonylureas|glibenclamide
omeprazole|7646|A02BC|proton-pump-inhibitors|
pantoprazole|40790|A02BC|proton-pump-inhibitors|
lansoprazole|17128|A02BC|proton-pump-inhibitors|
esomeprazole|283742|A02BC|proton-pump-inhibitors|
ondansetron|26225|A04AA||
metoclopramide|6915|A03FA||
carbamazepine|2002|N03AF|aromatic-anticonvulsants|
oxcarbazepine|32624|N03AF|aromatic-anticonvulsants|
phenytoin|8183|N03AB|aromatic-anticonvulsants|
lamotrigine|28439|N03AX||
valproic acid|11118|N03AG||valproate
sertraline|36437|N06AB||
fluoxetine|4493|N06AB||
citalopram|2556|N06AB||
escitalopram|321988|N06AB||
paroxetine|32937|N06AB||
venlafaxine|39786|N06AX||
duloxetine|72625|N06AX||
warfarin|11289|B01AA||
albuterol|435|R03AC R03CC||salbutamol
lidocaine|6387|N01BB||lignocaine
"""


def _read(line: str) -> Ingredient:
    name, code, classes, groups, names = (part.strip() for part in line.split("|"))
    others = tuple(part.strip() for part in names.split(",") if part.strip())
    return Ingredient(name, code, tuple(classes.split()), tuple(groups.split()), (name, *others))


INGREDIENTS: Final = tuple(_read(line) for line in _ROWS.strip().splitlines())

BY_CODE: Final[Mapping[str, Ingredient]] = MappingProxyType({one.rxnorm: one for one in INGREDIENTS if one.rxnorm})


def named_in(text: str) -> tuple[Ingredient, ...]:
    """The ingredients whose names stand in a text, as a whole: all three of `Amoxicillin 250 MG / codeine, aspirin`."""
    words = plain(text)
    return tuple(one for one in INGREDIENTS if any(plain(name) in words for name in one.names))


_STEM: Final = 5
"""Letters by which a name is known in another language, or as a brand: amoxi in amoxicilina."""


def contradicts(coding: Coding) -> bool:
    """Whether the words of a coding are none that the table knows for its code: checks go by the one, and whoever reads
    a chart by the other. Words in another script say nothing either way."""
    row = BY_CODE.get(coding.code) if coding.system is CodeSystem.RXNORM else None
    words = plain(coding.display).replace(" ", "")
    if row is None or not words:
        return False
    names = [word for name in row.names for word in plain(name).split()]
    return not any(name[:_STEM] in words for name in names if len(name) > 2)
