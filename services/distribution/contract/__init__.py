"""What the distribution service promises: every command and event, by aggregate, and the words they share.

Other services and the read models import this package and nothing else of distribution.
"""

from __future__ import annotations

from services.distribution.contract.authority import *
from services.distribution.contract.base import *
from services.distribution.contract.box import *
from services.distribution.contract.entitlement import *
from services.distribution.contract.erasure import *
from services.distribution.contract.fulfilment import *
from services.distribution.contract.goods import *
from services.distribution.contract.household import *
from services.distribution.contract.meals import *
from services.distribution.contract.order import *
from services.distribution.contract.process import *
from services.distribution.contract.programme import *
from services.distribution.contract.rights import *
from services.distribution.contract.session import *

distribution.rights = RIGHTS
distribution.freeze()
