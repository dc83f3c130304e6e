"""Account names that beancount and hledger both take, one for each account of a book, always the same."""

from __future__ import annotations

from typing import Final

from services.treasury.contract import AccountKind

ROOTS: Final = {
    AccountKind.ASSET: "Assets", AccountKind.LIABILITY: "Liabilities", AccountKind.NET_ASSETS: "Equity",
    AccountKind.INCOME: "Income", AccountKind.EXPENSE: "Expenses",
}  # fmt: skip


class AccountNames:
    """`bank`, an asset, is `Assets:Bank`.

    Beancount wants a capital letter or a digit first and no underscores, so two ids can want one name (`bank` and
    `Bank`): the one that was opened later gets a number behind it, and keeps it for good.
    """

    def __init__(self) -> None:
        self._of: dict[str, str] = {}
        self._taken: set[str] = set()

    def add(self, account: str, kind: AccountKind) -> None:
        """Name an account, in the order in which accounts were opened; one that has a name keeps it."""
        if account in self._of:
            return
        plain = f"{ROOTS[kind]}:{account[0].upper()}{account[1:].replace('_', '-')}"
        name, number = plain, 1
        while name in self._taken:
            number += 1
            name = f"{plain}-{number}"
        self._taken.add(name)
        self._of[account] = name

    def __getitem__(self, account: str) -> str:
        return self._of[account]
