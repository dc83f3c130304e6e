"""The read models: what people and programs ask of the ledger, kept in PostgreSQL, one file each."""
