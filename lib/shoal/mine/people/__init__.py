"""Accounts: who leads, and who behaves alike.

- `influencers`   the chance to be in the top quarter by followers, from behaviour and network
- `segments`      groups with names that a person can read
"""
