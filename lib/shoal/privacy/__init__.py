"""Personal data: pseudonyms, masking, erasure, export and grants."""
