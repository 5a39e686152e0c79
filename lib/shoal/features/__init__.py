"""What is known of a user or an item at the end of a day, from the events up to it."""
