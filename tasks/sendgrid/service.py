"""SendGrid's service interface: mail to one person, mail to many, templates and suppressions.

What a person refused, or where mail cannot arrive, is not sent: code "suppressed". A request sends
once, however often it is called; where its answer got lost, the event webhook tells what became of it.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from prefect import Task
from pydantic import Field

from atlvs import signing
from atlvs.db import consents
from atlvs.db.engine import database
from atlvs.emails import is_address
from atlvs.errors import OutcomeUnknown, Rejected
from atlvs.events import Category
from atlvs.settings import settings
from blocks.sendgrid import SendGrid
from blocks.sendgrid_answers import accepted
from tasks.notify.raising import raise_notification
from tasks.once import once
from tasks.policy import call
from tasks.sendgrid import removing
from tasks.sendgrid.calls import DYNAMIC
from tasks.sendgrid.hearing import heard_of
from tasks.sendgrid.letters import letter, notice_for
from tasks.sendgrid.mail import content, encoded, envelope, one_click, recipient
from tasks.sendgrid.templates import active, preview
from tasks.sendgrid.variables import clean, one_line, shown, variables

Json = dict[str, Any]
Address = Annotated[str, Field(max_length=320, description="An e-mail address.")]
Attachments = Annotated[
    list[Json] | None,
    Field(max_length=50, description="Files: {filename, content (base64), type}; 30 MB in all."),
]
TemplateId = Annotated[
    str, Field(max_length=100, description="A dynamic template (d-…), or the key of one.")
]


@call("sendgrid")
async def send_email(
    connection: SendGrid,
    request: UUID,
    to: Address,
    subject: Annotated[str, Field(min_length=1, max_length=998)],
    html: Annotated[str, Field(min_length=1, max_length=2_000_000)],
    text: Annotated[str | None, Field(max_length=2_000_000)] = None,
    attachments: Attachments = None,
    category: Category | None = None,
) -> Json:
    """Send one mail. With a `category` it is one that a person can unsubscribe from; without, it is one
    that is owed to them."""
    line = one_line(subject, 998)
    if not line:
        raise Rejected("sendgrid", "the subject is empty.", code="invalid", field="subject")
    shared = content(line, text, html)
    mail = _mail(connection, request, recipient(to), category, attachments or [])
    asked = {"to": to, "subject": subject, "html": html, "text": text, "files": attachments}
    asked["category"] = category
    return await _send_once(connection, request, to, category, mail | shared, asked)


@call("sendgrid")
async def send_template_email(
    connection: SendGrid,
    request: UUID,
    to: Address,
    template_id: TemplateId,
    dynamic_data: Json,
    attachments: Attachments = None,
    transactional: bool | None = None,
) -> Json:
    """Send a template to one person. A key without a template at SendGrid sends our own content.
    `transactional`: owed to the person; as its type says for a key, and not for a template by id."""
    notice = None if template_id.startswith("d-") else notice_for(template_id)
    owed = transactional if transactional is not None else bool(notice and notice.transactional)
    category = None if owed else (notice.category if notice else Category.NEWS)
    mine, shared = _filled(connection, template_id, dynamic_data, owed)
    person = recipient(to, dynamic_data.get("name")) | mine
    secret = bool(notice and notice.secret)
    mail = _mail(connection, request, person, category, attachments or [], secret=secret)
    asked = {"to": to, "template": template_id, "data": dynamic_data, "files": attachments}
    asked["owed"] = transactional
    return await _send_once(connection, request, to, category, mail | shared, asked)


@call("sendgrid")
async def send_bulk_email(
    connection: SendGrid,
    request: UUID,
    recipients: Annotated[list[Json], Field(min_length=1, max_length=100_000)],
    template_id: TemplateId,
) -> Json:
    """Send a template to many: `{"email", "name"?, "data"?}` each. Who refused news gets nothing. What
    became of it stands in the notification whose id is returned."""
    if DYNAMIC.fullmatch(template_id) is None:
        notice_for(template_id)
    known = {"email", "name", "data"}
    for person in recipients:
        if set(person) - known or not is_address(str(person.get("email") or "")):
            text = "are objects with a valid email, and name and data where there are some."
            raise Rejected("sendgrid", f"recipients {text}", code="invalid", field="recipients")
    return await raise_notification(
        connection.connection.org_id,
        type="announcement",
        key=str(request),
        data={"template_id": template_id},
        audience={"kind": "people", "people": recipients},
        channels=["email"],
        origin="api",
    )


@call("sendgrid")
async def list_templates(connection: SendGrid) -> Json:
    """Dynamic templates at SendGrid, and the keys that they are used for."""
    keys: dict[str, list[str]] = {}
    for key, id in connection.templates.items():
        keys.setdefault(id, []).append(key)
    return {
        "templates": [
            {
                "id": one["id"],
                "name": one.get("name"),
                "subject": (active(one) or {}).get("subject"),
                "active": active(one) is not None,
                "updated_at": one.get("updated_at"),
                "used_for": keys.get(one["id"], []),
            }
            for one in await connection.all_templates()
        ]
    }


@call("sendgrid")
async def preview_template(connection: SendGrid, template_id: TemplateId, data: Json) -> Json:
    """What a template looks like with this data: subject, html and text. Nothing is sent."""
    if template_id.startswith("d-"):
        _check_id(template_id)
    return await preview(connection, template_id, data)


@call("sendgrid")
async def get_suppression(connection: SendGrid, email: Address) -> Json:
    """On which lists of SendGrid's an address stands, and what our ledger says of it."""
    _check_address(email, "email")
    org_id = connection.connection.org_id
    found = await removing.lists_with(connection, email)
    async with database().org(org_id) as tx:
        refusals = await consents.refusals(tx, "email", [email])
    return {"lists": found, "refused": next(iter(refusals.values()), None)}


@call("sendgrid")
async def remove_suppression(
    connection: SendGrid,
    request: UUID,
    email: Address,
    lists: Annotated[list[removing.ListName] | None, Field(min_length=1, max_length=50)] = None,
) -> Json:
    """Take an address off SendGrid's lists, or these of them, because a person decided so. What the
    person behind the address refused elsewhere stays refused."""
    _check_address(email, "email")
    return await removing.remove(connection, request, email, lists)


def _filled(connection: SendGrid, template_id: str, data: Json, owed: bool) -> tuple[Json, Json]:
    """What is the person's own, and what is the mail's."""
    if template_id.startswith("d-"):
        _check_id(template_id)
        given = {name: clean(value) for name, value in data.items()}
        filled = given | {"shown": shown(given)}
        return {"dynamic_template_data": filled}, {"template_id": template_id}
    notice = notice_for(template_id)
    given = variables(notice, data, transactional=owed)
    if theirs := connection.templates.get(template_id):
        return {"dynamic_template_data": given}, {"template_id": theirs}
    made = letter(notice, given)
    return {}, content(made.subject, "".join(made.text), "".join(made.html))


def _mail(
    connection: SendGrid,
    request: UUID,
    person: Json,
    category: Category | None,
    attachments: list[Json],
    *,
    secret: bool = False,
) -> Json:
    email, org_id = person["to"][0]["email"], connection.connection.org_id
    _check_address(email, "to")
    group = connection.group_of(category) if category else None
    if category and group is None:
        link = signing.unsubscribe_url(org_id, email=email, category=category)
        person = person | {"headers": one_click(link)}
    args = {"atlvs_org": str(org_id), "atlvs_request": str(request)}
    name = str(category or "transactional")
    body = envelope(
        connection, [person], category=name, attachments=attachments, group=group, secret=secret
    )
    return body | {"custom_args": args}


async def _send_once(
    connection: SendGrid,
    request: UUID,
    to: str,
    category: Category | None,
    mail: Json,
    asked: Json,
) -> Json:
    """`asked` is what was asked for: the same request with anything else is refused."""
    body = encoded(mail)

    async def send() -> Json:
        # Asked at the last moment: a request that was sent before is answered as it was.
        async with database().org(connection.connection.org_id) as tx:
            refused = await consents.refusals(tx, "email", [to], category)
        if refused:
            why = next(iter(refused.values()))
            raise Rejected("sendgrid", f"nothing was sent: {why}.", code="suppressed", field="to")
        return {"id": accepted(await connection.mail(body)), "status": "accepted"}

    async def look(since: datetime) -> Json | None:
        return await _heard(connection, request, since)

    return await once(connection, request, asked, send, look)


async def _heard(connection: SendGrid, request: UUID, since: datetime) -> Json | None:
    """What became of a mail whose answer got lost, as far as events tell."""
    heard = await heard_of(connection, str(request), since)
    if heard is None:
        raise OutcomeUnknown(
            "sendgrid",
            "the answer got lost, and SendGrid has not told yet what became of it. Ask again later "
            "under the same key.",
            code="not_told_yet",
            retry_after=settings().settle_seconds,
        )
    return {"id": None, "status": "accepted"} if heard else None


def _check_address(email: str, field: str) -> None:
    if not is_address(email):
        raise Rejected(
            "sendgrid", f"{field} is not a valid address.", code="invalid_address", field=field
        )


def _check_id(template: str) -> None:
    if not DYNAMIC.fullmatch(template):
        text = "a template's id is d- and 32 hexadecimal digits."
        raise Rejected("sendgrid", text, code="template_unknown", field="template_id")


SERVICE: dict[str, Task[..., Any]] = {
    one.name.removeprefix("sendgrid."): one
    for one in (
        send_email,
        send_template_email,
        send_bulk_email,
        list_templates,
        preview_template,
        get_suppression,
        remove_suppression,
    )
}
