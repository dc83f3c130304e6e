"""`commons import fhir`: FHIR R4 files, in bounded memory, into commands of the clinic."""
