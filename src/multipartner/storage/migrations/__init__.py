"""Alembic script directories: one history for the facts, one for the trail."""
