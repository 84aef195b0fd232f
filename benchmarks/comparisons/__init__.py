"""One comparison per module: title, method, targets. All modules here are found automatically; see `Comparison`."""
