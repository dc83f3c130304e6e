"""The ledger's events in the standards of their fields, for people and programs outside."""
