from __future__ import annotations

from ack_preload.domain.errors import CloudError, PreloadError, ThrottledError


def test_the_clouds_own_code_and_request_id_are_kept() -> None:
    error = CloudError("QuotaExceed.Snapshot", "too many", request_id="4F2A")
    assert (error.code, error.request_id, error.retry_after_s) == (
        "QuotaExceed.Snapshot",
        "4F2A",
        None,
    )
    assert str(error) == "QuotaExceed.Snapshot: too many (request 4F2A)"


def test_a_throttled_call_is_a_cloud_error_and_ours() -> None:
    error = ThrottledError("Throttling", "slow down", request_id="1", retry_after_s=2.0)
    assert isinstance(error, CloudError)
    assert isinstance(error, PreloadError)
    assert error.retry_after_s == 2.0
