"""Seeds for the parts of a request that bring none of their own."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np


def derive_seed(seed: int, role: str) -> int:
    """A 63-bit seed for the part of a request that plays `role`, say "network.input_weights".

    The role's 128-bit BLAKE2b digest goes with the request's seed into numpy's SeedSequence, so that two
    roles get unrelated streams, and a role gets the same stream whatever other parts the request has. 63
    bits, because the seed is reported and has to survive formats whose integers are signed.
    """
    digest = int.from_bytes(blake2b(role.encode(), digest_size=16).digest(), "little")
    state = np.random.SeedSequence([seed, digest]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))
