"""What Alembic runs for every command: it works on the connection that the caller opened, in the caller's transaction.

The caller puts it into `config.attributes["connection"]` (migrate.py does). Nothing is ever migrated by a URL from a file.
"""

from __future__ import annotations

from alembic import context

from processsupervisor.storage.tables import METADATA

if (config := getattr(context, "config", None)) is not None:  # None where nothing is migrated: the module is only being looked at
    context.configure(connection=config.attributes["connection"], target_metadata=METADATA)
    context.run_migrations()
