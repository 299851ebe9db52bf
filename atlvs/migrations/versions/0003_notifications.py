"""Rules, notifications, deliveries, consents, preferences; mirrors of Slack, SendGrid and Twilio."""

from atlvs.db.schema import restore, run, tell_more

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TOLD = ("registrations", "leads", "deals", "tasks", "events", "approvals", "incidents")


def upgrade() -> None:
    run("notifications.sql")
    run("telling.sql")
    tell_more(TOLD)


def downgrade() -> None:
    run("notifications_down.sql")
    restore("atlvs_domain_events", "outbox.sql")
