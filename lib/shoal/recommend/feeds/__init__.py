"""Lists that need no recommender: trending items, interests, accounts to follow."""
