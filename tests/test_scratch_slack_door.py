import pytest, schemathesis
from web_client import Caller, run
from test_door_description import walk
from slack_connection import slack_fields
from atlvs.db import connections
pytest_plugins = ["web_fixtures", "slack_fixtures"]
def test_fuzz(door_call: Caller, door_org, slack_workspace):
    run(connections.save(door_org, "slack", "default", slack_fields(slack_workspace)))
    schema = schemathesis.openapi.from_url(f"{door_call.url}/openapi.json")
    found=[]
    for op in schema.get_all_operations():
        if "/slack/" in op.ok().label:
            try: walk(op.ok(), door_call, found)
            except BaseException as e: print(op.ok().label, repr(e)[:1500], getattr(e,"exceptions",None))
    from collections import Counter
    for k,v in sorted(Counter(found).items()): print(k,v)
