"""Rounds of message passing between blocks of nodes, each a sparse matrix in one Spark partition.

Spark's own join-and-aggregate round moves one row an edge; here a block multiplies its matrix in numpy and sends each
other block only the values of the nodes that block pulls from. One round is one shuffle of B x B messages, B the number of
blocks, and one Python task a block. The matrices are built once and stay cached where they are.

Node v lies in block v mod B at place v div B; block b is partition b. The rounds are RDDs and not DataFrames for three
things that DataFrames have not: a partitioner of one's own, a union of two frames partitioned alike that moves nothing, and
no plan to make anew each round, which for small graphs took longer than the round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark import RDD, StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix

from shoal.spark.checkpoints import mark_checkpoint

# 2 million entries are 24 MB of matrix: some 10 ms of numpy, and small in any worker.
MOST_ENTRIES = 2_000_000
# Fewer than this are multiplied in less time than a second task takes to start.
FEWEST_ENTRIES = 100_000
# Rounds run as one Spark job; the driver looks at the change after each such chain. A change that falls by a steady factor says how
# many rounds are left; a plan of more than some tens of shuffles costs the driver more than the jobs that it saves.
CHAIN, LONGEST_CHAIN = 4, 24

_PACKED = "number int, indptr binary, indices binary, data binary, needs array<struct<source:int,places:binary>>"

State = NDArray[Any]


@dataclass(frozen=True)
class Block:
    """A block's number, its number of nodes, its matrix (a row an own node, a column a node it pulls from), and `sends`:
    for each block the places of the own nodes that it pulls from, in the order of its columns."""

    number: int
    size: int
    matrix: csr_matrix
    sends: tuple[NDArray[np.int32], ...]


@dataclass(frozen=True)
class Letter:
    """What block `source` tells another: the values it needs of row 0, and the sum of row 0 over all of the block."""

    source: int
    values: State
    total: float


@dataclass(frozen=True)
class Step:
    """What one round gives: the block's new state, and how far it is from the last one and from the one before."""

    state: State
    change: float
    cycle: float


@dataclass(frozen=True)
class Program:
    """An algorithm in rounds. A state is an array with a column an own node; row 0 is what neighbours may ask for.

    `start(number, size, blocks)`: the first state. `advance(block, inbox, total, state)`: the next one, where `inbox` has
    one value a column of the block's matrix and `total` is the sum of all blocks' row 0.
    """

    start: Callable[[int, int, int], State]
    advance: Callable[[Block, State, float, State], Step]


@dataclass(frozen=True)
class Blocks:
    """A graph cut into blocks: `structure` has one cached record a partition, (number, Block). The caller unpersists it."""

    structure: RDD[tuple[int, Any]]
    node_count: int
    count: int


@dataclass(frozen=True)
class Outcome:
    """The last round: `records` holds every block's Step, cached until the caller unpersists it."""

    records: RDD[tuple[int, Any]]
    rounds: int
    change: float
    cycle: float


def block_count(spark: SparkSession, entry_count: int) -> int:
    """How many blocks: one a core where each gets FEWEST_ENTRIES, more where one would get over MOST_ENTRIES."""
    by_core = min(spark.sparkContext.defaultParallelism, entry_count // FEWEST_ENTRIES)
    return max(1, by_core, -(-entry_count // MOST_ENTRIES))


def build_blocks(entries: DataFrame, node_count: int, count: int) -> Blocks:
    """Cut `entries` (row, col: node indices; value: double) into `count` blocks by row. Row pulls `value` times col.

    One shuffle of the entries, then two of the blocks made of them. A block holds all entries of its rows.
    """
    packed = (
        entries.select(F.pmod("row", F.lit(count)).cast("int").alias("number"), "row", "col", "value")
        .groupBy("number")
        .applyInPandas(lambda rows: _pack(rows, node_count, count), _PACKED)
    )

    def parts(row: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
        yield row["number"], (-1, row["indptr"], row["indices"], row["data"], sum(len(n["places"]) // 4 for n in row["needs"]))
        for need in row["needs"]:
            yield need["source"], (row["number"], need["places"])

    def assemble(number: int, records: Iterable[tuple[int, tuple[Any, ...]]]) -> Iterator[tuple[int, Block]]:
        size = block_size(number, node_count, count)
        matrix = csr_matrix((size, 0), dtype=np.float64)
        sends = [np.empty(0, np.int32)] * count
        for _, (target, *arrays) in records:
            if target == -1:
                indptr, indices, data, width = arrays
                buffers = (np.frombuffer(data), np.frombuffer(indices, np.int32), np.frombuffer(indptr, np.int64))
                matrix = csr_matrix(buffers, shape=(size, width))
            else:
                sends[target] = np.frombuffer(arrays[0], np.int32)
        yield number, Block(number, size, matrix, tuple(sends))

    blocks = packed.rdd.flatMap(parts).partitionBy(count, _own_partition).mapPartitionsWithIndex(assemble)
    # Partitioned again, though every record is where it belongs: both sides of the rounds' union must be what partitionBy
    # gives, or Spark would send the matrices through Python once more in every round.
    structure = blocks.partitionBy(count, _own_partition).persist(StorageLevel.MEMORY_AND_DISK)
    structure.count()
    return Blocks(structure, node_count, count)


def _own_partition(number: int) -> int:
    """Block b lives in partition b."""
    return number


def _pack(rows: pd.DataFrame, node_count: int, count: int) -> pd.DataFrame:
    """The matrix of one block, and for every block the places of the nodes that this one needs from it."""
    node, col, data = (rows[name].to_numpy() for name in ("row", "col", "value"))
    order = np.lexsort((data, col, node))  # parallel edges by value: sums must not depend on the order of arrival
    node, col, data = node[order], col[order], data[order]
    span = -(-node_count // count)
    needed, inverse = np.unique((col % count) * span + col // count, return_inverse=True)
    number = int(node[0]) % count
    sizes = np.bincount(node // count, minlength=block_size(number, node_count, count))
    sources, starts = np.unique(needed // span, return_index=True)
    places = np.split((needed % span).astype(np.int32), starts[1:])
    return pd.DataFrame(
        {
            "number": [number],
            "indptr": [np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64).tobytes()],
            "indices": [inverse.astype(np.int32).tobytes()],
            "data": [data.astype(np.float64).tobytes()],
            "needs": [[{"source": int(s), "places": p.tobytes()} for s, p in zip(sources, places, strict=True)]],
        }
    )


def block_size(number: int, node_count: int, count: int) -> int:
    """How many of the nodes 0..node_count-1 lie in block `number` of `count`."""
    return (node_count - number + count - 1) // count


def next_chain(changes: Sequence[float], length: int, enough: float | None) -> int:
    """How many rounds to run before the next look: CHAIN, or where `enough` is the change that ends them and the last two looks,
    `length` rounds apart, show a falling change, the rounds that a fall at that rate takes; at most LONGEST_CHAIN."""
    if enough is None or len(changes) < 2:
        return CHAIN
    before, now = changes[-2:]
    if not (0 < enough < now < before < float("inf")):
        return CHAIN
    return max(1, min(LONGEST_CHAIN, math.ceil(math.log(now / enough) * length / math.log(before / now))))


def run_rounds(
    blocks: Blocks, program: Program, max_rounds: int, is_done: Callable[[float, float], bool], enough: float | None = None
) -> Outcome:
    """Run `program` until `is_done(change, cycle)` (summed over blocks) or max_rounds >= 1, looked at after each chain of rounds.

    enough: the change below which it is done, where that is all that counts; chains are as long as it seems to need (`next_chain`).
    One Spark job a chain, of one shuffle a round; the driver collects two numbers a block and chain.
    """
    records = _start(blocks, program)
    cached: RDD[tuple[int, Any]] | None = None
    rounds, change, cycle = 0, float("inf"), float("inf")
    changes: list[float] = []
    length = CHAIN
    while rounds < max_rounds and not is_done(change, cycle):
        length = min(next_chain(changes, length, enough), max_rounds - rounds)
        for _ in range(length):
            records = _advance(blocks, program, records)
        records.persist(StorageLevel.MEMORY_AND_DISK)
        mark_checkpoint(records)  # forgets how it was made: a lineage of a hundred rounds would be walked in each job
        # collect gives the blocks in order of partition, so the sums have one order.
        distances = records.filter(_is_step).map(lambda record: (record[1].change, record[1].cycle)).collect()
        change, cycle = (float(sum(column)) for column in zip(*distances, strict=True))
        changes.append(change)
        if cached is not None:
            cached.unpersist()
        cached = records
        rounds += length
    return Outcome(records, rounds, change, cycle)


def _is_step(record: tuple[int, Any]) -> bool:
    """True for a block's own state, false for a letter."""
    return isinstance(record[1], Step)


def _start(blocks: Blocks, program: Program) -> RDD[tuple[int, Any]]:
    """Every block's first state and the letters it sends."""
    count = blocks.count

    def start(records: Iterable[tuple[int, Block]]) -> Iterator[tuple[int, Any]]:
        for number, block in records:
            yield from _post(block, Step(program.start(number, block.size, count), float("inf"), float("inf")))

    return blocks.structure.mapPartitions(start)


def _advance(blocks: Blocks, program: Program, records: RDD[tuple[int, Any]]) -> RDD[tuple[int, Any]]:
    """Every block's next state and the letters it sends, from the last states and letters. One shuffle of `records`."""

    def advance(arrived: Iterable[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        mine = [record for _, record in arrived]
        block = next(record for record in mine if isinstance(record, Block))
        step = next(record for record in mine if isinstance(record, Step))
        letters = sorted((record for record in mine if isinstance(record, Letter)), key=lambda letter: letter.source)
        inbox = np.concatenate([letter.values for letter in letters])
        total = float(sum(letter.total for letter in letters))
        yield from _post(block, program.advance(block, inbox, total, step.state))

    return blocks.structure.union(records.partitionBy(blocks.count, _own_partition)).mapPartitions(advance)


def _post(block: Block, step: Step) -> Iterator[tuple[int, Any]]:
    """A block's state, addressed to itself, and one letter to every block: all need the total, even of unknown nodes."""
    yield block.number, step
    shared = step.state[0]
    total = float(shared.sum())
    for target, places in enumerate(block.sends):
        yield target, Letter(block.number, shared[places], total)


def state_values(blocks: Blocks, outcome: Outcome, row: int, kind: str) -> DataFrame:
    """`node` (bigint), `value` (`kind`: double or bigint): row `row` of every block's state. Lazy, no shuffle."""
    count = blocks.count
    spark = SparkSession.active()
    states = outcome.records.filter(_is_step).map(lambda record: (record[0], record[1].state[row].tobytes()))
    dtype = "float64" if kind == "double" else "int64"

    def unpack(batches: Iterable[Any]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            for number, payload in zip(batch["number"], batch["payload"], strict=True):
                values = np.frombuffer(payload, dtype)
                yield pd.DataFrame({"node": number + count * np.arange(len(values), dtype=np.int64), "value": values})

    return spark.createDataFrame(states, "number int, payload binary").mapInPandas(unpack, f"node bigint, value {kind}")
