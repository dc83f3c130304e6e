"""The clinic's process managers: what follows by itself from an event, here or in inventory."""
