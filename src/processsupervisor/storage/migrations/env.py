"""What Alembic runs for every command: it works on the connection that the caller opened, in the caller's transaction.

The caller puts it into `config.attributes["connection"]` (migrate.py does). Nothing is ever migrated by a URL from a file.
"""

from __future__ import annotations

from alembic import context

from processsupervisor.storage.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
