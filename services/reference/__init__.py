"""What consumers of the ledger are promised, written out from the contracts: schemas, AsyncAPI, the event catalogue.

python -m services.reference            write docs/asyncapi.json, docs/schemas/ and docs/events.md
python -m services.reference --check    say what differs, and exit 1 if anything does
"""
