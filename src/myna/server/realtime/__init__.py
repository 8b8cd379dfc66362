"""Voice calls: the realtime API of OpenAI, in its two dialects, and of DashScope.

`session` is a machine without I/O: events in, events and effects out. `carrier` ties it to a
WebSocket and to the service; `dialects` says how each client names things.
"""
