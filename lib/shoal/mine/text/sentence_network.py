"""Vectors of texts by a trained network of sentence embeddings in a local folder, run where the texts are (onnxruntime, extra
shoal[texts]).

The folder has model.onnx (or onnx/model.onnx) and vocab.txt, BERT's pieces of words, a line each, as exports of
sentence-transformers have; tokenizer_config.json may say `do_lower_case`. Inputs are input_ids and attention_mask and perhaps
token_type_ids; the first output is a vector a piece, of which the mean is taken, or one a text. Vectors have length 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from shoal.arrays import Floats
from shoal.errors import InputError, UsageError, one_line
from shoal.mine.text.wordpiece import FIRST, LAST, PADDING, UNKNOWN, word_pieces

# The file goes to every task inside the function that it runs.
MAX_BYTES = 500_000_000
# What these networks were trained with; further pieces of a text are not read.
MAX_PIECES = 256
# Texts run at once, and the code points of a text that can matter to MAX_PIECES pieces.
BATCH, MAX_LENGTH = 32, 10_000
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class SentenceNetwork:
    """A network, its vocabulary in order, whether it reads lower case only; `version`: onnx/ and 12 hex digits of all three."""

    data: bytes = field(repr=False, compare=False)
    vocabulary: tuple[str, ...] = field(repr=False, compare=False)
    lower_case: bool
    version: str

    def vectors(self, texts: Sequence[str]) -> Floats:
        """A row a text, of length 1 (of 0 for a text without anything but white space)."""
        session, names = _session(self)
        place = _places(self)
        pieces = [word_pieces(text[:MAX_LENGTH], place, self.lower_case, MAX_PIECES) for text in texts]
        longest = max(map(len, pieces))
        ids = np.full((len(pieces), longest), place.get(PADDING, 0), np.int64)
        mask = np.zeros_like(ids)
        for n, one in enumerate(pieces):
            ids[n, : len(one)], mask[n, : len(one)] = one, 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        found = np.asarray(session.run(None, {name: given[name] for name in names})[0], np.float64)
        if found.ndim == 3:
            found = (found * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1)[:, None]
        found[[not text.strip() for text in texts]] = 0.0
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.where(lengths == 0, 1.0, lengths), np.float32)


def read_sentence_network(folder: str | Path) -> SentenceNetwork:
    """The network of a folder, tried on one word. Raises UsageError without onnxruntime, and InputError, one line that names the
    file, for a missing one, one above MAX_BYTES, a vocabulary without BERT's marks, no ONNX, other inputs, and an output that is no
    finite vector."""
    root = Path(folder)
    model = next((p for p in (root / "model.onnx", root / "onnx" / "model.onnx") if p.is_file()), None)
    if model is None or not (root / "vocab.txt").is_file():
        raise InputError(f"{folder}: has no {'model.onnx' if model is None else 'vocab.txt'}; texts.model names a folder with both")
    if model.stat().st_size > MAX_BYTES:
        raise InputError(f"{model}: {model.stat().st_size:,} bytes; expected a network of {MAX_BYTES:,} at most")
    vocabulary = tuple((root / "vocab.txt").read_text(encoding="utf-8").splitlines())
    missing = [mark for mark in (UNKNOWN, FIRST, LAST) if mark not in vocabulary]
    if missing:
        raise InputError(f"{root / 'vocab.txt'}: has no {', '.join(missing)}; expected BERT's pieces of words, a line each")
    config = root / "tokenizer_config.json"
    lower_case = bool(json.loads(config.read_text(encoding="utf-8")).get("do_lower_case", True)) if config.is_file() else True
    data = model.read_bytes()
    digest = hashlib.sha256(data + "\n".join(vocabulary).encode() + str(lower_case).encode()).hexdigest()[:12]
    network = SentenceNetwork(data, vocabulary, lower_case, f"onnx/{digest}")
    _check(network, str(model))
    return network


def with_sentence_vectors(rows: DataFrame, network: SentenceNetwork) -> DataFrame:
    """The columns of `rows` but text, and size, indices (null) and values. A null text is a blank one. Lazy, no shuffle; memory is
    that of BATCH texts."""
    kept = [f for f in rows.schema.fields if f.name != "text"]

    def made(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            texts = [text or "" for text in batch.column("text").to_pylist()]
            found = [row for start in range(0, len(texts), BATCH) for row in network.vectors(texts[start : start + BATCH])]
            columns = [
                *[batch.column(f.name) for f in kept], pa.array([len(row) for row in found], pa.int32()),
                pa.array([None] * len(found), pa.list_(pa.int32())),
                pa.array([row.tolist() for row in found], pa.list_(pa.float32())),
            ]  # fmt: skip
            yield pa.RecordBatch.from_arrays(columns, names=[*[f.name for f in kept], "size", "indices", "values"])

    columns = [f"`{f.name}` {f.dataType.simpleString()}" for f in kept]
    return rows.mapInArrow(made, ", ".join([*columns, "size int, indices array<int>, values array<float>"]))


def _check(network: SentenceNetwork, name: str) -> None:
    _runtime()
    try:
        found = network.vectors(["a"])
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no class; each is the file's fault
        raise InputError(f"{name}: not a network that onnxruntime runs on texts: {one_line(error)}") from None
    if found.ndim != 2 or found.shape[1] < 2 or not np.isfinite(found).all():
        raise InputError(f"{name}: gives {found.shape[1:]} numbers for a text; expected a vector of finite ones")


@lru_cache(maxsize=2)
def _session(network: SentenceNetwork) -> tuple[Any, tuple[str, ...]]:
    """The network ready to run, and the names of its inputs."""
    runtime = _runtime()
    options = runtime.SessionOptions()
    # Each of Spark's tasks has a core of its own.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = runtime.InferenceSession(network.data, options, providers=["CPUExecutionProvider"])
    names = tuple(one.name for one in session.get_inputs())
    if "input_ids" not in names or not set(names) <= set(_INPUTS):
        raise InputError(f"takes {', '.join(names)}; expected input_ids and attention_mask, perhaps token_type_ids")
    return session, names


@lru_cache(maxsize=2)
def _places(network: SentenceNetwork) -> dict[str, int]:
    return {piece: n for n, piece in enumerate(network.vocabulary)}


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UsageError("texts.representation: onnxruntime is not installed; pip install 'shoal[texts]'") from None
    return onnxruntime
