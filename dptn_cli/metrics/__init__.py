"""The metrics: pure functions and running sums. `protocols` lists them."""
