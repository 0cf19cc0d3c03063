"""The SSH key of one DAG run: derived when it is needed, stored nowhere."""

from __future__ import annotations

from dataclasses import dataclass, field

from ack_preload.domain.errors import InvalidInputError
from ack_preload.hooks.account import Account


@dataclass(frozen=True, slots=True)
class RunKey:
    public: str  # as authorized_keys has it
    private: str = field(repr=False)  # PEM, OpenSSH's own format


def run_key(account: Account, dag_id: str, run_id: str) -> RunKey:
    """Derive the ed25519 key of a run from the account's secret.

    The same run gets the same key on any worker; who does not know the secret cannot make it.

    :raises InvalidInputError: for a connection without a secret and without ``ssh_secret``.
    """
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    seed = account.ssh_seed or account.access_key_secret
    if not seed:
        raise InvalidInputError(
            f"connection {account.conn_id} has neither a secret nor the extra ssh_secret; add "
            "ssh_secret, any long random text, to derive the SSH keys of build instances from"
        )
    salt = f"{dag_id}/{run_id}".encode()
    hkdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=b"ack-preload ssh key v1")
    key = Ed25519PrivateKey.from_private_bytes(hkdf.derive(seed.encode()))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return RunKey(public=public.decode(), private=private.decode())
