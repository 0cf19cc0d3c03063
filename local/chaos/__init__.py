"""``make chaos``: every stage of the chain under every fault, judged by the local cloud's meter."""
