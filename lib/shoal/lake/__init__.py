"""The tables: contracts, reads and writes, schema changes, locks, maintenance. The only room that touches Delta."""
