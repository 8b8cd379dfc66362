"""What goes wrong with keeping things."""

from __future__ import annotations

from myna.core.errors import MynaError, NotFound


class NotSaved(MynaError):
    """Tell that something was not kept; what was kept before is still there."""

    status = 507
    code = "not_saved"


class NoSuchRecord(NotFound):
    """Name a conversation, a message or a file that is not kept here."""

    code = "not_found"
