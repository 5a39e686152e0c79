"""Tables as key and value for programs that answer requests: what is published, the stores, and how a version takes another's
place.

- `exports`       publish.yaml: which rows of which table, by which key
- `manifest`      what a published version is made of
- `derived`       exports that are no table: seen items, words of items
- `frames`        an export as a frame of key and JSON
- `staging`       sorted Parquet between Spark and a store
- `publication`   publish, roll back, list
- `lmdb_files`    the embedded store: a file a version, and a pointer
- `redis_store`, `postgres_store`   the stores that are servers
- `targets`       the stores by name

The modules that a server needs (`exports`, `manifest`, the readers) import no Spark.
"""
