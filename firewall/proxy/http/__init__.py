"""HTTP whose bytes the firewall reads: mitmproxy's layers under the judge's control."""
