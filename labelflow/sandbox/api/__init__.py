"""The HTTP interface: routes, authentication, request bodies, listings."""
