"""What the treasury service promises: every command and event, by aggregate, and the words they share.

Other services and the read models import this package and nothing else of the treasury.
"""

from __future__ import annotations

from services.treasury.contract.authority import *
from services.treasury.contract.base import *
from services.treasury.contract.book import *
from services.treasury.contract.entries import *
from services.treasury.contract.erasure import *
from services.treasury.contract.expense import *
from services.treasury.contract.giving import *
from services.treasury.contract.holds import *
from services.treasury.contract.party import *
from services.treasury.contract.process import *
from services.treasury.contract.rights import *
from services.treasury.contract.statement import *

treasury.rights = RIGHTS
treasury.freeze()
