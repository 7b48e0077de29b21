"""mitmproxy 12.2 uses names that pyparsing 3.3 deprecates; its import must not fail the tests."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import mitmproxy.master  # noqa: F401
