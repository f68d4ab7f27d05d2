"""Alembic's entry into the history of the trail."""

from multipartner.storage.migrations.run import run
from multipartner.storage.tables import trail_metadata

run(trail_metadata)
