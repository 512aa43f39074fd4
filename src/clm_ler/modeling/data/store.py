"""Encoded sequences as flat columns over memory-mapped Arrow."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clm_ler.files.arrow import ragged_offsets

BIRTH_UNKNOWN = int(np.iinfo(np.int32).min)
TokenColumn = Literal["input_ids", "token_type_ids", "position_ids"]
TOKEN_COLUMNS: tuple[TokenColumn, ...] = ("input_ids", "token_type_ids", "position_ids")


@dataclass(frozen=True)
class Tokens:
    """Ragged rows: the tokens of row ``i`` are ``offsets[i]`` to ``offsets[i + 1]`` of each column.

    Attributes:
        offsets: int64 [n + 1].
        input_ids: int32 [t].
        token_type_ids: uint8 [t], the lab bin from 1, 0 where there is none; int16 once masked.
        position_ids: int32 [t], days from 1; 0 for the baseline.
    """

    offsets: npt.NDArray[np.int64]
    input_ids: npt.NDArray[np.int32]
    token_type_ids: npt.NDArray[np.uint8 | np.int16]
    position_ids: npt.NDArray[np.int32]

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of tokens of each row, [n]."""
        return np.diff(self.offsets)


class _Chunk(NamedTuple):
    """The flat columns of one Arrow record batch, as views."""

    input_ids: npt.NDArray[np.int32]
    token_type_ids: npt.NDArray[np.uint8]
    position_ids: npt.NDArray[np.integer]


@dataclass(frozen=True)
class TokenStore:
    """Rows of ``encoded_sequences``: small columns per person in memory, tokens left where they lie.

    Rows are in the order of ``person_id``, however many files they lie in, so that what is drawn
    from them depends on neither the engine nor its memory. The token columns of a large data set are
    many Arrow chunks; joining them would copy them, so they are read with ``take`` and ``gather``, which
    look like one flat column.

    Attributes:
        person_id: int64 [n].
        birth_to_start: int32 [n], days from birth to the first event; ``BIRTH_UNKNOWN`` where unknown.
        lengths: int32 [n], tokens of each row, baseline included.
        split: ``train``, ``valid`` or ``test`` of each row, [n], as an Arrow array.
    """

    person_id: npt.NDArray[np.int64]
    birth_to_start: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    split: pa.ChunkedArray
    _starts: npt.NDArray[np.int64]
    _chunk_of: npt.NDArray[np.unsignedinteger]
    _chunks: list[_Chunk]

    def __len__(self) -> int:
        return len(self.person_id)

    @classmethod
    def from_arrow(cls, table: pa.Table, split: str | None = None) -> Self:
        """Return the rows of ``encoded_sequences``, or those of one split, without copying a token.

        Args:
            table: The columns of ``encoded_sequences``, memory-mapped or in memory.
            split: Keep the rows of this split only.

        Raises:
            ValueError: If no row is left.
        """
        keep = np.ones(len(table), bool) if split is None else _equals(table["split"], split)
        if not keep.any():
            raise ValueError(
                f"encoded_sequences has no row{f' of split {split}' if split else ''}."
            )
        batches = [batch for batch in table.to_batches() if batch.num_rows]
        bounds = [batch["input_ids"].offsets.to_numpy() for batch in batches]
        chunk_of = np.repeat(np.arange(len(batches)), [batch.num_rows for batch in batches])
        rows = np.flatnonzero(keep)
        person_id = table["person_id"].to_numpy()[rows]
        if not _ascending(person_id):
            rows = rows[np.argsort(person_id)]
        small = table.select(["person_id", "split", "birth_to_start"]).take(rows)
        return cls(
            person_id=small["person_id"].to_numpy(),
            birth_to_start=pc.fill_null(small["birth_to_start"], BIRTH_UNKNOWN).to_numpy(),
            lengths=np.concatenate([np.diff(b) for b in bounds])[rows].astype(np.int32),
            split=small["split"],
            _starts=np.concatenate([b[:-1] for b in bounds])[rows].astype(np.int64),
            # Of 16 bits for up to a billion rows: NumPy sorts those by radix.
            _chunk_of=chunk_of[rows].astype(np.min_scalar_type(len(batches))),
            _chunks=[_chunk(batch) for batch in batches],
        )

    def take(
        self, column: TokenColumn, rows: npt.NDArray[np.integer], index: npt.NDArray[np.integer]
    ) -> npt.NDArray[Any]:
        """Return one token value per pair: position ``index[i]`` of row ``rows[i]``, [len(rows)]."""
        chunks, places = self._chunk_of[rows], self._starts[rows] + index
        if _ascending(chunks):
            return self._read(column, places, *_runs(chunks))
        order = np.argsort(chunks, kind="stable")  # each chunk is read once
        values = np.empty(len(rows), getattr(self._chunks[0], column).dtype)
        values[order] = self._read(column, places[order], *_runs(chunks[order]))
        return values

    def gather(
        self,
        rows: npt.NDArray[np.integer],
        starts: npt.NDArray[np.integer] | int = 0,
        lengths: npt.NDArray[np.integer] | None = None,
    ) -> Tokens:
        """Return stretches of rows: ``lengths[i]`` tokens from position ``starts[i]`` of ``rows[i]``.

        Args:
            rows: Row numbers of this store, [m].
            starts: First position in each row, [m] or one for all.
            lengths: Number of tokens of each, [m]; by default the whole row.
        """
        lengths = self.lengths[rows] if lengths is None else lengths
        offsets = ragged_offsets(lengths)
        index = np.repeat(self._starts[rows] + starts - offsets[:-1], lengths)
        index += np.arange(len(index))
        chunks, bounds = _runs(self._chunk_of[rows])
        ids, types, days = (
            self._read(column, index, chunks, offsets[bounds]) for column in TOKEN_COLUMNS
        )
        return Tokens(offsets, ids, types, days.astype(np.int32))

    def _read(
        self,
        column: TokenColumn,
        index: npt.NDArray[np.int64],
        chunks: npt.NDArray[np.unsignedinteger],
        bounds: npt.NDArray[np.integer],
    ) -> npt.NDArray[Any]:
        """Return the values at ``index[bounds[i]:bounds[i + 1]]`` of chunk ``chunks[i]``."""
        values = np.empty(len(index), getattr(self._chunks[0], column).dtype)
        for chunk, (first, last) in zip(chunks, pairwise(bounds), strict=True):
            source = getattr(self._chunks[chunk], column)
            np.take(source, index[first:last], out=values[first:last], mode="clip")
        return values


def _runs(
    chunks: npt.NDArray[np.unsignedinteger],
) -> tuple[npt.NDArray[np.unsignedinteger], npt.NDArray[np.intp]]:
    """Return the chunk of each run of rows that lie in one, [k], and where runs begin, [k + 1]."""
    heads = np.flatnonzero(np.append(True, chunks[1:] != chunks[:-1])[: len(chunks)])
    return chunks[heads], np.append(heads, len(chunks))


def _ascending(values: npt.NDArray[np.integer]) -> bool:
    return bool((values[1:] >= values[:-1]).all())


def _equals(column: pa.ChunkedArray, value: str) -> npt.NDArray[np.bool_]:
    return pc.equal(column, value).to_numpy()


def _chunk(batch: pa.RecordBatch) -> _Chunk:
    return _Chunk(*(batch[column].values.to_numpy(zero_copy_only=True) for column in TOKEN_COLUMNS))
