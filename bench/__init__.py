"""Measures the ledger beside a peer, on the same machine, in the same run, with durability on for both.

    make bench                          all figures; the table, and build/bench.json
    make bench ARGS="hot_aggregate"     some of them

A figure that stands alone says little about a ledger and much about a machine; a ratio says less about the machine.
"""
