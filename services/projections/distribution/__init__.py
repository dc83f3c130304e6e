"""The read models of distribution, one file each."""
