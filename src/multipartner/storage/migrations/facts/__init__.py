"""The history of the facts."""
