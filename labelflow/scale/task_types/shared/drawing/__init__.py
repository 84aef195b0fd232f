"""What the types that draw share: label trees, geometries, attributes, shapes and their columns, random shapes."""
