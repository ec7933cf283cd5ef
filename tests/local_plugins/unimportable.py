"""A plugin that cannot be imported."""

import no_such_library  # noqa: F401
