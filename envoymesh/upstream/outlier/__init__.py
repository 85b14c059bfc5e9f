"""Outlier detection: hosts that answer worse than others rest for a while (Envoy's `Upstream::Outlier`)."""
