"""Events and the vault: sealed as soon as they are decided, and opened to be compared with the command of a repeat."""

from __future__ import annotations

from typing import Any, Final

from shared.contract import Contract
from shared.errors import LedgerError
from shared.heldvalue import read, written
from shared.personal import Sealed
from shared.vault import Vault


class _Anything:
    """Stands for what nobody can open any more: no comparison tells it from another."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "(erased)"


ANYTHING: Final = _Anything()


def sealed(event: Any, event_id: str, contract: Contract, vault: Vault | None) -> Any:
    """An event as it is folded and stored: what is personal in it sealed. Raises Erased, TooLarge, Invalid."""
    fields = contract.sealed_of(event)
    if fields is None:
        return event
    if vault is None:
        raise LedgerError(f"{type(event).__name__} has personal fields, and there is no vault to seal them.")

    def seal(mark: Sealed, field: str, content: Any) -> str:
        owner, text = mark.owner(event), written(mark, field, content)
        if owner is None and mark.remark:
            return text
        return vault.seal(str(owner), event_id, field, text, remark=mark.remark)

    return fields.replace(event, seal)


def opened(event: Any, event_id: str, contract: Contract, vault: Vault | None) -> Any:
    """An event as it was decided; what nobody can open any more equals anything. Raises Corrupt."""
    fields = contract.sealed_of(event)
    if fields is None or vault is None:
        return event

    def unseal(mark: Sealed, field: str, text: str) -> Any:
        owner = mark.owner(event)
        in_clear = owner is None and mark.remark
        found = text if in_clear else vault.unseal(text, owner=owner, event_id=event_id, field=field)
        if found is None:
            return ANYTHING
        return found if mark.holds is None else read(found, mark.holds)

    return fields.replace(event, unseal)
