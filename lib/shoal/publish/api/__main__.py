"""`python -m shoal.publish.api`: the server where there is no Spark, as in deploy/Dockerfile; requirements/serve.txt is enough.

The options are those of `shoal serve`, but for `--folder`, which names what was published in the place of a lake.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from shoal.errors import ShoalError, one_line
from shoal.publish.api.server import Limits, Options, serve, topic_options

STORES = ("lmdb", "redis", "postgres")


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(prog="python -m shoal.publish.api", description="Serve what `shoal publish` has published.")
    made.add_argument("--folder", type=Path, required=True, metavar="DIR", help="published files: <lake>/published")
    made.add_argument("--events", type=Path, required=True, metavar="DIR", help="folder of new events: <lake>/inbox/events")
    made.add_argument("--events-servers", metavar="HOST:PORT", help="new events go to Kafka instead; with commas between")
    made.add_argument("--events-topic", metavar="NAME", help="the topic of new events")
    made.add_argument("--events-option", action="append", default=[], metavar="NAME=VALUE", help="of librdkafka; repeatable")
    made.add_argument("--store", choices=STORES, default="lmdb", help="default: %(default)s")
    made.add_argument("--url", help="of Redis or PostgreSQL, without a password")
    made.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    made.add_argument("--port", type=int, default=8080, help="default: %(default)s")
    made.add_argument("--open", action="store_true", help="without tokens, on this machine only")
    made.add_argument("--certificate", type=Path, metavar="FILE", help="TLS: the certificate (PEM)")
    made.add_argument("--key", type=Path, metavar="FILE", help="TLS: its key (PEM)")
    made.add_argument("--rate", type=float, default=2000, help="requests a second that a token may make (default: %(default)s)")
    made.add_argument("--env", default="local", help="conf/<env>.yaml (default: %(default)s)")
    made.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable")
    return made


def options_of(given: argparse.Namespace) -> Options:
    """The server's options."""
    url = [f"publish.{given.store}_url={given.url}"] if given.url else []
    sets = (f"publish.target={given.store}", *url, *given.sets)
    limits = Limits(rate_per_second=given.rate)
    return Options(
        given.folder, given.events, given.host, given.port, given.open, given.certificate, given.key, given.env, sets, limits,
        topic_options(given.events_servers, given.events_topic, given.events_option),
    )  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM. Exit codes: those of every command."""
    try:
        return serve(options_of(parser().parse_args(argv)))
    except ShoalError as error:
        sys.stderr.write(f"shoal: {one_line(error)}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
