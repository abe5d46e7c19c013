"""All mutations, in the order of the passes."""

from __future__ import annotations

from tests.mutation.kinds.algebra import ALGEBRA
from tests.mutation.kinds.deltas import DELTAS
from tests.mutation.kinds.leaves import LEAVES
from tests.mutation.kinds.lowerings import LOWERINGS
from tests.mutation.kinds.proof import PROOF
from tests.mutation.kinds.state import STATE

MUTATIONS = (*LEAVES, *ALGEBRA, *LOWERINGS, *STATE, *DELTAS, *PROOF)
