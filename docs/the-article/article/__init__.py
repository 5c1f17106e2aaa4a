"""The page `docs/the-article`: every number in it is an answer of the service."""
