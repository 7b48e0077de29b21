"""mitmproxy addons, to be loaded as a user of mitmproxy would: `mitmdump -s addons/egress.py`."""
