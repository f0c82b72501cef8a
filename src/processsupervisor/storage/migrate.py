"""Bring a bot's database from one version of the schema to another: `migrate.py PATH [VERSION]`, a process of its own.

Everything happens in one transaction, behind a verified copy beside the file (NAME.v1 for version 1). A bot starts this as a child, so
that it need not load SQLAlchemy and Alembic itself; whatever goes wrong is one line on stderr and status 1, the file as it was.
"""

from __future__ import annotations

import sys
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from processsupervisor.kernel.errors import StorageError
from processsupervisor.storage.backup import back_up
from processsupervisor.storage.schema import VERSION

_FOLDER = Path(__file__).parent / "migrations"


def migrate(path: Path, version: int = VERSION) -> Path | None:
    """Bring the file to `version`; returns where the copy of what was there lies, None when nothing was to be done.

    Raises StorageError; then the file is as it was.
    """
    if not path.is_file():
        raise StorageError(f"there is no file {path}")
    engine = sqlite_engine(path)
    try:
        with engine.begin() as connection:  # BEGIN IMMEDIATE: nobody else writes or migrates from here on
            present = version_of(connection)
            if present == version:
                return None
            if not 0 < present <= VERSION:
                raise StorageError(f"{path} has schema {present}, this psv knows 1 to {VERSION}", hint="upgrade psv; the file is unchanged")
            copy = _free_name(path, present)
            back_up(path, copy)
            move_schema(connection, present, version)
            connection.exec_driver_sql(f"PRAGMA user_version={version}")
            (verdict,) = connection.exec_driver_sql("PRAGMA integrity_check(1)").one()
            if verdict != "ok":
                raise StorageError(f"{path} is damaged: {verdict}", hint="stop the bot, then restore a backup")
    except (sa.exc.SQLAlchemyError, CommandError) as err:
        said = getattr(err, "orig", None) or err
        raise StorageError(f"cannot bring {path} to schema {version}: {said}", hint="the file is unchanged") from err
    finally:
        engine.dispose()
    return copy


def _free_name(path: Path, version: int) -> Path:
    """Return a name for a copy: an older one stays, which may be all that there is of what a way back has left out."""
    copy, number = path.with_name(f"{path.name}.v{version}"), 1
    while copy.exists():
        number += 1
        copy = path.with_name(f"{path.name}.v{version}-{number}")
    return copy


def move_schema(connection: sa.Connection, present: int, version: int) -> None:
    """Run Alembic's steps from one version to another, up or down, on any engine, in the transaction that is open."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    if present and not sa.inspect(connection).has_table("alembic_version"):
        command.stamp(config, f"{present:04d}")
    (command.upgrade if version > present else command.downgrade)(config, f"{version:04d}")


def version_of(connection: sa.Connection) -> int:
    """Return the schema's version that a SQLite file carries."""
    (version,) = connection.exec_driver_sql("PRAGMA user_version").one()
    return int(version)


def sqlite_engine(path: Path) -> sa.Engine:
    """Return an engine on an existing file whose transactions hold DDL as well, and begin by taking the write lock."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def _connected(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]
        connection.execute("PRAGMA synchronous=FULL")  # type: ignore[attr-defined]

    @event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def main(arguments: list[str]) -> int:
    """Migrate the file that the arguments name; returns the exit status."""
    try:
        migrate(Path(arguments[0]), int(arguments[1]) if len(arguments) > 1 else VERSION)
    except StorageError as err:
        print(err, file=sys.stderr)
        return 1
    return 0
