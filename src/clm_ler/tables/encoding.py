"""Token texts to ids and lab bins, column by column: no Python per token."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import ibis.expr.datatypes as dt
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clm_ler.files.arrow import ragged_offsets
from clm_ler.files.digests import digest
from clm_ler.tokens import AGE_TOKEN, LAB_TOKEN, OLDEST_AGE, SEPARATOR, UNK, age_ids, parent_pattern

VERSION = 1  # of what is made of a token text; it is part of the keys of stored encodings
# Wide enough for Spark, which has no unsigned types; stored narrower.
ENCODED = {"input_ids": dt.Array(dt.int32), "token_type_ids": dt.Array(dt.int16)}


# One entry for each code system that a person has tokens of, and one for all of them.
COVERAGE = {
    "systems": dt.Array(dt.Struct({"system": dt.string, "tokens": dt.int64, "known": dt.int64}))
}

# One entry for each token that a person has; ``leads`` is 1 at one of those with the same code.
COUNTED = {
    "counts": dt.Array(dt.Struct({"token": dt.string, "n": dt.int64, "leads": dt.int64})),
}


def count_within(column: pa.Array) -> pa.StructArray:
    """Return per list of token texts how often it has each token, and which is the first of a code.

    Lab tokens that differ in their bin only have one code.

    >>> count_within(pa.array([["b", "a", "b"], []])).field("counts").to_pylist()
    [[{'token': 'a', 'n': 1, 'leads': 1}, {'token': 'b', 'n': 2, 'leads': 1}], []]
    """
    texts = column.flatten().dictionary_encode()
    # In the order of texts: which is the first must not depend on who else is in the column.
    order = pc.sort_indices(texts.dictionary).to_numpy()
    known, kinds = texts.dictionary.take(order), max(len(order), 1)
    places = np.argsort(order)[texts.indices.to_numpy()]
    rows = np.repeat(np.arange(len(column)), pc.list_value_length(column))
    cells, counts = np.unique(rows * kinds + places, return_counts=True)
    labs = pc.struct_field(pc.extract_regex(known, LAB_TOKEN), "code")
    codes = pc.coalesce(labs, known).dictionary_encode().indices.to_numpy()
    of_code = cells // kinds * kinds + codes[cells % kinds]
    leads = np.zeros(len(cells), np.int64)
    leads[np.unique(of_code, return_index=True)[1]] = 1
    tokens = known.take(pa.array(cells % kinds))
    fields = [tokens, pa.array(counts), pa.array(leads)]
    entries = pa.StructArray.from_arrays(fields, ["token", "n", "leads"])
    sizes = np.bincount(cells // kinds, minlength=len(column))
    lists = pa.ListArray.from_arrays(ragged_offsets(sizes).astype(np.int32), entries)
    return pa.StructArray.from_arrays([lists], list(COUNTED))


def split_bins(
    tokens: pa.Array, bin_labels: Sequence[str]
) -> tuple[pa.Array, npt.NDArray[np.int16]]:
    """Return the tokens without their lab bin, and the bin's number from 1; 0 where there is none.

    >>> split_bins(pa.array(["LOINC:2345-7:30-40", "LOINC:2345-7"]), ["0-10", "30-40"])[1]
    array([2, 0], dtype=int16)
    """
    parts = pc.extract_regex(tokens, LAB_TOKEN)
    labels = pa.array(bin_labels, pa.string())
    bins = pc.index_in(pc.struct_field(parts, "bin"), labels, skip_nulls=True)
    codes = pc.if_else(pc.is_valid(bins), pc.struct_field(parts, "code"), tokens)
    return codes, pc.add(pc.fill_null(bins, -1), 1).to_numpy(zero_copy_only=False).astype(np.int16)


def parents(tokens: pa.Array, systems: Sequence[str]) -> pa.Array:
    """Return the next broader code of each token, null where it has none or is of another system.

    >>> parents(
    ...     pa.array(["ICD10CM:J45.901", "ICD10CM:J45.9", "ICD10CM:J45"]), ["ICD10CM"]
    ... ).to_pylist()
    ['ICD10CM:J45.90', 'ICD10CM:J45', None]
    """
    return pc.struct_field(pc.extract_regex(tokens, parent_pattern(systems)), "parent")


def systems_of(tokens: pa.Array) -> pa.Array:
    """Return what stands before the first colon of each token."""
    return pc.list_element(pc.split_pattern(tokens, SEPARATOR, max_splits=1), 0)


@dataclass(frozen=True)
class TokenCodec:
    """What a tokenizer of ours knows, as Arrow columns.

    Attributes:
        tokens: The token of each id.
        bin_labels: Names of the lab bins that are split off, lowest first; none where they are not.
        parent_systems: Code systems whose unknown codes fall back to a broader one.
        age_ids: The id of each age from 0 to ``OLDEST_AGE``.
        unknown: The id of ``[UNK]``.
    """

    tokens: pa.Array
    bin_labels: tuple[str, ...]
    parent_systems: tuple[str, ...]
    age_ids: npt.NDArray[np.int32]
    unknown: int

    @classmethod
    def from_tokenizer(cls, tokenizer: Any) -> Self:
        """Return the codec of a tokenizer that ``build_tokenizer`` made."""
        ids, known = tokenizer.get_vocab(), tokenizer.init_kwargs
        return cls(
            tokens=pa.array(sorted(ids, key=ids.__getitem__), pa.string()),
            bin_labels=tuple(known["bin_labels"]),
            parent_systems=tuple(known["parent_systems"]),
            age_ids=np.array(age_ids(ids), np.int32),
            unknown=ids[UNK],
        )

    @cached_property
    def digest(self) -> str:
        """What an encoding depends on beside the token texts."""
        known = (self.tokens, self.bin_labels, self.parent_systems, self.age_ids, self.unknown)
        return digest(VERSION, *known)

    def lookup(self, tokens: pa.Array) -> tuple[pa.Array, npt.NDArray[np.int16]]:
        """Return the id (int32) and the lab bin of each token text.

        An unknown code takes the id of its nearest known parent, where its system has parents;
        an unknown age that of the nearest known age; anything else ``[UNK]``.
        """
        codes, bins = split_bins(tokens, self.bin_labels)
        ids = pc.index_in(codes, self.tokens)
        ages = pc.struct_field(pc.extract_regex(codes, AGE_TOKEN), "age").cast(pa.int64())
        ages = pc.min_element_wise(ages, OLDEST_AGE, skip_nulls=False)
        ids = pc.coalesce(ids, pa.array(self.age_ids).take(ages))
        while self.parent_systems and ids.null_count:
            codes = parents(pc.if_else(pc.is_null(ids), codes, None), self.parent_systems)
            if codes.null_count == len(codes):
                break
            ids = pc.coalesce(ids, pc.index_in(codes, self.tokens, skip_nulls=True))
        return pc.fill_null(ids, self.unknown), bins

    def encode_lists(self, column: pa.Array) -> pa.StructArray:
        """Return ``input_ids`` and ``token_type_ids`` (lists) of a column of lists of token texts."""
        texts = column.flatten().dictionary_encode()
        ids, bins = self.lookup(texts.dictionary)
        offsets = pc.subtract(column.offsets, column.offsets[0])
        lists = [
            pa.ListArray.from_arrays(offsets, values.take(texts.indices))
            for values in (ids, pa.array(bins))
        ]
        return pa.StructArray.from_arrays(lists, list(ENCODED))

    def count_known(self, column: pa.Array) -> pa.StructArray:
        """Return per list of token texts how many each code system has, and how many are known."""
        texts = column.flatten().dictionary_encode()
        known = pc.not_equal(self.lookup(texts.dictionary)[0], self.unknown).to_numpy(False)
        systems = systems_of(texts.dictionary).dictionary_encode()
        names = pa.concat_arrays([systems.dictionary, pa.array(["all"])])
        shape, index = (len(column), len(names)), texts.indices.to_numpy()
        rows = np.repeat(np.arange(len(column)), pc.list_value_length(column))
        cells = rows * len(names) + systems.indices.to_numpy()[index]
        counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
        hits = np.bincount(cells[known[index]], minlength=counts.size).reshape(shape)
        counts[:, -1], hits[:, -1] = counts.sum(axis=1), hits.sum(axis=1)
        has = counts > 0
        fields = [
            names.take(pa.array(np.nonzero(has)[1])),
            pa.array(counts[has]),
            pa.array(hits[has]),
        ]
        entries = pa.StructArray.from_arrays(fields, ["system", "tokens", "known"])
        lists = pa.ListArray.from_arrays(ragged_offsets(has.sum(axis=1)).astype(np.int32), entries)
        return pa.StructArray.from_arrays([lists], list(COVERAGE))
