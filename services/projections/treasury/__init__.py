"""The treasury's read models, one file each."""
