"""A batch of deliveries as one request: who is in it, and who waits for the next.

All of a request share content, attachments and fate. What cannot go along with the first of them is
given back; what can never go is failed by itself, before SendGrid refuses everybody for it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from atlvs import signing
from atlvs.emails import is_address
from atlvs.errors import Rejected
from atlvs.notices import ITEMS, NoticeType, notice_type
from atlvs.records import Delivery, Outcome, Word
from blocks.sendgrid import SendGrid
from tasks.sendgrid.letters import letter, notice_for
from tasks.sendgrid.mail import (
    encoded,
    envelope,
    fits,
    merged,
    one_click,
    recipient,
)
from tasks.sendgrid.variables import variables

Json = dict[str, Any]
DYNAMIC = re.compile(r"d-[0-9a-f]{32}")
INVALID = "invalid address"


@dataclass(frozen=True)
class Prepared:
    """One delivery that can be sent, with what its content is made from."""

    delivery: Delivery
    content: NoticeType  # whose content it has: its own type's, unless a template was asked for
    template: str | None
    given: Json

    @property
    def attachments(self) -> Any:
        """Files that go along."""
        return self.delivery.data.get("attachments") or []

    def shares(self, other: "Prepared") -> bool:
        """Whether both fit into one request."""
        mine, theirs = self.attachments, other.attachments
        return (
            (self.template, self.content.type) == (other.template, other.content.type)
            and (ITEMS in self.given) == (ITEMS in other.given)
            and (mine is theirs or mine == theirs)
        )


@dataclass
class Request:
    """One request: its body, whom it goes to, in order, and what becomes of the others of the batch."""

    body: bytes = b""
    going: list[Prepared] = field(default_factory=list[Prepared])
    aside: list[Outcome] = field(default_factory=list[Outcome])
    words: list[Word] = field(default_factory=list[Word])


def request_for(connector: SendGrid, batch: Sequence[Delivery]) -> Request:
    """One request for as much of a batch as goes into one."""
    made = Request()
    usable = _usable(connector, batch, made)
    if not usable:
        return made
    together = [one for one in usable if one.shares(usable[0])]
    made.aside += [again(one.delivery) for one in usable if not one.shares(usable[0])]
    try:
        body, made.going = _body(connector, together)
        made.body = encoded(body)
    except Rejected as error:
        made.going = []
        made.aside += [refused(one.delivery, error) for one in together]
        return made
    kept = {one.delivery.id for one in made.going}
    made.aside += [again(one.delivery) for one in together if one.delivery.id not in kept]
    return made


def prepared(connector: SendGrid, delivery: Delivery) -> Prepared:
    """A delivery with its template and variables; Rejected when it can never be sent."""
    own = notice_type(delivery.type)
    content, template = chosen(connector, own, delivery.data.get("template_id"))
    if ITEMS in delivery.data:
        content, template = own, None
    given = variables(content, delivery.data, transactional=own.transactional)
    if delivery.subject:
        given["subject"] = delivery.subject
    return Prepared(delivery, content, template, given)


def chosen(connector: SendGrid, own: NoticeType, wanted: Any) -> tuple[NoticeType, str | None]:
    """Whose content a mail has, and the template at SendGrid if it is one of theirs."""
    if wanted is None:
        key = str(own.template) if own.template else ""
        return own, connector.templates.get(key)
    if DYNAMIC.fullmatch(str(wanted)):
        return own, str(wanted)
    return notice_for(str(wanted)), connector.templates.get(str(wanted))


def again(delivery: Delivery) -> Outcome:
    """Not sent; its turn comes at once."""
    return Outcome(delivery.id, "queued", retry_after=0)


def refused(delivery: Delivery, error: Rejected) -> Outcome:
    """Can never be sent."""
    return Outcome(delivery.id, "failed", code=error.code, reason=error.message)


def invalid(delivery: Delivery, made: Request) -> None:
    """No mail can go to this address, now or later."""
    made.aside.append(
        Outcome(
            delivery.id, "failed", code="invalid_address", reason="SendGrid takes no mail to it."
        )
    )
    told = f"invalid:{delivery.id}"
    made.words.append(
        Word("email", delivery.address, "unreachable", INVALID, "sendgrid", event_id=told)
    )


def _usable(connector: SendGrid, batch: Sequence[Delivery], made: Request) -> list[Prepared]:
    seen, usable = set[str](), list[Prepared]()
    for delivery in batch:
        address = delivery.address.lower()
        if not is_address(delivery.address):
            invalid(delivery, made)
        elif address in seen:  # SendGrid refuses a request with an address twice
            made.aside.append(again(delivery))
        else:
            seen.add(address)
            try:
                usable.append(prepared(connector, delivery))
            except Rejected as error:
                made.aside.append(refused(delivery, error))
    return usable


def _body(connector: SendGrid, together: list[Prepared]) -> tuple[Json, list[Prepared]]:
    first = together[0]
    if first.template:
        shared: Json = {"template_id": first.template}
        personal: list[Json] = [{"dynamic_template_data": one.given} for one in together]
    else:
        shared, personal, together = _rendered(together)
    own = notice_type(first.delivery.type)
    # What is critical comes whatever somebody left: in a group, SendGrid would drop it.
    group = None if own.owed else connector.group_of(first.delivery.category)
    body = envelope(
        connector,
        [
            _personalization(one, mine, linked=not own.owed and group is None)
            for one, mine in zip(together, personal, strict=True)
        ],
        category=str(own.type),
        attachments=first.attachments,
        group=group,
        secret=bool(own.secret | first.content.secret),
    )
    args = {"atlvs_org": str(first.delivery.org_id)}
    if first.delivery.call_id:
        args["atlvs_call"] = str(first.delivery.call_id)
    return body | shared | {"custom_args": args}, together


def _rendered(together: list[Prepared]) -> tuple[Json, list[Json], list[Prepared]]:
    """Our own content. Whom too much of their own is told does not fit into a common request: they
    wait for one of their own."""
    letters = [letter(one.content, one.given, one.delivery.subject) for one in together]
    shared, personal = merged(letters)
    if all(map(fits, personal)):
        return shared, personal, together
    fitting = [place for place, mine in enumerate(personal) if fits(mine)] or [0]
    shared, personal = merged([letters[place] for place in fitting])
    return shared, personal, [together[place] for place in fitting]


def _personalization(one: Prepared, mine: Json, *, linked: bool) -> Json:
    delivery = one.delivery
    made = recipient(delivery.address, delivery.data.get("name")) | mine
    made["custom_args"] = {"atlvs_delivery": str(delivery.id)}
    if linked:
        link = signing.unsubscribe_url(
            delivery.org_id,
            contact_id=delivery.contact_id,
            email=delivery.address,
            category=delivery.category,
        )
        made["headers"] = one_click(link)
    return made
