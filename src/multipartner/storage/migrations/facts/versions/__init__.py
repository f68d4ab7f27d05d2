"""Revisions of the facts, oldest first."""
