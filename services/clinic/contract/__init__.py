"""What the clinic promises: every command and event, by aggregate, and the words they share.

Other services and the read models import this package and nothing else of the clinic.
"""

from __future__ import annotations

from services.clinic.contract.access import *
from services.clinic.contract.administration import *
from services.clinic.contract.base import *
from services.clinic.contract.dispensing import *
from services.clinic.contract.encounter import *
from services.clinic.contract.erasure import *
from services.clinic.contract.formulary import *
from services.clinic.contract.medication import *
from services.clinic.contract.patient import *
from services.clinic.contract.practitioner import *
from services.clinic.contract.prescription import *
from services.clinic.contract.process import *
from services.clinic.contract.referral import *
from services.clinic.contract.rights import *
from services.clinic.contract.schedule import *

clinic.rights = RIGHTS
clinic.freeze()
