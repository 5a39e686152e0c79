"""What leaves the lake for other readers: the report; exports to stores and the API come here."""
