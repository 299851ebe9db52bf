"""The eight actions of Zaps. Each is one transaction: its key, what it looks up, what it writes, its
answer. Done twice with one key, or where the platform has a natural key, it is done once.
"""

import difflib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from atlvs.checkpoints import checkpoint
from atlvs.db import action_rows, actions
from atlvs.db.actions import Ground, Row
from atlvs.db.engine import Transaction
from atlvs.errors import Rejected
from atlvs.money import decimals
from tasks.zapier import models
from tasks.zapier.fields import Given, given_only, invalid, understood

TRIES = 3  # where somebody else writes the same at the same time
DONE = ("completed", "done")


@dataclass(frozen=True)
class Scene:
    """Where an action happens."""

    tx: Transaction
    org_id: UUID
    ground: Ground


@dataclass(frozen=True)
class Performed:
    """What an action answers, and whether it made something."""

    result: Row
    created: bool


@dataclass(frozen=True)
class Action:
    """One action: its input, its work, and what its object is called."""

    model: type[Given]
    work: Callable[[Scene, Any], Awaitable[tuple[Row, bool]]]
    object: str


async def perform(
    org_id: UUID,
    api_key_id: UUID,
    name: str,
    given: Mapping[str, Any],
    *,
    key: str | None = None,
    zap_id: str = "",
    signature: str | None = None,
) -> Performed:
    """Do it. `key` is the caller's own: the same key answers as the first time did. So does the same
    signature of a request, whatever key stands beside it.

    Rejected with the field that is wrong, with the code "not_found" for what the organization does
    not have, or with "idempotency_mismatch" when the key stands for something else.
    """
    action = ACTIONS.get(name)
    if action is None:
        raise unknown(name)
    keys = tuple(one for one in (key, signature) if one)
    asked = Asked(org_id, api_key_id, name, action, given_only(given), keys, zap_id)
    for _ in range(TRIES - 1):
        try:
            return await asked.answered()
        except Rejected as error:
            if error.code != actions.TAKEN:
                raise
            continue  # the platform wrote the same just now: it will be found
    return await asked.answered()


@dataclass(frozen=True)
class Asked:
    """One call of an action."""

    org_id: UUID
    api_key_id: UUID
    name: str
    action: Action
    given: Row
    keys: tuple[str, ...]
    zap_id: str

    async def answered(self) -> Performed:
        """The answer, from now or from before."""
        source = f"zapier:{self.api_key_id}:{self.zap_id}"
        async with actions.begun(self.org_id, source) as tx:
            ground = await actions.ground(tx)
            values = understood(self.action.model, self.given, ground)
            if told := await self._earlier(tx):
                return Performed(told, created=False)
            row, created = await self.action.work(Scene(tx, self.org_id, ground), values)
            result = orjson.loads(orjson.dumps({"object": self.action.object} | row))
            for key in self.keys:
                await self._kept(tx, key, result, created)
            checkpoint("action.written")
        checkpoint("action.committed")
        return Performed(result, created)

    async def _earlier(self, tx: Transaction) -> Row | None:
        """What the first action under one of the keys answered. The others stand for it from now on."""
        told = {
            key: await actions.earlier(tx, self.org_id, key, self._fingerprint) for key in self.keys
        }
        found = next((result for result in told.values() if result is not None), None)
        for key, result in told.items():
            if found is not None and result is None:
                await self._kept(tx, key, found, created=False)
        return found

    async def _kept(self, tx: Transaction, key: str, result: Row, created: bool) -> None:
        await actions.remember(
            tx,
            self.org_id,
            key=key,
            api_key_id=self.api_key_id,
            action=self.name,
            asked=self._fingerprint,
            status=201 if created else 200,
            result=result,
        )

    @property
    def _fingerprint(self) -> str:
        return actions.fingerprint(self.name, self.given)


async def create_contact(scene: Scene, given: models.CreateContact) -> tuple[Row, bool]:
    """A contact, or the one that has the address."""
    await _existing(scene, given, company_id="companies")
    if given.email is None:
        return await action_rows.insert(scene.tx, "contacts", given.only(*PERSON)), True
    found = await _contact_at(scene, given.email)
    if found is None:
        return await action_rows.insert(scene.tx, "contacts", given.only("email", *PERSON)), True
    if given.on_existing == "return":
        return found, False
    return await action_rows.change(scene.tx, "contacts", found, given.only(*PERSON)), False


async def update_contact(scene: Scene, given: models.UpdateContact) -> tuple[Row, bool]:
    """A contact with what changes; its address is given to no two."""
    await _existing(scene, given, company_id="companies")
    taken = await _contact_at(scene, given.new_email) if given.new_email else None
    if given.id:
        row = await action_rows.read(scene.tx, "contacts", given.id, "id", lock=True)
    else:
        row = await _known_at(scene, given.email or "", "email")
    if taken and taken["id"] != row["id"]:
        text = "new_email: another contact has this address."
        raise Rejected("zapier", text, code="email_taken", field="new_email")
    changes = given.only(*PERSON) | ({"email": given.new_email} if given.new_email else {})
    return await action_rows.change(scene.tx, "contacts", row, changes), False


async def create_lead(scene: Scene, given: models.CreateLead) -> tuple[Row, bool]:
    """A lead."""
    await _existing(scene, given, contact_id="contacts")
    names = ("email", "phone", "source", "status", "contact_id")
    values = {"name": given.whole_name} | given.only(*names)
    usual = {"source": given.source, "status": given.status}
    return await action_rows.insert(scene.tx, "leads", values, usual), True


async def update_lead(scene: Scene, given: models.UpdateLead) -> tuple[Row, bool]:
    """A lead with what changes."""
    await _existing(scene, given, contact_id="contacts")
    row = await action_rows.read(scene.tx, "leads", given.id, "id", lock=True)
    changes = given.only("name", "email", "phone", "source", "status", "contact_id")
    return await action_rows.change(scene.tx, "leads", row, changes), False


async def create_task(scene: Scene, given: models.CreateTask) -> tuple[Row, bool]:
    """A task."""
    await _existing(scene, given, event_id="events", assignee_id="contacts")
    values = given.only("title", "description", "due_at", "event_id", "assignee_id", "status")
    if given.assignee_email:
        assignee = await _known_at(scene, given.assignee_email, "assignee_email")
        values["assignee_id"] = assignee["id"]
    usual: Row = {"status": given.status}
    if given.status in DONE:
        usual["completed_at"] = await actions.now(scene.tx)
    return await action_rows.insert(scene.tx, "tasks", values, usual), True


async def create_registration(scene: Scene, given: models.CreateRegistration) -> tuple[Row, bool]:
    """A registration, or the one that the contact has."""
    await _existing(scene, given, event_id="events", contact_id="contacts")
    price = _price(scene.ground, given)
    contact_id = given.contact_id or await _registrant(scene, given)
    pair = {"event_id": given.event_id, "contact_id": contact_id}
    await actions.locked(scene.tx, scene.org_id, "registration", *pair.values())
    if found := await action_rows.registration_of(scene.tx, **pair):
        return found, False
    usual = {"status": given.status, "payment_status": given.payment_status}
    values = pair | given.only(*usual) | price
    if "amount_cents" not in values:
        usual |= {"amount_cents": 0, "currency": scene.ground.currency}
    return await action_rows.insert(scene.tx, "registrations", values, usual), True


async def create_note(scene: Scene, given: models.CreateNote) -> tuple[Row, bool]:
    """A note on a record."""
    await action_rows.read(scene.tx, given.record_type, given.record_id, "record_id")
    values = given.only("record_type", "record_id", "body")
    return await action_rows.insert(scene.tx, "notes", values), True


async def add_tag(scene: Scene, given: models.AddTag) -> tuple[Row, bool]:
    """Tags on a record: those that it has not are added."""
    record = given.only("record_type", "record_id")
    await action_rows.writable(scene.tx, "tags", "taggings")
    await action_rows.read(scene.tx, given.record_type, given.record_id, "record_id")
    made: dict[str, tuple[UUID, bool]] = {}
    for name in sorted(given.names):  # in one order, else two wait for each other
        tag = await action_rows.tag_id(scene.tx, scene.org_id, name)
        made[name] = await action_rows.tagging(scene.tx, scene.org_id, tag, **record)
    first = given.names[0]
    names = await action_rows.tags_of(scene.tx, given.record_type, given.record_id)
    row = {"id": made[first][0], "tag": first, **record, "tags": names}
    return row, any(created for _, created in made.values())


PERSON = ("first_name", "last_name", "phone", "company_id", "time_zone", "locale")
ACTIONS: dict[str, Action] = {
    "contact.create": Action(models.CreateContact, create_contact, "contact"),
    "contact.update": Action(models.UpdateContact, update_contact, "contact"),
    "lead.create": Action(models.CreateLead, create_lead, "lead"),
    "lead.update": Action(models.UpdateLead, update_lead, "lead"),
    "task.create": Action(models.CreateTask, create_task, "task"),
    "registration.create": Action(models.CreateRegistration, create_registration, "registration"),
    "note.create": Action(models.CreateNote, create_note, "note"),
    "tag.add": Action(models.AddTag, add_tag, "tagging"),
}


def unknown(name: str) -> Rejected:
    """An action that there is not, with the one that may be meant."""
    near = difflib.get_close_matches(name[:100], ACTIONS, 1)
    there = f"Did you mean {near[0]}?" if near else f"There are {', '.join(ACTIONS)}."
    text = f"There is no such action. {there}"
    return Rejected("zapier", text, code="action_unknown", field="action")


async def _existing(scene: Scene, given: Given, **references: str) -> None:
    """Records that are pointed to are the organization's own."""
    for field, id in given.only(*references).items():
        await action_rows.read(scene.tx, references[field], id, field)


async def _contact_at(scene: Scene, email: str) -> Row | None:
    """The contact with an address; until the transaction ends nobody else of ours makes it one."""
    await actions.locked(scene.tx, scene.org_id, "contact", email.lower())
    return await action_rows.contact_by_email(scene.tx, email)


async def _known_at(scene: Scene, email: str, field: str) -> Row:
    found = await action_rows.contact_by_email(scene.tx, email)
    if found is None:
        raise action_rows.not_found("contacts", field)
    return found


async def _registrant(scene: Scene, given: models.CreateRegistration) -> UUID:
    found = await _contact_at(scene, given.email or "")
    if found is None:
        values = given.only("email", "first_name", "last_name", "phone")
        found = await action_rows.insert(scene.tx, "contacts", values)
    return found["id"]


def _price(ground: Ground, given: models.CreateRegistration) -> Row:
    """The amount in minor units with its currency; nothing where neither is given."""
    currency = given.currency or ground.currency
    if given.amount is not None:
        amount = Decimal(given.amount).scaleb(decimals(currency))
        if amount != amount.to_integral_value():
            text = f"amount: {currency} has {decimals(currency)} digits after the point."
            raise invalid("amount", text)
        return {"amount_cents": int(amount), "currency": currency}
    if given.amount_cents is not None:
        return {"amount_cents": given.amount_cents, "currency": currency}
    return {"currency": given.currency} if given.currency else {}
