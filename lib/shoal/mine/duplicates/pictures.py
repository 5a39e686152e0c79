"""Pairs of pictures whose perceptual hashes differ in few bits: banding finds candidates, counting the bits decides."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shoal.mine.duplicates.pairs import keys_that_meet

BITS, BANDS = 64, 4
# Two hashes of up to this distance agree in one of four bands of 16 bits but for two of its bits: 11 bits would be 3 in some band
# and 2 in the others.
MAX_DISTANCE = 11


def similar_hashes(hashes: DataFrame, max_distance: int, max_bucket: int) -> DataFrame:
    """Pairs of hashes that differ in `max_distance` bits at most: key < other_key, similarity (1 - bits / 64).

    `hashes`: key (64 bits as bigint), each once. Each band is entered as it is and with each change of one bit, so that two
    bands that differ in two bits meet: up to MAX_DISTANCE no pair is missed, but for buckets of more than `max_bucket`. Raises
    ValueError above MAX_DISTANCE. Cost: 68 rows a hash, two shuffles.
    """
    if max_distance > MAX_DISTANCE:
        raise ValueError(f"distance {max_distance}; banding finds all pairs up to {MAX_DISTANCE}")
    sixteen = "struct(i, shiftrightunsigned(key, 16 * i) & 65535 AS bits)"
    bands = hashes.select("key", F.explode(F.expr(f"transform(sequence(0, {BANDS - 1}), i -> {sixteen})")).alias("band"))
    change = F.explode(F.expr("concat(array(0L), transform(sequence(0, 15), n -> shiftleft(1L, n)))"))
    probed = bands.select("key", "band", change.alias("change"))
    bucket = F.col("band.i").cast("long") * 65536 + F.col("band.bits").bitwiseXOR(F.col("change"))
    met = keys_that_meet(probed.select("key", bucket.alias("bucket")), max_bucket)
    distance = F.bit_count(F.col("key").bitwiseXOR(F.col("other_key")))
    near = met.where(distance <= max_distance)
    return near.withColumn("similarity", 1 - distance / BITS)


def hash_as_key(hexadecimal: str) -> str:
    """Spark SQL for the 64 bits of a column of 16 hex digits as bigint."""
    return f"cast(conv({hexadecimal}, 16, -10) AS bigint)"
