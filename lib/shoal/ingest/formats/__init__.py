"""File formats: listing, splitting and decoding files into records of named texts."""
