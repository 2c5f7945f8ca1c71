"""The performance gate: two commits or two stored results in, verdicts out; deciding and rendering are apart."""
