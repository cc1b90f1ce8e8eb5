"""Jobs for the schedulers of clusters: one description, rendered in each dialect, and submitted."""
