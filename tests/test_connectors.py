"""What every connector keeps to. A provider in the registry has these cases by adding its sample."""

import hashlib
import hmac
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from conftest import Rows
from hypothesis import given
from hypothesis import strategies as st
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.testing.standard_test_suites import BlockStandardTestSuite
from pydantic import SecretStr
from sandbox_client import Sandbox

from atlvs.db import connections
from atlvs.errors import IntegrationError, Misconfigured, Rejected, Unauthorized, Unavailable
from atlvs.records import Check, Connection, ProviderEvent
from atlvs.settings import settings
from blocks import CONNECTORS
from blocks.base import DEFAULT, Connector, resources

ROOT = Path(__file__).parents[1]
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Sample:
    """What tests need to know of a provider: fields that configure it, and how it signs."""

    fields: dict[str, str]
    base: str  # the field with the address of its API
    event: dict[str, Any]
    signed: Callable[[bytes], dict[str, str]]
    unsigned: dict[str, str]


def signed_by_stripe(body: bytes) -> dict[str, str]:
    at = int(time())
    digest = hmac.new(b"whsec_marked", b"%d." % at + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={at},v1={digest}"}


SAMPLES = {
    "stripe": Sample(
        fields={
            "secret_key": "sk_test_marked",
            "publishable_key": "pk_test_shown",
            "webhook_secrets": "whsec_marked,whsec_marked_older",
        },
        base="api_base",
        event={
            "id": "evt_1",
            "object": "event",
            "type": "customer.created",
            "created": 1_790_000_000,
            "livemode": False,
            "data": {"object": {"id": "cus_1", "object": "customer"}},
        },
        signed=signed_by_stripe,
        unsigned={"stripe-signature": f"t={int(time())},v1={'0' * 64}"},
    ),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_every_connector_has_a_sample():
    assert set(SAMPLES) == set(CONNECTORS)


@pytest.fixture(params=sorted(CONNECTORS))
def slug(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def kind(slug: str) -> type[Connector]:
    return CONNECTORS[slug]


@pytest.fixture
def sample(slug: str) -> Sample:
    return SAMPLES[slug]


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the machine's own environment."""
    for connector in CONNECTORS.values():
        for variable in connector.environment.values():
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    settings.cache_clear()
    yield
    settings.cache_clear()


def assembled(slug: str, name: str = DEFAULT, **fields: str) -> Connector:
    """A connector of no database."""
    connection = Connection(
        *(uuid4(), uuid4(), slug, name, None, None, True),
        created_at=None,  # pyright: ignore
    )
    return CONNECTORS[slug].assembled(connection, SAMPLES[slug].fields | fields)


def is_secret(field: str) -> bool:
    words = set(field.split("_"))
    secret = {"key", "keys", "secret", "secrets", "token", "tokens", "password"}
    return bool(words & secret) and not words & {"publishable", "public", "id", "url"}


class TestPrefectsOwnSuite(BlockStandardTestSuite):
    """https://docs.prefect.io/v3/advanced/custom-blocks"""

    @pytest.fixture
    def block(self, kind: type[Connector]) -> type[Connector]:
        return kind

    def test_has_a_valid_image(self, block: type[Connector]) -> None:
        """Logos would be fetched from the network by everybody's browser: there are none."""
        assert block._logo_url is None


def test_slug_is_its_name_everywhere(slug: str, kind: type[Connector]):
    assert kind.slug == slug
    assert kind.__module__ == f"blocks.{slug}"
    assert (ROOT / "blocks" / f"{slug}.py").is_file()
    for layer in ("tasks", "flows"):
        found = (ROOT / layer / f"{slug}.py", ROOT / layer / slug / "__init__.py")
        assert any(path.is_file() for path in found), layer
    assert kind.get_block_type_slug() == f"atlvs-{slug}"
    assert assembled(slug).name == slug


def test_seeds_six_members_are_there(kind: type[Connector]):
    members = ("is_configured", "test_connection", "get_auth_url", "handle_callback", "disconnect")
    for member in members:
        assert callable(getattr(kind, member)), member
        assert inspect.getdoc(getattr(kind, member)), member
    assert isinstance(inspect.getattr_static(kind, "name"), property)
    for member in ("test_connection", "handle_callback", "disconnect"):
        assert inspect.iscoroutinefunction(getattr(kind, member)), member
    assert not inspect.isabstract(kind)


async def test_connector_with_keys_has_no_browser_road(slug: str):
    connector = assembled(slug)
    if type(connector).get_auth_url is not Connector.get_auth_url:
        assert connector.get_auth_url().startswith("https://")
        return
    with pytest.raises(Rejected, match="with keys") as refused:
        connector.get_auth_url()
    assert refused.value.code == "no_oauth"
    with pytest.raises(Rejected, match="with keys"):
        await connector.handle_callback("code")


def test_sample_is_configured_and_paced(slug: str, kind: type[Connector]):
    connector = assembled(slug)
    assert connector.is_configured()
    limits = connector.limits()
    assert limits
    assert all(rate > 0 for rate in limits.values())


def test_secrets_are_secret_fields(kind: type[Connector], sample: Sample):
    secret = {name for name in kind.model_fields if is_secret(name)}
    assert secret
    for name, field in kind.model_fields.items():
        assert (name in secret) == ("SecretStr" in str(field.annotation)), name


def marks(sample: Sample) -> list[str]:
    found = [value for name, value in sample.fields.items() if is_secret(name)]
    assert all("marked" in value for value in found)
    return found


def test_no_secret_is_shown(slug: str, kind: type[Connector], sample: Sample):
    assert marks(sample)
    connector = assembled(slug)
    shown = [
        *(repr(connector), str(connector), f"{connector}", connector.model_dump_json()),
        *(str(connector.model_dump()), repr(connector.connection), str(kind.model_json_schema())),
        *(repr(vars(connector)), repr(list(connector.__rich_repr__()))),
    ]
    assert not [text for text in shown if "marked" in text]


def test_refused_fields_do_not_show_secrets(slug: str, kind: type[Connector], sample: Sample):
    wrongs = [
        {name: [value] for name, value in sample.fields.items()},
        {name: {"inner": value} for name, value in sample.fields.items()},
    ]
    for fields in wrongs:
        with pytest.raises(ValueError, match="validation error") as refused:
            kind(**fields)
        assert "marked" not in "".join(traceback.format_exception(refused.value))
        connection = assembled(slug).connection
        with pytest.raises(Misconfigured, match=f"The {slug} connection 'default' lacks: ") as told:
            kind.assembled(connection, fields)
        assert "marked" not in "".join(traceback.format_exception(told.value))
    misspelled = {f"{name}x": value for name, value in sample.fields.items()}
    assert "marked" not in repr(kind(**sample.fields, **misspelled))


def test_lacking_field_is_named(slug: str, kind: type[Connector], sample: Sample):
    required = {name for name, field in kind.model_fields.items() if field.is_required()}
    assert required
    with pytest.raises(Misconfigured) as told:
        kind.assembled(assembled(slug).connection, {})
    assert all(name in str(told.value) for name in required)


def test_stored_fields_make_the_same_connector(slug: str, kind: type[Connector], sample: Sample):
    connector = assembled(slug)
    stored = connector.stored_fields()
    assert stored == sample.fields  # what is not set stays a default, so that defaults can change
    assert orjson.loads(orjson.dumps(stored)) == stored
    assert kind(**stored, organization=connector.organization) == kind(
        **sample.fields, organization=connector.organization
    )


def test_environment_wins_for_the_default_connection_and_says_so(
    slug: str, kind: type[Connector], monkeypatch: pytest.MonkeyPatch
):
    assert kind.from_environment() == {}
    for field, variable in kind.environment.items():
        assert field in kind.model_fields
        assert variable.startswith(slug.upper()), variable
        monkeypatch.setenv(variable, f"from-{variable}")
    assert kind.from_environment() == {
        field: f"from-{variable}" for field, variable in kind.environment.items()
    }
    by_environment, by_hand = assembled(slug), assembled(slug, "second")
    for field, variable in kind.environment.items():
        assert plain(by_environment, field) == f"from-{variable}"
        assert plain(by_hand, field) != f"from-{variable}"


def test_empty_variable_counts_as_unset(kind: type[Connector], monkeypatch: pytest.MonkeyPatch):
    for variable in kind.environment.values():
        monkeypatch.setenv(variable, "")
    assert kind.from_environment() == {}


def plain(connector: Connector, field: str) -> Any:
    value = getattr(connector, field)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


async def test_two_connections_of_one_organization(slug: str, kind: type[Connector], org: UUID):
    fields = SAMPLES[slug].fields
    first = await connections.save(org, slug, DEFAULT, fields)
    second = await connections.save(org, slug, "second", fields)
    assert first.id != second.id
    assert [one.name for one in await connections.every(slug)] == [DEFAULT, "second"]
    opened = await kind.open("second")
    assert opened.connection == second
    assert opened.organization == org
    assert opened.stored_fields() == fields


async def test_name_of_another_organization_is_refused(slug: str, org: UUID, rows: Rows):
    [(other,)] = rows("insert into organizations (name) values ('Other') returning id")
    await connections.save(org, slug, DEFAULT, SAMPLES[slug].fields)
    with pytest.raises(Misconfigured, match="belongs to another organization. Take another name"):
        await connections.save(other, slug, DEFAULT, {"stolen": "yes"})
    found = await connections.find(slug, DEFAULT)
    assert found
    assert (found[0].org_id, found[1]) == (org, SAMPLES[slug].fields)


async def test_unknown_connection_is_told_with_its_mend(
    slug: str, kind: type[Connector], database_url: str
):
    with pytest.raises(Misconfigured, match=f"atlvs connect {slug}"):
        await kind.open("nowhere")


async def test_connection_stays_with_its_account_and_mode(slug: str, org: UUID):
    connection = await connections.save(org, slug, DEFAULT, {})
    await connections.bind(connection, "acct_1", False)
    await connections.bind(connection, "acct_1", False)
    for account, livemode in (("acct_2", False), ("acct_1", True)):
        with pytest.raises(Rejected) as refused:
            await connections.bind(connection, account, livemode)
        assert refused.value.code == "account_differs"
        assert "bound to acct_1 (test mode)" in str(refused.value)
    second = await connections.save(org, slug, "second", {})
    with pytest.raises(Rejected, match="already served by another connection"):
        await connections.bind(second, "acct_1", False)
    await connections.bind(second, "acct_1", True)  # test and live mode are two connections
    found = await connections.find(slug, DEFAULT)
    assert found
    assert (found[0].account_id, found[0].livemode) == ("acct_1", False)


async def test_disconnect_wipes(slug: str, kind: type[Connector], org: UUID, rows: Rows):
    await connections.save(org, slug, DEFAULT, SAMPLES[slug].fields)
    async with kind.opened() as connector:
        await connector.disconnect()
        await connector.disconnect()
    assert rows("select sealed, enabled from integration_connections") == [(None, False)]
    with pytest.raises(Unauthorized, match="disconnected. Connect it again"):
        await kind.open()
    await connections.save(org, slug, DEFAULT, SAMPLES[slug].fields)
    assert (await kind.open()).is_configured()


async def test_disconnect_deletes_the_block(
    slug: str, kind: type[Connector], org: UUID, prefect_server: str
):
    await connections.save(org, slug, "leaving", SAMPLES[slug].fields)
    await kind(**SAMPLES[slug].fields).asave("leaving", overwrite=True)  # pyright: ignore
    loaded = await kind.aload("leaving")
    assert loaded.stored_fields() == SAMPLES[slug].fields
    async with kind.opened("leaving") as connector:
        await connector.disconnect()
        with pytest.raises(ValueError, match="leaving"):
            await kind.aload("leaving")
        await connector.disconnect()


async def test_disconnect_wipes_here_while_prefect_is_away(
    slug: str, kind: type[Connector], org: UUID, rows: Rows
):
    await connections.save(org, slug, DEFAULT, SAMPLES[slug].fields)
    async with kind.opened() as connector:
        with (
            temporary_settings({PREFECT_API_URL: f"{NOWHERE}/api"}),
            pytest.raises(Unavailable, match="delete its block there"),
        ):
            await connector.disconnect()
    assert rows("select sealed, enabled from integration_connections") == [(None, False)]


async def test_connection_is_tested_against_the_service(
    slug: str, kind: type[Connector], org: UUID, sandbox: Sandbox
):
    sample = SAMPLES[slug]
    there = sample.fields | {sample.base: sandbox.base(slug)}
    there["secret_key"] = sandbox.key
    await connections.save(org, slug, DEFAULT, there)
    async with resources(), kind.opened() as connector:
        found = await connector.test_connection()
    assert isinstance(found, Check)
    assert (found.provider, found.connection) == (slug, DEFAULT)
    assert found.findings[0].ok
    assert all(one.text.endswith(".") and (one.ok or one.mend) for one in found.findings)
    found_again = await connections.find(slug, DEFAULT)
    assert found_again
    assert found_again[0].account_id


@pytest.mark.parametrize("away", [True, False])
async def test_failing_test_is_a_finding_and_shows_no_secret(
    slug: str, kind: type[Connector], org: UUID, sandbox: Sandbox, away: bool
):
    sample = SAMPLES[slug]
    base = NOWHERE if away else sandbox.base(slug)
    wrong = {name: f"wrong-{value}" for name, value in sample.fields.items()}
    await connections.save(org, slug, DEFAULT, wrong | {sample.base: base})
    async with resources(), kind.opened() as connector:
        found = await connector.test_connection()
    assert not found.ok
    told = " ".join(one.text + one.mend for one in found.findings)
    assert all(value not in told for value in wrong.values())
    assert all(one.mend for one in found.findings if not one.ok)


def test_signed_event_is_let_in(slug: str):
    sample = SAMPLES[slug]
    body = orjson.dumps(sample.event)
    [event, *_] = assembled(slug).verify(body, sample.signed(body))
    assert isinstance(event, ProviderEvent)
    assert event.id
    assert event.type
    assert event.lane
    assert event.occurred_at is None or event.occurred_at.tzinfo


def test_unsigned_and_changed_bodies_are_refused(slug: str):
    sample, connector = SAMPLES[slug], assembled(slug)
    body = orjson.dumps(sample.event)
    headers = sample.signed(body)
    attempts: list[tuple[bytes, Mapping[str, str]]] = [
        *((body, {}), (body, sample.unsigned), (body, dict.fromkeys(headers, ""))),
        *((body + b" ", headers), (b"", headers), (body[:-1], headers)),
        *((body, {name: value[:-1] for name, value in headers.items()}),),
        *((body, dict.fromkeys(headers, "\x00")), (b"", {}), (b"\xff\xfe", sample.unsigned)),
    ]
    for attempt, given_headers in attempts:
        with pytest.raises(Unauthorized):
            connector.verify(attempt, given_headers)


def test_nothing_is_let_in_without_a_secret_of_ours(slug: str, kind: type[Connector]):
    sample = SAMPLES[slug]
    body = orjson.dumps(sample.event)
    required = {name for name, field in kind.model_fields.items() if field.is_required()}
    bare = kind(**{name: value for name, value in sample.fields.items() if name in required})
    with pytest.raises(Unauthorized):
        bare.verify(body, sample.signed(body))


@given(body=st.binary(max_size=400), value=st.text(max_size=200), data=st.data())
@pytest.mark.parametrize("provider", sorted(CONNECTORS))
def test_arbitrary_bodies_and_headers_are_refused_as_ours(
    provider: str, body: bytes, value: str, data: st.DataObject
):
    sample = SAMPLES[provider]
    names = st.sampled_from([*sample.unsigned, "content-type", "x"])
    headers = data.draw(
        st.dictionaries(names, st.just(value) | st.sampled_from([*sample.unsigned.values()]))
    )
    with pytest.raises(Unauthorized):
        assembled(provider).verify(body, headers)


@given(body=st.binary(max_size=200) | JSON.map(lambda value: orjson_or_empty(value)))
@pytest.mark.parametrize("provider", sorted(CONNECTORS))
def test_arbitrary_signed_bodies_are_events_or_refused(provider: str, body: bytes):
    let_in_or_refused(provider, body)


@given(data=st.data())
@pytest.mark.parametrize("provider", sorted(CONNECTORS))
def test_events_with_anything_in_their_places_are_events_or_refused(
    provider: str, data: st.DataObject
):
    event = dict(SAMPLES[provider].event)
    for field in data.draw(st.sets(st.sampled_from(sorted(event)))):
        event[field] = data.draw(JSON | st.fixed_dictionaries({"object": JSON}))
    let_in_or_refused(provider, orjson_or_empty(event))


def let_in_or_refused(provider: str, body: bytes) -> None:
    with suppress(IntegrationError):
        for event in assembled(provider).verify(body, SAMPLES[provider].signed(body)):
            assert isinstance(event.id, str)
            assert isinstance(event.type, str)
            assert isinstance(event.lane, str)
            orjson.dumps(event.payload)


def orjson_or_empty(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (orjson.JSONEncodeError, TypeError):  # lone surrogates, whole numbers beyond 64 bits
        return b"{}"
