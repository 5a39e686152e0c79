"""The server over a published store: look-ups, scores without Spark, new events. `shoal serve` runs it.

- `server`      options, start and stop
- `gate`        tokens, rates, sizes, queue, time-outs, headers, log
- `tokens`      SHOAL_TOKENS
- `app`         the end points; `schemas` their bodies and answers
- `quick`       the most frequent request without the framework
- `live`        the open version, and the next
- `sources`     the stores as they are read
- `answers`     lists, neighbours, trends, people, search
- `scoring`     models in numpy
- `events`      new events: files for the stream, and the newest in memory
- `telemetry`   metrics and the log
"""
