"""How uneven a skewed load is over the shards of a cluster, and what a cache of hot keys changes.

    python benchmarks/simulate_skew.py [--nodes 24] [--shards 32] [--keys 1000000000]

Keys are asked for by Zipf's law with exponents 1.0 to 1.3. Each key's partition lies on one shard of
each of its replicas, by the hash of the key. A read at LOCAL_QUORUM of three replicas costs two of
them, so that each takes two thirds of the key's reads. Printed is the load of the hottest shard over
the mean shard: a cluster carries its capacity divided by that. The API servers' cache answers a hot
key; what reaches the shards of such a key is one read a server and lifetime, taken here as none.
"""

from __future__ import annotations

import argparse

import numpy as np

EXPONENTS = (1.0, 1.1, 1.2, 1.3)
CACHED = (0, 100, 1_000, 10_000, 100_000)
#: Keys that are placed one by one; the rest is spread evenly, which their number makes true.
PLACED = 2_000_000


def shares(exponent: float, keys: int) -> tuple[np.ndarray, float]:
    """The share of reads of each of the hottest keys, and of all others together."""
    ranks = np.arange(1, min(PLACED, keys) + 1, dtype=np.float64)
    weights = ranks**-exponent
    placed = float(len(ranks))
    if keys <= placed:
        rest = 0.0
    elif exponent == 1:
        rest = float(np.log(keys / placed))
    else:
        rest = float((placed ** (1 - exponent) - keys ** (1 - exponent)) / (exponent - 1))
    total = float(weights.sum()) + rest
    return weights / total, rest / total


def hottest_over_mean(
    share: np.ndarray, rest: float, nodes: int, shards: int, copies: int, draw: np.random.Generator
) -> float:
    """The load of the hottest shard over the mean of all."""
    load = np.full(nodes * shards, rest / (nodes * shards))
    first = draw.integers(nodes, size=len(share))
    for copy in range(copies):
        # Replicas are different nodes; on each, the hash decides the shard.
        node = (first + copy * (1 + nodes // (copies + 1))) % nodes
        shard = node * shards + draw.integers(shards, size=len(share))
        load += np.bincount(shard, weights=share / copies, minlength=len(load))
    return float(load.max() / load.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=24)
    parser.add_argument("--shards", type=int, default=32, help="a node's shards (cores)")
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--keys", type=int, default=10**9)
    options = parser.parse_args()
    draw = np.random.default_rng(7)
    print(f"{options.nodes} nodes x {options.shards} shards, {options.keys:,} keys")
    print("hottest shard / mean shard, and the share of reads that reaches the shards\n")
    print("hot keys cached " + "".join(f"{'Zipf ' + str(e):>16}" for e in EXPONENTS))
    known = {exponent: shares(exponent, options.keys) for exponent in EXPONENTS}
    for cached in CACHED:
        cells = []
        for exponent in EXPONENTS:
            share, rest = known[exponent]
            left = share[cached:]
            ratio = hottest_over_mean(
                left, rest, options.nodes, options.shards, options.copies, draw
            )
            cells.append(f"{ratio:8.1f} {float(left.sum()) + rest:6.0%}")
        print(f"{cached:15,} " + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
