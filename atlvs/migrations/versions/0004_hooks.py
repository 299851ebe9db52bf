"""Subscriptions to domain events, their posts and attempts; actions with keys; signed API keys."""

from atlvs.db.schema import restore, run

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("hooks.sql")


def downgrade() -> None:
    restore("atlvs_record", "outbox.sql")
    run("hooks_down.sql")
