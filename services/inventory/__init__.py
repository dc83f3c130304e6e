"""Inventory: what is on which shelf, where it came from, and what may leave."""
