"""Rules over what the lake knows of itself, and what becomes of them.

- `values`      the figures that rules speak of: one value a series
- `episodes`    pending, firing, resolved: from the values of a moment and the episodes before
- `webhook`     firing and resolved alerts as one JSON to an address from the environment
- `gauges`      the newest runs, figures, drift and alerts as gauges
- `exposition`  gauges in Prometheus' text format

docs/adr/0151-alerts.md.
"""
