"""Requests made from the OpenAPI description, valid ones and others: no answer that the description does not have, and no 500."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from schemathesis import openapi
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from shoal.conf.loading import load
from shoal.publish.api.app import create_app
from shoal.publish.api.events import Inbox
from shoal.publish.api.gate import Gate, Limits
from shoal.publish.api.live import Live
from shoal.publish.api.quick import QuickLists
from shoal.publish.api.sources import LmdbSource
from shoal.publish.api.telemetry import Log, Metrics
from shoal.publish.api.tokens import Door

from tests.publish.api.conftest import NOW, VALUES, save_posts_model, write_version

CONFORMANCE = [status_code_conformance, content_type_conformance, response_schema_conformance]
# A model that is not published is 503 on purpose; the check of 5xx would call it a fault.
WITHOUT_MODEL = ("/api/v1/ml/moderation", "/api/ml/moderation")


def description() -> Any:
    """The description of an application over literal values, without tokens."""
    folder = Path(tempfile.mkdtemp(prefix="shoal-contract-"))
    save_posts_model(folder / "models" / "shoal_engagement-1")
    write_version(folder, "v1", VALUES, {"engagement": "shoal_engagement-1"})
    metrics, log = Metrics(), Log(lambda: NOW)
    live = Live(LmdbSource(folder / "lmdb"), folder / "models", metrics, log, lambda: NOW)
    asyncio.run(live.start())
    app = create_app(live, Inbox(folder / "inbox"), load(), lambda: NOW)
    gate = Gate(QuickLists(app, live, app.state.recent), Door(None, NOW.date), Limits(rate_per_second=1e9), metrics, log)

    async def without_lifespan(scope: Any, receive: Any, send: Any) -> None:
        """Requests only: the client would start and stop the application for each."""
        if scope["type"] == "http":
            await gate(scope, receive, send)
            return
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})

    return openapi.from_asgi("/openapi.json", without_lifespan)


# At import: the end points become the tests' parameters.
schema = description()


@schema.parametrize()
@settings(max_examples=15, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
          suppress_health_check=list(HealthCheck))  # fmt: skip
def test_every_answer_is_one_that_the_description_has(case: Any) -> None:
    checks = CONFORMANCE if case.operation.path in WITHOUT_MODEL else [*CONFORMANCE, not_a_server_error]
    answer = case.call()
    assert answer.status_code != 500
    case.validate_response(answer, checks=checks)
