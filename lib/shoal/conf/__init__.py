"""The settings: their names and ranges, how they are loaded, and where conf/ and jobs/ lie."""
