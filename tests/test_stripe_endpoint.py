"""Stripe's webhook endpoint, as `atlvs bootstrap` finds, makes and mends it."""

import pytest
from command_line import InProcess
from conftest import Rows
from connected_stripe import URL, add_endpoint, endpoints, post, sealed
from sandbox_client import Sandbox

from blocks.stripe import API_VERSION, EVENT_TYPES

pytest_plugins = ["command_fixtures"]


def test_endpoint_is_made_once_with_its_version_pinned(atlvs: InProcess, environment: Sandbox):
    done = atlvs("bootstrap", "--json").json["done"]
    (made,) = endpoints(environment)
    assert f"stripe default: endpoint {made['id']} made." in done
    assert (made["url"], made["api_version"], made["status"]) == (URL, API_VERSION, "enabled")
    assert made["enabled_events"] == list(EVENT_TYPES)
    environment.clear_requests()

    done = atlvs("bootstrap", "--json").json["done"]
    assert f"stripe default: webhooks arrive through {made['id']}." in done
    assert endpoints(environment) == [made]
    assert {entry["method"] for entry in environment.requests()} == {"GET"}
    assert atlvs("check", "stripe").code == 0


def test_somebody_elses_endpoint_of_another_version_is_told_and_left(
    atlvs: InProcess, environment: Sandbox
):
    theirs = add_endpoint(environment, "2024-06-20")
    before = endpoints(environment)
    told = atlvs("bootstrap").out
    assert f"endpoint {theirs['id']} was made by somebody else, at version 2024-06-20" in told
    assert endpoints(environment) == before


def test_somebody_elses_endpoint_is_adopted_once_its_secret_is_known(
    atlvs: InProcess, environment: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    theirs = add_endpoint(environment, events=("charge.refunded", "account.updated"))
    assert "its secret is unknown here" in atlvs("bootstrap").out
    assert endpoints(environment)[0]["enabled_events"] == ["charge.refunded", "account.updated"]
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", theirs["secret"])
    assert f"endpoint {theirs['id']} brought up to date" in atlvs("bootstrap").out
    (now,) = endpoints(environment)
    assert set(now["enabled_events"]) == {*EVENT_TYPES, "account.updated"}
    assert f"webhooks arrive through {theirs['id']}" in atlvs("bootstrap").out
    assert endpoints(environment) == [now]


def test_given_secret_makes_no_endpoint_with_another(
    atlvs: InProcess, environment: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", "whsec_from_stripe_listen")
    assert "unset STRIPE_WEBHOOK_SECRET" in atlvs("bootstrap").out
    assert endpoints(environment) == []


def test_endpoint_of_ours_whose_secret_is_lost_is_replaced(
    atlvs: InProcess, environment: Sandbox, rows: Rows
):
    atlvs("bootstrap")
    (old,) = endpoints(environment)
    lost = sealed()["webhook_secrets"]
    rows("delete from integration_calls")
    rows("update integration_connections set sealed = null")
    assert f"replaces {old['id']}" in atlvs("bootstrap").out
    (new,) = endpoints(environment)
    assert new["id"] != old["id"]
    assert sealed()["webhook_secrets"] != lost
    assert "webhooks arrive through" in atlvs("bootstrap").out


def test_endpoint_whose_secret_never_arrived_is_replaced(atlvs: InProcess, environment: Sandbox):
    """Killed between the endpoint's making and the saving of its secret, with an older one known."""
    atlvs("bootstrap")
    (old,) = endpoints(environment)
    post(environment, old["id"], **{"metadata[atlvs_secret]": "another"})
    assert f"replaces {old['id']}" in atlvs("bootstrap").out


def test_events_and_status_are_brought_up_to_date(atlvs: InProcess, environment: Sandbox):
    atlvs("bootstrap")
    (made,) = endpoints(environment)
    changed = {"enabled_events[]": "charge.refunded", "disabled": "true"}
    post(environment, made["id"], **changed)
    assert endpoints(environment)[0]["status"] == "disabled"
    assert f"endpoint {made['id']} brought up to date" in atlvs("bootstrap").out
    (now,) = endpoints(environment)
    assert now["status"] == "enabled"
    assert set(now["enabled_events"]) == set(EVENT_TYPES)


def test_unreachable_address_makes_no_endpoint(
    atlvs: InProcess, environment: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    """What a loopback address is to the real Stripe."""
    monkeypatch.setenv("STRIPE_API_BASE", environment.base("stripe").replace("127.0.0.1", "[::]"))
    told = atlvs("bootstrap")
    assert told.code == 0
    assert "set PUBLIC_BASE_URL to a public https address" in told.out
    assert endpoints(environment) == []
