"""What the inventory service promises: every command and event, by aggregate, and the words they share.

Other services and the read models import this package and nothing else of inventory.
"""

from __future__ import annotations

from services.inventory.contract.allergens import *
from services.inventory.contract.authority import *
from services.inventory.contract.base import *
from services.inventory.contract.count import *
from services.inventory.contract.donor import *
from services.inventory.contract.erasure import *
from services.inventory.contract.item import *
from services.inventory.contract.location import *
from services.inventory.contract.lot import *
from services.inventory.contract.process import *
from services.inventory.contract.rights import *
from services.inventory.contract.stock import *
from services.inventory.contract.transfer import *

inventory.rights = RIGHTS
inventory.freeze()
