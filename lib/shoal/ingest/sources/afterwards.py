"""What a source does with silver once its rows are there, by its name; for most sources nothing."""

from __future__ import annotations

from shoal.ingest.ingestion import Afterwards
from shoal.ingest.sources import fashion_catalog
from shoal.ingest.sources.film_entities import resolve_film_entities
from shoal.ingest.sources.films import CATALOGUES
from shoal.ingest.sources.product_images import link_images_to_products

AFTERWARDS: dict[str, Afterwards] = {
    # Films come under several ids.
    "movielens": resolve_film_entities,
    CATALOGUES: resolve_film_entities,
    fashion_catalog.SOURCE: link_images_to_products,
}
