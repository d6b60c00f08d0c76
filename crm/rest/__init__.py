"""The base of the REST API: one request flow, one envelope, one error shape for each surface."""
