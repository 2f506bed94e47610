"""Console probes: one module per stage, and the prober that runs them."""
