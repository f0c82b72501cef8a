"""The steps from each version of the schema to the next and back, by Alembic. Imported by migrate.py and tools only."""
