"""mail/send: accepted is only queued; what becomes of it is told in events.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
"""

from __future__ import annotations

from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.call import Call, Object, Reply
from deployments.sandbox.sendgrid.demands import check_mail
from deployments.sandbox.sendgrid.errors import Refused, forbidden, mail_error
from deployments.sandbox.sendgrid.journey import accept
from deployments.sandbox.sendgrid.messages import Mail, messages_in
from deployments.sandbox.sendgrid.suppressed import is_on

MOST_BYTES = 30 * 1024 * 1024


def send_mail(call: Call) -> Reply:
    account, body = call.account, call.body
    if len(call.raw) > MOST_BYTES:
        raise Refused(413, mail_error("content too large"))
    check_mail(account, body)
    _check_standing(account, body)
    if is_on(body.get("mail_settings", {}), "sandbox_mode"):
        return 200, None
    messages = messages_in(Mail(account.ids.message(), call.raw, account.now()), body)
    _use_credits(account, len(messages))
    call.headers["x-message-id"] = messages[0].mail.id
    accept(account, messages)
    return 202, None


def _check_standing(account: Account, body: Object) -> None:
    if account.settings.suspended:
        raise forbidden()
    senders = [body["from"], *(each.get("from") for each in body["personalizations"])]
    for sender in filter(None, senders):
        if not account.may_send_as(sender.get("email", "")):
            raise Refused(
                403,
                mail_error(
                    "The from address does not match a verified Sender Identity. Mail cannot be "
                    "sent until this error is resolved. Visit https://sendgrid.com/docs/"
                    "for-developers/sending-email/sender-identity/ to see the Sender Identity "
                    "requirements",
                    "from",
                ),
            )


def _use_credits(account: Account, count: int) -> None:
    left = account.settings.credits
    if left is None:
        return
    if left < count:
        raise Refused(401, mail_error("Maximum credits exceeded"))
    account.settings.credits = left - count
