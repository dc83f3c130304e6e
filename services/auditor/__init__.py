"""Checks that the ledger is whole, from its bytes alone, and that the read models follow from it."""
