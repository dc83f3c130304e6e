"""The kernel of the ledger: what every service stands on. It knows no service."""
