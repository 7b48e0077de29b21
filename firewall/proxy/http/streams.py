"""Connections on which nothing is read as HTTP: relayed as they are, or closed."""

from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers import TCPLayer

type Commands = layer.CommandGenerator[None]


class Relay(TCPLayer):
    """A stream that is not HTTP and was allowed all the same. The addon watches it and sets
    `flow.error` to end it."""

    def relay_messages(self, event: events.Event) -> Commands:
        yield from super().relay_messages(event)
        if self.flow is not None and self.flow.error is not None:
            self._handle_event = self.done
            yield commands.CloseConnection(self.context.server)
            yield commands.CloseConnection(self.context.client)


class Closed(layer.Layer):
    """Closes the client's connection, whatever it sends, and opens none."""

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.Start):
            yield commands.CloseConnection(self.context.client)
