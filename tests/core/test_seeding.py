from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ics_bench.core import derive_seed


def test_seeds_are_the_same_on_every_machine():
    assert derive_seed("lr_ceiling", "depth=5", 0, "weights") == 268239893743725505  # sha256 by another program


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x1f")), min_size=1, max_size=4))
def test_a_seed_fits_torch_and_depends_on_every_part(parts):
    seed = derive_seed(*parts)
    assert 0 <= seed < 2**63
    for place in range(len(parts)):
        assert derive_seed(*parts[:place], parts[place] + "x", *parts[place + 1 :]) != seed
    assert derive_seed(*parts, "") != seed
