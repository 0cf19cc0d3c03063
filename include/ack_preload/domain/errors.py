"""Every error this project raises on purpose.

PreloadError
├── CloudError              the cloud answered with an error code: do not retry
│   ├── ThrottledError           ... and asked us to slow down: retry later
│   ├── CloudUnavailableError    ... and the same call may succeed later: retry
│   └── NotFoundError            ... the resource is not there
├── UnclearReplyError       no readable reply: the call may have been carried out; look, then retry
│   └── NodeUnreachableError     ... over SSH: what was asked for may or may not have begun
├── ForeignResourceError    the name is taken by something that is not ours: do not retry
├── InvalidInputError       a value was refused before the first call: do not retry
├── ResourceFailedError     a resource reached a state it cannot leave: do not retry
├── WaitTimeoutError        the deadline passed while the state was still pending
├── RemoteJobError          a script on a machine ended with a documented failure
└── ImageProofError         images of the lock are missing or wrong on a node: do not retry

A message says what, which, its state and what to do, with the id first:
``snapshot s-1 is failed; see request 4F2A``.
"""

from __future__ import annotations


class PreloadError(Exception):
    """Base class, for ``except`` clauses at the edges."""


class CloudError(PreloadError):
    """The cloud refused a call. ``code`` is Alibaba Cloud's own error code, unchanged."""

    def __init__(
        self, code: str, message: str, *, request_id: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{code}: {message} (request {request_id})")
        self.code = code
        self.message = message
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class ThrottledError(CloudError):
    """A ``Throttling.*`` code; the same call may succeed after a pause."""


class CloudUnavailableError(CloudError):
    """The cloud failed (5xx) or is busy with this resource; the same call may succeed later."""


class NotFoundError(CloudError):
    """The resource is not there. For a delete this is success."""


class UnclearReplyError(PreloadError):
    """The connection broke or the reply was unreadable: the call may have been carried out."""


class NodeUnreachableError(UnclearReplyError):
    """A machine gave no answer over SSH; the message has user, address, port and the mend."""


class ForeignResourceError(PreloadError):
    """A resource of that name exists and does not carry our tags; it is left alone."""


class InvalidInputError(PreloadError):
    """A value is wrong; the message names the field, the value and the mend."""


class ResourceFailedError(PreloadError):
    """A resource ended in a failure state."""


class WaitTimeoutError(PreloadError):
    """A resource was still pending at the deadline."""


class RemoteJobError(PreloadError):
    """A script on a machine failed; the message has its name, exit code and last lines."""


class ImageProofError(PreloadError):
    """A node does not hold what the image lock says, by digest."""


def is_unclear(exc: BaseException) -> bool:
    """Tell whether the call that raised this may have been carried out all the same."""
    return isinstance(exc, UnclearReplyError | CloudUnavailableError)
