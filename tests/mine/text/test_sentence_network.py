"""Sentence embeddings by a network made here: a table of vectors, one a piece of a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from shoal.errors import InputError
from shoal.mine.text.sentence_network import read_sentence_network
from shoal.mine.text.wordpiece import word_pieces

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "cat", "un", "##believ", "##able", "##a", ",", "caf\u00e9", "cafe", "\u732b"]
# [CLS] and [SEP] are 0: a mean is that of the others over all pieces. [PAD] would show.
TABLE = np.zeros((len(VOCABULARY), 2), np.float32)
TABLE[0], TABLE[1], TABLE[4], TABLE[9] = (100, 100), (0, 2), (3, 0), (0, 4)


def network_folder(folder: Path, inputs: tuple[str, ...] = ("input_ids", "attention_mask")) -> Path:
    made = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["out"])], "table",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in inputs],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", "t", 2])], [numpy_helper.from_array(TABLE, "table")],
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    root = folder / "network"
    root.mkdir()
    (root / "model.onnx").write_bytes(model.SerializeToString())
    (root / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return root


def test_a_text_is_the_mean_of_its_pieces_at_length_one(tmp_path: Path) -> None:
    network = read_sentence_network(network_folder(tmp_path))
    assert network.version.startswith("onnx/")
    # cat: (3, 0); cat, cat: (3, 0) twice and (0, 4); an unknown word: (0, 2); padding of the shorter ones does not count.
    found = network.vectors(["cat", "Cat, CAT", "zebra", " \n"])
    np.testing.assert_allclose(found, [[1, 0], np.array([6, 4]) / 52**0.5, [0, 1], [0, 0]], atol=1e-6)


def test_words_are_cut_as_bert_cuts_them() -> None:
    place = {piece: n for n, piece in enumerate(VOCABULARY)}

    def shown(text: str, lower_case: bool = True, most: int = 20) -> list[str]:
        return [VOCABULARY[n] for n in word_pieces(text, place, lower_case, most)]

    assert shown("Unbelievable, cat") == ["[CLS]", "un", "##believ", "##able", ",", "cat", "[SEP]"]
    assert shown("unbelievably") == ["[CLS]", "[UNK]", "[SEP]"]  # its end is in no piece
    assert shown("CAF\u00c9 \u732bcat\u200b") == ["[CLS]", "cafe", "\u732b", "cat", "[SEP]"]
    assert shown("caf\u00e9 Cat", lower_case=False) == ["[CLS]", "caf\u00e9", "[UNK]", "[SEP]"]
    assert shown("cat cat cat", most=4) == ["[CLS]", "cat", "cat", "[SEP]"]
    assert shown("a" * 101) == ["[CLS]", "[UNK]", "[SEP]"]


def test_a_folder_without_a_network_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no model\.onnx; texts\.model names a folder with both"):
        read_sentence_network(tmp_path)
    root = network_folder(tmp_path, ("input_ids", "pixels"))
    with pytest.raises(InputError, match=r"model\.onnx: takes input_ids, pixels; expected input_ids and attention_mask"):
        read_sentence_network(root)
    (root / "model.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match=r"model\.onnx: not a network that onnxruntime runs on texts"):
        read_sentence_network(root)
    (root / "vocab.txt").write_text("cat\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"vocab\.txt: has no \[UNK\], \[CLS\], \[SEP\]"):
        read_sentence_network(root)
