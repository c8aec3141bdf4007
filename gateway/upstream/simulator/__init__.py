"""The built-in DashScope: a server that answers like the provider and sings songs it composes itself.

It is a product, not a test double: the demo plays it, and its behaviour, faults included, is chosen per request, so it
keeps no state that a test could trip over. `server.Simulator` is the door, `music` the room where songs are made.
It must not know the gateway: it speaks the provider's wire and nothing else.
"""
