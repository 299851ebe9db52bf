"""Roles, and the platform's core tables where they are missing."""

from atlvs.db.schema import create_missing, drop_created, run

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("roles.sql")
    create_missing("platform.sql")


def downgrade() -> None:
    drop_created()
    run("roles_down.sql")
