"""Planned messages rendered before anything is sent: what can never be, and what the others will cost."""

import logging
from dataclasses import replace
from uuid import UUID

from atlvs.db import secrets
from atlvs.db.audiences import Candidate, Planned
from atlvs.db.notifications import Notification
from atlvs.errors import Rejected
from atlvs.notices import notice_type
from atlvs.records import Delivery
from tasks.notify.judging import Setting, next_channel
from tasks.notify.lines import Lines
from tasks.notify.senders import sender_for

log = logging.getLogger(__name__)
OPEN = ("queued", "planned")


class Rehearsal:
    """Of one chunk. On each channel one message is rendered whole, and so that it goes; of the others
    only what they cost. One person's variables are no reason not to tell the others."""

    def __init__(self, org_id: UUID, notification: Notification, lines: Lines) -> None:
        self.org_id, self.notification, self.lines = org_id, notification, lines
        self.fits: set[str] = set()  # channels
        self.refused: Rejected | None = None  # the first that was

    def row(self, one: Candidate, row: Planned, setting: Setting) -> Planned:
        """A row with its cost; on the next channel, or skipped, where it can never be sent."""
        while row.state in OPEN:
            try:
                row = self._priced(row)
                break
            except Rejected as error:
                self.refused = self.refused or error
                row = next_channel(one, row, error.message, setting)
            except (ArithmeticError, TypeError, ValueError) as error:
                log.warning("A message cannot be rendered: %s", type(error).__name__)
                why = f"It cannot be rendered ({type(error).__name__})."
                self.refused = self.refused or Rejected("notifications", why)
                row = next_channel(one, row, why, setting)
        return row

    def _priced(self, row: Planned) -> Planned:
        delivery = as_delivery(self.org_id, self.notification, row)
        connector, sender = self.lines.connectors[row.channel], sender_for(row.channel)
        if row.channel not in self.fits:
            sender.check(connector, delivery)
            self.fits.add(row.channel)
        cost = sender.estimate(connector, delivery)
        if row.secret:
            row = replace(row, sealed=secrets.sealed(self.org_id, row.secret))
        if cost:
            row = replace(row, segments=cost.segments, cost_micros=cost.cost_micros)
        return row


def as_delivery(org_id: UUID, notification: Notification, row: Planned) -> Delivery:
    """A planned row as a sender wants it. Secrets that all share are not known here: their names stand
    in, but not for files, which were looked at when it was raised."""
    secret = notice_type(notification.type).secret - {"attachments"}
    return Delivery(
        id=notification.id,
        org_id=org_id,
        notification_id=notification.id,
        type=notification.type,
        category=notification.category,
        channel=row.channel,
        recipient=row.recipient,
        address=row.address or "",
        contact_id=row.contact_id,
        subject=notification.subject,
        data={name: f"({name})" for name in secret} | notification.data | row.data | row.secret,
        record_type=notification.record_type,
        record_id=notification.record_id,
    )
