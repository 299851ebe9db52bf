"""Alembic's entry. The connection comes from `atlvs.db.migrate`, which holds the lock."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="integration_alembic_version",  # the platform may use Alembic too
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
