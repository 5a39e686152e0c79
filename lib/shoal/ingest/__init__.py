"""Foreign files to rows of our contracts: listing, surveying and reading them, and one module a foreign format.

`splitting` cuts bytes into records, `listing` finds files and where they can be cut, `reading` makes a DataFrame of records,
`fields` gives their values types, `catalogue` names the sources; `general` and `movielens` define them.
"""
