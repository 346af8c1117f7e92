"""HTTP, inside limits: what ``action:http.fetch``, ``action:event.dispatch`` and ``adapter:http`` share.

``policy.Policy`` is what an operator decides, ``client.Client`` keeps it.  This module imports neither: with the client
come httpx and all that it needs.  The rules, each of which is tested by its number:

H1   A host is one that the policy allows; so is each that a redirect leads to.
H2   A name is looked up once for each connection; what is connected to is an address that was found then, and checked.
H3   An address that is private, or no host's at all, is not connected to, unless the policy allows it; one that wraps
     an IPv4 address (``::ffff:127.0.0.1``) is judged by that.
H4   From one origin to another go no headers but those that say nothing about who asks, and no body; from https nobody
     is led to http.  Cookies are not kept.
H5   ``timeout`` is for everything: attempts and the waits between them, redirects, and the last byte of the body.
H6   No more than ``max_bytes`` are taken, as they come and as they are meant; what is packed is unpacked bit by bit,
     and no further than that.
H7   What may have been done is done again only where that changes nothing: by the method, or where the caller says so.
H8   ``Retry-After`` is waited for; where that is longer than ``max_backoff``, or than the time that is left, there is
     no other attempt.
H9   Headers are made of what may stand in a header, and those that say where a message ends are not the caller's.
H10  The environment changes nothing: no proxy, no certificates, no ``.netrc``.
"""
