"""Revisions of the trail, oldest first."""
