"""Audits of other people's derivatives: torch's own, operation by operation."""
