"""Subscriptions to domain events, their posts and attempts; actions with keys; signed API keys."""

from atlvs.db.schema import restore, run, tell_ours

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("hooks.sql")
    tell_ours()


def downgrade() -> None:
    restore("atlvs_record", "outbox.sql")
    restore("atlvs_emit", "outbox.sql")
    run("hooks_down.sql")
