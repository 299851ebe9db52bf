"""Inbox, outbox, links, cursors, syncs, requests, audit, keys; Stripe's mirrors; row security."""

from atlvs.db.schema import run, secure_created

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run("integration.sql")
    run("stripe.sql")
    run("security.sql")
    run("outbox.sql")
    secure_created()


def downgrade() -> None:
    run("integration_down.sql")
