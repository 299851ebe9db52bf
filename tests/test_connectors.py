"""What every connector keeps to. A provider in the registry has these cases by adding its sample."""

import inspect
import traceback
from pathlib import Path
from typing import Any

import orjson
import pytest
from connector_samples import CALLED, SAMPLES, Sample, assembled
from prefect.blocks.core import Block
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from pydantic import SecretStr

from atlvs.errors import Misconfigured, Rejected
from blocks import CONNECTORS
from blocks.base import Connector

ROOT = Path(__file__).parents[1]
pytest_plugins = ["connector_fixtures"]


def test_every_connector_has_a_sample():
    assert set(SAMPLES) == set(CONNECTORS)


def is_secret(field: str) -> bool:
    words = set(field.split("_"))
    if words >= {"incoming", "url"}:  # whoever knows the address may post
        return True
    secret = {"key", "keys", "secret", "secrets", "token", "tokens", "password"}
    return bool(words & secret) and not words & {"publishable", "public", "id", "sid", "url"}


class TestPrefectsOwnSuite(BlockStandardTestSuite):
    """https://docs.prefect.io/v3/advanced/custom-blocks"""

    @pytest.fixture
    def block(self, kind: type[Connector]) -> type[Connector]:
        return kind

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Logos would be fetched from the network by everybody's browser: there are none."""
        assert block._logo_url is None


def test_slug_is_its_name_everywhere(slug: str, kind: type[Connector]):
    assert kind.slug == slug
    assert kind.__module__ == f"blocks.{slug}"
    assert (ROOT / "blocks" / f"{slug}.py").is_file()
    for layer in ("tasks", *(["flows"] if slug in CALLED else [])):  # what cannot be read has none
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
    assert bool(limits) == (slug in CALLED)
    assert all(rate > 0 for rate in limits.values())


def test_secrets_are_secret_fields(slug: str, kind: type[Connector], sample: Sample):
    secret = {name for name in kind.model_fields if is_secret(name)}
    assert bool(secret) == (slug in CALLED)
    for name, field in kind.model_fields.items():
        assert (name in secret) == ("SecretStr" in str(field.annotation)), name


def marks(sample: Sample) -> list[str]:
    found = [value for name, value in sample.fields.items() if is_secret(name)]
    assert all("marked" in value for value in found)
    return found


def test_no_secret_is_shown(called: str, slug: str, kind: type[Connector], sample: Sample):
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
    if not required:  # one of several fields is enough
        bare = kind.assembled(assembled(slug).connection, {})
        assert bare.is_configured() == (slug not in CALLED)
        return
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
