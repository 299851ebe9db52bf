"""Every connector lets in what its provider signed, and nothing else."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson
import pytest
from connector_samples import ADDRESS, RECEIVING, SAMPLES, assembled
from hypothesis import given
from hypothesis import strategies as st

from atlvs.errors import IntegrationError, Unauthorized
from atlvs.records import ProviderEvent
from blocks import CONNECTORS
from blocks.base import Connector

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)

pytest_plugins = ["connector_fixtures"]


@pytest.mark.parametrize("slug", RECEIVING)
def test_signed_event_is_let_in(slug: str, no_credentials: None):
    sample = SAMPLES[slug]
    body = sample.encoded(sample.event)
    [event, *_] = assembled(slug).verify(body, sample.signed(body, ADDRESS), ADDRESS)
    assert isinstance(event, ProviderEvent)
    assert event.id
    assert event.type
    assert event.lane
    assert event.occurred_at is None or event.occurred_at.tzinfo


def test_who_sends_no_webhooks_has_no_address_for_them(slug: str, kind: type[Connector]):
    assert kind.receives == (slug in RECEIVING)


def test_unsigned_and_changed_bodies_are_refused(slug: str):
    sample, connector = SAMPLES[slug], assembled(slug)
    body = sample.encoded(sample.event)
    headers = sample.signed(body, ADDRESS)
    attempts: list[tuple[bytes, Mapping[str, str]]] = [
        *((body, {}), (body, sample.unsigned), (body, dict.fromkeys(headers, ""))),
        *((body + b" ", headers), (b"", headers), (body[:-1], headers)),
        *((body, {name: value[:-1] for name, value in headers.items()}),),
        *((body, dict.fromkeys(headers, "\x00")), (b"", {}), (b"\xff\xfe", sample.unsigned)),
    ]
    for attempt, given_headers in attempts:
        with pytest.raises(Unauthorized):
            connector.verify(attempt, given_headers, ADDRESS)


def test_nothing_is_let_in_without_a_secret_of_ours(slug: str):
    kind, sample = CONNECTORS[slug], SAMPLES[slug]
    body = sample.encoded(sample.event)
    required = {name for name, field in kind.model_fields.items() if field.is_required()}
    given_fields = {name: value for name, value in sample.fields.items() if name in required}
    bare = kind(**given_fields)
    with pytest.raises(Unauthorized):
        bare.verify(body, sample.signed(body, ADDRESS), ADDRESS)


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
        assembled(provider).verify(body, headers, ADDRESS)


@given(body=st.binary(max_size=200) | JSON.map(lambda value: orjson_or_empty(value)))
@pytest.mark.parametrize("provider", sorted(CONNECTORS))
def test_arbitrary_signed_bodies_are_events_or_refused(provider: str, body: bytes):
    let_in_or_refused(provider, body)


@given(data=st.data())
@pytest.mark.parametrize("provider", RECEIVING)
def test_events_with_anything_in_their_places_are_events_or_refused(
    provider: str, data: st.DataObject
):
    event = dict(SAMPLES[provider].event)
    for field in data.draw(st.sets(st.sampled_from(sorted(event)))):
        event[field] = data.draw(JSON | st.fixed_dictionaries({"object": JSON}))
    let_in_or_refused(provider, encoded_or_empty(provider, event))


def let_in_or_refused(provider: str, body: bytes) -> None:
    with suppress(IntegrationError):
        headers = SAMPLES[provider].signed(body, ADDRESS)
        for event in assembled(provider).verify(body, headers, ADDRESS):
            assert isinstance(event.id, str)
            assert isinstance(event.type, str)
            assert isinstance(event.lane, str)
            orjson.dumps(event.payload)


def encoded_or_empty(provider: str, event: Any) -> bytes:
    try:
        return SAMPLES[provider].encoded(event)
    except (orjson.JSONEncodeError, TypeError, UnicodeEncodeError):
        return b"{}"


def orjson_or_empty(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (orjson.JSONEncodeError, TypeError):  # lone surrogates, whole numbers beyond 64 bits
        return b"{}"
