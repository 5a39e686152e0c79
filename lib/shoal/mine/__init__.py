"""What can be mined from records, as pure transforms: graph, text and image; people and posts come here."""
