"""Models as they are stored and served: the registry, champions, recorded metrics."""
