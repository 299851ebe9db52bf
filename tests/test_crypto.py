"""Sealed secrets: who can open them, and how keys change."""

import base64
import os
import stat
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest
from conftest import Rows
from hypothesis import given
from hypothesis import strategies as st

from atlvs.crypto import HEAD, KeyRing, key_ring
from atlvs.db import connections, requests
from atlvs.errors import Misconfigured
from atlvs.settings import Settings, settings

OLD, NEW = os.urandom(32), os.urandom(32)
RING = KeyRing([OLD])


def text(*keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in keys)


@given(st.binary(max_size=2000), st.text(min_size=1, max_size=40))
def test_sealed_secret_opens_for_its_organization(secret: bytes, org: str):
    sealed = RING.seal(secret, org)
    assert RING.open(sealed, org) == secret
    assert sealed != RING.seal(secret, org)
    if len(secret) > 8:
        assert secret not in sealed


def test_another_organization_cannot_open_it():
    sealed = RING.seal(b"sk_live_x", "acme")
    with pytest.raises(Misconfigured, match="does not belong to this organization"):
        RING.open(sealed, "other")


@given(st.integers(0, 200), st.integers(1, 255))
def test_any_changed_byte_is_noticed(place: int, mask: int):
    sealed = bytearray(RING.seal(b"secret of some length" * 6, "acme"))
    sealed[place] ^= mask
    with pytest.raises(Misconfigured):
        RING.open(bytes(sealed), "acme")


@given(st.integers(0, HEAD + 40))
def test_cut_off_copy_is_noticed(length: int):
    sealed = RING.seal(b"secret of some length" * 6, "acme")
    with pytest.raises(Misconfigured):
        RING.open(sealed[:length], "acme")


@given(st.binary(max_size=300))
def test_garbage_is_noticed(garbage: bytes):
    with pytest.raises(Misconfigured):
        RING.open(garbage, "acme")


def test_rotated_secret_needs_the_new_key_only():
    sealed = RING.seal(b"sk_live_x", "acme")
    both = KeyRing([NEW, OLD])
    assert both.open(sealed, "acme") == b"sk_live_x"
    rotated = both.rotated(sealed, "acme")
    assert rotated[HEAD:] == sealed[HEAD:]
    assert both.rotated(rotated, "acme") == rotated
    assert KeyRing([NEW]).open(rotated, "acme") == b"sk_live_x"
    with pytest.raises(Misconfigured, match="Add the old key behind the new one"):
        RING.open(rotated, "acme")


@pytest.mark.parametrize(
    "wrong", ["", " ", ",", "short", base64.b64encode(b"x" * 31).decode(), "ä"]
)
def test_wrong_keys_name_the_variable(wrong: str):
    given = Settings.model_validate(
        {"ATLVS_ENCRYPTION_KEYS": wrong, "DATABASE_URL": "postgresql://"}
    )
    with pytest.raises(Misconfigured, match="ATLVS_ENCRYPTION_KEYS"):
        key_ring(given)


def test_missing_key_is_told_with_the_command_that_makes_one():
    given = Settings.model_validate(
        {"ATLVS_ENCRYPTION_KEYS": None, "DATABASE_URL": "postgresql://"}
    )
    with pytest.raises(
        Misconfigured, match="ATLVS_ENCRYPTION_KEYS is not. Make one with: "
    ) as told:
        key_ring(given)
    command = str(told.value).split("Make one with: ")[1].replace("python", sys.executable, 1)
    made = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout
    KeyRing([base64.b64decode(made)])


def test_several_keys_may_stand_with_spaces():
    given = Settings.model_validate({"ATLVS_ENCRYPTION_KEYS": f" {text(NEW)} , {text(OLD)} ,"})
    assert key_ring(given).open(RING.seal(b"x", "acme"), "acme") == b"x"


RACE = """
import sys, time
from pathlib import Path
from atlvs.crypto import key_ring
from atlvs.settings import Settings
given = Settings.model_validate({"ATLVS_DATA_DIR": sys.argv[1], "DATABASE_URL": None})
print("ready", flush=True)
sys.stdin.readline()
sys.stdout.write(key_ring(given).seal(b"same", "acme").hex())
"""


def test_processes_that_start_at_once_agree_on_one_key_file(tmp_path: Path):
    folder = tmp_path / "data"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("\n")
        racer.stdin.flush()
    sealed = [bytes.fromhex(racer.communicate(timeout=30)[0]) for racer in racers]
    ring = key_ring(Settings.model_validate({"ATLVS_DATA_DIR": folder, "DATABASE_URL": None}))
    assert [ring.open(one, "acme") for one in sealed] == [b"same"] * 4
    assert [path.name for path in folder.iterdir()] == ["encryption.keys"]
    assert stat.S_IMODE((folder / "encryption.keys").stat().st_mode) == 0o600


def test_leftover_of_a_killed_process_is_not_in_the_way(tmp_path: Path):
    (tmp_path / f"encryption.keys.{os.getpid()}").touch()
    key_ring(Settings.model_validate({"ATLVS_DATA_DIR": tmp_path, "DATABASE_URL": None}))


def use_keys(monkeypatch: pytest.MonkeyPatch, *keys: bytes) -> None:
    monkeypatch.setenv("ATLVS_ENCRYPTION_KEYS", text(*keys))
    settings.cache_clear()


async def test_resealing_lets_the_old_key_go(
    org: UUID, rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    use_keys(monkeypatch, OLD)
    fields = {"secret_key": "sk_test_x"}
    connection = await connections.save(org, "stripe", "default", fields)
    request = await requests.claim(connection, uuid4(), "refund_payment", {})
    await requests.finish(connection, request, result={"id": "re_1", "client_secret": "hidden"})
    use_keys(monkeypatch, NEW, OLD)
    await connections.reseal()
    stored = rows("select sealed, xmin::text from integration_connections", *())
    await connections.reseal()
    assert rows("select sealed, xmin::text from integration_connections", *()) == stored
    use_keys(monkeypatch, NEW)
    found = await connections.find("stripe", "default")
    assert found
    assert found[1] == fields
    again = await requests.claim(connection, request.id, "refund_payment", {})
    assert again.result == {"id": "re_1", "client_secret": "hidden"}


async def test_sealed_row_copied_to_another_organization_does_not_open(org: UUID, rows: Rows):
    await connections.save(org, "stripe", "default", {"secret_key": "sk_test_x"})
    other = rows("insert into organizations (name) values ('Other') returning id", *())[0][0]
    rows(
        "insert into integration_connections (org_id, provider, name, sealed)"
        " select %s, provider, 'stolen', sealed from integration_connections",
        other,
    )
    with pytest.raises(Misconfigured, match="does not belong to this organization"):
        await connections.find("stripe", "stolen")


async def test_database_holds_no_secret_in_the_clear(org: UUID, rows: Rows):
    await connections.save(org, "stripe", "default", {"secret_key": "sk_test_visible"})
    [(row,)] = rows("select to_jsonb(c)::text from integration_connections c", *())
    assert b"sk_test_visible" not in bytes.fromhex(orjson.loads(row)["sealed"][2:])
    assert "sk_test_visible" not in row
