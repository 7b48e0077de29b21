"""The fast lane: inspected HTTP/1.1 on the gate's own loop, with the semantics of depth."""
