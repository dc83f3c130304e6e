"""The services of the ledger, its projections, and the operator's command."""
