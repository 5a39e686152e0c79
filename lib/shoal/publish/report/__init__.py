"""The report: one self-contained HTML page about a lake on one day. DataFrames in, blocks of text, tables and SVG out.

- `blocks`       the elements of a part of the page
- `wording`      numbers and days as people read them
- `pictures`     figures as inline SVG, the same bytes for the same numbers
- `stages`       part: the runs behind the day
- `holdings`     part: the tables of the lake
- `activity`     part: events by kind, ratings, popularity, events over time
- `models`       part: metrics against baselines
- `samples`      part: a few users' recommendations
- `people`       part: plots of authors and posts, influencers, viral posts with reasons, best hours, trends
- `communities`  part: the largest communities, drawn and described; `network` samples and lays out the drawing
- `shifts`       part: what has drifted
- `quality`      part: what ingest refused
- `glossary`     what the shown metrics mean
- `page`         blocks in, HTML out
- `day`          the tables as of the day, and all parts in order

Every part is bounded: aggregations run in Spark, and the number of rows that reach the driver is in each docstring. Decisions
are in docs/adr/0070-report.md.
"""
