"""`shoal publish` and `shoal serve`: tables into a store, and the store to programs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from shoal.cli.jobs import progress
from shoal.cli.options import DEFAULT_LAKE, EnvOption, LakeOption, SetOption
from shoal.cli.query import open_lake
from shoal.cli.rendering import render
from shoal.conf.loading import load
from shoal.conf.sections import PublishConf, Settings
from shoal.errors import UsageError
from shoal.lake.json_values import utc_time
from shoal.lake.store import is_uri
from shoal.publish.stores.publication import publications
from shoal.runner.clock import utc_now
from shoal.runner.execute import execute
from shoal.runner.interrupt import interruptible
from shoal.runner.job import find_job, job_module

STORES = ("lmdb", "redis", "postgres")
# OpenSearch has items to be found, and nothing by key: `shoal serve` needs another store beside it.
TARGETS = (*STORES, "search")
UrlOption = Annotated[
    Optional[str], typer.Option("--url", metavar="URL", help="Address of the server: redis://..., postgresql://... or https://...")
]


def publish(
    to: Annotated[str, typer.Option("--to", metavar="STORE", help="lmdb (files), redis, postgres, search (OpenSearch).")] = "lmdb",
    lake: LakeOption = DEFAULT_LAKE,
    url: UrlOption = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Return to the version before.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List what was published, the newest first.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write every export anew.")] = False,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> int:
    """Publish the newest tables to a store for `shoal serve`: the new version takes the old one's place in one step.

    What has not changed is not written again. A killed publish leaves the old version serving.

    Example: shoal publish --to lmdb --lake demo-lake
    """
    if to not in TARGETS:
        raise UsageError(f"--to {to}: expected one of {', '.join(TARGETS)}")
    if url is not None and to == "lmdb":
        raise UsageError("--url: lmdb is a folder and has none; --set publish.folder=DIR names another place")
    given = [f"publish.target={to}", *([f"publish.{to}_url={url}"] if url else []), *(sets or [])]
    opened = open_lake(lake, env, given, "shoal-publish")
    if listed:
        sys.stdout.write(_listing(opened, opened.settings))
        return 0
    flags = {name: True for name, wanted in (("rollback", rollback), ("force", force)) if wanted}
    job = find_job("publish_tables")
    with progress(1) as show:
        show.starting(job)
        result = interruptible(
            opened.spark, lambda: execute(opened.spark, job, opened.settings, opened.address, utc_now().date(), flags)
        )
        show.ended(result)
    said = {"target": to, "status": result.status, "seconds": round(result.seconds, 2), **result.tags}
    sys.stdout.write(json.dumps(said if result.status != "failed" else {**said, "message": result.message}) + "\n")
    return result.exit_code


def serve(
    lake: LakeOption = DEFAULT_LAKE,
    store: Annotated[str, typer.Option("--store", metavar="STORE", help="lmdb (files), redis or postgres.")] = "lmdb",
    url: UrlOption = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8080,
    is_open: Annotated[bool, typer.Option("--open", help="Without tokens, on this machine only.")] = False,
    events: Annotated[
        Optional[Path], typer.Option("--events", metavar="DIR", help="Folder of new events. Default: <lake>/inbox/events.")
    ] = None,
    events_servers: Annotated[
        Optional[str], typer.Option("--events-servers", metavar="HOST:PORT", help="New events go to Kafka instead.")
    ] = None,
    events_topic: Annotated[Optional[str], typer.Option("--events-topic", metavar="NAME", help="The topic of new events.")] = None,
    events_option: Annotated[
        Optional[list[str]], typer.Option("--events-option", metavar="NAME=VALUE", help="An option of librdkafka; repeatable.")
    ] = None,
    certificate: Annotated[Optional[Path], typer.Option("--certificate", metavar="FILE", help="TLS: the certificate (PEM).")] =
    None, key: Annotated[Optional[Path], typer.Option("--key", metavar="FILE", help="TLS: its key (PEM).")] = None,
    rate: Annotated[float, typer.Option("--rate", min=1, help="Requests a second that a token may make.")] = 2000,
    env: EnvOption = "local",
    sets: SetOption = None,
) -> int:
    """Serve what `shoal publish` has published; Spark is not needed. SHOAL_TOKENS has the tokens (docs/serving.md).

    Example: shoal serve --lake demo-lake --open --port 8080
    """
    from shoal.publish.api.server import Limits, Options, topic_options
    from shoal.publish.api.server import serve as run

    if store not in STORES:
        raise UsageError(f"--store {store}: expected one of {', '.join(STORES)}")
    given = (f"publish.target={store}", *([f"publish.{store}_url={url}"] if url else []), *(sets or []))
    named = load(env, given).publish.folder
    if named is None and (is_uri(lake) or not Path(lake).is_dir()):
        raise UsageError(f"--lake {lake}: no such folder; --set publish.folder=DIR names where published files lie")
    folder = Path(named) if named else Path(lake).resolve() / "published"
    inbox = events or (Path(lake).resolve() / "inbox" / "events" if not is_uri(lake) else folder / "events")
    limits = Limits(rate_per_second=rate)
    topic = topic_options(events_servers, events_topic, events_option or [])
    return run(Options(folder, inbox, host, port, is_open, certificate, key, env, given, limits, topic))


def _listing(lake: Any, settings: Settings) -> str:
    """The publications of a target as a table; the one that serves is marked."""
    conf: PublishConf = settings.section(PublishConf)
    module = job_module("publish_tables")
    target = module.open_target(conf, module.folder(lake, conf))
    serving, there = target.current(), set(target.versions())
    rows = publications(lake, conf.target)
    cells = []
    for row in rows:
        state = "serves" if serving and row["version"] == serving.version else "kept" if row["version"] in there else "gone"
        keys = f"{sum(row['exported_keys'].values()):,}"
        size = "" if row["size_bytes"] is None else f"{row['size_bytes'] / 1e6:,.1f} MB"
        cells.append([row["version"], row["status"], state, keys, size, utc_time(row["ended_at"]), ", ".join(row["skipped"])])
    return render(["version", "status", "now", "keys", "size", "at", "skipped"], cells)
