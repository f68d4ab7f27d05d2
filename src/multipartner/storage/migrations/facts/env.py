"""Alembic's entry into the history of the facts."""

from multipartner.storage import triggers
from multipartner.storage.migrations.run import run
from multipartner.storage.tables import metadata

# Laid after the last revision, whichever it is: a revision that rebuilds a table drops the table's triggers.
triggers.install(run(metadata))
