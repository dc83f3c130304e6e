"""The operator's command `commons`: one module for each group of its commands."""
