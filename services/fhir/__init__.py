"""The clinic's records as FHIR R4 resources, and R4 resources as the clinic's values; and the HTTP API that reads them.

What is here knows the clinic's contract alone. A resource is a plain mapping, as its JSON is; `models` checks each one
before it leaves.
"""
