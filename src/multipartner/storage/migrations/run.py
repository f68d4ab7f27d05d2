"""What both histories' `env.py` do: run the revisions on the connection that `storage.migrate` hands in."""

import sqlalchemy as sa
from alembic import context


def run(target: sa.MetaData) -> sa.Connection:
    """Run the revisions in the caller's transaction and return its connection."""
    attributes = context.config.attributes
    connection: sa.Connection = attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=target,
        version_table=attributes["version_table"],
        render_as_batch=True,
    )
    context.run_migrations()
    return connection
