"""From scores to the lists a user sees: top-k, rules, diversity, exploration, reasons."""
