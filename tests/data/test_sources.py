"""The table of the published sets."""

from __future__ import annotations

from reprolib import data
from reprolib.data import sources


def test_every_source_has_hashes_terms_a_citation_and_an_address_of_its_publisher():
    assert set(sources.SOURCES) == set(data.PHANTOM_OF)
    for source in sources.SOURCES.values():
        assert source.address.startswith("https://") and source.address.endswith(".zip")
        assert source.terms.endswith(".") and all("doi:" in reference for reference in source.cite)
        for spec in source.arrays.values():
            assert len(bytes.fromhex(spec.sha256)) == 32
            assert spec.numbers is None or len(spec.numbers) == spec.count == len(set(spec.numbers))
