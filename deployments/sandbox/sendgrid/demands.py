"""What mail/send demands beyond the right types, in its own words.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Any

from deployments.sandbox.sendgrid.account import Account
from deployments.sandbox.sendgrid.errors import Error, Refused, mail_error
from deployments.sandbox.sendgrid.recipients import check_personalizations, is_address
from deployments.sandbox.sendgrid.shapes import MAIL, check
from deployments.sandbox.sendgrid.suppressed import is_on

Object = dict[str, Any]
TEMPLATE = re.compile(r"^(d-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")
FARTHEST = 72 * 3600
RESERVED = frozenset(
    ("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type")
    + ("content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc")
)


def check_mail(account: Account, body: Any) -> None:
    """Refuses with everything that is wrong, types first."""
    errors: list[Error] = []
    check(MAIL, body, "", errors)
    if not errors:
        check_personalizations(body, errors)
        for demand in DEMANDS:
            demand(account, body, errors)
    if errors:
        raise Refused(400, *errors)


def is_dynamic(body: Object) -> bool:
    return str(body.get("template_id", "")).startswith("d-")


def _from(account: Account, body: Object, errors: list[Error]) -> None:
    email = body.get("from", {}).get("email")
    if not email:
        errors.append(
            mail_error(
                "The from object must be provided for every email send. It is an object that "
                "requires the email parameter, but may also contain a name parameter.  e.g. "
                '{"email" : "example@example.com"}  or {"email" : "example@example.com", '
                '"name" : "Example Recipient"}.',
                "from.email",
                "message.from",
            )
        )
    elif not is_address(email):
        errors.append(
            mail_error(
                "The from email does not contain a valid address.", "from.email", "message.from"
            )
        )


def _replies(account: Account, body: Object, errors: list[Error]) -> None:
    if "reply_to" in body and "reply_to_list" in body:
        message = "Only one of reply_to or reply_to_list may be used."
        errors.append(mail_error(message, "reply_to", "message.reply_to"))
    several = body.get("reply_to_list", [])
    if len(several) > 1_000:
        message = "There is a limit of 1000 reply_to_list addresses per request."
        errors.append(mail_error(message, "reply_to_list", "message.reply_to_list"))
    if "reply_to" in body and not is_address(body["reply_to"].get("email")):
        message = "The reply_to email does not contain a valid address."
        errors.append(mail_error(message, "reply_to.email", "message.reply_to"))
    for number, each in enumerate(several):
        if not is_address(each.get("email")):
            at = f"reply_to_list.{number}.email"
            message = "Does not contain a valid address."
            errors.append(mail_error(message, at, "message.reply_to_list"))


def _subject(account: Account, body: Object, errors: list[Error]) -> None:
    if body.get("subject") == "":
        message = "The subject of your email must be a string at least one character in length."
        errors.append(mail_error(message, "subject", "message.subject"))
        return
    given = body.get("personalizations") or [{}]
    if "subject" in body or "template_id" in body or all("subject" in each for each in given):
        return
    errors.append(
        mail_error(
            "The subject is required. You can get around this requirement if you use a template "
            "with a subject defined or if every personalization has a subject defined.",
            "subject",
            "message.subject",
        )
    )


def _template(account: Account, body: Object, errors: list[Error]) -> None:
    """Whether a template exists is found out later only: its mail is dropped."""
    template = body.get("template_id")
    if template and not TEMPLATE.match(template):
        message = f"The template_id must be a valid GUID, you provided '{template}'."
        errors.append(mail_error(message, "template_id", "message.template_id"))
    for number, each in enumerate(body.get("personalizations") or ()):
        if "dynamic_template_data" in each and not is_dynamic(body):
            message = "The template_id is required when using dynamic templates"
            errors.append(mail_error(message, "template_id", "message.template_id"))
            return
        if "substitutions" in each and is_dynamic(body):
            message = "Substitutions may not be used with dynamic templating"
            at = f"personalizations.{number}.substitutions"
            errors.append(mail_error(message, at, "message.personalizations.substitutions"))


def _content(account: Account, body: Object, errors: list[Error]) -> None:
    given = body.get("content")
    if not given:
        if TEMPLATE.match(body.get("template_id", "")):
            return
        errors.append(
            mail_error(
                "Unless a valid template_id is provided, the content parameter is required. There "
                "must be at least one defined content block. We typically suggest both text/plain "
                "and text/html blocks are included, but only one block is required.",
                "content",
                "message.content",
            )
        )
        return
    for number, each in enumerate(given):
        for name, message in (
            ("type", "Your content type must be a string with length of at least one character."),
            ("value", "The content value must be a string at least one character in length."),
        ):
            if not each.get(name):
                at = f"content.{number}.{name}"
                errors.append(mail_error(message, at, f"message.content.{name}"))
    _order_of_content([each.get("type", "") for each in given], errors)


def _order_of_content(types: list[str], errors: list[Error]) -> None:
    known = [each for each in types if each in ("text/plain", "text/html")]
    if len(set(known)) < len(known):
        message = "If present, text/plain and text/html may only be provided once."
        errors.append(mail_error(message, "content", "message.content"))
        return
    rank = {"text/plain": 0, "text/html": 1}
    if types != sorted(types, key=lambda each: rank.get(each, 2)):
        errors.append(
            mail_error(
                "Following RFC 1341, section 7.2, if either text/html or text/plain are to be sent "
                "in your email: text/plain needs to be first, followed by text/html, followed by "
                "any other content.",
                "content",
                "message.content.value",
            )
        )


def _attachments(account: Account, body: Object, errors: list[Error]) -> None:
    for number, each in enumerate(body.get("attachments", ())):
        at = f"attachments.{number}"
        if not each.get("filename"):
            message = "filename is required."
            errors.append(mail_error(message, f"{at}.filename", "message.attachments.filename"))
        if each.get("disposition", "attachment") not in ("attachment", "inline"):
            message = (
                'The disposition of your attachment can be either "inline" or "attachment". '
                f"You provided {each['disposition']}."
            )
            errors.append(
                mail_error(message, f"{at}.disposition", "message.attachments.disposition")
            )
        if not _is_base64(each.get("content", "")):
            message = "The attachment content must be base64 encoded."
            errors.append(mail_error(message, f"{at}.content", "message.attachments.content"))


def _is_base64(content: str) -> bool:
    try:
        return bool(binascii.a2b_base64(content, strict_mode=True))
    except (binascii.Error, ValueError):
        return False


def _categories(account: Account, body: Object, errors: list[Error]) -> None:
    given: list[str] = body.get("categories", [])
    messages = []
    if len(given) > 10:
        messages.append(
            "There is a limit of 10 categories for each email that is sent. You provided "
            f"{len(given)} categories."
        )
    for each in given:
        if len(each) > 255:
            messages.append(
                f"Each category must not be longer than 255 characters. {each} exceeds this limit"
            )
        if not each.isascii():
            messages.append("Categories can not contain non-ASCII characters.")
    for each in sorted({each for each in given if given.count(each) > 1}):
        messages.append(
            f"The categories must be a unique list, and you have included {each} more than once. "
        )
    errors += [mail_error(each, "categories", "message.categories") for each in messages]


def _headers(account: Account, body: Object, errors: list[Error]) -> None:
    places = [("headers", body.get("headers", {}))]
    for number, each in enumerate(body.get("personalizations") or ()):
        if "headers" in each:
            places.append((f"personalizations.{number}.headers", each["headers"]))
    for at, headers in places:
        for name in headers:
            if name.lower() in RESERVED:
                message = "Header cannot be one of the reserved keys."
                errors.append(mail_error(message, f"{at}.{name}", "message.headers"))
            if not name.isascii() or " " in name:
                message = "Header keys cannot contain non-ASCII characters or empty spaces."
                errors.append(mail_error(message, f"{at}.{name}", "message.headers"))


def _schedule(account: Account, body: Object, errors: list[Error]) -> None:
    places = [("send_at", body.get("send_at", 0))]
    for number, each in enumerate(body.get("personalizations") or ()):
        if "send_at" in each:
            places.append((f"personalizations.{number}.send_at", each["send_at"]))
    for at, moment in places:
        if moment > account.now() + FARTHEST:
            message = "Scheduling more than 72 hours in advance is forbidden."
            errors.append(mail_error(message, at, "message.send_at"))
    if "batch_id" in body and body["batch_id"] not in account.batches:
        message = f"The batch_id {body['batch_id']} is not a valid batch id on your account."
        errors.append(mail_error(message, "batch_id", "message.batch_id"))


def _groups(account: Account, body: Object, errors: list[Error]) -> None:
    if "asm" not in body:
        return
    asm = body["asm"]
    if asm.get("group_id") not in account.groups:
        message = (
            "The ASM group ID must be a valid Group ID on your account. You provided "
            f"{asm.get('group_id')}."
        )
        errors.append(mail_error(message, "asm.group_id", "message.asm.group_id"))
    shown = asm.get("groups_to_display", [])
    at, anchor = "asm.groups_to_display", "message.asm.groups_to_display"
    if len(shown) > 25:
        message = (
            "There is a limit of 25 unsubscribe groups that can be displayed to a user at a time."
        )
        errors.append(mail_error(message, at, anchor))
    if wrong := [each for each in shown if each not in account.groups]:
        message = (
            "All ASM groups to display must be valid ASM groups IDs on your account. You provided "
            f"{wrong}."
        )
        errors.append(mail_error(message, at, anchor))


def _switches(account: Account, body: Object, errors: list[Error]) -> None:
    switches = body.get("mail_settings", {})
    bypasses = (
        "bypass_spam_management",
        "bypass_bounce_management",
        "bypass_unsubscribe_management",
    )
    finer = any(is_on(switches, each) for each in bypasses)
    if finer and is_on(switches, "bypass_list_management"):
        message = "bypass_list_management cannot be used with the other bypass settings."
        at = "mail_settings.bypass_list_management"
        errors.append(mail_error(message, at, f"message.{at}"))
    pool = body.get("ip_pool_name")
    if pool is not None and pool not in account.ip_pools:
        message = (
            f"The IP Pool name must be a valid pool name for your account. You provided {pool}."
        )
        errors.append(mail_error(message, "ip_pool_name", "message.ip_pool_name"))


DEMANDS: tuple[Callable[[Account, Object, list[Error]], None], ...] = (
    _from,
    _replies,
    _subject,
    _template,
    _content,
    _attachments,
    _categories,
    _headers,
    _schedule,
    _groups,
    _switches,
)
