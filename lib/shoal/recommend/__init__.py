"""Recommenders as pure transforms: DataFrames in, DataFrames out.

`preferences` makes one row a user and item from events; `split` cuts them into training and test; `als`, `popularity`
and `random` are models, each a module of its own; `top_k` is the engine that turns any factors into lists; `metrics`
says how good lists are; `search` chooses settings on validation data. No module here reads or writes a table.
"""
